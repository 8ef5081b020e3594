"""Images: their headers, metadata and pixels."""
