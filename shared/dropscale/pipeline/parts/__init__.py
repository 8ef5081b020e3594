"""The steps that the use cases share, and the interfaces to the outside."""
