"""Adapters to AWS, and the wiring that composes each function. boto3 is used here only."""
