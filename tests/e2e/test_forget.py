"""`dropscale forget` deletes the vendor's copy; a later image of the same bytes still gets one."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Finish
from tests.fakes import png

Environment = dict[str, str]


@pytest.mark.parametrize("where", ["here", "stack"])
def test_a_forgotten_result_is_deleted_and_still_delivered_again(
    where: str, stack: Environment, finish: Finish, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "forgotten.png").write_bytes(png(shade=77))
    on_stack: list[str | Path] = ["--stack", "dropscale"] if where == "stack" else []
    run: list[str | Path] = [
        "run",
        photos,
        "--out",
        out,
        "--format",
        "json",
        *(on_stack or ["--engine", "stub"]),
    ]
    forget: list[str | Path] = ["forget", "forgotten.png", *(on_stack or ["--out", out])]
    variables = stack if on_stack else {}

    assert finish(*run, **variables).returncode == 0
    unconfirmed = finish(*forget, **variables)
    deleted = finish(*forget, "--yes", "--format", "json", **variables)
    again = finish(*forget, "--yes", "--format", "json", **variables)
    (photos / "twin.png").write_bytes(png(shade=77))
    came = json.loads(finish(*run, **variables).stdout)

    assert unconfirmed.returncode == 2
    assert "To agree, add --yes." in unconfirmed.stderr
    assert [len(json.loads(one.stdout)["deleted"]) for one in (deleted, again)] == [1, 0]
    assert came["credits"] == 0
    for drop in came["drops"]:
        assert drop["manifest"]["state"] == "delivered"
        assert "Forgotten" in [one["code"] for one in drop["manifest"]["warnings"]]
    assert len(list(out.glob("*@2x.png"))) == 2
