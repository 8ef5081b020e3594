"""Renders cards as one HTML file that needs no network and trusts no text that it shows."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from dropscale.ledger.states import DropState
from dropscale_cli.cards import Card

GENERATOR = '<meta name="generator" content="dropscale">'
"""Stands in every page, so that no other file is taken for one."""

_TEMPLATES = "page_template"


@dataclass(frozen=True)
class Page:
    """What the page is about.

    Attributes:
        cards: In the order to show them.
        charge: What to say about the credits.
        at: When the page was made.
        is_live: Whether it is made again and again, so that it must be read again, too.
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
        """How many of them came to all that was asked."""
        return sum("good" in tones and tones <= {"good", "past"} for tones in self._tones.values())

    @property
    def _tones(self) -> dict[str, set[str]]:
        tones: dict[str, set[str]] = {}
        for card in self.cards:
            tones.setdefault(card.key, set()).add(card.tone)
        return tones

    @property
    def credits(self) -> int:
        """What the jobs cost; a shared one counts once."""
        return sum({card.job: card.credits or 0 for card in self.cards}.values())

    @property
    def seconds(self) -> float:
        """What all images took, one after the other."""
        return sum({card.key: card.seconds or 0 for card in self.cards}.values())

    @property
    def states(self) -> list[tuple[str, str, int]]:
        """Each state with its tone and how many cards are in it, in the ledger's order."""
        order = ["dropped", *DropState, "missing"]
        counts = Counter(card.state for card in self.cards)
        tones = {card.state: card.tone for card in self.cards}
        return [(state, tones[state], counts[state]) for state in order if state in counts]

    @property
    def folders(self) -> list[tuple[str, int]]:
        """Each folder with how many cards are in it and below."""
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
    """Return the page's template, which takes longer to compile than to fill."""
    environment = Environment(
        loader=PackageLoader("dropscale_cli", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _part(name: str) -> str:
    return files("dropscale_cli").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: our own style and script, and images from the disk."""
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
