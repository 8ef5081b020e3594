"""dropscale: drop an image into a bucket, get the upscaled image and a manifest."""
