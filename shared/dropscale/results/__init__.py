"""The contents of the results bucket: keys of outputs, and manifests. No I/O."""
