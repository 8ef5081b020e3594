"""Specs: the kinds of keys, the fields of a spec, and how specs merge. No I/O."""
