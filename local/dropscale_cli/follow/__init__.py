"""Commands that bring images through a stack, show their states, and settle them."""
