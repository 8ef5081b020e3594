"""Specs: which keys are what, what a spec may say, and how layers of them merge. Pure."""
