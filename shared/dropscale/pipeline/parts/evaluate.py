"""Evaluate: what to upscale for a drop, by its specs and its image, or why nothing now.

First come the checks that do not read the image, then those that need its size or its bytes.
Nothing is written.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.errors import DropscaleError
from dropscale.image.header import ImageTooLarge
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop, Reason, Rendition, Source
from dropscale.ledger.states import DropState, WaitReason
from dropscale.pipeline.parts.plan import LargeEnough, plan_renditions
from dropscale.pipeline.parts.ports import InputBucket, ObjectVersion
from dropscale.pipeline.parts.refusals import AccessDenied
from dropscale.pipeline.parts.source_image import (
    SourceImage,
    image_of,
    refresh_source,
    require_size,
    require_supported,
)
from dropscale.pipeline.parts.spec_resolver import (
    DropSpecs,
    SidecarMissing,
    SpecMisnamed,
    SpecResolver,
)
from dropscale.specs.effective import EffectiveSpec


@dataclass(frozen=True)
class UpscaleRequest:
    """What to upscale for a drop. `renditions`, by id; None: those that the drop already has."""

    source: Source
    spec: EffectiveSpec
    warnings: tuple[CodedWarning, ...]
    image: SourceImage
    renditions: Mapping[str, Rendition] | None


@dataclass(frozen=True)
class Declined:
    """Why a drop is not upscaled now, and the state that it gets instead.

    If `warnings` is None, the drop keeps its warnings.
    """

    state: DropState
    source: Source
    reason: Reason | None = None
    wait: WaitReason | None = None
    warnings: tuple[CodedWarning, ...] | None = None


@dataclass(frozen=True)
class EvaluateDrop:
    """Evaluates one drop; an upscale that costs more than the `budget` allows is refused."""

    bucket: InputBucket
    resolve: SpecResolver
    budget: Budget

    def __call__(
        self, drop: Drop, version: ObjectVersion, files: ExitStack
    ) -> UpscaleRequest | Declined | None:
        """Evaluate a drop whose object exists; None: the object is another tool's file.

        The image is read at most once, and not at all if this version of it is known. What is
        opened is closed with `files`.

        Raises:
            ObjectGone, ObjectOverwritten: the object was deleted or replaced meanwhile.
        """
        source = refresh_source(drop.source, version)
        try:
            specs = self._evaluate_before_reading(source, version)
            if specs is None:
                return None
            image = image_of(self.bucket, source, specs, files)
            source = image.describe(source)
            return self._evaluate_after_reading(drop, source, specs, image)
        except SidecarMissing:
            return Declined(DropState.WAITING, drop.source, wait=WaitReason.SIDECAR)
        except AccessDenied as error:
            return wait_for_access(drop, error)
        except SpecMisnamed as error:
            return _hold_or_warn(drop, source, error)
        except LargeEnough as error:
            return Declined(DropState.SKIPPED, source, Reason.of(error))
        except ImageTooLarge as error:
            measured = source.model_copy(update={"bytes": version.size})
            return Declined(DropState.REJECTED, measured, Reason.of(error))
        except DropscaleError as error:
            return Declined(DropState.REJECTED, source, Reason.of(error))

    def _evaluate_before_reading(self, source: Source, version: ObjectVersion) -> DropSpecs | None:
        """Evaluate by the object's key and size, and by the specs."""
        require_supported(self.bucket, source)
        require_size(version, source.key)
        return self.resolve.resolve_drop(source.bucket, source.key)

    def _evaluate_after_reading(
        self, drop: Drop, source: Source, specs: DropSpecs, image: SourceImage
    ) -> UpscaleRequest:
        """Evaluate by the image's dimensions and bytes, too."""
        resolved = specs.for_image(source)
        spec = resolved.effective
        told = [CodedWarning(WarningCode.SPEC, str(fault)) for fault in resolved.warnings]
        warnings = Drop.bounded_warnings(told)
        stands = (drop.source, drop.spec, drop.warnings) == (source, spec, warnings)
        if stands and drop.is_evaluated:
            return UpscaleRequest(source, spec, warnings, image, None)
        planned = plan_renditions(source, spec, self.budget)
        return UpscaleRequest(source, spec, warnings, image, planned)


def wait_for_access(drop: Drop, error: AccessDenied) -> Declined:
    """Let a drop wait for access, unless its job is at the vendor and needs none."""
    if drop.is_at_vendor:
        return Declined(drop.state, drop.source, drop.reason, drop.wait)
    return Declined(DropState.WAITING, drop.source, Reason.of(error), WaitReason.ACCESS)


def _hold_or_warn(drop: Drop, source: Source, error: SpecMisnamed) -> Declined:
    """Reject an image with a misnamed spec; if it is already paid for, only warn."""
    warnings = tuple(CodedWarning(WarningCode.SPEC, str(fault)) for fault in error.faults)
    if drop.source == source and drop.is_at_vendor:
        known = dict.fromkeys((*drop.warnings, *warnings))
        return Declined(drop.state, source, drop.reason, drop.wait, tuple(known))
    # A job that is being paid at this moment continues, and its state then replaces the reason.
    kept = warnings if drop.renditions else None
    return Declined(DropState.REJECTED, source, Reason.of(error), warnings=kept)
