"""Alarms, dashboard and mails watch emitted metrics, and missing data is treated as decided.

What the functions emit is read from the lines that they print for CloudWatch (its embedded metric
format), after the stories that a person must hear of.
"""

import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple, Self

import pytest
from pydantic import BaseModel

from dropscale.aws import invocation
from dropscale.aws.settings import Settings
from dropscale.ledger.batches import Batch, Settlement
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop
from dropscale.ledger.states import DropState, WaitReason
from dropscale.magichour import errors
from dropscale.pipeline.parts.measurements import Measurement, measurements_of
from dropscale.pipeline.sweep import Sweep
from dropscale.results.announcement import (
    BATCH_DETAIL_TYPE,
    DETAIL_TYPES,
    SOURCE,
    announcement_of,
    batch_announcement_of,
)
from dropscale.upscaler import ProjectStatus
from functions.sweep import app as sweep_function
from tests.contract.test_template import PARAMETERS, RESOURCES, ROOT, TEMPLATE, of_type
from tests.fakes import Clock, png
from tests.lambda_context import FakeLambdaContext
from tests.world import World

STACK = "photos"
ALARMS = of_type("AWS::CloudWatch::Alarm")
BREACHES: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}

SILENCE = {
    "DeadLetterAlarm": "notBreaching",
    "LostEventAlarm": "notBreaching",
    "UnknownOutcomeAlarm": "ignore",
    "FailureAlarm": "notBreaching",
    "TimeoutAlarm": "notBreaching",
    "GateClosedAlarm": "ignore",
    "BudgetAlarm": "notBreaching",
    "CreditsLowAlarm": "ignore",
    "SweepAlarm": "notBreaching",
    "HeartbeatAlarm": "breaching",
    "ThrottleAlarm": "notBreaching",
    "QueueAgeAlarm": "notBreaching",
    "ExecutionAlarm": "notBreaching",
    "WebhookAlarm": "notBreaching",
    "WebhookSilenceAlarm": "notBreaching",
}
"""What no data mean: of counts that nothing happened; of what the sweeper measures each minute
nothing; that the sweeper itself is silent is the alarm."""

OF_AWS = {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Errors"): "FunctionName",
    ("AWS/Lambda", "Invocations"): "FunctionName",
    ("AWS/Lambda", "Throttles"): "FunctionName",
    # https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html
    ("AWS/Lambda", "Url5xxCount"): "FunctionName",
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): "QueueName",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): "QueueName",
    # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    ("AWS/States", "ExecutionsAborted"): "StateMachineArn",
    ("AWS/States", "ExecutionsFailed"): "StateMachineArn",
    ("AWS/States", "ExecutionsTimedOut"): "StateMachineArn",
}
"""AWS's metrics, and the one dimension that a part of the stack has there."""


class Metric(NamedTuple):
    """One metric with its dimensions."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    @classmethod
    def own(cls, name: str) -> "Metric":
        return cls("dropscale", name, (("service", STACK),))


class MeteredWorld(World):
    """Each handler composes its use case with the listeners of each drop."""

    def observe(self, drop: Drop) -> None:
        class AnySettings(Settings):
            @classmethod
            def from_environment(cls, environment: Mapping[str, str]) -> Self:
                return super().from_environment(
                    dict.fromkeys(map(str.upper, cls.model_fields), "x")
                )

        invocation.compose_once(lambda _, observe: observe, AnySettings)()(drop)


Emitted = dict[Metric, list[float]]
Emit = Callable[..., Emitted]


def unknown(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST")
    world.drop("cat.png", png())


def failed(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all(ProjectStatus.ERROR)


def timed_out(world: World) -> None:
    world.drop("cat.png", png())
    world.clock.advance(hours=2)
    world.run_executions()


def gate_closed(world: World) -> None:
    world.upscaler.fail_create = errors.Unauthorized("POST", status=401)
    world.drop("cat.png", png())


def budget_spent(world: World) -> None:
    world.budget = Budget(daily=50)
    world.compose()
    world.drop("cat.png", png())
    world.drop("dog.png", png(3, 3))


def credits_low(world: World) -> None:
    world.upscaler.credits = 1
    world.sweep()


def delivered(world: World) -> None:
    world.sweep()
    world.drop("cat.png", png())
    world.finish_all()


BAD_STORIES = (unknown, failed, timed_out, gate_closed, budget_spent, credits_low)


@pytest.fixture
def emit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Emit:
    """Lets stories happen, and the sweeper run after each; returns what was emitted."""
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
    provider = invocation._metrics.provider
    monkeypatch.setattr(provider, "service", STACK)
    monkeypatch.setattr(provider, "namespace", variables["POWERTOOLS_METRICS_NAMESPACE"])
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")

    def emitted_by(*stories: Callable[[World], None]) -> Emitted:
        for story in stories:
            world = MeteredWorld()
            invocation.log_and_meter(lambda *_, w=world, s=story: s(w))({}, FakeLambdaContext())
            monkeypatch.setattr(sweep_function, "_sweep", lambda w=world: w.sweep_once)
            sweep_function.handler({}, FakeLambdaContext())
        return read_metrics(capsys.readouterr().out)

    return emitted_by


def read_metrics(text: str) -> Emitted:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html."""
    found: Emitted = defaultdict(list)
    for line in filter(lambda line: '"_aws"' in line, text.splitlines()):
        told = json.loads(line)
        for directive in told["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = tuple((name, told[name]) for name in names)
                for metric in directive["Metrics"]:
                    name = metric["Name"]
                    found[Metric(directive["Namespace"], name, dimensions)] += told[name]
    return found


def watched(alarm: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield namespace, name and dimensions of each metric that an alarm watches."""
    parts = [one.get("Fn::If", [None, one])[1] for one in alarm.get("Metrics", [])]
    stats = [one["MetricStat"]["Metric"] for one in parts if "MetricStat" in one]
    for metric in stats or [alarm]:
        dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
        yield metric["Namespace"], metric["MetricName"], dimensions


def own_metric(alarm: dict[str, Any]) -> Metric | None:
    """Return the metric of ours whose values are compared; None: there is none, or they are two."""
    if len([name for _, name, _ in watched(alarm)]) > 1:
        return None
    for namespace, name, dimensions in watched(alarm):
        if namespace == "dropscale":
            values = {"Ref": "AWS::StackName"}
            assert all(value == values for value in dimensions.values())
            return Metric(namespace, name, tuple((one, STACK) for one in dimensions))
    return None


OWN = {name: metric for name, alarm in ALARMS.items() if (metric := own_metric(alarm))}


def gone_off(emitted: Emitted) -> set[str]:
    """Return the alarms on our own metrics that such values set off."""
    found = set()
    for name, metric in OWN.items():
        alarm = ALARMS[name]
        threshold = alarm["Threshold"]
        if isinstance(threshold, dict):
            threshold = PARAMETERS[threshold["Ref"]]["Default"]
        breaches = BREACHES[alarm["ComparisonOperator"]]
        if any(breaches(value, threshold) for value in emitted.get(metric, [])):
            found.add(name)
    return found


def test_each_story_that_a_person_must_hear_of_sets_off_an_alarm(emit: Emit) -> None:
    assert gone_off(emit(*BAD_STORIES)) == OWN.keys()
    assert gone_off(emit(delivered)) == set()


@pytest.mark.parametrize("name", sorted({metric.name for metric in OWN.values()}))
def test_a_metric_that_is_emitted_no_more_is_noticed(
    emit: Emit, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def without(emitter: Callable[..., Iterator[Measurement]]) -> Callable[..., Any]:
        return lambda *args: (one for one in emitter(*args) if one.name != name)

    monkeypatch.setattr(invocation, "measurements_of", without(measurements_of))
    monkeypatch.setattr(Sweep, "backlog", without(Sweep.backlog))

    silent = {alarm for alarm, metric in OWN.items() if metric.name == name}
    assert gone_off(emit(*BAD_STORIES)) == OWN.keys() - silent


@pytest.mark.parametrize("broken", ["namespace", "service", "observer", "sweeper"])
def test_an_emitter_that_is_broken_is_noticed(
    emit: Emit, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    match broken:
        case "namespace" | "service":
            monkeypatch.setattr(invocation._metrics.provider, broken, "another")
        case "observer":
            monkeypatch.setattr(MeteredWorld, "observe", World.observe)
        case "sweeper":
            monkeypatch.setattr(sweep_function, "add_metrics", lambda _: None)

    assert gone_off(emit(*BAD_STORIES)) < OWN.keys()


def test_an_unknown_outcome_keeps_its_alarm_up_until_it_is_settled(emit: Emit) -> None:
    def years_later(world: World) -> None:
        unknown(world)
        world.pass_hours(30)
        world.clock.advance(days=400)
        world.sweep()

    def settled(world: World) -> None:
        unknown(world)
        world.upscaler.answer("found", ProjectStatus.QUEUED)
        world.adopt("cat.png", "found")

    assert emit(years_later)[Metric.own("jobs_unknown")] == [1]
    assert emit(settled)[Metric.own("jobs_unknown")] == [0]


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_metrics_that_aws_has_and_reaches_its_receiver(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["AlarmDescription"]
    assert alarm["AlarmActions"] == {
        "Fn::If": ["HasEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]
    }
    for namespace, metric, dimensions in watched(alarm):
        if namespace != "dropscale":
            assert dimensions.keys() == {OF_AWS[namespace, metric]}
            (part,) = dimensions.values()
            logical_id = part["Ref"] if "Ref" in part else part["Fn::GetAtt"][0]
            assert logical_id in RESOURCES


def test_submitted_drops_without_events_are_noticed(emit: Emit) -> None:
    metrics = ALARMS["WebhookSilenceAlarm"]["Metrics"]
    told = [name for namespace, name, _ in watched(ALARMS["WebhookSilenceAlarm"])]

    assert metrics[0]["Expression"] == "IF(FILL(submitted, 0) > 0 AND FILL(events, 0) == 0, 1, 0)"
    assert [one["Id"] for one in metrics[1:]] == ["submitted", "events"]
    assert told == ["drops_submitted", "webhook_events"]
    assert emit(delivered)[Metric.own("drops_submitted")]
    assert Metric.own("webhook_events") not in emit(delivered)


def test_silence_means_what_was_decided() -> None:
    assert {name: alarm["TreatMissingData"] for name, alarm in ALARMS.items()} == SILENCE


def test_each_function_and_each_bad_end_of_an_execution_is_watched() -> None:
    throttled = [part["Ref"] for *_, at in watched(ALARMS["ThrottleAlarm"]) for part in at.values()]
    assert sorted(throttled) == sorted(of_type("AWS::Serverless::Function"))
    ends = {metric for _, metric, _ in watched(ALARMS["ExecutionAlarm"])}
    assert ends == {metric for namespace, metric in OF_AWS if namespace == "AWS/States"}


def test_the_dashboards_metrics_are_emitted(emit: Emit) -> None:
    text, _ = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    rows = [
        row for widget in json.loads(text)["widgets"] for row in widget["properties"]["metrics"]
    ]
    namespace, shown = "", set()
    for row in rows:
        namespace = row[0] if row[0] not in (".", "...") else namespace
        if namespace == "dropscale":
            shown.add(row[1])

    waits = {f"drops_waiting_{reason}" for reason in WaitReason}
    seen = {metric.name for metric in emit(*BAD_STORIES, delivered)}
    counted_by_state = re.compile("drops_(rejected|canceled)|objects_failed")
    assert waits <= shown
    assert {name for name in shown - seen - waits if not counted_by_state.fullmatch(name)} == set()


def unknown_outcome() -> BaseModel:
    world = World()
    unknown(world)
    return announcement_of(world.announced[-1], "results", "prefix/")


def settled_batch() -> BaseModel:
    batch = Batch.first("input", "cat.png")
    settlement = Settlement(id="1", quiet_since=Clock()(), parts=1)
    return batch_announcement_of(batch, settlement, "results", "prefix/")


@pytest.mark.parametrize(
    ("name", "detail_type", "detail"),
    [
        ("UnknownOutcomeRule", DETAIL_TYPES[DropState.UNKNOWN], unknown_outcome),
        ("BatchSettledRule", BATCH_DETAIL_TYPE, settled_batch),
    ],
)
def test_each_unknown_outcome_and_each_settled_batch_send_a_mail(
    name: str, detail_type: str, detail: Callable[[], BaseModel]
) -> None:
    told = detail().model_dump(mode="json")
    rule = RESOURCES[name]["Properties"]
    pattern, (target,) = rule["EventPattern"], rule["Targets"]

    assert (pattern["source"], target["Arn"]) == ([SOURCE], {"Ref": "AlarmTopic"})
    assert pattern["detail-type"] == [detail_type]
    assert pattern["detail"]["results"].keys() == told["results"].keys()
    paths = target["InputTransformer"]["InputPathsMap"]
    values: list[Any] = [reduce(getitem, path.split(".")[2:], told) for path in paths.values()]
    assert values[0] == "cat.png"
    assert all(values)
    template = target["InputTransformer"]["InputTemplate"]["Fn::Sub"]
    assert set(re.findall("<([a-z]+)>", template)) == paths.keys()


def test_each_alarm_is_in_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert headings == list(ALARMS)
