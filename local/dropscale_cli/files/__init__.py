"""Files on this machine: drops, results, and the state that a run keeps."""
