"""What a stack's limits leave of a price."""

from datetime import UTC, datetime

import pytest

from dropscale.ledger.budget import Budget
from dropscale_cli.stacks.account import limit_warnings

NOW = datetime(2026, 11, 29, 23, tzinfo=UTC)
SPENT = {"day#2026-11-29": 4_900, "month#2026-11": 19_000}
TODAY = (
    "Warning: This costs up to 1,050 credits, but the stack may spend only 100 more today "
    "(DailyCreditLimit is 5,000); images beyond that wait. "
    "To raise it: sam deploy --parameter-overrides DailyCreditLimit=…"
)


@pytest.mark.parametrize(
    ("price", "budget", "begins"),
    [
        (1_050, Budget(), []),
        (100, Budget(daily=5_000), []),
        (0, Budget(daily=1), []),
        (1_050, Budget(daily=5_000), [TODAY]),
        (1_050, Budget(daily=5_000, monthly=20_050), [TODAY]),
        (
            1,
            Budget(monthly=10_000),
            ["may spend only 0 more this month (MonthlyCreditLimit is 10,000)"],
        ),
        (9_000, Budget(1, 1), ["DailyCreditLimit=…", "MonthlyCreditLimit=…"]),
    ],
)
def test_a_price_above_the_remaining_budget_is_a_warning(
    price: int, budget: Budget, begins: list[str]
) -> None:
    warnings = list(limit_warnings(price, budget, SPENT.__getitem__, NOW))
    assert len(warnings) == len(begins)
    assert all(part in warning for part, warning in zip(begins, warnings, strict=True))
