"""Substitutes for AWS and Magic Hour when dropscale runs on one machine; never deployed."""
