"""Processes that run functions; separate from the cloud, so that they start before it is loaded."""
