"""dropscale: drop an image into a bucket, get the upscaled image and a manifest."""

__version__ = "0.1.0"
"""The version of package, command and stack; pyproject.toml and template.yaml take it from here."""
