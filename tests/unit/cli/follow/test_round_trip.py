"""Dropping, following and collecting, against a target that plays a script."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dropscale.ledger.drops import Reason
from dropscale.ledger.states import DropState, WaitReason
from dropscale.results.manifest import Manifest, manifest_key
from dropscale_cli.files.drops import Drops
from dropscale_cli.files.results import collect
from dropscale_cli.tracking import round_trip
from dropscale_cli.tracking.round_trip import (
    MOST_MANIFEST_BYTES,
    FollowedDrop,
    ResultMissing,
    RoundTrip,
    Transfer,
)
from tests.unit.cli.samples import PIXELS, manifest

Write = Callable[..., Path]
Results = dict[str, bytes]

DELIVERED = DropState.DELIVERED
MINUTE = 60.0


@dataclass
class ScriptedTarget:
    """A target whose results are, at each look, those of the script's next step."""

    script: list[Results]
    dropped: list[tuple[str, bytes]] = field(default_factory=list)
    results: Results = field(default_factory=dict)
    retried: list[str] = field(default_factory=list)
    can_retry: bool = True
    now: float = 0.0
    step_seconds: float = 1.0

    def drop(self, key: str, file: BinaryIO) -> str | None:
        self.dropped.append((key, file.read()))
        return "1"

    def result_etags(self, prefix: str) -> dict[str, str]:
        found = {key: body for key, body in self.results.items() if key.startswith(prefix)}
        return {key: hashlib.sha256(body).hexdigest() for key, body in found.items()}

    def read_result(self, key: str) -> Iterator[bytes]:
        if key not in self.results:
            raise ResultMissing(key)
        yield from (self.results[key][:1], self.results[key][1:])

    def retry(self, key: str) -> bool:
        self.retried.append(key)
        return self.can_retry

    def pause(self) -> None:
        self.now += self.step_seconds
        assert self.now < 100 * self.step_seconds, "it follows on and on"
        if self.script:
            self.results |= self.script.pop(0)


@dataclass
class Updates:
    """Records reports."""

    seen: list[tuple[str, DropState | None]] = field(default_factory=list)
    moves: list[Transfer] = field(default_factory=list)

    def update(self, drop: FollowedDrop) -> None:
        self.seen.append((drop.key, drop.state))

    def moved(self, transfer: Transfer) -> None:
        self.moves.append(transfer)


def step(*manifests: Manifest, **outputs: bytes) -> Results:
    written = {
        manifest_key(manifest.source.key): manifest.model_dump_json().encode()
        for manifest in manifests
    }
    return written | outputs


@dataclass
class Trip:
    """A round trip of empty images."""

    write: Write
    out: Path
    updates: Updates = field(default_factory=Updates)

    def __call__(self, target: ScriptedTarget, *keys: str) -> dict[str, FollowedDrop]:
        images = {key: self.write(f"in/{key}") for key in keys}
        trip = RoundTrip(target, self.out, self.updates, lambda: target.now, target.pause)
        return {drop.key: drop for drop in trip(Drops({}, images))}


@pytest.fixture
def trip(write: Write, tmp_path: Path) -> Trip:
    return Trip(write, tmp_path / "out")


def test_specs_are_dropped_before_images(write: Write, trip: Trip) -> None:
    images = {"a.jpg": write("a.jpg", "image")}
    specs = {"z.jpg.yaml": write("z.jpg.yaml", "spec")}
    target = ScriptedTarget([step(manifest("a.jpg", DropState.REJECTED))])
    RoundTrip(target, trip.out, trip.updates, lambda: target.now, target.pause)(
        Drops(specs, images)
    )
    assert target.dropped == [("z.jpg.yaml", b"spec"), ("a.jpg", b"image")]


def test_an_interrupt_after_the_manifest_arrived_reports_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect_then_interrupt(*arguments: Any) -> Path:
        path = collect(*arguments)
        if path.name == manifest_key("a.jpg"):
            raise KeyboardInterrupt
        return path

    monkeypatch.setattr(round_trip, "collect", collect_then_interrupt)
    target = ScriptedTarget([step(manifest("a.jpg", DropState.SKIPPED))])
    trip = RoundTrip(target, tmp_path / "out", Updates(), lambda: target.now, target.pause)
    with pytest.raises(KeyboardInterrupt):
        trip(Drops({}, {"a.jpg": write("in/a.jpg")}))
    assert [drop.state for drop in trip.followed] == [DropState.SKIPPED]


def test_an_image_is_followed_until_its_result_is_in_the_folder(trip: Trip) -> None:
    key, output = "été 2026/a.jpg", "été 2026/a.jpg@2x.png"
    last = step(manifest(key, DELIVERED, output=output)) | {output: b"pixels"}
    target = ScriptedTarget(
        [
            {},
            step(manifest(key, DropState.WAITING, wait=WaitReason.SLOT)),
            step(manifest(key, DropState.WAITING, wait=WaitReason.THROTTLED)),
            step(manifest(key, DropState.SUBMITTED)),
            step(manifest(key, DropState.RENDERING)),
            last,
        ]
    )
    drop = trip(target, key)[key]
    assert drop.is_as_asked
    assert drop.seconds == 6
    assert drop.files == (trip.out / output,)
    assert (trip.out / output).read_bytes() == b"pixels"
    assert (trip.out / manifest_key(key)).read_bytes() == last[manifest_key(key)]
    moved = {move.what: move for move in trip.updates.moves}
    assert [(what, move.is_over) for what, move in moved.items()] == [
        (f"uploading {key}", True), (f"downloading {output}", True)
    ]  # fmt: skip
    assert [state for _, state in trip.updates.seen] == [
        None, "waiting", "waiting", "submitted", "rendering", "delivered"
    ]  # fmt: skip


def test_seconds_are_those_since_an_image_last_set_out(trip: Trip) -> None:
    target = ScriptedTarget([])
    one = RoundTrip(target, trip.out, trip.updates, lambda: target.now, target.pause)
    one.drop("a.jpg", trip.write("a.jpg"))
    for at, state in (2, DropState.REJECTED), (50, DropState.SUBMITTED), (57, DropState.FAILED):
        target.now = at
        target.results |= step(manifest("a.jpg", state))
        one.look()
        assert one.followed[0].seconds == {2: 2, 50: 0, 57: 7}[at]


def test_results_come_as_they_are_ready_not_at_the_end(trip: Trip) -> None:
    seen = []

    class Watching(ScriptedTarget):
        def pause(self) -> None:
            seen.append(sorted(path.name for path in trip.out.glob("a*")))
            super().pause()

    target = Watching(
        [
            step(manifest("a.jpg", DELIVERED, output="a.png"), **{"a.png": b"a"}),
            step(manifest("b.jpg", DELIVERED, output="b.png"), **{"b.png": b"b"}),
        ]
    )
    trip(target, "a.jpg", "b.jpg")
    assert seen == [[], ["a.jpg.dropscale.json", "a.png"]]


@pytest.mark.parametrize("state", [DropState.COMPLETE, DropState.SKIPPED])
def test_what_wanted_no_download_is_as_asked(state: DropState, trip: Trip) -> None:
    target = ScriptedTarget([step(manifest("a.jpg", state))])
    assert trip(target, "a.jpg")["a.jpg"].is_as_asked


def test_submitted_is_the_end_where_nobody_wants_to_wait(trip: Trip) -> None:
    submitted = manifest("a.jpg", DropState.SUBMITTED, wait_for_completion=False)
    assert trip(ScriptedTarget([step(submitted)]), "a.jpg")["a.jpg"].is_as_asked


@pytest.mark.parametrize(
    "state",
    [
        DropState.REJECTED,
        DropState.FAILED,
        DropState.CANCELED,
        DropState.TIMED_OUT,
        DropState.UNKNOWN,
        DropState.SUPERSEDED,
    ],
)
def test_other_ends_are_not_as_asked(state: DropState, trip: Trip) -> None:
    reason = Reason(code="Why", message="it is so", fix="change it")
    target = ScriptedTarget([step(manifest("a.jpg", state, reason=reason))])
    drop = trip(target, "a.jpg")["a.jpg"]
    assert drop.is_settled
    assert not drop.is_as_asked
    assert (trip.out / "a.jpg.dropscale.json").exists()


@pytest.mark.parametrize("wait", [WaitReason.SIDECAR, WaitReason.BUDGET, WaitReason.ACCOUNT])
def test_nobody_waits_for_a_person_but_the_others_are_followed(
    wait: WaitReason, trip: Trip
) -> None:
    target = ScriptedTarget(
        [
            step(
                manifest("a.jpg", DropState.WAITING, wait=wait),
                manifest("b.jpg", DropState.RENDERING),
            ),
            step(manifest("b.jpg", DELIVERED, output="b.png"), **{"b.png": b"b"}),
        ]
    )
    drops = trip(target, "a.jpg", "b.jpg")
    assert drops["b.jpg"].is_as_asked
    assert drops["a.jpg"].state is DropState.WAITING
    assert not drops["a.jpg"].is_as_asked


@pytest.mark.parametrize("wait", [WaitReason.BUDGET, WaitReason.ACCOUNT])
def test_no_slot_helps_where_the_account_is_stuck(wait: WaitReason, trip: Trip) -> None:
    stuck = step(
        manifest("a.jpg", DropState.WAITING, wait=wait),
        manifest("b.jpg", DropState.WAITING, wait=WaitReason.SLOT),
    )
    drops = trip(ScriptedTarget([stuck]), "a.jpg", "b.jpg")
    assert [drop.is_settled for drop in drops.values()] == [False, False]


def test_a_missing_sidecar_stops_nobody_else(trip: Trip) -> None:
    target = ScriptedTarget(
        [
            step(
                manifest("a.jpg", DropState.WAITING, wait=WaitReason.SIDECAR),
                manifest("b.jpg", DropState.WAITING, wait=WaitReason.SLOT),
            ),
            step(manifest("b.jpg", DropState.REJECTED)),
        ]
    )
    assert trip(target, "a.jpg", "b.jpg")["b.jpg"].is_settled


def test_the_manifest_of_an_earlier_image_at_the_key_says_nothing(trip: Trip) -> None:
    earlier = manifest("a.jpg", DELIVERED, version_id="0", output="old.png")
    target = ScriptedTarget([step(earlier), step(manifest("a.jpg", DropState.FAILED))])
    assert trip(target, "a.jpg")["a.jpg"].state is DropState.FAILED
    assert not (trip.out / "old.png").exists()


def test_a_result_that_cannot_be_written_keeps_nobody_else_from_theirs(trip: Trip) -> None:
    (trip.out / "a.png").mkdir(parents=True)
    target = ScriptedTarget(
        [
            step(
                manifest("a.jpg", DELIVERED, output="a.png"),
                manifest("b.jpg", DELIVERED, output="b.png"),
            )
            | {"a.png": b"a", "b.png": b"b"}
        ]
    )
    drops = trip(target, "a.jpg", "b.jpg")
    assert "Is a directory" in (drops["a.jpg"].trouble or "")
    assert [drop.is_as_asked for drop in drops.values()] == [False, True]
    assert {path.name for path in trip.out.iterdir()} == {
        ".dropscale", "a.png", "b.png", "b.jpg.dropscale.json"
    }  # fmt: skip
    assert list((trip.out / ".dropscale").iterdir()) == []


def test_a_result_that_left_the_bucket_is_delivered_again_if_it_is_not_here(trip: Trip) -> None:
    gone = manifest("a.jpg", DELIVERED, output="a.png")
    again = [manifest("a.jpg", DropState.SUBMITTED), gone.model_copy(update={"seq": 9})]
    target = ScriptedTarget([step(gone), step(again[0]), step(again[1]) | {"a.png": b"pixels"}])
    drop = trip(target, "a.jpg")["a.jpg"]
    assert target.retried == ["a.jpg"]
    assert drop.is_as_asked
    assert (trip.out / "a.png").read_bytes() == b"pixels"


def test_a_result_that_is_here_is_not_fetched_again(trip: Trip) -> None:
    trip.out.mkdir()
    (trip.out / "a.png").write_bytes(b"pixels")
    delivered = manifest("a.jpg", DELIVERED, output="a.png")
    target = ScriptedTarget([step(delivered)])
    drop = trip(target, "a.jpg")["a.jpg"]
    assert (drop.is_as_asked, drop.files, target.retried) == (True, (trip.out / "a.png",), [])


def test_other_bytes_at_a_results_place_are_not_the_result(trip: Trip) -> None:
    trip.out.mkdir()
    (trip.out / "a.jpg@2x.png").write_bytes(b"pix")
    delivered = manifest("a.jpg", DELIVERED, output="a.jpg@2x.png")
    target = ScriptedTarget([step(delivered)])
    target.can_retry = False
    drop = trip(target, "a.jpg")["a.jpg"]
    assert target.retried == ["a.jpg"]
    assert "a.jpg@2x.png: the paid result no longer exists" in (drop.trouble or "")


@pytest.mark.parametrize("known", [None, b"{", b"", b"a person's"])
def test_a_named_result_replaces_only_what_a_run_has_written(
    trip: Trip, known: bytes | None
) -> None:
    """Above all not the image itself, which may have the same name."""
    place, before = trip.out / "a.jpg", manifest("a.jpg", DELIVERED, output="a.jpg")
    trip.out.mkdir()
    place.write_bytes(b"earlier")
    sha256 = hashlib.sha256(known or b"earlier").hexdigest()
    output = before.jobs[0].output
    assert output is not None
    earlier = output.model_copy(update={"sha256": sha256, "bytes": len(b"earlier")})
    jobs = (before.jobs[0].model_copy(update={"output": earlier}),)
    told = before.model_copy(update={"jobs": jobs}).model_dump_json().encode()
    if known is not None:
        (trip.out / manifest_key("a.jpg")).write_bytes(known if known == b"{" else told)

    target = ScriptedTarget([step(before) | {"a.jpg": b"pixels"}])
    drop = trip(target, "a.jpg")["a.jpg"]
    assert drop.is_as_asked == (known == b"")
    assert place.read_bytes() == (b"pixels" if known == b"" else b"earlier")
    if known != b"":
        assert f"{place}: is not replaced, as it is no result" in (drop.trouble or "")


def test_images_of_an_earlier_run_are_followed_without_dropping_them(trip: Trip) -> None:
    target = ScriptedTarget([step(manifest("a.jpg", DropState.FAILED, version_id="7"))])
    follow = RoundTrip(target, trip.out, trip.updates, lambda: target.now, target.pause).follow
    (drop,) = follow([("a.jpg", "7")])
    assert (drop.state, target.dropped) == (DropState.FAILED, [])


def test_a_silent_pipeline_is_given_up_after_a_quarter_hour(trip: Trip) -> None:
    target = ScriptedTarget([step(manifest("b.jpg", DropState.REJECTED))], step_seconds=MINUTE)
    drops = trip(target, "a.jpg", "b.jpg")
    assert (drops["a.jpg"].state, target.now) == (None, 16 * MINUTE)


def test_a_job_may_render_for_as_long_as_the_pipeline_lets_it(trip: Trip) -> None:
    script: list[Results] = [step(manifest("a.jpg", DropState.RENDERING)), *[{}] * 50]
    last = step(manifest("a.jpg", DropState.TIMED_OUT))
    target = ScriptedTarget([*script, last], step_seconds=MINUTE)
    assert trip(target, "a.jpg")["a.jpg"].state is DropState.TIMED_OUT


WHY = Reason(code="ServerFault", message="a page came", fix="It is looked at again.")
OTHER = Reason(code="ServerFault", message="another page came", fix="It is looked at again.")


def impatient(trip: Trip, target: ScriptedTarget, *keys: str) -> dict[str, FollowedDrop]:
    """Follow images with a patience of ten minutes."""
    one = RoundTrip(
        target, trip.out, trip.updates, lambda: target.now, target.pause, patience=10 * MINUTE
    )
    return {drop.key: drop for drop in one(Drops({}, {key: trip.write(key) for key in keys}))}


@pytest.mark.parametrize("state", [DropState.SUBMITTED, DropState.RENDERING])
def test_an_image_whose_vendor_says_nothing_is_given_up_when_patience_is_at_its_end(
    state: DropState, trip: Trip
) -> None:
    target = ScriptedTarget([step(manifest("a.jpg", state, reason=WHY))], step_seconds=MINUTE)
    drop = impatient(trip, target, "a.jpg")["a.jpg"]
    assert (drop.is_given_up, drop.is_as_asked, drop.is_settled) == (True, False, False)
    assert target.now == (1 + 10 + 1) * MINUTE
    assert len(trip.updates.seen) == 3  # dropped, stuck, given up


def test_patience_restarts_only_after_a_conclusive_answer(trip: Trip) -> None:
    stuck = step(manifest("a.jpg", DropState.RENDERING, reason=WHY))
    other = step(manifest("a.jpg", DropState.RENDERING, reason=OTHER))
    well = step(manifest("a.jpg", DropState.RENDERING))
    for said, minutes in (other, 1 + 10 + 1), (well, 7 + 10 + 1):
        target = ScriptedTarget([stuck, *[{}] * 4, said, stuck], step_seconds=MINUTE)
        assert impatient(trip, target, "a.jpg")["a.jpg"].is_given_up
        assert target.now == minutes * MINUTE


def test_a_job_that_only_takes_its_time_is_not_given_up(trip: Trip) -> None:
    script: list[Results] = [step(manifest("a.jpg", DropState.RENDERING)), *[{}] * 50]
    last = step(manifest("a.jpg", DELIVERED, output="a.png"), **{"a.png": b"a"})
    target = ScriptedTarget([*script, last], step_seconds=MINUTE)
    assert impatient(trip, target, "a.jpg")["a.jpg"].is_as_asked


def test_what_is_given_up_is_still_taken_while_others_are_waited_for(trip: Trip) -> None:
    begun = step(
        manifest("a.jpg", DropState.RENDERING, reason=WHY), manifest("b.jpg", DropState.RENDERING)
    )
    last = step(
        manifest("a.jpg", DELIVERED, output="a.png"), manifest("b.jpg", DropState.FAILED)
    ) | {"a.png": b"a"}
    target = ScriptedTarget([begun, *[{}] * 20, last], step_seconds=MINUTE)
    drops = impatient(trip, target, "a.jpg", "b.jpg")
    assert (drops["a.jpg"].is_as_asked, drops["a.jpg"].is_given_up) == (True, False)
    assert drops["b.jpg"].state is DropState.FAILED


def test_nobody_waits_for_a_slot_that_a_given_up_job_keeps(trip: Trip) -> None:
    begun = step(
        manifest("a.jpg", DropState.SUBMITTED, reason=WHY),
        manifest("b.jpg", DropState.RENDERING),
        manifest("c.jpg", DropState.WAITING, wait=WaitReason.SLOT),
    )
    b_done = step(manifest("b.jpg", DropState.FAILED))
    c_moves = step(manifest("c.jpg", DropState.RENDERING))
    c_done = step(manifest("c.jpg", DropState.FAILED))
    queue = ["a.jpg", "b.jpg", "c.jpg"]

    free = ScriptedTarget([begun, *[{}] * 14, b_done, {}, c_moves, c_done], step_seconds=MINUTE)
    drops = impatient(trip, free, *queue)
    assert [drop.state for drop in drops.values()][1:] == [DropState.FAILED] * 2

    a_still = step(manifest("a.jpg", DropState.SUBMITTED, reason=OTHER))
    kept = ScriptedTarget([begun, *[{}] * 14, b_done, {}, a_still], step_seconds=MINUTE)
    drops = impatient(trip, kept, *queue)
    assert drops["c.jpg"].state is DropState.WAITING
    assert kept.now == (16 + 10 + 1) * MINUTE


@pytest.mark.parametrize(
    "output", ["../../stolen.png", "/stolen.png", "a/../../stolen.png", ".dropscale/stolen.png"]
)
def test_a_result_is_not_written_where_its_key_leads_out(trip: Trip, output: str) -> None:
    target = ScriptedTarget([step(manifest("a.jpg", DELIVERED, output=output)) | {output: PIXELS}])

    drop = trip(target, "a.jpg")["a.jpg"]

    assert not drop.is_as_asked
    assert "is not written" in str(drop.trouble)
    assert not list(trip.out.parent.parent.rglob("stolen.png"))


@pytest.mark.parametrize("body", [b"{}", b" " * (MOST_MANIFEST_BYTES + 1), b"\xff", b"[" * 10**6])
def test_an_unreadable_manifest_is_trouble_of_that_image_only(trip: Trip, body: bytes) -> None:
    target = ScriptedTarget(
        [
            {manifest_key("a.jpg"): body},
            step(manifest("b.jpg", DELIVERED, output="b.png")) | {"b.png": PIXELS},
        ],
        step_seconds=MINUTE,
    )

    drops = trip(target, "a.jpg", "b.jpg")

    assert "not a readable manifest" in str(drops["a.jpg"].trouble)
    assert drops["b.jpg"].is_as_asked


def test_a_result_longer_than_announced_is_refused(trip: Trip) -> None:
    last = step(manifest("a.jpg", DELIVERED, output="a.png")) | {"a.png": PIXELS * 2}

    drop = trip(ScriptedTarget([last]), "a.jpg")["a.jpg"]

    assert "longer than its manifest says" in str(drop.trouble)
    assert not (trip.out / "a.png").exists()
