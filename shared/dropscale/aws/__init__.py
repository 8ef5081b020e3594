"""Adapters to AWS and to the vendor, and the wiring that composes each function.

boto3 is used only here.
"""
