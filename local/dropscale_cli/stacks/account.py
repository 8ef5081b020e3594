"""What the Magic Hour account's plan and a stack's limits allow."""

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
"""Seconds; a plan should not wait long for optional information."""


@dataclass(frozen=True)
class Demand:
    """What a command is about to ask of an account.

    Attributes:
        credits: The highest price; 0 if it is not known.
        scale_factors: Those of the jobs to be paid.
        slots: Jobs at once: the stack's MaxConcurrentJobs; 0: what the tier runs.
    """

    credits: int
    scale_factors: frozenset[int]
    slots: int


@dataclass(frozen=True)
class Concern:
    """Something that the account does not allow, and what to do."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}. {self.fix}"


@dataclass(frozen=True)
class AccountReport:
    """An account as far as it is known, and the parts of a demand that it does not meet.

    Attributes:
        account: None: it could not be read.
    """

    account: Account | None
    concerns: tuple[Concern, ...]

    def lines(self) -> Iterator[str]:
        """Yield it for a person, one fact per line, safe for a terminal."""
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
    """Read the account, which is free, and compare it; an unreadable account is a concern."""
    try:
        account = Client(token=api_key, base_url=base_url, timeout=_TIMEOUT).v1.account.list()
    except (MagicHourError, ValueError) as error:
        what = f"The account could not be read: {on_one_line(str(error)).rstrip('.')}"
        return AccountReport(None, (Concern(what, "Tier and credits are not checked."),))
    return AccountReport(account, tuple(concerns(account, demand)))


def described(account: Account) -> str:
    """Describe an account's tier and credits in words."""
    tier = "not told" if account.tier is None else on_one_line(account.tier)
    left = "not told" if account.credits is None else f"{account.credits:,}"
    return f"tier {tier}, credits left: {left}"


def concerns(account: Account, demand: Demand) -> Iterator[Concern]:
    """Yield the parts of a demand that an account does not meet; unknown facts are no concern."""
    tier = account.tier or ""
    if 4 in demand.scale_factors and tier in TIERS_WITHOUT_4X:
        yield Concern(
            f"4x is requested, but tier {tier} does not include it: such images are rejected, free",
            "Ask for 2x, or upgrade to Creator, Pro or Business.",
        )
    if account.credits is not None and demand.credits > account.credits:
        yield Concern(
            f"This costs up to {demand.credits:,} credits, but {account.credits:,} are left: "
            "images beyond that wait",
            "Ask for less, or buy credits.",
        )
    jobs = CONCURRENT_JOBS.get(tier)
    if jobs is not None and demand.slots > jobs:
        yield Concern(
            f"Tier {tier} runs {jobs} jobs at once, but MaxConcurrentJobs is {demand.slots}",
            f"Set MaxConcurrentJobs to {jobs}.",
        )


_NOW = MappingProxyType({"DailyCreditLimit": "today", "MonthlyCreditLimit": "this month"})


def stack_limit_warnings(target: AwsTarget, price: int) -> Iterator[str]:
    """Yield the `limit_warnings` of a stack, from its ledger's record of credits spent."""
    settings = target.settings
    budget = Budget(settings.daily_credit_limit, settings.monthly_credit_limit)
    ledger = wiring.ledger(settings, target.client)
    return limit_warnings(price, budget, ledger.credits_spent, datetime.now(UTC))


def limit_warnings(
    price: int, budget: Budget, spent: Callable[[str], int], now: datetime
) -> Iterator[str]:
    """Yield a warning for each limit that a price would exceed.

    Args:
        price: in credits.
        budget: the limits.
        spent: returns the credits already spent in a window.
        now: the current time, in UTC.
    """
    for window, limit in budget.windows(now).items():
        if limit is None:
            continue
        left = max(0, limit - spent(window))
        if price > left:
            name = budget.parameter_of(window)
            yield (
                f"Warning: This costs up to {price:,} credits, but the stack may spend only "
                f"{left:,} more {_NOW[name]} ({name} is {limit:,}); images beyond that wait. To "
                f"raise it: sam deploy --parameter-overrides {name}=…"
            )
