"""EventBridge Scheduler: functions invoked at a rate."""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dropscale_embedded.cloud.errors import UnsupportedTemplateError
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import Resource

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")


@dataclass(frozen=True)
class Schedule:
    """A function to invoke, soon after the start and then after each interval."""

    name: str
    function_name: str
    interval: timedelta

    def event(self, context: StackContext, now: datetime) -> dict[str, Any]:
        """Return the function's event.

        https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
        """
        where = f"{context.region}:{context.account_id}"
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": context.account_id,
            "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "region": context.region,
            "resources": [
                f"arn:{context.partition}:scheduler:{where}:schedule/default/{self.name}"
            ],
            "detail": "{}",
        }


def function_schedules(function: Resource) -> list[Schedule]:
    """Return the schedules among a function's events.

    Raises:
        UnsupportedTemplateError: A schedule is not a rate.
    """
    schedules = []
    for name, event in function.properties.get("Events", {}).items():
        if event["Type"] != "ScheduleV2":
            continue
        expression = event["Properties"]["ScheduleExpression"]
        rate = _RATE.fullmatch(expression)
        if rate is None:
            raise UnsupportedTemplateError(
                f"Resources.{function.logical_id}.Events.{name}: schedule {expression!r} is not "
                "supported by the embedded cloud; use rate(N minutes), hours or days"
            )
        interval = timedelta(**{f"{rate[2]}s": int(rate[1])})
        schedules.append(Schedule(f"{function.logical_id}{name}", function.identity.name, interval))
    return schedules
