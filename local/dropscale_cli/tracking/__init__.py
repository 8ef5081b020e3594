"""One image's way through a stack and back, and how it is shown while it takes."""
