"""What lies in the results bucket: where outputs go, and what a manifest says. Pure."""
