"""The contents of the page: a card for each rendition of each image, as plain text and addresses.

Manifests may come from anywhere, so nothing in them is used as an address, or as a path that leads
out of their folder.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

import pyvips
from PIL import Image

from dropscale.coded_warning import CodedWarning
from dropscale.errors import DropscaleError
from dropscale.image.header import read_header
from dropscale.ledger.batches import Span
from dropscale.ledger.drops import Download, Source, TimelineEntry
from dropscale.ledger.states import OPEN_STATES, DropState
from dropscale.results.manifest import Manifest, ManifestJob, manifest_key
from dropscale.specs.effective import EffectiveRendition
from dropscale_cli.files.results import PathInside, file_below, has_sha256, result_below
from dropscale_cli.tracking.progress import reason_lines, state_in_words
from dropscale_cli.tracking.round_trip import AS_ASKED, FollowedDrop
from dropscale_embedded.heic import HeicTooLarge, HeicUnreadable, decode_heic

LONG_SIDE = 640
"""Pixels; a card is a third of a laptop's screen wide, half that in CSS pixels."""

_BOUNDS = {"height": LONG_SIDE, "size": "down", "export_profile": "srgb"}
_MOST_SIDE = 32_768
"""The longest side of a HEIC image that is decoded for a thumbnail."""

_QUALITY = 82
_SUFFIX = ".webp"


@dataclass(frozen=True)
class Thumbnails:
    """Thumbnails: WebP files in their own folder, made once per version of an image.

    They are upright and in sRGB, whatever the image's orientation and profile. An image is
    streamed, because one of 200 megapixels would take 600 MB of memory.
    """

    folder: Path
    _used: set[str] = field(default_factory=set)

    def of(self, image: Path, sha256: str | None = None) -> Path | None:
        """Return an image's thumbnail; None if there is no such image, or it cannot be read.

        Args:
            image: Its path.
            sha256: The expected hash of its bytes, in hex; None: any.
        """
        try:
            facts = image.stat()
            version = f"{image.absolute()} {facts.st_size} {facts.st_mtime_ns} {sha256}"
            name = hashlib.sha256(version.encode(errors="surrogateescape")).hexdigest() + _SUFFIX
            place = PathInside(self.folder.parent, f"{self.folder.name}/{name}")
            thumbnail = place.path
            if not thumbnail.is_file():
                if sha256 and not has_sha256(image, sha256):
                    return None
                _write(image, place)
        except (OSError, _Unreadable):
            return None
        self._used.add(name)
        return thumbnail

    def prune(self) -> None:
        """Remove the thumbnails that were not requested."""
        if self.folder.is_symlink():
            return
        for file in self.folder.glob(f"{'?' * 64}{_SUFFIX}"):
            if file.name not in self._used:
                file.unlink(missing_ok=True)


class _Unreadable(Exception):
    """Not an image, or one that this machine cannot read."""


def _write(image: Path, place: PathInside) -> None:
    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)  # It would mistake a replaced file for the one already seen.
    partial = PathInside(place.folder, f"{place.key}.part")
    try:
        body = _small(image).webpsave_buffer(Q=_QUALITY, keep="none")
    except (pyvips.Error, HeicTooLarge, HeicUnreadable, Image.DecompressionBombError) as error:
        raise _Unreadable from error
    place.write([body], partial, is_durable=False)


def _small(image: Path) -> pyvips.Image:
    if _is_heic(image):
        return _shrink(decode_heic(image.read_bytes(), _MOST_SIDE))
    try:
        # A bare name would be parsed for options.
        source = pyvips.Source.new_from_file(str(image))
        return pyvips.Image.thumbnail_source(source, LONG_SIDE, **_BOUNDS)
    except pyvips.Error:
        with Image.open(image) as opened:  # BMP and JPEG 2000, which libvips from PyPI cannot read.
            return _shrink(opened)


def _is_heic(image: Path) -> bool:
    try:
        with image.open("rb") as file:
            return read_header(file, image.name).type == "heic"
    except DropscaleError:
        return False


def _shrink(image: Image.Image) -> pyvips.Image:
    pixels = pyvips.Image.new_from_array(image.convert("RGB"))
    if (profile := image.info.get("icc_profile")) is not None:
        pixels = pixels.copy()
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return pixels.thumbnail_image(LONG_SIDE, **_BOUNDS)


@dataclass(frozen=True)
class Picture:
    """The addresses of an image file and of its thumbnail, relative to the page."""

    file: str
    thumbnail: str


@dataclass(frozen=True)
class Card:
    """One rendition of an image, or an image without one.

    Attributes:
        state: Its state in the ledger; "dropped" if there is no manifest yet, "missing" if its
            result is not in the folder.
        words: Its state for people.
        tone: "good", "busy", "bad", or "past" if another rendition has replaced it.
        explanation: The reason, and what to do.
        source_size: Width and height of the original, in pixels.
        size: The same of the result.
        file: The result's name, if that does not follow from scale factor and mode.
        credits: The credits charged for its job.
        job: Its job's identity; cards that share it share its credits.
        seconds: From its first recorded state to this one.
        details: What else is known, by name.
        links: Addresses, by name.
    """

    key: str
    state: str
    words: str
    tone: str
    explanation: tuple[str, ...] = ()
    warnings: tuple[CodedWarning, ...] = ()
    before: Picture | None = None
    after: Picture | None = None
    source_size: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    scale_factor: int | None = None
    mode: str = ""
    prompt: str = ""
    file: str = ""
    credits: int | None = None
    job: str = ""
    seconds: float | None = None
    details: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The image's name without its folder."""
        return PurePosixPath(self.key).name

    @property
    def folder(self) -> str:
        """The image's folder; empty if it has none."""
        return self.key.removesuffix(self.name).strip("/")


@dataclass(frozen=True)
class CardMaker:
    """Makes cards for the page in a folder of results.

    Attributes:
        out: The folder.
        originals: Folders that may contain the originals at their keys.
    """

    out: Path
    originals: Sequence[Path]
    thumbnails: Thumbnails

    def cards(self, drop: FollowedDrop) -> list[Card]:
        """Return a card for each rendition, or one for the image if there is none."""
        jobs = drop.manifest.jobs if drop.manifest else ()
        cards = [self._card(drop, job) for job in jobs]
        if drop.state not in {job.state for job in jobs}:
            cards.append(self._card(drop, None))
        warnings = drop.manifest.warnings if drop.manifest else ()
        return [replace(cards[0], warnings=warnings), *cards[1:]]

    def _card(self, drop: FollowedDrop, job: ManifestJob | None) -> Card:
        manifest = drop.manifest
        state = job.state if job else drop.state
        output = job.output if job else None
        result = result_below(self.out, output.key) if output else None
        is_missing = output is not None and result is None
        tells = is_missing or state is drop.state
        told = drop if is_missing else replace(drop, trouble=None)
        source = manifest.source if manifest else None
        wanted: EffectiveRendition | None = manifest.spec if manifest else None
        if manifest and job:
            wanted = manifest.wanted_of(job)
        original = file_below(self.originals, drop.key, source.bytes if source else None)
        return Card(
            key=drop.key,
            state="missing" if is_missing else state or "dropped",
            words=state_in_words(told) if tells else str(state).replace("_", " "),
            tone="bad" if is_missing else _tone(state, drop),
            explanation=tuple(reason_lines(told)) if tells else (),
            before=self._picture(original, source.sha256 if source else None),
            after=self._picture(result),
            source_size=_size(source) if source else None,
            size=(output.width, output.height) if output else None,
            scale_factor=job.scale_factor if job else None,
            mode=job.mode if job else "",
            prompt=(wanted and wanted.used_prompt) or "",
            file=_own_name(manifest, job) if manifest and job else "",
            credits=job.credits_charged if job else None,
            job=job.fingerprint if job else "",
            seconds=_seconds(manifest.timeline) if manifest and drop.is_settled else None,
            details=tuple(_details(manifest, wanted, job)) if manifest else (),
            links=tuple(
                self._links(
                    {
                        "Result": result,
                        "Spec" if source and source.image_path else "Original": original,
                        "Manifest": result_below(self.out, manifest_key(drop.key)),
                    },
                    job.downloads if job else (),
                )
            ),
        )

    def _picture(self, file: Path | None, sha256: str | None = None) -> Picture | None:
        thumbnail = self.thumbnails.of(file, sha256) if file else None
        if file is None or thumbnail is None:
            return None
        return Picture(self._address(file), self._address(thumbnail))

    def _address(self, file: Path) -> str:
        return quote(os.fsencode(os.path.relpath(file, self.out)))

    def _links(
        self, files: Mapping[str, Path | None], downloads: Iterable[Download]
    ) -> Iterator[tuple[str, str]]:
        yield from ((name, self._address(file)) for name, file in files.items() if file)
        for number, download in enumerate(downloads, 1):
            if urlsplit(download.url).scheme == "https":
                yield f"Download {number} at the vendor", download.url


def _tone(state: DropState | None, drop: FollowedDrop) -> str:
    if state is DropState.SUPERSEDED:
        return "past"
    if state is None or (state in OPEN_STATES and not drop.is_settled):
        return "busy"
    return "good" if state in AS_ASKED else "bad"


def _size(source: Source) -> tuple[int, int] | None:
    return (source.width, source.height) if source.width and source.height else None


def _seconds(timeline: Sequence[TimelineEntry]) -> float | None:
    """Return the seconds since the image was last wanted anew; None: it has had one state since."""
    span = Span.of(timeline)
    return span.seconds or None if span else None


def _own_name(manifest: Manifest, job: ManifestJob) -> str:
    jobs = [one.fingerprint for one in manifest.jobs if one.state is not DropState.SUPERSEDED]
    is_own = jobs.count(job.fingerprint) > 1 or (job.written and job.written.name)
    return PurePosixPath(job.output.key).name if job.output and is_own else ""


def _details(
    manifest: Manifest, wanted: EffectiveRendition | None, job: ManifestJob | None
) -> Iterator[tuple[str, str]]:
    if wanted:
        for name in wanted.model_dump(exclude={"provenance", "renditions"}, exclude_defaults=True):
            value, origin = getattr(wanted, name), wanted.provenance.get(name)
            yield name, f"{value} ({origin})" if origin else str(value)
    if job:
        yield "attempt", str(job.attempt)
        yield "project", job.project_id or ""
        yield "fingerprint", job.fingerprint
    yield "image", manifest.source.identity or ""
    for entry in manifest.timeline:
        yield f"{entry.at:%Y-%m-%d %H:%M:%S} UTC", entry.state
