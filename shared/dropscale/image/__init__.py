"""Type and size of an image, read from a stream's first bytes without decoding it."""
