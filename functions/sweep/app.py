"""Sweep: settles, every minute, what the fast path left behind."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.settings import SweepSettings
from dropscale.ledger.records import Drop
from dropscale.pipeline.sweep import Sweep

logger = Logger()
metrics = Metrics()


def _count(drop: Drop) -> None:
    metrics.add_metric(name=f"drops_{drop.state}", unit=MetricUnit.Count, value=1)


@cache
def _sweep() -> Sweep:
    return wiring.sweep(SweepSettings.from_environment(os.environ), _count)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Sweep once; return how much of what was done."""
    done = _sweep()(lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("sweep", extra=dict(done))
    for name, count in done.items():
        metrics.add_metric(name=f"sweep_{name}", unit=MetricUnit.Count, value=count)
    return dict(done)
