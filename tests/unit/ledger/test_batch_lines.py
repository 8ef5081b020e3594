"""What a batch's lines and their sums say about drops, and the steps of a batch's row."""

from datetime import UTC, datetime, timedelta

import pytest

from dropscale.ledger.batches import (
    Batch,
    BatchLine,
    LineJob,
    Settlement,
    Span,
    Totals,
    output_keys,
    short_reason,
)
from dropscale.ledger.drops import Output, Reason, Rendition, TimelineEntry
from dropscale.ledger.jobs import Parameters
from dropscale.ledger.states import DropState
from dropscale.upscaler import Mode

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def a_rendition(state: DropState, project: str | None = "p", charged: int | None = 0) -> Rendition:
    output = Output(key=state, type="png", width=1, height=1, bytes=1, sha256="5")
    return Rendition(
        fingerprint="f",
        parameters=Parameters(scale_factor=4, mode=Mode.BALANCED),
        state=state,
        project_id=project,
        credits_charged=charged,
        output=output if state in {DropState.DELIVERED, DropState.SUPERSEDED} else None,
    )


@pytest.mark.parametrize(
    ("rendition", "charged", "refunded"),
    [
        (a_rendition(DropState.FAILED), 0, 200),
        (a_rendition(DropState.CANCELED), 0, 200),
        (a_rendition(DropState.FAILED, charged=200), 200, 0),
        (a_rendition(DropState.FAILED, charged=None), 0, 0),
        (a_rendition(DropState.FAILED, project=None), 0, 0),
        (a_rendition(DropState.DELIVERED), 0, 0),
    ],
)
def test_credits_are_given_back_by_a_project_without_result_that_costs_nothing(
    rendition: Rendition, charged: int, refunded: int
) -> None:
    job = LineJob.of(rendition, rendition.parameters.credits)
    assert (job.credits, job.refunded) == (charged, refunded)


def test_only_outputs_that_are_still_wanted_are_listed() -> None:
    states = (DropState.SUPERSEDED, DropState.DELIVERED, DropState.REJECTED)
    assert output_keys(map(a_rendition, states)) == ("delivered",)


def test_a_reason_is_cut_to_a_lines_size() -> None:
    cut = short_reason(Reason(code="C", message="m" * 2000, fix="f" * 2000))
    assert cut is not None
    assert len(cut.message.encode()) == len(cut.fix.encode()) == 1000


@pytest.mark.parametrize(
    ("states", "minutes"),
    [
        ("", None),
        ("rejected", 0),
        ("waiting submitted delivered", 2),
        ("waiting delivered waiting submitted failed", 2),
        ("waiting submitted timed_out delivered", 3),
        ("delivered waiting", 0),
    ],
)
def test_a_drop_took_the_time_since_it_was_last_wanted_anew(
    states: str, minutes: int | None
) -> None:
    timeline = [
        TimelineEntry(state=DropState(state), at=NOW + number * MINUTE)
        for number, state in enumerate(states.split())
    ]
    span = Span.of(timeline)
    assert (span and span.seconds) == (None if minutes is None else minutes * 60.0)


def a_line(
    state: DropState = DropState.DELIVERED, span: Span | None = None, *jobs: LineJob
) -> BatchLine:
    return BatchLine(drop_id="d", key="k", state=state, span=span, jobs=jobs)


def test_each_state_counts_in_one_sum() -> None:
    totals = Totals().with_lines([a_line(state) for state in DropState])
    sums = totals.delivered, totals.skipped, totals.failed, totals.pending
    assert sums == (3, 2, 3, 4)
    assert sum(sums) == totals.images == len(DropState)
    assert totals.span is None


def test_a_shared_job_counts_once_with_the_most_that_is_known_of_it() -> None:
    known = LineJob(fingerprint="f", credits=50)
    blank = LineJob(fingerprint="f", credits=0)
    back, less = (LineJob(fingerprint="g", credits=0, refunded=back) for back in (25, 0))
    for jobs in ((known, blank, back, less), (blank, known, less, back)):
        totals = Totals().with_lines([a_line(DropState.DELIVERED, None, job) for job in jobs])
        assert (totals.credits, totals.refunded) == (50, 25)


def test_the_parts_of_a_report_are_summed_up() -> None:
    first, second = (
        Span(began=NOW + number * MINUTE, ended=NOW + (number + 5) * MINUTE) for number in (1, 2)
    )
    prepared = Settlement(id="1", quiet_since=NOW)
    prepared = prepared.with_part([a_line(span=second), a_line()]).with_part([a_line(span=first)])
    assert (prepared.parts, prepared.cursor, prepared.totals.images) == (2, "d", 3)
    assert prepared.totals.span is not None
    assert prepared.totals.span.seconds == 360


def test_a_batch_that_is_awake_is_not_written_again_and_a_quiet_one_begins_again() -> None:
    awake = Batch.first("b", "spring").wake(NOW)
    assert awake.wake(NOW + MINUTE) is awake
    quiet = awake.become_quiet(NOW, NOW + MINUTE)
    again = quiet.wake(NOW + MINUTE)
    assert (again.next, again.due, again.seq) == (None, NOW + MINUTE, 3)
    waiting, resting = quiet.wait(NOW + 2 * MINUTE), quiet.rest()
    assert (waiting.next, waiting.due, waiting.is_awake) == (None, NOW + 2 * MINUTE, True)
    assert (resting.next, resting.due, resting.is_awake) == (None, None, False)
    other = again.become_quiet(NOW, NOW + MINUTE)
    assert quiet.next is not None
    assert other.next is not None
    assert quiet.next.id != other.next.id


def test_a_batch_that_was_woken_before_its_event_was_sent_stays_due() -> None:
    batch = Batch.first("b", "spring").wake(NOW).become_quiet(NOW, NOW)
    assert batch.next is not None
    settled = batch.settle(batch.next, NOW)
    assert settled.unannounced is not None
    assert settled.note_announced().due is None
    woken = settled.wake(NOW + MINUTE).note_announced()
    assert (woken.due, woken.unannounced) == (NOW + MINUTE, None)
