"""Which renditions a drop gets and what they cost, or why it gets none."""

from collections.abc import Sequence

from dropscale.errors import DropscaleError
from dropscale.image.header import require_upscalable
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Rendition, Source
from dropscale.ledger.jobs import Parameters
from dropscale.specs.effective import EffectiveSpec

_NO_BUDGET = Budget()


class LargeEnough(DropscaleError):
    """The image already has the size from which its spec skips it."""


class PriceAboveLimit(DropscaleError):
    """The price is above the spec's `max_credits`, or above what the budget can ever allow."""


def plan_renditions(
    source: Source, spec: EffectiveSpec, budget: Budget = _NO_BUDGET
) -> dict[str, Rendition]:
    """Return the renditions that a spec requests of an image, by id.

    Raises:
        LargeEnough: the spec skips images of this size.
        ImageTooLarge: the vendor does not accept images of this size.
        PriceAboveLimit: a limit is below the price.
        ValueError: the source is not described yet.
    """
    if source.identity is None:
        raise ValueError(f"{source.key} is not described yet")
    _require_smaller(source, spec)
    if source.width is not None and source.height is not None:
        require_upscalable(source.width, source.height, source.key)
    planned = {}
    for wanted in spec.wanted_renditions:
        fingerprint = Parameters.of(wanted).fingerprint(source.identity)
        rendition = Rendition.requested(source.key, fingerprint, wanted, spec.preset)
        planned[rendition.id] = rendition
    prices = {one.fingerprint: one.parameters.credits for one in planned.values()}
    _require_affordable(list(prices.values()), source.key, spec, budget)
    return planned


def _require_smaller(source: Source, spec: EffectiveSpec) -> None:
    """Skip an image that is large enough; the size of an image stored elsewhere is not known."""
    width, height = source.width, source.height
    if width is None or height is None or not spec.skip_if.reached_by(width, height):
        return
    raise LargeEnough(
        f"{source.key} is {width} x {height} pixels, large enough by skip_if ({spec.skip_if})",
        fix="Raise those limits, or set `skip_if: null`, to upscale it anyway.",
    )


def _require_affordable(
    prices: Sequence[int], key: str, spec: EffectiveSpec, budget: Budget
) -> None:
    """Refuse prices, in credits, that can never be paid: their sum, or one of them."""
    amounts = {
        "the spec's max_credits": (sum(prices), spec.max_credits),
        "the budget": (max(prices), budget.tightest_limit()),
    }
    for name, (price, limit) in amounts.items():
        if limit is not None and price > limit:
            raise PriceAboveLimit(
                f"{key} costs {price} credits, and {name} allows at most {limit}",
                fix="Raise the limit, or choose a cheaper mode or scale factor.",
            )
