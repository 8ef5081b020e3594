"""The page `index.html` in a folder of results, kept up to date, and `dropscale gallery`."""

import base64
import hashlib
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path, PurePosixPath
from threading import Event, Thread

import click
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import ValidationError

from dropscale.ledger.states import DropState
from dropscale.results.manifest import Manifest, manifest_key
from dropscale.specs.keys import MANIFEST_SUFFIX
from dropscale_cli.errors import NoResults, PageUnwritable
from dropscale_cli.files.results import PathInside, advice_on_missing, result_below
from dropscale_cli.files.state_folder import StateFolder
from dropscale_cli.options import FOLDER, ended_by_signals
from dropscale_cli.page.cards import Card, CardMaker, Thumbnails
from dropscale_cli.stacks.local_stack import is_charged
from dropscale_cli.terminal import Terminal, say
from dropscale_cli.tracking.progress import progress_on
from dropscale_cli.tracking.round_trip import MOST_MANIFEST_BYTES, FollowedDrop, Transfer

GENERATOR = '<meta name="generator" content="dropscale">'
"""A mark in every page, so that no other file is mistaken for one."""

_TEMPLATES = "template"


@dataclass(frozen=True)
class Page:
    """The contents of the page.

    Attributes:
        cards: In display order.
        charge: The text about the credits.
        at: When the page was made.
        is_live: Whether it is written repeatedly, so that the browser must reload it.
    """

    cards: Sequence[Card]
    charge: str
    at: datetime
    is_live: bool = False

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self._tones)

    @property
    def done(self) -> int:
        """How many of them ended as asked."""
        return sum("good" in tones and tones <= {"good", "past"} for tones in self._tones.values())

    @property
    def _tones(self) -> dict[str, set[str]]:
        tones: dict[str, set[str]] = {}
        for card in self.cards:
            tones.setdefault(card.key, set()).add(card.tone)
        return tones

    @property
    def credits(self) -> int:
        """The price of the jobs; a shared one counts once."""
        charged: Counter[str] = Counter()
        for card in self.cards:
            charged |= {card.job: card.credits or 0}
        return charged.total()

    @property
    def seconds(self) -> float:
        """The seconds of all images, added."""
        return sum({card.key: card.seconds or 0 for card in self.cards}.values())

    @property
    def states(self) -> list[tuple[str, str, int]]:
        """Each state with its tone and how many cards are in it, in the ledger's order."""
        order = ["dropped", *DropState, "missing"]
        counts = Counter(card.state for card in self.cards)
        tones = {card.state: card.tone for card in self.cards}
        return [(state, tones[state], counts[state]) for state in order if state in counts]

    @property
    def warnings(self) -> list[tuple[str, int]]:
        """Each code of a warning with how many cards have it."""
        codes = ({warning.code for warning in card.warnings} for card in self.cards)
        counts = Counter(chain.from_iterable(codes))
        return sorted(counts.items())

    @property
    def folders(self) -> list[tuple[str, int]]:
        """Each folder with the number of cards in it and its subfolders."""
        counts: Counter[str] = Counter()
        for card in self.cards:
            parents = PurePosixPath(card.key).parents
            counts.update(str(parent) for parent in parents if str(parent) not in {".", "/"})
        return sorted(counts.items())

    def html(self) -> str:
        """Return the page as HTML."""
        style, script = _part("page.css"), _part("page.js")
        return _template().render(
            page=self,
            style=style,
            script=script,
            policy=_policy(style, script),
        )


@cache
def _template() -> Template:
    """Return the page's template, cached because it takes longer to compile than to fill."""
    environment = Environment(
        loader=PackageLoader(__package__, _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _part(name: str) -> str:
    return files(__package__).joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: only our own style and script, and images from disk."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src 'self' file: data:",
            f"style-src '{_hash_source(style)}'",
            f"script-src '{_hash_source(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def _hash_source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


PAGE_NAME = "index.html"
_FILES = "index_files"
"""Named like the folder that a browser creates beside a saved page."""

_HEAD_CHARACTERS = 4096


def make_gallery(folder: Path, originals: Sequence[Path]) -> int:
    """Write the page of a folder of results, and print its path; return the exit code.

    Raises:
        NoResults: there is no manifest in the folder.
        PageUnwritable: the page cannot be written.
    """
    with progress_on(Terminal(to_stderr=True), f"Reading {folder}") as progress:
        drops = list(drops_in(folder))
        if not drops:
            raise NoResults(f"{folder}: contains no results (no *{MANIFEST_SUFFIX} file).")

        def told(done: int) -> None:
            progress.doing = f"Thumbnails: {done} of {len(drops)} images"

        page = write_page(folder, drops, originals, told=told)
    say(str(page))
    return 0


def write_page(
    out: Path,
    drops: Sequence[FollowedDrop],
    originals: Sequence[Path] = (),
    *,
    is_live: bool = False,
    told: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write the page of images whose results are in a folder; return its path.

    `told` receives the number of images that are ready. Existing thumbnails are not made again, so
    that an interrupted command resumes.

    Originals are searched for at their keys in `originals`, then where earlier runs found them,
    then among the results.

    Raises:
        PageUnwritable: the page cannot be written.
    """
    state_folder = StateFolder(out)
    thumbnails = Thumbnails(out / _FILES)
    maker = CardMaker(out, [*originals, *state_folder.originals(), out], thumbnails)
    page = out / PAGE_NAME
    try:
        _require_ours(page)
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            cards: list[Card] = []
            for done, of_one in enumerate(workers.map(maker.cards, drops), 1):
                cards += of_one
                told(done)
        html = Page(cards, _charge(state_folder.api_name()), datetime.now(UTC), is_live).html()
        partial = PathInside(out, f"{_FILES}/page.part")
        PathInside(out, PAGE_NAME).write([html.encode()], partial, is_durable=False)
        thumbnails.prune()
    except OSError as error:
        raise PageUnwritable(f"{page}: cannot be written: {error.strerror}") from error
    return page


def drops_in(folder: Path) -> Iterator[FollowedDrop]:
    """Read the manifests in a folder, in the order of their keys; warn about unreadable ones.

    The folder may contain one results bucket, the objects under a prefix of it, or several buckets.
    """
    for path in sorted(folder.rglob(f"*{MANIFEST_SUFFIX}")):
        if not path.is_file():
            continue  # opening a pipe would block
        try:
            with path.open("rb") as file:
                manifest = Manifest.model_validate_json(file.read(MOST_MANIFEST_BYTES + 1))
        except (OSError, ValidationError):
            say(f"{path}: is not a readable manifest; left out.", to_stderr=True)
            continue
        manifest = _as_it_lies(manifest, path.relative_to(folder).as_posix())
        missing = [
            job.output.key
            for job in manifest.jobs
            if job.output and not result_below(folder, job.output.key)
        ]
        yield FollowedDrop(
            key=manifest.source.key,
            version_id=manifest.source.version_id,
            dropped_at=0.0,
            manifest=manifest,
            trouble=_explain_missing(folder, manifest, missing[0]) if missing else None,
        )


def _as_it_lies(manifest: Manifest, place: str) -> Manifest:
    """Return a manifest with the keys that its files have in its current folder."""
    key = manifest_key(manifest.source.key)
    added = place.removesuffix(key) if place.endswith(f"/{key}") else ""
    taken = key.removesuffix(place) if key.endswith(f"/{place}") else ""

    def move_key(key: str) -> str:
        return added + key.removeprefix(taken)

    data = manifest.model_dump(mode="json")
    for thing in (data["source"], *(job["output"] for job in data["jobs"] if job["output"])):
        thing["key"] = move_key(thing["key"])
    return Manifest.model_validate(data)


def _explain_missing(folder: Path, manifest: Manifest, result: str) -> str:
    if StateFolder(folder).api_name() is None:
        return f"{result} is not in this folder. Sync the results bucket again."
    command = shlex.join(["dropscale", "retry", manifest.source.key, "--out", str(folder)])
    return f"{result} is not in this folder; {advice_on_missing(manifest, command)}"


def _require_ours(page: Path) -> None:
    if not page.is_file():
        return
    with page.open(encoding="utf-8", errors="replace") as file:
        is_ours = GENERATOR in file.read(_HEAD_CHARACTERS)
    if not is_ours:
        raise PageUnwritable(
            f"{page}: was not written by dropscale, so it is not overwritten; move it away."
        )


def _charge(api_name: str | None) -> str:
    if api_name is None:
        return ""
    return "charged" if is_charged(api_name) else "not charged: embedded API"


_PAUSE_SECONDS = 2.0
_PAUSE_RATIO = 10
"""The pause before the page is written again, as a multiple of the time to write it."""


@dataclass
class LivePage:
    """A `Reporter` that shows its reports together with the results in the folder `out`.

    Attributes:
        path: The page's path, once it is written.
    """

    out: Path
    path: Path | None = None
    _drops: dict[str, FollowedDrop] = field(default_factory=dict)
    _news: Event = field(default_factory=Event)
    _end: Event = field(default_factory=Event)

    @classmethod
    @contextmanager
    def kept_up(cls, out: Path) -> Iterator["LivePage"]:
        """Write the page repeatedly until the block ends, and then once more.

        If the page cannot be written, a warning is printed at the end; the results do not need it.
        """
        page = cls(out)
        page._drops.update({drop.key: drop for drop in drops_in(out)})
        page._news.set()
        writer = Thread(target=page._keep_up, name="page", daemon=True)
        writer.start()
        try:
            yield page
        finally:
            page._end.set()
            page._news.set()
            writer.join()
            try:
                page._write(is_live=False)
            except PageUnwritable as error:
                say(f"Warning: {error.message}", to_stderr=True)

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        self._drops[drop.key] = drop
        self._news.set()

    def moved(self, transfer: Transfer) -> None:
        """See `Reporter.moved`; the page shows no parts of images."""

    def _keep_up(self) -> None:
        while self._news.wait() and not self._end.is_set():
            self._news.clear()
            began = time.monotonic()
            try:
                self._write(is_live=True)
            except PageUnwritable:
                return
            took = time.monotonic() - began
            self._end.wait(max(_PAUSE_SECONDS, _PAUSE_RATIO * took))

    def _write(self, *, is_live: bool) -> None:
        drops = [drop for _, drop in sorted(self._drops.copy().items())]
        self.path = write_page(self.out, drops, is_live=is_live)


@click.command("gallery")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option(
    "--originals",
    type=FOLDER,
    multiple=True,
    help="A folder that contains the dropped images at their keys; may be repeated.",
)
def gallery(*, folder: Path, originals: tuple[Path, ...]) -> None:
    """Write DIR/index.html, which shows all results in DIR beside their originals.

    DIR is the output folder of `dropscale run`, or a copy of a results bucket. A browser opens the
    page from disk, without a network.
    """
    with ended_by_signals():
        sys.exit(make_gallery(folder, originals))
