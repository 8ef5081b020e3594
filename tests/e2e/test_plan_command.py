"""`dropscale plan` says, to the credit, what `dropscale run` then charges."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Finish
from tests.fakes import png

FILES: dict[str, bytes | str] = {
    "plain.png": png(shade=1),
    "again.png": png(shade=1),
    "fresh.png": png(shade=1),
    "fresh.png.yaml": "revision: 2",
    "dear.png": png(shade=2),
    "dear.png.yaml": "{scale_factor: 4, max_credits: 199}",
    "faulty.png": png(shade=3),
    "faulty.png.yaml": "scale_factor: 3",
    "rivals.png": png(shade=4),
    "rivals.png.yaml": "scale_factor: 4",
    "rivals.png.json": "{}",
    "text.jpg": "no image",
    "wide.png": png(4097, 1),
    "short.yaml": "scale_factor: 4",  # names no image, and so holds the one that it may mean
    "short.png": png(shade=5),
    "package.json": '{"name": "x"}',
    "pairs/dropscale.yaml": """
style: {prompt: crisp}
skip_if: {min_width: 500}
renditions: [{style: {mode: preserve}}, {style: {mode: creative}}]
""",
    "pairs/cat.png": png(shade=6),
    "pairs/double.png": png(shade=6),
    "pairs/large.png": png(500, 2, shade=7),
    "pairs/one/dropscale.yaml": "renditions: []\nscale_factor: 4\n",
    "pairs/one/dog.png": png(shade=8),
    "pairs/one/dog.png.json": '{"style": {"enhancement": "Resemblance"}}',
    "pairs/one/prompted.png": png(shade=6),
    "pairs/one/prompted.png.yaml": "renditions: [{scale_factor: 2, style: {mode: creative}}]",
    "named/dropscale.yaml": """
preset: web
presets: {web: {output: {name: "{stem}-{preset}{ext}"}}}
renditions: [{output: {format: png}}, {output: {format: jpeg}}, {output: {name: "{hash}{ext}"}}]
""",
    "named/cat.png": png(shade=20),
    "named/dog/cat.png": png(shade=22),
    "broken/dropscale.yaml": "scale_facter: 4",
    "broken/cow.png": png(shade=9),
    "ruled/dropscale.yaml": """
presets: {web: {output: {format: jpeg}}, best: {scale_factor: 4, style: {mode: preserve}}}
preset: web
rules: [{if: {below_width: 9}, preset: best}]
""",
    "ruled/small.png": png(shade=10),
    "ruled/wide.png": png(16, 6, shade=11),
    "ruled/deep/small.png": png(shade=12),
}
PRICES = {
    "again.png": 50,
    "fresh.png": 50,
    "pairs/cat.png": 25 + 50,
    "pairs/one/dog.png": 100,
    "ruled/small.png": 100,
    "ruled/wide.png": 50,
    "ruled/deep/small.png": 100,
    "named/cat.png": 50,
    "named/dog/cat.png": 50,
}
"""What each image adds; all others add nothing."""


@dataclass
class Folder:
    """Images and specs, an output folder, and the commands on both."""

    photos: Path
    out: Path
    finish: Finish

    def plan(self, code: int) -> dict[str, Any]:
        return self._told("plan", code)

    def run(self, code: int) -> dict[str, Any]:
        return self._told("run", code, "--engine", "stub")

    def _told(self, command: str, code: int, *options: str) -> dict[str, Any]:
        ended = self.finish(command, self.photos, "--out", self.out, "--format", "json", *options)
        assert ended.returncode == code, ended.stderr
        told: dict[str, Any] = json.loads(ended.stdout)
        return told


@pytest.fixture
def folder(tmp_path: Path, finish: Finish) -> Folder:
    photos = tmp_path / "photos"
    for name, content in FILES.items():
        path = photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Folder(photos, tmp_path / "out", finish)


def test_a_run_charges_what_was_planned_and_the_next_one_what_is_new(folder: Folder) -> None:
    planned = folder.plan(code=1)
    came = folder.run(code=1)
    assert came["credits"] == planned["credits"] == sum(PRICES.values())
    assert came["ignored"] == planned["ignored"] == 1
    states = {drop["key"]: drop["manifest"]["state"] for drop in came["drops"]}
    expected = {"planned": "delivered", "skipped": "skipped", "rejected": "rejected"}
    assert states == {drop["key"]: expected[drop["state"]] for drop in planned["drops"]}
    assert set(states.values()) == set(expected.values())
    for drop in planned["drops"]:
        price = sum(rendition["credits"] for rendition in drop["renditions"])
        assert (drop["key"], price) == (drop["key"], PRICES.get(drop["key"], 0))

    files = next(drop["files"] for drop in came["drops"] if drop["key"] == "named/cat.png")
    assert [Path(file).name for file in files[:2]] == ["cat-web.png", "cat-web.jpg"]
    assert all(Path(file).is_file() for file in files)
    totals = {kind: {one.pop("name"): one for one in of} for kind, of in planned["totals"].items()}
    assert sum(one["credits"] for one in totals.pop("folders").values()) == planned["credits"]
    web, rule = {"images": 3, "credits": 250}, {"images": 2, "credits": 200}
    assert totals["presets"].pop("named/dropscale.yaml (presets.web)") == {
        "images": 2, "upscales": 2, "credits": 100
    }  # fmt: skip
    assert totals == {
        "presets": {
            "ruled/dropscale.yaml (presets.web)": {**web, "upscales": 3},
            "ruled/dropscale.yaml (presets.best)": {**rule, "upscales": 2},
        },
        "rules": {"ruled/dropscale.yaml (rules[0])": {**rule, "upscales": 2}},
    }

    assert (again := folder.plan(code=1))["credits"] == 0
    assert again["credits_before"] == planned["credits"]

    (folder.photos / "pairs/cat.png.yaml").write_text("{scale_factor: 4, renditions: []}")
    (folder.photos / "broken/dropscale.yaml").write_text("style: {mode: preserve}")
    (folder.photos / "faulty.png").unlink()
    removed = folder.out / "plain.png@2x.png"
    content = removed.read_bytes()
    removed.unlink()
    planned = folder.plan(code=1)
    came = folder.run(code=1)
    assert removed.read_bytes() == content
    assert came["credits"] == planned["credits"] == 200 + 25
    assert came["credits_before"] == planned["credits_before"]
