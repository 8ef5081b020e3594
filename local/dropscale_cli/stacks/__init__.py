"""Stacks, on this machine and on AWS, and the commands that manage them."""
