"""Publishes a result: verified, streamed, and never over what is not dropscale's own."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, BinaryIO, Protocol, cast

from dropscale.errors import DropscaleError
from dropscale.image.verify import verify_result
from dropscale.ledger.records import Drop, Output, Rendition
from dropscale.ledger.store import Ledger
from dropscale.pipeline.ports import OutputLabels, ResultsBucket
from dropscale.results.output_key import output_key

_SPOOL_BYTES = 8 * 1024 * 1024
_PUT_ATTEMPTS = 3


class OutputOccupied(DropscaleError):
    """Something that dropscale did not write lies where the output belongs."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class PublishOutput:
    """Writes outputs into the results bucket, each once."""

    ledger: Ledger
    results: ResultsBucket

    def __call__(
        self, drop: Drop, rendition: Rendition, fetch: Callable[[BinaryIO], int]
    ) -> Output:
        """Fetch a result, verify it, and write it where the drop's output belongs.

        `fetch` writes the result into a file and returns its size in bytes.

        Raises:
            OutputOccupied: as its name says.
            UnreadableResult: what came is no whole image.
        """
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spooled:
            sink = _HashingSink(spooled, hashlib.sha256())
            size = fetch(cast(BinaryIO, sink))
            file = cast(BinaryIO, spooled)
            header = verify_result(file, f"The result for {drop.source.key}")
            key = output_key(
                drop.source.key, rendition.parameters, header.type, rendition.directory
            )
            output = Output(
                key=key,
                type=header.type,
                width=header.width,
                height=header.height,
                bytes=size,
                sha256=sink.hash.hexdigest(),
            )
            self._put_once(output, file, drop.id, rendition.fingerprint)
        return output

    def _put_once(self, output: Output, file: BinaryIO, drop_id: str, fingerprint: str) -> None:
        """Write the output; what this source's earlier result left there is replaced.

        An object that carries this drop's fingerprint already is the delivery, after a crash
        before the ledger knew.
        """
        labels = OutputLabels(fingerprint=fingerprint, drop_id=drop_id)
        for _ in range(_PUT_ATTEMPTS):
            there = self.results.describe_output(output.key)
            if there is not None and there.labels == labels:
                return
            # Asked after the look: a newer result that is there already is not replaced.
            drop = self.ledger.drop(drop_id)
            if drop is None or not drop.wants(fingerprint):
                return
            if there is not None and there.labels.drop_id != drop_id:
                break
            file.seek(0)
            over = there.etag if there else None
            if self.results.put_output(output.key, file, output.type, labels, over):
                return
        raise OutputOccupied(
            f"{output.key} exists in the results bucket and is not from this image",
            fix="Move it away and drop the image again (or `dropscale retry KEY`): that is free.",
        )


@dataclass
class _HashingSink:
    """A file to write to that hashes what passes."""

    file: IO[bytes]
    hash: _Hash

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)
