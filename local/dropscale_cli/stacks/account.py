"""What may be asked of Magic Hour: by the account's plan, and within a stack's limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from dropscale.aws import wiring
from dropscale.ledger.budget import Budget
from dropscale.magichour import Account, Client, MagicHourError
from dropscale.upscaler import CONCURRENT_JOBS, TIERS_WITHOUT_4X
from dropscale_cli.stacks.aws_target import AwsTarget
from dropscale_cli.terminal import on_one_line

_TIMEOUT = 10.0
"""Seconds; a plan should not have to wait long for what it can do without."""


@dataclass(frozen=True)
class Demand:
    """What is about to be asked of an account.

    Attributes:
        credits: What it may cost; 0 if that is not known.
        scale_factors: Those of what is to be paid.
        slots: Jobs at once: the stack's MaxConcurrentJobs; 0: what the tier runs.
    """

    credits: int
    scale_factors: frozenset[int]
    slots: int


@dataclass(frozen=True)
class Concern:
    """Something about an account that will not go as asked, and what to do."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}. {self.fix}"


@dataclass(frozen=True)
class AccountReport:
    """An account as far as it is known, and what of a demand it will not meet.

    Attributes:
        account: None: it could not be read.
    """

    account: Account | None
    concerns: tuple[Concern, ...]

    def lines(self) -> Iterator[str]:
        """Yield it for a person, one fact a line; nothing in it is harmful to a terminal."""
        if self.account is not None:
            yield f"Magic Hour: {described(self.account)}"
        yield from (f"Warning: {concern}" for concern in self.concerns)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "tier": self.account and self.account.tier,
            "credits": self.account and self.account.credits,
            "warnings": [str(concern) for concern in self.concerns],
        }


def account_report(base_url: str, api_key: str, demand: Demand) -> AccountReport:
    """Ask for the account, which is free, and compare it; that it cannot be read is a concern."""
    try:
        account = Client(token=api_key, base_url=base_url, timeout=_TIMEOUT).v1.account.list()
    except (MagicHourError, ValueError) as error:
        what = f"The account could not be read: {on_one_line(str(error)).rstrip('.')}"
        return AccountReport(None, (Concern(what, "Tier and credits are not checked."),))
    return AccountReport(account, tuple(concerns(account, demand)))


def described(account: Account) -> str:
    """Return an account's tier and credits in words."""
    tier = "not told" if account.tier is None else on_one_line(account.tier)
    left = "not told" if account.credits is None else f"{account.credits:,}"
    return f"tier {tier}, credits left: {left}"


def concerns(account: Account, demand: Demand) -> Iterator[Concern]:
    """Yield what of a demand an account will not meet; what it does not tell is no concern."""
    tier = account.tier or ""
    if 4 in demand.scale_factors and tier in TIERS_WITHOUT_4X:
        yield Concern(
            f"4x is asked, and tier {tier} does not have it: such images are rejected, free",
            "Ask for 2x, or upgrade to Creator, Pro or Business.",
        )
    if account.credits is not None and demand.credits > account.credits:
        yield Concern(
            f"This costs up to {demand.credits:,} credits, and {account.credits:,} are left: what "
            "goes beyond them waits",
            "Ask for less, or buy credits.",
        )
    jobs = CONCURRENT_JOBS.get(tier)
    if jobs is not None and demand.slots > jobs:
        yield Concern(
            f"Tier {tier} runs {jobs} jobs at once, and MaxConcurrentJobs is {demand.slots}",
            f"Set MaxConcurrentJobs to {jobs}.",
        )


_NOW = MappingProxyType({"DailyCreditLimit": "today", "MonthlyCreditLimit": "this month"})


def stack_limit_warnings(target: AwsTarget, price: int) -> Iterator[str]:
    """Yield the `limit_warnings` of a stack, by what its ledger says is spent now."""
    settings = target.settings
    budget = Budget(settings.daily_credit_limit, settings.monthly_credit_limit)
    ledger = wiring.ledger(settings, target.client)
    return limit_warnings(price, budget, ledger.credits_spent, datetime.now(UTC))


def limit_warnings(
    price: int, budget: Budget, spent: Callable[[str], int], now: datetime
) -> Iterator[str]:
    """Yield a warning for each limit that does not leave room for a price.

    Args:
        price: in credits.
        budget: the limits.
        spent: gives what is spent of a window already.
        now: the present time, in UTC.
    """
    for window, limit in budget.windows(now).items():
        if limit is None:
            continue
        left = max(0, limit - spent(window))
        if price > left:
            name = budget.parameter_of(window)
            yield (
                f"Warning: This costs up to {price:,} credits, and the stack may spend {left:,} "
                f"more {_NOW[name]} ({name} is {limit:,}); what goes beyond that waits. "
                f"Raise it: sam deploy --parameter-overrides {name}=…"
            )
