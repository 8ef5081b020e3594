"""Stacks, on this machine and elsewhere, and what is done about them by hand."""
