"""Files on this machine: what is dropped, what came out, and what a run keeps."""
