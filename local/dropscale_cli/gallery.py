"""The page `index.html` in a folder of results, and `dropscale gallery`, which makes it."""

import os
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from dropscale.results.manifest import Manifest, manifest_key
from dropscale.specs.keys import MANIFEST_SUFFIX
from dropscale_cli.cards import CardMaker
from dropscale_cli.chosen_api import is_charged
from dropscale_cli.collect import result_below
from dropscale_cli.errors import NoResults, PageUnwritable
from dropscale_cli.page import GENERATOR, Page
from dropscale_cli.path_inside import PathInside
from dropscale_cli.round_trip import MOST_MANIFEST_BYTES, FollowedDrop
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.terminal import say
from dropscale_cli.thumbnails import Thumbnails

PAGE_NAME = "index.html"
_FILES = "index_files"
"""As a browser names the folder beside a page that it saves."""

_HEAD_CHARACTERS = 4096


def gallery(folder: Path, originals: Sequence[Path]) -> int:
    """Make the page of a folder of results, and print where it is; return the exit code.

    Raises:
        NoResults: there is no manifest in the folder.
        PageUnwritable: as its name says.
    """
    drops = list(drops_in(folder))
    if not drops:
        raise NoResults(f"{folder}: there are no results here (no *{MANIFEST_SUFFIX} file).")
    say(str(write_page(folder, drops, originals)))
    return 0


def write_page(
    out: Path,
    drops: Sequence[FollowedDrop],
    originals: Sequence[Path] = (),
    *,
    is_live: bool = False,
) -> Path:
    """Write the page of images whose results are in a folder; return where it is.

    Originals are looked for at their keys in `originals`, then where earlier runs have found them,
    then among the results.

    Raises:
        PageUnwritable: as its name says.
    """
    state_folder = StateFolder(out)
    thumbnails = Thumbnails(out / _FILES)
    maker = CardMaker(out, [*originals, *state_folder.originals(), out], thumbnails)
    page = out / PAGE_NAME
    try:
        _require_ours(page)
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            cards = [card for cards in workers.map(maker.cards, drops) for card in cards]
        html = Page(cards, _charge(state_folder.api_name()), datetime.now(UTC), is_live).html()
        partial = PathInside(out, f"{_FILES}/page.part")
        PathInside(out, PAGE_NAME).write([html.encode()], partial, is_durable=False)
        thumbnails.prune()
    except OSError as error:
        raise PageUnwritable(f"{page}: cannot be written: {error.strerror}") from error
    return page


def drops_in(folder: Path) -> Iterator[FollowedDrop]:
    """Read the manifests in a folder, in the order of their keys; tell of those that are none.

    The folder may hold a whole results bucket, or what lies in it below a prefix, or several.
    """
    for path in sorted(folder.rglob(f"*{MANIFEST_SUFFIX}")):
        if not path.is_file():
            continue  # a pipe would be waited for
        try:
            with path.open("rb") as file:
                manifest = Manifest.model_validate_json(file.read(MOST_MANIFEST_BYTES + 1))
        except (OSError, ValidationError):
            say(f"{path}: not a manifest that can be read; left out.", to_stderr=True)
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
            trouble=_explain_missing(folder, manifest.source.key, missing[0]) if missing else None,
        )


def _as_it_lies(manifest: Manifest, place: str) -> Manifest:
    """Return a manifest with the keys that its files have where it lies now."""
    key = manifest_key(manifest.source.key)
    added = place.removesuffix(key) if place.endswith(f"/{key}") else ""
    taken = key.removesuffix(place) if key.endswith(f"/{place}") else ""

    def move_key(key: str) -> str:
        return added + key.removeprefix(taken)

    data = manifest.model_dump(mode="json")
    for thing in (data["source"], *(job["output"] for job in data["jobs"] if job["output"])):
        thing["key"] = move_key(thing["key"])
    return Manifest.model_validate(data)


def _explain_missing(folder: Path, key: str, result: str) -> str:
    if StateFolder(folder).api_name() is None:
        return f"{result} is not in this folder. Sync the results bucket again."
    command = shlex.join(["dropscale", "retry", key, "--out", str(folder)])
    return f"{result} is not in this folder; free again by: {command}"


def _require_ours(page: Path) -> None:
    if not page.is_file():
        return
    with page.open(encoding="utf-8", errors="replace") as file:
        is_ours = GENERATOR in file.read(_HEAD_CHARACTERS)
    if not is_ours:
        raise PageUnwritable(f"{page}: is not dropscale's, so it is left alone; move it away.")


def _charge(api_name: str | None) -> str:
    if api_name is None:
        return ""
    return "charged" if is_charged(api_name) else "not charged: embedded API"
