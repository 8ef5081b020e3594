"""Explains refusals of S3 that remain until somebody changes something."""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING

from dropscale.errors import DropscaleError
from dropscale.pipeline.parts.refusals import (
    AccessDenied,
    ObjectArchived,
    ObjectEncrypted,
    RequesterPays,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_NOT_AUTHORIZED = re.compile(r"User: (\S{1,300}) is not authorized to perform: ([\w:*]{1,100})")
"""IAM's wording: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html."""

_ARCHIVES = {
    "GLACIER": ("Glacier Flexible Retrieval", "Days=7,GlacierJobParameters={Tier=Standard}"),
    "DEEP_ARCHIVE": ("Glacier Deep Archive", "Days=7,GlacierJobParameters={Tier=Standard}"),
    "INTELLIGENT_TIERING": ("an archive tier of Intelligent-Tiering", "{}"),
}


def refusal_of(
    error: ClientError, bucket: str, key: str, action: str = "s3:GetObject"
) -> DropscaleError | None:
    """Return what S3's refusal of a request for an object means; None: it may be temporary.

    Args:
        error: The answer. The answer to a HEAD is not enough.
        bucket: The object's bucket.
        key: The object's key.
        action: The permission that was needed.

    The codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
    """
    answer = error.response["Error"]
    code, message = answer.get("Code", ""), answer.get("Message", "")
    again = f"then: {_retry(key)}"
    if code == "InvalidObjectState":
        return archived(bucket, key, str(answer.get("StorageClass", "")))
    if code == "InvalidRequest" and "Server Side Encryption" in message:
        return ObjectEncrypted(
            f"{key} is encrypted with a key that AWS does not store (SSE-C)",
            fix="Upload it without --sse-c; SSE-S3 and SSE-KMS can be read.",
        )
    if "requester pays" in message.lower():
        return RequesterPays(
            f"{bucket} is a requester-pays bucket, which dropscale does not support",
            fix=f"Set the bucket's payer to BucketOwner, or copy the image to another; {again}",
        )
    if code.startswith("KMS."):
        return AccessDenied(
            f"{key} cannot be decrypted: {message}",
            fix="Enable the key, or upload the image with another key.",
        )
    if code in {"AccessDenied", "AllAccessDisabled"}:
        return _denied(message, bucket, key, action)
    return None


def archived(bucket: str, key: str, storage_class: str) -> ObjectArchived:
    """Return the error for an object in an archive's storage class."""
    where, request = _ARCHIVES.get(storage_class, _ARCHIVES["GLACIER"])
    return ObjectArchived(
        f"{key} is in {where}, where it cannot be read",
        fix=f"Restore it: aws s3api restore-object --bucket {bucket} --key {quote(key)} "
        f"--restore-request '{request}'; when that is done: {_retry(key)}",
    )


def _denied(message: str, bucket: str, key: str, action: str) -> AccessDenied:
    found = _NOT_AUTHORIZED.search(message)
    who, what = found.groups() if found else ("", action)
    role = who.split("/")[1] if ":assumed-role/" in who else who or "the function's role"
    holder = "the key's policy" if what.startswith("kms:") else "policies of role and bucket"
    return AccessDenied(
        f"{key} cannot be read: {role} may not {what}",
        fix=f"Allow {what} to {role} in {holder} (for {bucket}); it is tried again each hour, "
        f"and at once by `{_retry(key)}`.",
    )


def _retry(key: str) -> str:
    return f"dropscale retry {quote(key)}"
