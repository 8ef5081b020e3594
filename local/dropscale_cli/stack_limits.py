"""Whether a price is within what a stack may still spend today and this month."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import MappingProxyType

from dropscale.aws import wiring
from dropscale.ledger.budget import Budget
from dropscale_cli.aws_target import AwsTarget

_NOW = MappingProxyType({"DailyCreditLimit": "today", "MonthlyCreditLimit": "this month"})


def stack_limit_warnings(target: AwsTarget, price: int) -> Iterator[str]:
    """Yield the `limit_warnings` of a stack, by what its ledger says is spent now."""
    settings = target.settings
    budget = Budget(settings.daily_credit_limit, settings.monthly_credit_limit)
    ledger = wiring.ledger(settings, target.client)
    return limit_warnings(price, budget, ledger.spent, datetime.now(UTC))


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
