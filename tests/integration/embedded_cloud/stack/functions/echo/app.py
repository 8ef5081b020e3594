"""Answers a function URL with what it was given; the path says how."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: Any) -> Any:
    """Answer, or fail."""
    if event["rawPath"] == "/raise":
        raise RuntimeError("told to")
    if event["rawPath"] == "/plain":
        return [1, 2]
    if event["rawPath"] == "/status":
        return {"statusCode": 401}
    if event["rawPath"] == "/bytes":
        return {"statusCode": 200, "body": "/w==", "isBase64Encoded": True}
    return {"statusCode": 202, "headers": {"X-Mine": "yes"}, "body": json.dumps(event)}
