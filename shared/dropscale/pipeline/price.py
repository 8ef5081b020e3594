"""Refuses what costs more than a person allows."""

from dropscale.errors import DropscaleError
from dropscale.ledger.budget import Budget
from dropscale.spec.model import EffectiveSpec

_NO_BUDGET = Budget()


class PriceAboveLimit(DropscaleError):
    """The spec's `max_credits`, or all that the budget ever allows, is below the price."""


def require_affordable(
    price: int, key: str, spec: EffectiveSpec, budget: Budget = _NO_BUDGET
) -> None:
    """Refuse a price, in credits, that can never be paid.

    Raises:
        PriceAboveLimit: as its name says.
    """
    limits = {"the spec's max_credits": spec.max_credits, "the budget": budget.tightest()}
    for name, limit in limits.items():
        if limit is not None and price > limit:
            raise PriceAboveLimit(
                f"{key} costs {price} credits, and {name} allows {limit} at most",
                fix="Raise the limit, or choose a cheaper mode or scale factor.",
            )
