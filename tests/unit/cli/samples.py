import hashlib
from typing import Any

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.drops import Drop, Output, Reason, Rendition, Source
from dropscale.ledger.jobs import Parameters
from dropscale.ledger.states import DropState, WaitReason
from dropscale.results.manifest import Manifest, manifest_of
from dropscale.specs.effective import EffectiveSpec
from dropscale.upscaler import Mode

PIXELS = b"pixels"


def manifest(
    key: str,
    state: DropState,
    *,
    version_id: str | None = "1",
    wait: WaitReason | None = None,
    reason: Reason | None = None,
    output: str | None = None,
    warnings: tuple[str, ...] = (),
    fingerprint: str = "f",
    **spec: Any,
) -> Manifest:
    """The manifest of a drop whose only job cost 50 credits; its output is `PIXELS`."""
    sha256 = hashlib.sha256(PIXELS).hexdigest()
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    rendition = Rendition(
        fingerprint=fingerprint,
        parameters=parameters,
        state=state,
        credits_charged=50,
        output=output
        and Output(key=output, type="png", width=16, height=12, bytes=len(PIXELS), sha256=sha256),
    )
    drop = Drop(
        id="d",
        source=Source(bucket="in", key=key, etag="e", version_id=version_id, width=8, height=6),
        spec=EffectiveSpec(scale_factor=2, mode=Mode.BALANCED, **spec),
        renditions={} if state is DropState.REJECTED else {fingerprint: rendition},
        state=state,
        wait=wait,
        reason=reason,
        warnings=tuple(CodedWarning(WarningCode.SPEC, text) for text in warnings),
    )
    return manifest_of(drop)
