"""The `dropscale` command line."""
