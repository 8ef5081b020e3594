"""What an account has and allows, said before anything is paid."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dropscale.magichour import Account
from dropscale_cli.errors import Unconfirmed
from dropscale_cli.files.state_folder import StateFolder
from dropscale_cli.follow.places import OutputFolder
from dropscale_cli.follow.run import RunOptions, run
from dropscale_cli.specs.plan import tell_plan
from dropscale_cli.stacks.account import Demand, account_report, concerns
from dropscale_cli.stacks.doctor import account_finding
from dropscale_cli.stacks.local_stack import chosen_api
from tests.fakes import png
from tests.unit.magichour.scripted_server import Reply, ScriptedServer, json_reply

ACCOUNT = {"id": "a", "credits": 100, "tier": "creator", "subscription": None}
NO_4X = (
    "4x is requested, but tier free does not include it: such images are rejected, free. Ask for "
    "2x, or upgrade to Creator, Pro or Business."
)
TOO_DEAR = (
    "This costs up to 200 credits, but 100 are left: images beyond that wait. Ask for less, or "
    "buy credits."
)


def demand(price: int = 0, scale_factor: int = 2, slots: int = 3) -> Demand:
    return Demand(price, frozenset({scale_factor}), slots)


@pytest.fixture
def vendor() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.on("GET", "/v1/account", json_reply(ACCOUNT))
        yield server


def key_for(vendor: ScriptedServer) -> dict[str, str]:
    return {"MAGIC_HOUR_API_KEY": "key", "MAGIC_HOUR_BASE_URL": vendor.base_url}


@pytest.mark.parametrize(
    ("facts", "asked", "said"),
    [
        ({}, demand(100, 4), []),
        ({"tier": "free"}, demand(100), []),
        ({"tier": "free"}, demand(100, 4), [NO_4X]),
        ({"tier": "gold"}, demand(100, 4, slots=99), []),
        ({}, demand(200), [TOO_DEAR]),
        ({"tier": "free"}, demand(200, 4), [NO_4X, TOO_DEAR]),
        (
            {},
            demand(slots=4),
            [
                "Tier creator runs 3 jobs at once, but MaxConcurrentJobs is 4. Set "
                "MaxConcurrentJobs to 3."
            ],
        ),
        ({"tier": "pro"}, demand(slots=5), []),
        ({"tier": "business"}, demand(slots=500), []),
    ],
)
def test_what_an_account_will_not_meet_is_a_concern(
    facts: dict[str, Any], asked: Demand, said: list[str]
) -> None:
    account = Account.model_validate(ACCOUNT | facts)
    assert [str(concern) for concern in concerns(account, asked)] == said


def test_what_an_account_does_not_tell_is_no_concern() -> None:
    nothing: dict[str, Any] = {"credits": None, "tier": None}
    account = Account.model_construct(id="a", **nothing)
    assert list(concerns(account, demand(200, 4, slots=99))) == []


@pytest.mark.parametrize(
    ("facts", "detail", "fix"),
    [
        ({}, "tier creator, credits left: 100", None),
        ({"credits": None, "tier": None}, "tier not told, credits left: not told", None),
        (
            {"credits": 0},
            "tier creator, credits left: 0. No credits are left",
            "Buy credits, or wait for the next period.",
        ),
        (
            {"tier": "free"},
            f"tier free, credits left: 100. {NO_4X.partition('. ')[0]}",
            NO_4X.partition(". ")[2],
        ),
    ],
)
def test_the_doctor_says_what_an_account_does_not_have(
    facts: dict[str, Any], detail: str, fix: str | None
) -> None:
    found = account_finding(Account.model_validate(ACCOUNT | facts), demand(0, 4))
    assert (found.detail, found.fix) == (detail, fix)


@pytest.mark.parametrize(
    "answer",
    [
        json_reply({"message": "Unauthorized"}, 401),
        json_reply({"message": "\x1b[2J" * 500}, 503),
        Reply(200, b"<html>a page</html>", {"Content-Type": "text/html"}),
        Reply(403, b"<html>a page</html>", {"Content-Type": "text/html"}),
        json_reply([]),
    ],
)
def test_an_account_that_cannot_be_read_is_one_harmless_line(
    answer: Reply, vendor: ScriptedServer
) -> None:
    vendor.on("GET", "/v1/account", answer)
    (line,) = account_report(vendor.base_url, "key", demand()).lines()
    assert line.startswith("Warning: The account could not be read: ")
    assert line.endswith(". Tier and credits are not checked.")
    assert line.isprintable()
    assert len(line) < 500


@pytest.mark.parametrize(
    ("base_url", "key"), [("http://127.0.0.1:9", "key"), ("no url", "key"), ("https://x", "ké y")]
)
def test_nor_does_a_setting_that_cannot_be_used_stop_anything(base_url: str, key: str) -> None:
    (line,) = account_report(base_url, key, demand()).lines()
    assert line.startswith("Warning: The account could not be read: ")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.png").write_bytes(png())
    (folder / "cat.png.yaml").write_text("scale_factor: 4")
    return folder


def test_a_plan_says_it_and_ends_as_it_would_without(
    photos: Path, vendor: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor.on("GET", "/v1/account", json_reply(ACCOUNT | {"tier": "free"}))
    assert tell_plan(photos, photos / "out", key_for(vendor), as_json=False) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "Magic Hour: tier free, credits left: 100",
        f"Warning: {NO_4X}",
        f"Warning: {TOO_DEAR}",
    ]
    assert tell_plan(photos, photos / "out", key_for(vendor), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["account"] == {
        "tier": "free",
        "credits": 100,
        "warnings": [NO_4X, TOO_DEAR],
    }


def test_a_plan_without_a_key_asks_nobody(
    photos: Path, vendor: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"MAGIC_HOUR_BASE_URL": vendor.base_url}
    tell_plan(photos, photos / "out", told, as_json=True)
    assert json.loads(capsys.readouterr().out)["account"] is None
    assert vendor.received == []


@pytest.mark.parametrize(
    ("tier", "said"),
    [("free", [NO_4X, TOO_DEAR]), ("pro", [TOO_DEAR])],
)
def test_a_run_says_it_before_the_price_is_agreed_to(
    tier: str,
    said: list[str],
    photos: Path,
    tmp_path: Path,
    vendor: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    vendor.on("GET", "/v1/account", json_reply(ACCOUNT | {"tier": tier}))
    options = RunOptions(path=photos, out=tmp_path / "out", is_agreed=False, as_json=False)
    key = key_for(vendor)
    place = OutputFolder(StateFolder(options.out), key, chosen=chosen_api(key, None))
    with pytest.raises(Unconfirmed, match="up to 200 credits"):
        run(options, place)
    assert capsys.readouterr().out.splitlines() == [
        f"Magic Hour: tier {tier}, credits left: 100",
        *(f"Warning: {line}" for line in said),
    ]
    assert [(request.method, request.path) for request in vendor.received] == [
        ("GET", "/v1/account")
    ]
