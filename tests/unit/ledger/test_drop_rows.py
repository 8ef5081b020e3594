"""The renditions in a drop's row, and their size limits."""

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.drops import Download, Drop, Output, Reason, Rendition
from dropscale.ledger.states import AT_VENDOR_STATES, DropState, WaitReason, precedence
from dropscale.specs.model import MAX_RENDITIONS
from tests.rows import BALANCED, LATER, NOW, a_drop, rendition, spec

OUTPUT = Output(key="a@2x.png", type="png", width=2, height=2, bytes=9, sha256="5")


def test_a_manifest_goes_over_one_that_was_told_before_by_time_then_by_step() -> None:
    drop = a_drop(rendition("r"))
    (early, late), blank = (
        [
            [drop.model_copy(update={"since": at, "seq": seq}) for seq in (8, 9)]
            for at in (NOW, LATER)
        ],
        drop.model_copy(update={"since": None}),
    )
    assert [one.may_replace(early[1].rank) for one in (*early, *late)] == [False, False, True, True]
    assert [one.may_replace(late[0].rank) for one in (*early, *late)] == [False, False, False, True]
    assert blank.rank == blank.seq

    waiting = late[1].model_copy(update={"wait": WaitReason.LEDGER})
    ranks = (0, early[0].rank, late[0].rank)
    assert [waiting.may_replace(rank) for rank in ranks] == [True, False, True]


def test_a_row_is_of_the_time_of_its_first_step() -> None:
    first = a_drop(rendition("r"))
    assert first.since == NOW
    assert first.set_state(DropState.CANCELED, LATER).since == NOW


def test_a_rendition_that_is_wanted_once_more_begins_anew_and_keeps_its_last_output() -> None:
    delivered = Rendition(
        fingerprint="f",
        parameters=BALANCED,
        state=DropState.DELIVERED,
        reason=Reason(code="c", message="m", fix="f"),
        output=OUTPUT,
        downloads=(Download(url="u"),),
        warnings=("w",),
    )

    again = delivered.want_again(is_collected=True)
    assert again.model_dump(exclude_defaults=True) == {
        "id": "f",
        "fingerprint": "f",
        "parameters": BALANCED.model_dump(exclude_defaults=True),
        "wait": WaitReason.SLOT,
        "is_collected": True,
        "generation": 1,
        "earlier_output": OUTPUT.model_dump(exclude_defaults=True),
    }
    assert again.move(DropState.FAILED).want_again().earlier_output == OUTPUT


_FIXES = st.sampled_from([None, "Do this.", "Do that.", "n" * 9000])
_WAITS = st.sampled_from([WaitReason.SLOT, WaitReason.BUDGET])


@given(
    st.lists(
        st.tuples(st.sampled_from(DropState), st.sampled_from("cd"), _FIXES, _WAITS), min_size=1
    ),
    st.booleans(),
)
@example([(DropState.WAITING, "c", fix, WaitReason.SLOT) for fix in ("Do this.", None)], True)
@example(
    [(state, "c", f"{state}.", WaitReason.SLOT) for state in (DropState.UNKNOWN, DropState.FAILED)],
    True,
)
@example(
    [
        (DropState.WAITING, "c", None, WaitReason.SLOT),
        (DropState.FAILED, "d", "Do.", WaitReason.SLOT),
    ],
    True,
)
def test_the_fix_of_a_drop_names_what_each_rendition_without_a_result_needs(
    facts: list[tuple[DropState, str, str | None, WaitReason]], waits: bool
) -> None:
    renditions = [
        rendition(
            str(number),
            state,
            reason=fix and Reason(code=code, message="m.", fix=fix).shortened(3000),
            wait=wait,
        )
        for number, (state, code, fix, wait) in enumerate(facts[:MAX_RENDITIONS])
    ]

    drop = Drop(id="d", source=a_drop(*renditions).source).evaluate(
        {one.id: one for one in renditions}, NOW, spec=spec(wait_for_completion=waits)
    )

    ranked = sorted(renditions, key=lambda one: precedence(one.state))
    pending = {(DropState.WAITING, WaitReason.SLOT)}
    if waits:
        pending |= set(product(AT_VENDOR_STATES, WaitReason))
    if pending.isdisjoint((one.state, one.wait) for one in ranked):
        reasons = [one.reason for one in ranked if one.state is not DropState.SUPERSEDED]
    else:  # The pipeline itself still changes it.
        reasons = [one.reason for one in ranked if one.state is ranked[0].state]
        reasons = reasons if reasons[0] else []
    texts: dict[str, str] = {}
    given = [reason for reason in reasons if reason]
    for one in given:
        label = "" if one.code == given[0].code else "The 2x balanced rendition: m. "
        texts.setdefault(one.fix, f"{label}{one.fix}")
    fix = " ".join(texts.values())
    assert drop.reason == (given[0].model_copy(update={"fix": fix}) if given else None)


def test_what_a_rendition_is_told_fits_into_its_drops_row() -> None:
    long = Reason(code="c", message="m" * 9000, fix="f" * 9000)
    url = Download(url="https://vendor.example/" + 1000 * "u", expires_at=1000 * "9")
    wordy = CodedWarning(WarningCode.OTHER, 1000 * "w")
    waiting = Rendition(fingerprint="f", parameters=BALANCED, state=DropState.SUBMITTED)

    ended = waiting.move(
        DropState.COMPLETE, reason=long, warnings=(wordy,) * 20, downloads=(url,) * 20
    )

    assert len(ended.model_dump_json()) < 20_000
    assert 0 < len(ended.downloads) < 20
    assert ended.warnings[-1] == CodedWarning(WarningCode.MORE, "… and 13 more")
    short = (Download(url="u"), Download(url="v", expires_at="soon"))
    assert waiting.move(DropState.COMPLETE, downloads=short).downloads == short


def test_what_is_no_row_is_no_rendition() -> None:
    with pytest.raises(ValidationError):
        Rendition.model_validate("a text")


def test_a_drop_tells_the_reason_of_the_rendition_that_needs_most_attention() -> None:
    failed = rendition("b", DropState.FAILED, reason=Reason(code="c", message="m", fix="f"))
    drop = a_drop(rendition("a", DropState.DELIVERED), failed)

    assert (drop.state, drop.reason) == (DropState.FAILED, failed.reason)


def test_the_timeline_has_each_state_once_in_a_row_and_the_latest_fifty() -> None:
    drop = a_drop(rendition("a")).evaluate({"a": rendition("a")}, LATER)
    assert [(entry.state, entry.at) for entry in drop.timeline] == [(DropState.SUBMITTED, NOW)]

    for _ in range(60):
        drop = drop.set_state(DropState.FAILED, NOW).set_state(DropState.WAITING, LATER)
    assert len(drop.timeline) == 50
    assert drop.timeline[-1].state is DropState.WAITING


def test_an_execution_follows_what_is_wanted_of_a_drop_that_waits_for_it() -> None:
    waits = a_drop(rendition("a"))
    assert not waits.watches(rendition("a")), "it has no spec"
    waits = waits.set_state(DropState.SUBMITTED, NOW, spec=spec())
    leaves = waits.set_state(DropState.SUBMITTED, NOW, spec=spec(wait_for_completion=False))

    assert waits.watches(rendition("a"))
    assert not waits.watches(rendition("a", DropState.DELIVERED))
    assert not leaves.watches(rendition("a"))
    assert leaves.watches(rendition("a", is_collected=True))


def test_only_a_state_that_its_renditions_tell_is_an_evaluated_one() -> None:
    drop = a_drop(rendition("a"))

    assert drop.is_evaluated
    assert not drop.set_state(DropState.REJECTED, NOW).is_evaluated
    assert not drop.set_state(DropState.WAITING, NOW, renditions={}).is_evaluated


def test_of_many_superseded_renditions_those_that_nobody_has_seen_the_result_of_stay() -> None:
    seen = [
        rendition(f"s{n}", DropState.SUPERSEDED, project_id="p", output=OUTPUT) for n in range(999)
    ]
    unpaid = [rendition(f"n{n}", DropState.SUPERSEDED) for n in range(999)]
    lost = Reason(code="CreateOutcomeUnknown", message="m", fix="f")
    paid = [
        rendition("p", DropState.SUPERSEDED, project_id="p"),
        rendition("u", DropState.SUPERSEDED, reason=lost),
    ]
    drop = a_drop(*unpaid, *seen, *paid, rendition("a"))

    assert {"p", "u", "a"} < set(drop.renditions)
    assert len(drop.model_dump_json()) < 60_000


def test_what_specs_say_in_vain_is_told_as_far_as_it_fits() -> None:
    wordy = CodedWarning(WarningCode.SPEC, "w" * 5000)
    drop = a_drop(rendition("a")).set_state(DropState.WAITING, NOW, warnings=(wordy,) * 100)

    assert len(drop.warnings) == 16
    assert len(drop.model_dump_json()) < 20_000


@pytest.mark.parametrize("end", ["delivered", "complete", "failed", "canceled", "timed_out"])
@pytest.mark.parametrize("state", ["submitted", "rendering", "timed_out"])
def test_a_rendition_at_the_vendor_takes_whatever_its_execution_reports(
    state: str, end: str
) -> None:
    at_vendor = rendition("a", DropState(state), project_id="p")

    assert at_vendor.report(DropState(end), project_id="p", generation=0).state == end


@pytest.mark.parametrize("state", DropState)
def test_whatever_a_rendition_has_come_to_it_can_be_superseded(state: DropState) -> None:
    assert rendition("a", state).move(DropState.SUPERSEDED).state is DropState.SUPERSEDED


@pytest.mark.parametrize("state", sorted(set(DropState) - {DropState.RENDERING, DropState.SKIPPED}))
def test_a_rendition_can_be_wanted_again_but_while_it_renders_or_where_nothing_was_to_be_done(
    state: DropState,
) -> None:
    assert rendition("a", state).want_again().state is DropState.WAITING


@pytest.mark.parametrize(
    ("state", "project_id", "is_at_vendor"),
    [
        (DropState.WAITING, None, False),
        (DropState.WAITING, "p", True),
        (DropState.UNKNOWN, None, True),
    ],
)
def test_a_drop_is_at_the_vendor_from_its_first_create_on(
    state: DropState, project_id: str | None, is_at_vendor: bool
) -> None:
    assert a_drop(rendition("a", state, project_id=project_id)).is_at_vendor is is_at_vendor
