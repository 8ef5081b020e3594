"""Stands for what a layer ships."""

STAMP = "from the layer"
