"""EventBridge events of objects created in a bucket."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# moto's event names, and EventBridge's reasons for them:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
REASONS = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}


@dataclass(frozen=True)
class CreatedObject:
    """A newly written object; ``version_id`` is None in an unversioned bucket."""

    bucket: str
    key: str
    size: int
    etag: str
    version_id: str | None
    reason: str


class ObjectEvents:
    """Makes events with unique ids and sequencers that increase, also from run to run."""

    def __init__(self, region: str, account_id: str, clock: Callable[[], float]) -> None:
        self._region = region
        self._account_id = account_id
        self._clock = clock
        self._sequence = itertools.count(int(clock() * 1e9))

    def created(self, written: CreatedObject) -> dict[str, Any]:
        """Return an "Object Created" event; its time is in seconds since the epoch.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html. The key is not
        encoded: only bucket notifications encode it.
        """
        described: dict[str, Any] = {
            "key": written.key,
            "size": written.size,
            "etag": written.etag,
            "sequencer": f"{next(self._sequence):018X}",
        }
        if written.version_id is not None:
            described["version-id"] = written.version_id
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": self._account_id,
            "time": self._clock(),
            "region": self._region,
            "resources": [f"arn:aws:s3:::{written.bucket}"],
            "detail": {
                "version": "0",
                "bucket": {"name": written.bucket},
                "object": described,
                "request-id": uuid.uuid4().hex[:16].upper(),
                "requester": self._account_id,
                "source-ip-address": "127.0.0.1",
                "reason": written.reason,
            },
        }
