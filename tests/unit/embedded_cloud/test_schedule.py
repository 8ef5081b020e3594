from datetime import UTC, datetime, timedelta

import pytest

from dropscale_embedded.cloud import UnsupportedTemplateError
from dropscale_embedded.cloud.names import ResourceIdentity, StackContext
from dropscale_embedded.cloud.schedule import Schedule, function_schedules
from dropscale_embedded.cloud.template import Resource

CONTEXT = StackContext("dev", "eu-west-1", "123456789012", "http://127.0.0.1:4000")


def scheduled(expression: str) -> Resource:
    event = {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": expression}}
    identity = ResourceIdentity("dev-F", "dev-F", {})
    return Resource("F", "AWS::Serverless::Function", identity, {"Events": {"Tick": event}})


@pytest.mark.parametrize(
    ("expression", "interval"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(5 minutes)", timedelta(minutes=5)),
        ("rate(2 hours)", timedelta(hours=2)),
        ("rate(1 day)", timedelta(days=1)),
    ],
)
def test_rates(expression: str, interval: timedelta) -> None:
    assert function_schedules(scheduled(expression)) == [Schedule("FTick", "dev-F", interval)]


def test_other_schedules_are_refused() -> None:
    for expression in ("cron(0 8 * * ? *)", "at(2026-01-01T00:00:00)", "rate(1 s)"):
        with pytest.raises(UnsupportedTemplateError, match=r"Resources\.F\.Events\.Tick"):
            function_schedules(scheduled(expression))


def test_a_scheduled_function_receives_schedulers_event() -> None:
    event = Schedule("FTick", "dev-F", timedelta(minutes=1)).event(
        CONTEXT, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "123456789012",
        "time": "2026-01-02T03:04:05Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:scheduler:eu-west-1:123456789012:schedule/default/FTick"],
        "detail": "{}",
    }
