"""Publishes a result: verified, finished, streamed; never replaces a foreign object."""

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, cast

from dropscale.coded_warning import CodedWarning
from dropscale.image.verify import verify_result
from dropscale.ledger.drops import Drop, Output, Rendition
from dropscale.ledger.store import Ledger
from dropscale.pipeline.parts.delivery_errors import OutputOccupied
from dropscale.pipeline.parts.ports import (
    Finish,
    FinishedResult,
    OutputLabels,
    RemainingTime,
    ResultsBucket,
)
from dropscale.results.output_key import output_key, upscale_label

_PUT_ATTEMPTS = 3


@dataclass(frozen=True)
class Published:
    """An output in the results bucket, and the warnings about it."""

    output: Output
    warnings: tuple[CodedWarning, ...]


@dataclass(frozen=True)
class PublishOutput:
    """Writes outputs into the results bucket, each once."""

    ledger: Ledger
    results: ResultsBucket
    finish: Finish

    def __call__(
        self,
        drop: Drop,
        rendition: Rendition,
        fetch: Callable[[BinaryIO], int],
        remaining: RemainingTime,
    ) -> Published:
        """Fetch a result, verify and finish it, and write it to the key of the drop's output.

        `fetch` writes the result into a file and returns its size in bytes.

        Raises:
            OutputOccupied: a foreign object is at that key.
            UnreadableResult: the result is not a complete image.
        """
        with ExitStack() as files:
            file = cast(BinaryIO, files.enter_context(tempfile.TemporaryFile()))
            fetch(file)
            header = verify_result(file, f"The result for {drop.source.key}")
            settings = rendition.output_settings
            finished = self.finish(file, header, drop.source, settings, files, remaining)
            output = _describe_output(drop, rendition, finished)
            self._put_once(output, finished.file, drop.id, rendition)
        return Published(output, finished.warnings)

    def _put_once(self, output: Output, file: BinaryIO, drop_id: str, rendition: Rendition) -> None:
        """Write the output, replacing an earlier output of the same source.

        An object that already has these labels is this delivery, from before a crash.
        """
        project_id = rendition.project_id
        fingerprint, upscale = rendition.fingerprint, upscale_label(rendition)
        labels = OutputLabels(fingerprint, drop_id, output.sha256, project_id, upscale)
        for _ in range(_PUT_ATTEMPTS):
            there = self.results.describe_output(output.key)
            if there is not None and there.labels == labels:
                return
            # Read after the object: so a newer result that is already there is not replaced.
            drop = self.ledger.drop(drop_id)
            present = drop.renditions.get(rendition.id) if drop else None
            if present is None or not present.wants_result:
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


def _describe_output(drop: Drop, rendition: Rendition, finished: FinishedResult) -> Output:
    header, file = finished.header, finished.file
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type] # wants BytesIO or raw
    return Output(
        key=output_key(drop.source.key, rendition, header.type),
        type=header.type,
        width=header.width,
        height=header.height,
        bytes=file.tell(),
        sha256=digest.hexdigest(),
        delta_e=finished.delta_e,
    )
