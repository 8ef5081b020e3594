"""Commands that bring images through a stack, and show how far they are."""
