"""Batches: what their drops become is reported on once, and again if more comes."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dropscale.ledger.batches import Batch, BatchLine, LineJob, Settlement
from dropscale.ledger.budget import Budget
from dropscale.ledger.states import DropState
from dropscale.ledger.store import Change, SaveBatch
from dropscale.magichour.errors import CreateOutcomeUnknown
from dropscale.pipeline.parts.refusals import AccessDenied
from dropscale.pipeline.parts.settle_batches import SettleBatch
from dropscale.results.batch_report import BatchReport, line_of, report_keys
from dropscale.results.manifest import manifest_of
from dropscale.specs.keys import KeyKind, kind_of
from dropscale.upscaler import ProjectStatus
from tests.fakes import Clock, FakeResults, MemoryLedger, png
from tests.world import BUCKET, World

SPEC = "batch: spring"


def a_world(**setting: Any) -> World:
    world = World(**setting)
    world.put("photos/dropscale.yaml", SPEC)
    return world


def reports(world: World) -> list[dict[str, Any]]:
    found = sorted(world.results.reports.items())
    return [json.loads(body) for key, body in found if key.endswith(".json")]


def tables(world: World) -> list[list[dict[str, str]]]:
    found = sorted(world.results.reports.items())
    bodies = [body.decode("utf-8-sig") for key, body in found if key.endswith(".csv")]
    return [list(csv.DictReader(io.StringIO(body))) for body in bodies]


def states(report: dict[str, Any]) -> dict[str, str]:
    return {image["key"]: image["state"] for image in report["images"]}


def sweep_for(world: World, minutes: int) -> None:
    for _ in range(minutes):
        world.sweep(minutes=1)
        while world.queue.keys:
            world.submit(world.queue.keys.pop())


def test_a_batch_is_settled_once_when_none_of_its_drops_is_open() -> None:
    world = a_world()
    world.drop("photos/a.png", png(shade=1))
    world.drop("photos/b.png", png(shade=1))
    world.drop("photos/no.gif", b"GIF89a")
    world.drop("other.png", png(shade=3))
    sweep_for(world, 10)
    assert not world.events.settled

    world.finish_all()
    sweep_for(world, 30)

    ((path, settlement),) = world.events.settled
    (report,) = reports(world)
    (table,) = tables(world)
    for line in world.ledger.lines[Batch.first(BUCKET, path).id].values():
        assert line == line_of(manifest_of(world.ledger.drops[line.drop_id]))
    assert path == report["batch"] == world.manifest("photos/a.png")["spec"]["batch"]
    assert path == "photos/spring"
    assert report["settlement"] == settlement.id
    assert states(report) == {
        "photos/a.png": "delivered",
        "photos/b.png": "delivered",
        "photos/no.gif": "rejected",
    }
    assert [(row["key"], row["state"]) for row in table] == [*states(report).items()]
    totals = {"images": 3, "delivered": 2, "failed": 1, "skipped": 0, "pending": 0}
    totals |= {"credits": 50, "refunded": 0, "seconds": report["totals"]["seconds"]}
    assert report["totals"] == totals


def wait_for_budget(world: World) -> None:
    world.drop("other.png", png(shade=9))
    world.drop("photos/a.png", png(shade=1))


def wait_for_access(world: World) -> None:
    world.bucket.refusals["photos/a.png"] = AccessDenied("denied", fix="Allow it.")
    world.drop("photos/a.png", png(shade=1))


def wait_for_sidecar(world: World) -> None:
    world.sidecar_required = True
    world.compose()
    world.drop("photos/a.png", png(shade=1))


def lose_an_answer(world: World) -> None:
    world.upscaler.fail_create = CreateOutcomeUnknown("create", cause_name="ConnectionLost")
    world.drop("photos/a.png", png(shade=1))


def not_wait_for_the_result(world: World) -> None:
    world.put("photos/a.png.yaml", "wait_for_completion: false")
    world.drop("photos/a.png", png(shade=1))


@pytest.mark.parametrize(
    ("begin", "budget", "ended"),
    [
        (wait_for_budget, Budget(monthly=99), ("waiting", "budget", "pending")),
        (wait_for_access, Budget(), ("waiting", "access", "pending")),
        (wait_for_sidecar, Budget(), ("waiting", "sidecar", "pending")),
        (lose_an_answer, Budget(), ("unknown", "", "pending")),
        (not_wait_for_the_result, Budget(), ("submitted", "", "delivered")),
    ],
)
def test_what_only_others_can_continue_is_listed_and_not_waited_for(
    begin: Callable[[World], None], budget: Budget, ended: tuple[str, str, str]
) -> None:
    world = a_world(budget=budget)
    begin(world)
    sweep_for(world, 200)

    (report,) = reports(world)
    ((row,),) = tables(world)
    assert (row["state"], row["waiting_for"]) == ended[:2]
    assert report["totals"][ended[2]] == 1


def test_more_that_comes_is_reported_on_again_and_nothing_else_is() -> None:
    world = a_world()
    world.drop("photos/a.png", png(shade=1))
    world.finish_all()
    sweep_for(world, 20)
    world.drop("photos/a.png")  # nothing new
    sweep_for(world, 20)
    world.drop("photos/b.png", png(shade=2))
    world.upscaler.finish(ProjectStatus.ERROR, final_price=0)
    world.run_executions()
    sweep_for(world, 20)

    first, second = reports(world)
    assert (states(first), states(second)) == (
        {"photos/a.png": "delivered"},
        {"photos/a.png": "delivered", "photos/b.png": "failed"},
    )
    assert (second["totals"]["credits"], second["totals"]["refunded"]) == (50, 50)
    assert second["images"][1]["reason"]["fix"]
    assert [settlement.id for _, settlement in world.events.settled] == [
        first["settlement"],
        second["settlement"],
    ]


def test_a_drop_leaves_its_batch_with_its_folders_spec_and_takes_its_news_along() -> None:
    world = a_world()
    world.drop("photos/a.png", png(shade=1))
    world.drop("photos/b.png", png(shade=2))
    world.finish_all()
    sweep_for(world, 20)
    world.put("photos/dropscale.yaml", "batch: summer")
    sweep_for(world, 1)
    world.drop("photos/a.png")
    world.drop("photos/none.gif", b"GIF89a")
    world.put("photos/dropscale.yaml", "batch: [a, b]")
    sweep_for(world, 1)
    world.drop("photos/b.png")  # faulty: it stays where it is, and is rejected
    sweep_for(world, 20)

    last = {report["batch"]: states(report) for report in reports(world)}
    assert last == {
        "photos/spring": {"photos/b.png": "rejected"},
        "photos/summer": {"photos/a.png": "delivered", "photos/none.gif": "rejected"},
    }


@pytest.mark.parametrize("is_readable", [True, False])
def test_an_image_that_submit_gives_up_is_reported_on_if_its_folders_specs_can_be_read(
    monkeypatch: pytest.MonkeyPatch, is_readable: bool
) -> None:
    def fail(*_: object) -> list[str]:
        raise OSError("no answer")

    world = a_world()
    world.put("photos/a.png", png())
    if not is_readable:
        monkeypatch.setattr(world.bucket, "keys", fail)
    world.submit_object.give_up(BUCKET, "photos/a.png", OSError("no answer"))
    sweep_for(world, 20)

    assert world.manifest("photos/a.png")["state"] == "failed"
    assert [states(report) for report in reports(world)] == (
        [{"photos/a.png": "failed"}] if is_readable else []
    )


def test_an_image_that_is_deleted_before_it_was_read_is_reported_on_as_canceled() -> None:
    world = a_world(sidecar_required=True)
    world.drop("photos/a.png", png())
    world.bucket.delete("photos/a.png")
    world.submit("photos/a.png")
    sweep_for(world, 20)

    assert states(reports(world)[-1]) == {"photos/a.png": "canceled"}


@dataclass
class Interrupted:
    """An adapter that lets something happen just before the n-th call of one of its methods."""

    adapter: Any
    method: str
    happens: list[Callable[[], object]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        if name == self.method and self.happens:
            self.happens.pop()()
        return getattr(self.adapter, name)


@pytest.mark.parametrize(
    ("adapter", "method"),
    [
        ("ledger", "has_open_drops"),
        ("ledger", "batch_lines"),
        ("results", "put_report"),
        ("ledger", "write"),
    ],
)
def test_news_at_any_moment_before_a_settlement_makes_another_one(
    adapter: str, method: str
) -> None:
    world = a_world()
    world.drop("photos/a.png", png())
    world.finish_all()
    sweep_for(world, 6)
    assert not world.events.settled
    interrupted = Interrupted(getattr(world, adapter), method)
    interrupted.happens = [lambda: world.drop("photos/late.gif", b"GIF89a")]
    parts: Any = {"ledger": world.ledger, "results": world.results, adapter: interrupted}
    settle = SettleBatch(
        announce=world.events.announce_batch,
        clock=world.clock,
        quiet=world.batch_quiet,
        **parts,
    )
    world.clock.advance(minutes=1)
    (batch,) = world.ledger.batches.values()
    settle(batch)
    assert not interrupted.happens
    sweep_for(world, 20)

    last = world.events.settled[-1][1]
    assert last.totals.images == 2
    assert states(reports(world)[-1]).keys() == {"photos/a.png", "photos/late.gif"}


def test_a_settlement_is_announced_until_the_bus_takes_it() -> None:
    world = a_world()
    world.events.listens = False
    world.drop("photos/no.gif", b"GIF89a")
    sweep_for(world, 10)
    world.drop("photos/more.gif", b"GIF89a")
    sweep_for(world, 10)
    world.events.listens = True
    sweep_for(world, 30)

    assert [one.totals.images for _, one in world.events.settled] == [1, 2]
    assert len(reports(world)) == 2


def lines(count: int) -> Iterator[BatchLine]:
    for number in range(count):
        files = tuple(LineJob(fingerprint=str(number), credits=each) for each in (50, 0))
        key = f"photos/{number}.png"
        yield BatchLine(drop_id=f"{number:05}", key=key, state=DropState.DELIVERED, jobs=files)


@pytest.mark.parametrize(("count", "parts"), [(1, 1), (2, 1), (3, 2), (4, 2), (7, 4)])
def test_a_large_batch_is_read_over_several_runs_a_part_of_its_report_in_each(
    count: int, parts: int
) -> None:
    ledger, results, clock = MemoryLedger(), FakeResults(), Clock()
    batch = Batch.first(BUCKET, "photos/spring").wake(clock())
    ledger.batches[batch.id] = batch
    ledger.lines[batch.id] = {line.drop_id: line for line in lines(count)}
    told: list[Any] = []
    settle = SettleBatch(
        ledger,
        results,
        lambda *settled: not told.append(settled),  # type: ignore[func-returns-value]
        clock,
        quiet=clock() - clock(),
        most_lines=2,
    )
    for _ in range(10):
        settle(ledger.batches[batch.id])

    ((_, settlement),) = told
    keys = [report_keys(batch.path, settlement.id, part + 1) for part in range(parts)]
    found = [json.loads(results.reports[key]) for key, _ in keys]
    assert results.reports.keys() == {key for pair in keys for key in pair}
    assert sorted(image["key"] for one in found for image in one["images"]) == sorted(
        line.key for line in lines(count)
    )
    assert (settlement.parts, settlement.totals.images) == (parts, count)
    assert found[-1]["totals"]["credits"] == settlement.totals.credits == 50 * count
    assert all(len(one["images"]) <= 2 for one in found)
    assert [one["is_last"] for one in found] == [*[False] * (parts - 1), True]


def test_many_drops_do_not_compete_for_their_batchs_row() -> None:
    world = a_world()
    for number in range(40):
        world.drop(f"photos/{number}.gif", b"GIF89a")
    (batch,) = world.ledger.batches.values()
    assert batch.seq == 1
    sweep_for(world, 20)
    (batch,) = world.ledger.batches.values()
    assert batch.seq <= 5
    assert len(reports(world)[0]["images"]) == 40


def test_a_batch_is_quiet_for_as_long_as_it_must_be() -> None:
    world = a_world()
    world.drop("photos/no.gif", b"GIF89a")
    sweep_for(world, 1)
    (batch,) = world.ledger.batches.values()
    assert batch.next is not None
    for _ in range(3):  # The index may still list it.
        assert not world.sweep_once.settle_batch(batch)
    assert world.ledger.batches[batch.id] == batch


def test_an_open_drop_that_the_index_does_not_list_yet_is_waited_for() -> None:
    world = a_world()
    world.drop("photos/a.png", png())
    world.ledger.has_open_drops = lambda batch_id: False  # type: ignore[method-assign]
    sweep_for(world, 20)
    assert not reports(world)

    world.finish_all()
    sweep_for(world, 20)
    assert states(reports(world)[0]) == {"photos/a.png": "delivered"}


def test_a_batch_that_all_its_drops_have_left_sends_nothing() -> None:
    world = a_world()
    world.drop("photos/no.gif", b"GIF89a")
    world.put("photos/dropscale.yaml", "")
    sweep_for(world, 1)
    world.drop("photos/no.gif")
    sweep_for(world, 30)

    (batch,) = world.ledger.batches.values()
    assert (batch.is_awake, batch.due) == (False, None)
    assert not world.events.settled
    assert not reports(world)


def test_two_drops_that_wake_a_batch_at_once_both_do(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world()
    write, others = world.ledger.write, [world.clock()]

    def write_second(*changes: Change) -> None:
        if isinstance(changes[0], SaveBatch) and others:
            write(SaveBatch(Batch.first(BUCKET, "photos/spring").wake(others.pop())))
        write(*changes)

    monkeypatch.setattr(world.ledger, "write", write_second)
    world.drop("photos/no.gif", b"GIF89a")
    assert not others
    assert world.row("photos/no.gif").news_for is None
    sweep_for(world, 20)
    assert len(reports(world)) == 1


@pytest.mark.parametrize(
    "key",
    [
        "=1+1",
        "+1",
        "-1",
        "@a",
        "\t=1",
        "  =1",
        "\uff1d1",
        "a\r\nb",
        'a"b',
        "a,b",
        "a;b",
        "a; =1",
        "é",
    ],
)
def test_no_cell_of_a_table_is_a_formula_and_each_image_has_one_line(key: str) -> None:
    line = BatchLine(drop_id="d", key=key, state=DropState.DELIVERED)
    settlement = Settlement(id="1", quiet_since=Clock()())
    report = BatchReport.of("spring", settlement, [line], is_last=True)
    text = report.as_csv().decode("utf-8-sig")

    assert len(text.splitlines()) == 2
    ((row),) = csv.DictReader(io.StringIO(text))
    cell = row["key"]
    signs = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
    assert not [part for part in cell.split(";") if part.lstrip().startswith(signs)]
    assert cell.replace("'", "") == key.replace("\r", " ").replace("\n", " ")


def test_reports_have_keys_of_their_own() -> None:
    for key in report_keys("photos/spring", "20261129T233005Z-7", 2):
        assert kind_of(key) is KeyKind.OTHER
        assert not key.endswith((".dropscale.json", ".png"))
    longest = report_keys("ä" * 500, "20261129T233005Z-7")
    assert all(len(key.encode()) <= 824 for key in longest)
