"""The metadata of image files, read and written without decoding pixels."""
