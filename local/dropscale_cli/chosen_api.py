"""Which Magic Hour API a stack calls: the real one, or an embedded one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import click

from dropscale.upscaler import DEFAULT_BASE_URL
from dropscale_cli.local_stack import (
    FREE_LOOKS,
    UNLIMITED,
    MagicHour,
    embedded_api,
    embedded_parameters,
    engine_named,
)
from dropscale_cli.terminal import Terminal
from dropscale_embedded import api

if TYPE_CHECKING:
    from dropscale_cli.account import AccountReport

_SLOTS = 3
"""Jobs at once on a real API: what every paid plan runs."""

_EMBEDDED = "the embedded API, engine "
STACK = "stack "
"""What an output folder remembers before the name of a stack that others keep running."""


class ChosenApi(Protocol):
    """An API that is not opened yet.

    Attributes:
        is_charged: Whether its credits are real ones.
    """

    is_charged: ClassVar[bool]

    @property
    def name(self) -> str:
        """What an output folder remembers it by."""

    def account(self, price: int, scale_factors: frozenset[int]) -> AccountReport | None:
        """Compare its account with what is about to be asked, at a price in credits.

        None: nothing is charged, so there is nothing to compare.
        """

    @contextmanager
    def opened(self, folder: Path, console: Terminal) -> Iterator[tuple[MagicHour, dict[str, str]]]:
        """Yield it and the stack parameters that suit it; `folder` is for its account."""


@dataclass(frozen=True)
class RealApi:
    """The vendor's, or whatever speaks like it and is not ours."""

    name: str
    """Its base URL."""
    api_key: str = field(repr=False)
    is_charged: ClassVar[bool] = True

    def account(self, price: int, scale_factors: frozenset[int]) -> AccountReport | None:
        """See `ChosenApi.account`."""
        # The HTTP client takes its time, and most commands do without.
        from dropscale_cli.account import Demand, account_report  # noqa: PLC0415 # see above

        return account_report(self.name, self.api_key, Demand(price, scale_factors, _SLOTS))

    @contextmanager
    def opened(self, folder: Path, console: Terminal) -> Iterator[tuple[MagicHour, dict[str, str]]]:
        """See `ChosenApi.opened`; its account is its own matter."""
        parameters = {"MaxConcurrentJobs": str(_SLOTS), **FREE_LOOKS, **UNLIMITED}
        yield MagicHour(self.name, self.api_key), parameters


@dataclass(frozen=True)
class EmbeddedApi:
    """Ours, on this machine, with an engine by its name."""

    engine: str
    is_charged: ClassVar[bool] = False

    def account(self, price: int, scale_factors: frozenset[int]) -> AccountReport | None:
        """See `ChosenApi.account`."""
        return None

    @property
    def name(self) -> str:
        """See `ChosenApi.name`."""
        return _EMBEDDED + self.engine

    @contextmanager
    def opened(self, folder: Path, console: Terminal) -> Iterator[tuple[MagicHour, dict[str, str]]]:
        """See `ChosenApi.opened`."""
        engine = engine_named(self.engine)
        console.say(f"Nothing is charged. Engine: {engine.description}")
        with embedded_api(api.EmbeddedApi(engine=engine, folder=folder)) as served:
            yield served, embedded_parameters()


def chosen_api(environment: Mapping[str, str], engine: str | None) -> ChosenApi:
    """Return the API that the environment's key is for; without a key, an embedded one.

    Raises:
        click.UsageError: there is a key, and also an engine.
    """
    api_key = environment.get("MAGIC_HOUR_API_KEY")
    if not api_key:
        return EmbeddedApi(engine or "model")
    if engine is not None:
        raise click.UsageError(
            "--engine is the embedded API's, but MAGIC_HOUR_API_KEY is set; leave out one of them."
        )
    base_url = environment.get("MAGIC_HOUR_BASE_URL") or DEFAULT_BASE_URL
    return RealApi(base_url.rstrip("/"), api_key)


def is_charged(api_name: str) -> bool:
    """Tell whether the credits are real ones at the API that an output folder remembers."""
    return not api_name.startswith(_EMBEDDED)


def remembered_api(name: str, environment: Mapping[str, str]) -> ChosenApi:
    """Return the API that an output folder remembers by its name.

    Raises:
        click.UsageError: it is a real one, and its key is not there; or it is that of a stack.
    """
    if not is_charged(name):
        return EmbeddedApi(name.removeprefix(_EMBEDDED))
    api_key = environment.get("MAGIC_HOUR_API_KEY")
    if not api_key:
        raise click.UsageError(f"The folder's results are of {name}; set MAGIC_HOUR_API_KEY.")
    return RealApi(name, api_key)
