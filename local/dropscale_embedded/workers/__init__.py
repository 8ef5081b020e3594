"""Processes that functions run in. Apart from the cloud, so that they start before it is loaded."""
