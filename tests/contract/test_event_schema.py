"""The events' schema fits what is sent, and the page's example fits the schema."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest
from botocore.config import Config

from dropscale.aws.event_bus import EventBridgeAnnouncer
from dropscale.results.announcement import (
    BATCH_DETAIL_TYPE,
    DETAIL_TYPES,
    announcement_of,
    batch_announcement_of,
)
from tests.fakes import png
from tests.mocked_aws import mocked_aws
from tests.world import World

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "events.schema.json").read_text())
PAGE, RESULTS_PAGE = (DOCS / "events.md").read_text(), (DOCS / "results.md").read_text()


def test_every_announcement_fits_the_schema() -> None:
    world = World()
    world.drop("text.png", b"not an image")
    world.drop("cat.png", png())
    world.upscaler.finish()
    (execution,) = world.running()
    world.deliver(execution)

    for drop in world.announced:
        detail = json.loads(announcement_of(drop, "results").model_dump_json())
        jsonschema.validate(detail, SCHEMA)
    assert {drop.state for drop in world.announced} >= {"rejected", "delivered"}


def test_a_settled_batchs_event_and_report_and_the_pages_examples_fit_their_schemas() -> None:
    world = World(batch_quiet=timedelta())
    world.put("photos/dropscale.yaml", "batch: spring-catalog")
    world.drop("photos/text.png", b"not an image")
    for _ in range(4):
        world.sweep(minutes=2)
    ((_, settlement),) = world.events.settled
    (batch,) = world.ledger.batches.values()
    detail = batch_announcement_of(batch, settlement, "results", "prefix/").model_dump(mode="json")
    (report,) = (json.loads(told) for told in world.results.reports.values() if told[:1] == b"{")
    event = json.loads(PAGE.split("```json\n")[2].partition("```")[0])
    shown = json.loads(RESULTS_PAGE.partition("```json\n")[2].partition("```")[0])

    assert event["detail-type"] == BATCH_DETAIL_TYPE
    for told in (detail, event["detail"]):
        jsonschema.validate(told, json.loads((DOCS / "batch-event.schema.json").read_text()))
    for told in (report, shown):
        jsonschema.validate(told, json.loads((DOCS / "batch-report.schema.json").read_text()))
    assert event["detail"].keys() == detail.keys()
    assert [*shown] == [*report]
    assert [*shown["images"][0]] == [*report["images"][0]]


def test_the_pages_example_fits_the_schema_and_its_table_is_complete() -> None:
    example = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])

    jsonschema.validate(example["detail"], SCHEMA)
    for state, detail_type in DETAIL_TYPES.items():
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{detail_type}`")]
        assert f"`{state}`" in row


def test_eventbridge_accepts_it_and_its_refusal_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    world = World()
    world.drop("text.png", b"not an image")
    with mocked_aws():
        client = boto3.client("events", region_name="eu-central-1")
        announce = EventBridgeAnnouncer(lambda: client, "results")
        assert announce(world.row("text.png"))
    unreachable = boto3.client(
        "events",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"total_max_attempts": 1}),
    )
    assert not EventBridgeAnnouncer(lambda: unreachable, "results")(world.row("text.png"))
