"""What the page shows: a card for each rendition of each image, as plain text and addresses.

Manifests may come from anywhere, so nothing in them is taken for an address, nor for a path that
leads out of the folder it is about.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from dropscale.coded_warning import CodedWarning
from dropscale.ledger.drops import Download, Source, TimelineEntry
from dropscale.ledger.jobs import Parameters
from dropscale.ledger.states import OPEN_STATES, DropState
from dropscale.results.manifest import Manifest, ManifestJob, manifest_key
from dropscale.specs.effective import EffectiveRendition
from dropscale_cli.collect import result_below
from dropscale_cli.path_inside import PathInside
from dropscale_cli.progress import state_in_words
from dropscale_cli.round_trip import AS_ASKED, FollowedDrop
from dropscale_cli.summary import reason_lines
from dropscale_cli.thumbnails import Thumbnails


@dataclass(frozen=True)
class Picture:
    """The addresses of an image file and of its thumbnail, relative to the page."""

    file: str
    thumbnail: str


@dataclass(frozen=True)
class Card:
    """One rendition of an image, or an image that has none.

    Attributes:
        state: Where it stands, in the ledger's word; "dropped" if nothing is heard of it, "missing"
            if its result is not in the folder.
        words: The same for people.
        tone: "good", "busy", "bad", or "past" where another rendition has taken its place.
        explanation: Why it stands there, and what to do.
        source_size: Width and height of the original, in pixels.
        size: The same of the result.
        credits: What its job was charged.
        job: What its job is known by; cards that share it share its credits.
        seconds: From the first state that the ledger knew to this one.
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
        """The image's folder; empty: it lies in none."""
        return self.key.removesuffix(self.name).strip("/")


@dataclass(frozen=True)
class CardMaker:
    """Makes cards for the page in a folder of results.

    Attributes:
        out: The folder.
        originals: Folders in which the originals may lie at their keys.
    """

    out: Path
    originals: Sequence[Path]
    thumbnails: Thumbnails

    def cards(self, drop: FollowedDrop) -> list[Card]:
        """Return a card for each rendition, and one for what none of them tells."""
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
        wanted = _spec_of_job(manifest, job) if manifest else None
        original = self._original(drop.key, source)
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

    def _original(self, key: str, source: Source | None) -> Path | None:
        size = source.bytes if source else None
        for folder in self.originals:
            file = file_below(folder, key)
            if file and size in {None, file.stat().st_size}:
                return file
        return None

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


def file_below(folder: Path, key: str) -> Path | None:
    """Return the file at a key below a folder; None if there is none, or the key leads out."""
    try:
        path = PathInside(folder, key).path
        return path if path.is_file() else None
    except (OSError, ValueError):  # too long, or no name that a file can have
        return None


def _tone(state: DropState | None, drop: FollowedDrop) -> str:
    if state is DropState.SUPERSEDED:
        return "past"
    if state is None or (state in OPEN_STATES and not drop.is_settled):
        return "busy"
    return "good" if state in AS_ASKED else "bad"


def _size(source: Source) -> tuple[int, int] | None:
    return (source.width, source.height) if source.width and source.height else None


def _seconds(timeline: Sequence[TimelineEntry]) -> float | None:
    """Return what the last passage through the states took: an image can be dropped again."""
    start = len(timeline) - 1
    while start > 0 and timeline[start - 1].state in OPEN_STATES:
        start -= 1
    if start < 0 or start == len(timeline) - 1:
        return None
    return (timeline[-1].at - timeline[start].at).total_seconds()


def _spec_of_job(manifest: Manifest, job: ManifestJob | None) -> EffectiveRendition | None:
    """Return what the spec says of a job; None: it says nothing, or no longer."""
    spec, identity = manifest.spec, manifest.source.identity
    if spec is None or job is None or identity is None:
        return spec
    of_job = (
        wanted
        for wanted in spec.wanted_renditions
        if (wanted.scale_factor, wanted.mode) == (job.scale_factor, job.mode)
        and Parameters.of(wanted).fingerprint(identity) == job.fingerprint
    )
    return next(of_job, None)


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
