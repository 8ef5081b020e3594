"""What a run shows, on a terminal and elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import pairwise

import pytest

from dropscale.ledger.drops import Reason
from dropscale.ledger.states import DropState, WaitReason
from dropscale_cli.files.drops import IgnoredFiles
from dropscale_cli.follow.summary import Summary
from dropscale_cli.terminal import Terminal
from dropscale_cli.tracking.progress import (
    LineProgress,
    TableProgress,
    progress_in_words,
    progress_on,
    state_in_words,
)
from dropscale_cli.tracking.round_trip import FollowedDrop
from tests.unit.cli.samples import manifest

REASON = Reason(code="SpecInvalid", message="b.jpg.yaml: is bad", fix="Correct it.")


def followed(
    key: str, state: DropState | None = None, wait: WaitReason | None = None, **facts: str
) -> FollowedDrop:
    return FollowedDrop(
        key,
        version_id="1",
        dropped_at=0,
        seconds=3.21,
        manifest=None if state is None else manifest(key, state, wait=wait, output=f"{key}@2x.png"),
        **facts,  # type: ignore[arg-type] # only texts are given
    )


def summary(*drops: FollowedDrop, is_charged: bool = False, ignored: Iterable[str] = ()) -> Summary:
    return Summary(drops, "out/", is_charged, IgnoredFiles(dict.fromkeys(ignored)))


@dataclass
class Seconds:
    """A clock that is moved by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def lines(console: Terminal) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("wait", WaitReason)
def test_every_wait_is_explained(wait: WaitReason) -> None:
    assert state_in_words(followed("a.jpg", DropState.WAITING, wait)).startswith("waiting ")


def test_a_pipe_gets_one_line_per_change_of_state() -> None:
    console = Terminal(file=StringIO(), width=20)
    with progress_on(console) as reporter:
        for state in (None, DropState.RENDERING, DropState.RENDERING, DropState.DELIVERED):
            reporter.update(followed("photos/[b]a long name.jpg", state))
    assert lines(console) == [
        "photos/[b]a long name.jpg: dropped",
        "photos/[b]a long name.jpg: rendering",
        "photos/[b]a long name.jpg: delivered after 3.2 s",
    ]


def ticked(progress: LineProgress, clock: Seconds, seconds: float) -> None:
    for _ in range(round(seconds / 0.3)):
        clock.now += 0.3
        progress.tick()


def test_a_pipe_shows_the_start_of_the_stack_within_a_second_and_every_two() -> None:
    console, clock = Terminal(file=StringIO()), Seconds()
    ticked(LineProgress(console, "Starting the stack", clock), clock, 12)
    seconds = [int(line.split()[-2]) for line in lines(console)]
    assert lines(console)[0] == "Starting the stack, 1 s"
    assert all(later - earlier <= 2 for earlier, later in pairwise([0, *seconds, 12]))


def test_a_pipe_shows_how_many_are_done_ever_less_often() -> None:
    console, clock = Terminal(file=StringIO()), Seconds()
    progress = LineProgress(console, clock=clock)
    progress.update(followed("a.jpg", DropState.DELIVERED))
    progress.update(followed("b.jpg", DropState.RENDERING))
    ticked(progress, clock, 3600)
    told = lines(console)[2:]
    assert told[0] == "1 of 2 done, 2 s"
    assert len(told) < 60


def test_a_pipe_shows_nothing_when_nothing_moves() -> None:
    console, clock = Terminal(file=StringIO()), Seconds()
    progress = LineProgress(console, clock=clock)
    ticked(progress, clock, 10)
    progress.update(followed("a.jpg", DropState.DELIVERED))
    ticked(progress, clock, 10)
    assert len(lines(console)) == 1


def test_a_terminal_gets_a_table_that_goes_away() -> None:
    console = Terminal(file=StringIO(), force_terminal=True, width=60, height=20)
    with progress_on(console) as reporter:
        reporter.update(followed("a.jpg", DropState.DELIVERED))
    shown = "\n".join(lines(console))
    assert "a.jpg" in shown
    assert shown.endswith("\x1b[2K")


def table_text(drops: Sequence[FollowedDrop], height: int) -> str:
    console = Terminal(file=StringIO(), width=60, height=height)
    table = TableProgress(console)
    for drop in drops:
        table.update(drop)
    console.show(table.table())
    return "\n".join(lines(console))


def test_the_table_shows_what_moves_where_there_is_no_room_for_all() -> None:
    drops = [followed(f"{n}.jpg", DropState.DELIVERED) for n in range(9)]
    drops += [followed("unheard.jpg"), followed("moving.jpg", DropState.RENDERING)]
    text = table_text(drops, height=6)
    assert "moving.jpg" in text
    assert "unheard.jpg" in text
    assert "0.jpg" not in text
    assert "9 of 11" in text
    assert "0.jpg" in table_text(drops, height=20)


def test_the_summary_tells_what_came_out_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    long = f"été 2026/{'x' * 150}.jpg"
    summary(followed(long, DropState.DELIVERED), ignored="abcde").print_text()
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["Image", "Size", "Mode", "Credits", "Seconds", "Result"]
    assert printed[2].split("  ")[0] == long
    assert "8x6 → 16x12" in printed[2]
    assert printed[2].split()[-5:-2] == ["balanced", "50", "3.2"]
    assert printed[2].rstrip().endswith(f"out/{long}@2x.png")
    assert printed[-1].startswith("1 of 1 done, 50 credits (not charged: embedded API)")
    assert printed[-1].endswith("; other files ignored: a, b, c and 2 more")


def test_the_summary_tells_what_did_not_come_out_why_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rejected = FollowedDrop(
        "b.jpg", "1", 0, manifest=manifest("b.jpg", DropState.REJECTED, reason=REASON)
    )
    summary(
        followed("a.jpg", DropState.DELIVERED, trouble="out/a.png: Is a directory"),
        rejected,
        followed("c.jpg"),
        followed("d.jpg", DropState.WAITING, WaitReason.ACCOUNT),
        is_charged=True,
    ).print_text()
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[-4:] == ["balanced", "50", "3.2", "delivered"]
    assert printed[3:] == [
        "",
        "a.jpg: not in the folder",
        "  out/a.png: Is a directory",
        "",
        "b.jpg: rejected",
        "  b.jpg.yaml: is bad",
        "  Correct it.",
        "",
        "c.jpg: dropped",
        "  The stack reported nothing about it. Run again with --log FILE, and read the log.",
        "",
        "d.jpg: waiting for the account: is the API key right, are credits left?",
        "",
        "0 of 4 done, 50 credits (charged)",
    ]


HOSTILE = Reason(code="X", message="\x1b[2J" + "no\n" * 500, fix="wait\x07\nor \x1b]0;do")


@pytest.mark.parametrize(
    ("state", "wait", "words"),
    [
        (DropState.RENDERING, None, "rendering"),
        (DropState.SUBMITTED, None, "submitted"),
        (DropState.WAITING, WaitReason.ACCOUNT, "waiting for the account"),
        (DropState.WAITING, WaitReason.BUDGET, "waiting for the budget"),
    ],
)
def test_what_holds_an_image_up_is_shown_bounded_and_harmless(
    state: DropState, wait: WaitReason | None, words: str
) -> None:
    drop = FollowedDrop(
        "a.jpg", "1", 0, manifest=manifest("a.jpg", state, wait=wait, reason=REASON)
    )
    assert progress_in_words(drop) == f"{words}: b.jpg.yaml: is bad"

    hostile = manifest("a.jpg", state, wait=wait, reason=HOSTILE)
    shown = progress_in_words(FollowedDrop("a.jpg", "1", 0, manifest=hostile))
    assert shown.startswith(f"{words}: \\x1b[2Jno no no ")
    assert shown.endswith("…")
    assert shown.isprintable()
    assert len(shown) < 400


def test_an_end_is_not_held_up_by_anything() -> None:
    failed = manifest("a.jpg", DropState.FAILED, reason=REASON)
    assert progress_in_words(FollowedDrop("a.jpg", "1", 0, manifest=failed)) == "failed"


def test_the_summary_obeys_nothing_that_a_reason_or_warning_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = manifest("a.jpg", DropState.FAILED, reason=HOSTILE, warnings=("\x1b[2J",))
    summary(FollowedDrop("a.jpg", "1", 0, manifest=hostile)).print_text()
    printed = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in printed)
    assert printed[-4:-2] == ["  wait\\x07", "  or \\x1b]0;do"]


def test_a_given_up_image_comes_with_the_command_that_continues(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stuck = manifest("a.jpg", DropState.RENDERING, reason=REASON)
    given_up = FollowedDrop("a.jpg", "1", 0, manifest=stuck, is_given_up=True)
    one = Summary([given_up], "out/", is_charged=False, resume="dropscale run photos --out out")
    one.print_text()
    assert capsys.readouterr().out.splitlines()[3:7] == [
        "",
        "a.jpg: rendering, no longer waited for",
        "  b.jpg.yaml: is bad",
        "  Correct it.",
    ]
    one.print_text()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Nothing is lost. To continue later: dropscale run photos --out out"
    told = one.as_json()
    assert (told["resume"], told["drops"][0]["given_up"]) == (one.resume, True)

    done = Summary([followed("a.jpg", DropState.DELIVERED)], "out/", False, resume="x")
    assert done.as_json()["resume"] is None


def test_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    odd = manifest("a.jpg", DropState.DELIVERED, output="a.png", warnings=("a.png is odd",))
    summary(FollowedDrop("a.jpg", "1", 0, manifest=odd)).print_text()
    assert "Warning: a.jpg: a.png is odd [Spec]\n" in capsys.readouterr().out


def test_a_job_that_two_images_share_is_counted_once() -> None:
    drops = [followed("a.jpg", DropState.DELIVERED), followed("b.jpg", DropState.DELIVERED)]
    assert summary(*drops).credits == 50


def test_json_carries_the_manifests() -> None:
    drop = followed("été.jpg", DropState.DELIVERED)
    outcome = summary(drop, followed("b.jpg"), ignored=["a.txt"]).as_json()
    assert (outcome["as_asked"], outcome["charged"]) == (False, False)
    assert (outcome["credits"], outcome["ignored"]) == (50, 1)
    assert outcome["ignored_files"] == [{"key": "a.txt", "reason": None}]
    told, silent = outcome["drops"]
    assert (told["key"], told["as_asked"], told["seconds"]) == ("été.jpg", True, 3.21)
    assert told["manifest"]["jobs"][0]["output"]["key"] == "été.jpg@2x.png"
    assert (silent["as_asked"], silent["manifest"]) == (False, None)


def credits_in(rows: Sequence[str]) -> int:
    """Return the sum of the column of credits, which ends where its head does."""
    end = rows[0].index("Credits") + len("Credits")
    return sum(int(row[:end].split()[-1]) for row in rows[1:])


def test_the_column_of_credits_sums_to_the_total_in_text_and_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def job_of(key: str, state: DropState, fingerprint: str) -> FollowedDrop:
        drop = followed(key, state)
        assert drop.manifest is not None
        (job,) = drop.manifest.jobs
        jobs = (job.model_copy(update={"fingerprint": fingerprint, "state": state}),)
        return replace(drop, manifest=drop.manifest.model_copy(update={"jobs": jobs}))

    drops = [
        job_of("a.jpg", DropState.DELIVERED, "one"),
        job_of("b.jpg", DropState.DELIVERED, "one"),
        job_of("c.jpg", DropState.DELIVERED, "before"),
        job_of("d.jpg", DropState.FAILED, "two"),
    ]
    one = Summary(drops, "out/", is_charged=True, paid_before=frozenset({"before"}))
    one.print_text()
    printed = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in printed[2:6]] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert credits_in(printed[1:6]) == one.credits == 100
    assert "shared with a.jpg" in printed[3]
    assert "paid before" in printed[4]
    told = one.as_json()
    assert told["credits"] == sum(
        charge["credits"] for drop in told["drops"] for charge in drop["charges"]
    )
