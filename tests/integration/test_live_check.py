"""`dropscale doctor --live` against the embedded API, well behaved and not."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest

from dropscale.magichour.polling import INTERVAL_VARIABLE
from dropscale_cli.errors import Declined
from dropscale_cli.stacks.live_check import PRICE, LiveCheck, check_live
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine, parse_fault_plan


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERVAL_VARIABLE, "0.05")


@contextmanager
def served(rules: str) -> Iterator[EmbeddedApi]:
    plan = parse_fault_plan(f"rules: [{rules}]".encode(), "plan")
    with EmbeddedApi(engine=StubEngine(seconds=0), faults=plan) as api:
        yield api


def checked(api: EmbeddedApi) -> LiveCheck:
    steps: list[str] = []
    check = check_live(api.token, api.base_url, lambda: None, steps.append)
    assert check.steps == steps
    return check


def test_an_api_as_documented_passes_and_is_paid_once() -> None:
    with served("") as api:
        check = checked(api)
        assert api.book.credits_spent == PRICE == 25
    assert check.is_well
    assert [step.partition(":")[0] for step in check.steps] == [
        "account",
        "upload",
        "create",
        "project",
        "result",
    ]


@pytest.mark.parametrize(
    ("fault", "difference"),
    [
        ("call: account, fault: {kind: altered, fields: {credits: many}}", "account: credits: "),
        ("call: account, fault: {kind: altered, fields: {seats: 3}}", "account: seats: Extra"),
        ("call: account, fault: {kind: altered, without: [email]}", "account: email: Field requ"),
        ("call: create, fault: {kind: altered, fields: {frame_cost: '25'}}", "frame_cost: "),
        ("call: project, fault: {kind: altered, fields: {enabled: 1}}", "projects/: enabled: "),
        ("call: project, fault: {kind: altered, fields: {type: VIDEO}}", "projects/: type: "),
        ("call: upload_urls, fault: {kind: altered, fields: {ttl: 9}}", "upload-urls: ttl: "),
    ],
)
def test_every_difference_from_the_contract_is_found(fault: str, difference: str) -> None:
    with served(f"{{{fault}}}") as api:
        check = checked(api)
    assert [found for found in check.differences if difference in found]
    assert len(check.differences) == 1
    assert not check.is_well


def test_a_lost_answer_is_never_repeated_and_names_what_to_look_for() -> None:
    with served("{call: create, fault: {kind: reset, moment: after}}") as api:
        check = checked(api)
        [created] = api.book.entries(EntryKind.CREATE)
    assert check.failure
    assert created.name in check.failure
    assert "may have been charged" in check.failure


def test_nothing_is_paid_without_consent_or_credits() -> None:
    def decline() -> None:
        raise Declined("no")

    with served("") as api, pytest.raises(click.ClickException):
        check_live(api.token, api.base_url, decline, lambda _step: None)
    assert api.book.credits_spent == 0
    with EmbeddedApi(engine=StubEngine(seconds=0), credits_granted=24) as poor:
        assert "Buy credits" in (checked(poor).failure or "")
        assert poor.book.credits_spent == 0


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        ("call: render, fault: {kind: outcome, status: error, code: x}", "ended as error"),
        ("call: download, fault: {kind: wrong_size}", "64 x 64 pixels"),
        ("call: account, fault: {kind: answer, status: 401}", "401"),
    ],
)
def test_a_step_that_fails_says_why(fault: str, failure: str) -> None:
    with served(f"{{{fault}}}") as api:
        assert failure in (checked(api).failure or "")
