"""What an image file says beside its pixels: read and written without decoding."""
