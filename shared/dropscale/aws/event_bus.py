"""Sends events about drops and batches to the account's default event bus."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from dropscale.ledger.batches import Batch, Settlement
from dropscale.ledger.drops import Drop
from dropscale.results.announcement import (
    BATCH_DETAIL_TYPE,
    DETAIL_TYPES,
    SOURCE,
    announcement_of,
    batch_announcement_of,
)

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient
    from types_boto3_events.type_defs import PutEventsRequestEntryTypeDef

_log = logging.getLogger(__name__)


class EventBridgeAnnouncer:
    """A `dropscale.pipeline.parts.manifest_writer.Announce`.

    Args:
        client: creates the client, which most invocations do not need.
        results_bucket: the bucket of the manifests.
        results_prefix: their prefix.
    """

    def __init__(
        self,
        client: Callable[[], EventBridgeClient],
        results_bucket: str,
        results_prefix: str = "",
    ) -> None:
        self._make_client = client
        self._results = results_bucket, results_prefix

    def __call__(self, drop: Drop) -> bool:
        """Announce a drop, if its state has an event; False: it failed for now."""
        detail_type = DETAIL_TYPES.get(drop.state)
        if detail_type is None:
            return True
        detail = announcement_of(drop, *self._results).model_dump_json()
        return self._send(detail_type, detail, f"drop {drop.id}")

    def announce_batch(self, batch: Batch, settlement: Settlement) -> bool:
        """Announce a settlement of a batch; False: it failed for now."""
        detail = batch_announcement_of(batch, settlement, *self._results).model_dump_json()
        return self._send(BATCH_DETAIL_TYPE, detail, f"batch {batch.id}")

    def _send(self, detail_type: str, detail: str, subject: str) -> bool:
        entry: PutEventsRequestEntryTypeDef = {
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": detail,
        }
        try:
            answer = self._client.put_events(Entries=[entry])
        except (BotoCoreError, ClientError):
            _log.exception("%s could not be announced", subject)
            return False
        return answer["FailedEntryCount"] == 0

    @cached_property
    def _client(self) -> EventBridgeClient:
        return self._make_client()
