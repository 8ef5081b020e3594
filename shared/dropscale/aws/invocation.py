"""What all handlers of Lambda functions share: use case, log, metrics, time.

It is part of the layer because each function is deployed with its own folder only. Only handlers
import it.
"""

import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws.settings import Settings
from dropscale.ledger.drops import Drop
from dropscale.pipeline.parts.execution import ExecutionState
from dropscale.pipeline.parts.measurements import Measurement, measurements_of
from dropscale.pipeline.parts.ports import RemainingTime

_UseCase = TypeVar("_UseCase")
_Settings = TypeVar("_Settings", bound=Settings)
_Handler = TypeVar("_Handler", bound=Callable[..., Any])

logger = Logger()
_metrics = Metrics()


def log_and_meter(handler: _Handler) -> _Handler:
    """Log a handler's invocations with their ids, and send its metrics to CloudWatch."""
    metered: _Handler = _metrics.log_metrics(handler)  # type: ignore[assignment] # untyped
    return logger.inject_lambda_context(metered, clear_state=True)


def add_metrics(measurements: Iterable[Measurement]) -> None:
    """Add to the metrics of this invocation."""
    for name, unit, value in measurements:
        _metrics.add_metric(name=name, unit=unit, value=value)


def measure(drop: Drop) -> None:
    """Add the values of a drop's new manifest to the metrics."""
    add_metrics(measurements_of(drop))


def compose_once(
    compose: Callable[[_Settings, Callable[[Drop], None]], _UseCase],
    settings: type[_Settings],
    observe: Callable[[Drop], None] = measure,
) -> Callable[[], _UseCase]:
    """Return a callable that returns a function's use case, composed at its first call.

    Args:
        compose: a function of `dropscale.aws.wiring`.
        settings: the class of its settings, read from the environment.
        observe: called with each drop that has a new manifest.
    """
    return cache(lambda: compose(settings.from_environment(os.environ), observe))


def execution_state(event: dict[str, Any]) -> ExecutionState:
    """Read a function's input from the state machine, and add its drop to all log lines."""
    state = ExecutionState.model_validate(event)
    logger.set_correlation_id(state.drop_id)
    logger.append_keys(key=state.key, project_id=state.project_id)
    return state


def remaining_time(context: LambdaContext) -> RemainingTime:
    """Return a callable that returns the seconds that an invocation has left."""
    return lambda: context.get_remaining_time_in_millis() / 1000
