"""The sequence of a run in any place: plan, agree, bind, bring, report."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never

import pytest

from dropscale_cli.errors import Unconfirmed
from dropscale_cli.files.drops import Drops
from dropscale_cli.files.state_folder import StateFolder
from dropscale_cli.follow.places import failure_lines
from dropscale_cli.follow.run import RunOptions, run
from dropscale_cli.tracking.round_trip import FollowedDrop, RoundTrip
from tests.fakes import png


@dataclass
class PricedRun:
    """A run that costs 25 credits, and that nobody has agreed to."""

    price: int = 25

    def warnings(self) -> Iterable[str]:
        return ["Warning: the budget is short."]

    def bring(self, trip: RoundTrip, say: Callable[[str], None]) -> None:
        raise AssertionError("nothing was agreed to")

    def paid_before(self, followed: Sequence[FollowedDrop]) -> frozenset[str]:
        return frozenset()


@dataclass
class PricedPlace:
    """A place whose credits are real ones; what needs its stack to run is not allowed."""

    charged_at: str | None = "https://vendor.test"
    name: str = "stack dear"
    input_prefix: str = ""
    sidecar_suffixes: Sequence[str] | None = None
    planned: list[Drops] = field(default_factory=list)

    def plan_run(self, drops: Drops) -> PricedRun:
        self.planned.append(drops)
        return PricedRun()

    @contextmanager
    def session(self, *_: object, **__: object) -> Iterator[Never]:
        raise AssertionError("nothing was agreed to")
        yield

    def __getattr__(self, name: str) -> Never:
        raise AssertionError(name)


@pytest.mark.parametrize("is_watching", [False, True])
def test_a_price_that_is_not_agreed_to_leaves_the_folder_free_for_any_place(
    is_watching: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "cat.png").write_bytes(png())
    place = PricedPlace()
    options = RunOptions(
        path=photos, out=out, is_agreed=False, as_json=False, is_watching=is_watching
    )

    with pytest.raises(Unconfirmed, match=r"Images: 1\. They cost up to 25") as raised:
        run(options, place)

    assert ("Each image added later is also charged" in raised.value.message) is is_watching
    assert capsys.readouterr().out == "Warning: the budget is short.\n"
    assert StateFolder(out).api_name() is None
    assert [*place.planned[0].images] == ["cat.png"]


def test_a_failed_image_is_reported_with_the_last_reason_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "stack.log"
    raised = {"key": "a.png", "exception_name": "KeyError", "exception": "Trace\nKeyError: 'x'"}
    log.write_text("\n".join(["no JSON", json.dumps({"key": "a.png"}), json.dumps(raised), "{}"]))
    event = {"detail": {"bucket": {"name": "in"}, "object": {"key": "a.png"}}}

    told = list(failure_lines(json.dumps(event), log))

    assert told[0] == "a.png: the stack failed: KeyError: 'x'"
    assert str(log) in told[1]
    assert "does not say why" in next(failure_lines(json.dumps(event), tmp_path / "none"))
