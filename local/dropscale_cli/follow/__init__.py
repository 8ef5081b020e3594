"""Commands that bring images through a stack, show how far they are, and settle them."""
