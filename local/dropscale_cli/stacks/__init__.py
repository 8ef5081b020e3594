"""Stacks, on this machine and on AWS: started, described, checked."""
