"""Commands that bring images through a stack and show their states."""
