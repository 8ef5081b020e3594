"""Batches: what their drops become is reported on once, and again if more comes."""

import csv
import io
import json
from typing import Any

from tests.fakes import png
from tests.world import World

SPEC = "batch: spring"


def reports(world: World) -> list[dict[str, Any]]:
    found = sorted(world.results.reports.items())
    return [json.loads(body) for key, body in found if key.endswith(".json")]


def tables(world: World) -> list[list[dict[str, str]]]:
    found = sorted(world.results.reports.items())
    bodies = [body.decode("utf-8-sig") for key, body in found if key.endswith(".csv")]
    return [list(csv.DictReader(io.StringIO(body))) for body in bodies]


def sweep_for(world: World, minutes: int) -> None:
    for _ in range(minutes):
        world.sweep(minutes=1)


def test_batch_is_settled_once_when_none_of_its_drops_is_open() -> None:
    world = World()
    world.put("photos/dropscale.yaml", SPEC)
    world.drop("photos/a.png", png(shade=1))
    world.drop("photos/b.png", png(shade=2))
    world.drop("photos/no.gif", b"GIF89a")
    world.drop("other.png", png(shade=3))
    sweep_for(world, 10)
    assert not world.settled

    world.finish_all()
    sweep_for(world, 20)

    ((path, settlement),) = world.settled
    (report,) = reports(world)
    (table,) = tables(world)
    assert path == report["batch"] == "photos/spring"
    assert report["settlement"] == settlement.id
    assert {image["key"]: image["state"] for image in report["images"]} == {
        "photos/a.png": "delivered",
        "photos/b.png": "delivered",
        "photos/no.gif": "rejected",
    }
    assert [row["key"] for row in table] == [image["key"] for image in report["images"]]
    assert report["totals"] | {"seconds": 0} == {
        "images": 3,
        "delivered": 2,
        "failed": 1,
        "skipped": 0,
        "pending": 0,
        "credits": 100,
        "refunded": 0,
        "seconds": 0,
    }
