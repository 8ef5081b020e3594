"""Stacks, on this machine and elsewhere: started, described, checked."""
