"""Stands for a layer's package."""

STAMP = "from the layer"
