"""What a stack would do if it looked again, and that it then does just that."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropscale.ledger.jobs import Parameters
from dropscale.pipeline.parts.ports import ObjectVersion
from dropscale_cli.files.drops import find_drops
from dropscale_cli.files.state_folder import KeptLedger, StateFolder
from dropscale_cli.follow.stack_plan import Page, PlannedChange, StackPlanner
from dropscale_cli.specs.bill import bill_for
from tests.fakes import png
from tests.originals import encoded, pixels
from tests.world import BUCKET, World

PAGE_LENGTH = 2


class Listing:
    """The objects of a world, in pages of two."""

    input_bucket = BUCKET

    def __init__(self, world: World) -> None:
        self.world = world

    def input_pages(self, prefix: str) -> Iterator[list[tuple[str, ObjectVersion]]]:
        keys = sorted(key for key in self.world.bucket.objects if key.startswith(prefix))
        for start in range(0, len(keys), PAGE_LENGTH):
            yield [(key, self._version(key)) for key in keys[start : start + PAGE_LENGTH]]

    def _version(self, key: str) -> ObjectVersion:
        version = self.world.bucket.head(BUCKET, key)
        assert version is not None
        return version


@pytest.fixture
def world() -> World:
    return World()


def planner(world: World) -> StackPlanner:
    world.clock.advance(minutes=1)
    specs = world.resolve_specs
    return StackPlanner(Listing(world), world.bucket, specs, world.ledger)


def planned(world: World, prefix: str = "") -> list[PlannedChange]:
    return [change for page in planner(world).pages(prefix) for change in page.changes]


def test_nothing_new_changes_nothing(world: World) -> None:
    world.put("a/dropscale.yaml", "scale_factor: 4")
    world.drop("a/cat.png", png())
    world.put("a/faulty.png.yaml", "scale_factor: 3")
    world.drop("a/faulty.png", png(shade=1))
    world.put("a/big.png.yaml", "skip_if: {min_width: 1}")
    world.drop("a/big.png", png(shade=2))
    world.put("package.json", '{"name": "x"}')
    world.put("a/notes.txt", "")

    assert planned(world) == []


def test_a_folder_spec_that_changed_shows_what_it_changes_and_costs(world: World) -> None:
    for key, shade in {"a/cat.png": 1, "a/dog.png": 2, "b/cow.png": 3}.items():
        world.drop(key, png(shade=shade))
    world.put("a/dropscale.yaml", "scale_factor: 4")
    world.put("a/dog.png.yaml", "max_credits: 100")

    cat, dog = planned(world)

    assert (cat.key, cat.now, cat.then) == ("a/cat.png", "submitted: 2x balanced", "4x balanced")
    assert (cat.credits, cat.refusal) == (200, None)
    assert (dog.key, dog.credits) == ("a/dog.png", 0)
    assert dog.then.startswith("rejected: a/dog.png costs 200 credits")


def test_another_batch_is_a_change_that_costs_nothing(world: World) -> None:
    world.put("a/dropscale.yaml", "batch: spring")
    for key, shade in {"a/cat.png": 1, "a/dog.png": 2}.items():
        world.drop(key, png(shade=shade))
    assert planned(world) == []

    world.put("a/dropscale.yaml", "batch: summer")
    cat, _ = planned(world)
    assert (cat.then, cat.credits) == ("2x balanced, in batch a/summer", 0)
    world.submit("a/cat.png")
    world.put("a/dropscale.yaml", "")
    told = [change.then for change in planned(world)]
    assert told == [f"2x balanced, no longer in batch a/{batch}" for batch in ("summer", "spring")]


@pytest.mark.parametrize(
    ("spec", "then"),
    [
        ("output: {quality: 60}", "2x balanced, written as a/cat.png@2x.*"),
        ("output: {format: jpeg}", "2x balanced, written as a/cat.png@2x.jpg"),
        ("output: {name: 'x{ext}', format: webp}", "2x balanced, written as a/x.webp"),
        ("download_directory: print", "2x balanced, written as print/a/cat.png@2x.*"),
        (
            "renditions: [{output: {format: png}}, {output: {format: jpeg}}]",
            "2 of 2x balanced, written as a/cat.png@2x.png, a/cat.png@2x.jpg",
        ),
        ("output: {format: jpeg}\nscale_factor: 4", "4x balanced"),
    ],
)
def test_a_change_of_files_alone_says_what_is_written(world: World, spec: str, then: str) -> None:
    world.drop("a/cat.png", png())
    world.put("a/dropscale.yaml", spec)
    (cat,) = planned(world)
    assert cat.then == then


def test_images_from_before_the_stack_are_planned_by_their_beginnings(world: World) -> None:
    world.put("old.png", png() + bytes(1_000_000))
    world.put("skipped.png", png(900, 900))
    world.put("skipped.png.yaml", "skip_if: {min_width: 900}")
    world.put("broken.png", b"\x89PNG\r\n\x1a\n")

    changes = {change.key: change for change in planned(world)}

    assert (changes["old.png"].now, changes["old.png"].then) == ("not known", "2x balanced")
    assert changes["old.png"].credits == 50
    assert changes["skipped.png"].then.startswith("skipped: ")
    assert changes["skipped.png"].refusal is None
    assert changes["broken.png"].refusal is not None
    assert world.bucket.reads == {}


def test_losses_are_reported_before_paying(world: World) -> None:
    moving = encoded(pixels(), "WEBP", save_all=True, append_images=[pixels().rotate(90)])
    world.put("a/moving.webp", moving)
    world.put("a/long.jpg", encoded(pixels(), "JPEG", comment="of it") + bytes(300_000))
    world.put("a/dropscale.yaml", "output: {format: webp}")
    cut_off = encoded(pixels(), "PNG", icc_profile=random.Random(1).randbytes(300_000))
    world.put("a/profile.png", cut_off)

    told = {change.key: [loss.code for loss in change.losses] for change in planned(world)}

    assert told["a/moving.webp"] == ["AnimationLost"]
    assert told["a/long.jpg"] == []
    assert told["a/profile.png"] == []  # its end was not read


def test_what_was_paid_before_is_free(world: World) -> None:
    world.drop("cat.png", png())
    world.drop("cat.png.yaml", "scale_factor: 4")
    world.put("cat.png.yaml", "scale_factor: 2")

    (change,) = planned(world)

    assert (change.then, change.credits) == ("2x balanced", 0)


def test_what_the_stack_then_does_is_what_was_planned(world: World) -> None:
    world.drop("a/cat.png", png())
    world.put("a/old.png", png(shade=9))
    world.put("a/dropscale.yaml", "style: {mode: preserve}")
    changes = planned(world, "a/")
    before = len(world.upscaler.creates)

    for change in changes:
        world.submit(change.key)

    assert [change.key for change in changes] == ["a/cat.png", "a/old.png"]
    paid = [parameters["mode"] for _, parameters, _ in world.upscaler.creates[before:]]
    assert paid == ["preserve", "preserve"]
    assert sum(change.credits for change in changes) == 2 * 25
    assert planned(world, "a/") == []


RULES = """\
presets:
  dear: {scale_factor: 4, style: {mode: creative}}
scale_factor: 2
style: {mode: preserve}
rules:
- {if: {orientation: portrait}, style: {mode: creative}}
- {if: {below_megapixels: 0.0001}, scale_factor: 4}
- {if: {alpha: true}, preset: dear}
- {if: {type: jpeg, min_bytes: 300000}, style: {mode: balanced}, scale_factor: 4}
- {if: {name: "*_free.*"}, skip_if: {min_width: 1}}
"""


def test_rules_and_presets_are_planned_as_they_are_then_paid(world: World, tmp_path: Path) -> None:
    """Also where the header stands behind the beginning of the file, and by local files."""
    profile = random.Random(1).randbytes(300_000)
    files: dict[str, bytes | str] = {
        "dropscale.yaml": RULES,
        "wide.png": png(20, 10),
        "high.png": png(10, 20),
        "tiny.png": png(8, 6),
        "clear.png": encoded(pixels().convert("RGBA"), "PNG"),
        "scan.jpg": encoded(pixels(), "JPEG", icc_profile=profile),
        "wide_free.png": png(20, 11),
        "own.png": png(10, 21),
        "own.png.yaml": "style: {mode: preserve}",
        "near/dropscale.yaml": "preset: dear\nstyle: {mode: balanced}",
        "near/high.png": png(10, 22),
        "job.yaml": "assets: {image_file_path: api-assets/id/1.png}",
    }
    for key, body in files.items():
        world.put(f"a/{key}", body)
        path = tmp_path / "a" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
    wanted = {
        "a/wide.png": "2x preserve",
        "a/high.png": "2x creative",
        "a/tiny.png": "4x preserve",
        "a/clear.png": "4x creative",
        "a/scan.jpg": "4x balanced",
        "a/own.png": "2x preserve",
        "a/near/high.png": "4x balanced",
        "a/job.yaml": "2x preserve",
    }
    nothing = KeptLedger.read(StateFolder(tmp_path / "out"))
    local = bill_for(find_drops(tmp_path, tmp_path / "out"), nothing.records)
    changes = {change.key: change for change in planned(world)}
    for change in changes.values():
        world.submit(change.key)
        world.finish_all()

    assert changes.pop("a/wide_free.png").then.startswith("skipped: ")
    assert {key: change.then for key, change in changes.items()} == wanted
    paid = [Parameters(**parameters) for _, parameters, _ in world.upscaler.creates]
    assert sorted(f"{one.scale_factor}x {one.mode}" for one in paid) == sorted(wanted.values())
    assert sum(one.credits for one in paid) == local.credits
    assert local.credits == sum(change.credits for change in changes.values())
    assert planned(world) == []


def test_output_names_that_clash_are_foreseen_also_with_what_was_accepted(world: World) -> None:
    files = "renditions: [{output: {format: png}}, {output: {format: jpeg}}]"
    world.put("a/dropscale.yaml", "output: {name: '{stem}{ext}'}\n" + files)
    for number, key in enumerate(("a/cat.jpg", "a/cat.png", "a/dog.png")):
        world.put(key, png(shade=number))
    world.drop("a/dog.jpg", png(shade=9))

    changes = {change.key: change for change in planned(world)}
    for key in changes:
        world.submit(key)
    world.finish_all()

    taken = {"a/cat.png": "a/cat.jpg", "a/dog.png": "a/dog.jpg"}
    for key, other in taken.items():
        told = changes.pop(key).then
        assert told.startswith(f"rejected: {key} and {other} would have the same output name")
        assert world.manifest(key)["reason"]["message"] in told
    assert [(one.then, one.credits) for one in changes.values()] == [("2 of 2x balanced", 50)]
    assert len(world.upscaler.creates) == 2
    assert planned(world) == []


def test_only_objects_under_the_prefix_are_looked_at_page_by_page(world: World) -> None:
    for number in range(5):
        world.put(f"a/{number}.png", png(shade=number))
    world.put("b/0.png", png())

    pages: list[Page] = list(planner(world).pages("a/"))

    assert [page.looked_at for page in pages] == [2, 2, 1]
