"""The `dropscale` command: what people type, and what they see."""
