"""Sweep: completes, every minute, what the other functions left unfinished."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import (
    add_metrics,
    compose_once,
    log_and_meter,
    logger,
    measure,
    remaining_time,
)
from dropscale.aws.settings import SweepSettings
from dropscale.ledger.drops import Drop
from dropscale.pipeline.parts.measurements import Measurement


def _observe(drop: Drop) -> None:
    logger.info("drop", correlation_id=drop.id, key=drop.source.key, state=drop.state)
    measure(drop)


_sweep = compose_once(wiring.sweep, SweepSettings, _observe)


@log_and_meter
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Sweep once; return how many records were processed, by kind."""
    sweep = _sweep()
    add_metrics(sweep.backlog())
    done = sweep(remaining_time(context))
    logger.info("sweep", extra=dict(done))
    add_metrics(Measurement(f"sweep_{name}", "Count", count) for name, count in done.items())
    return dict(done)
