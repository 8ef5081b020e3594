"""Sweep: settles, every minute, what the fast path left behind."""

import os
from collections.abc import Iterable
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.settings import SweepSettings
from dropscale.ledger.records import Drop
from dropscale.pipeline.parts.measurements import Measurement, measurements_of
from dropscale.pipeline.sweep import Sweep

logger = Logger()
metrics = Metrics()


def _measure(drop: Drop) -> None:
    logger.info("drop", correlation_id=drop.id, key=drop.source.key, state=drop.state)
    _add(measurements_of(drop))


def _add(measurements: Iterable[Measurement]) -> None:
    for name, unit, value in measurements:
        metrics.add_metric(name=name, unit=unit, value=value)


@cache
def _sweep() -> Sweep:
    return wiring.sweep(SweepSettings.from_environment(os.environ), _measure)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Sweep once; return how much of what was done."""
    sweep = _sweep()
    _add(sweep.backlog())
    done = sweep(lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("sweep", extra=dict(done))
    for name, count in done.items():
        metrics.add_metric(name=f"sweep_{name}", unit=MetricUnit.Count, value=count)
    return dict(done)
