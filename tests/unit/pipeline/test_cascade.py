"""The specs of folders, and in which order the files of a drop may come."""

from itertools import permutations
from typing import Any

import pytest

from dropscale.ledger.states import DropState
from dropscale.ledger.store import Names, SaveDrop
from tests.fakes import png
from tests.originals import encoded, pixels, with_alpha
from tests.world import FOLDER_SPEC_SECONDS, World

IMAGE, SIDECAR, FOLDER, ROOT = (
    "a/b/cat.png",
    "a/b/cat.png.yaml",
    "a/dropscale.yaml",
    "dropscale.yaml",
)


def spec_of(world: World, key: str) -> dict[str, Any]:
    found: dict[str, Any] = world.manifest(key)["spec"]
    return found


def test_the_nearest_spec_wins_field_by_field_and_its_place_is_kept(world: World) -> None:
    world.put(ROOT, "scale_factor: 4\nstyle: {mode: preserve, prompt: crisp}\nmax_credits: 300")
    world.put(FOLDER, "style:\n  enhancement: Creative\nname: A")
    world.put(SIDECAR, "name: Cat\nmax_credits: null")
    world.drop(IMAGE, png())

    spec = spec_of(world, IMAGE)
    assert (spec["scale_factor"], spec["mode"], spec["prompt"]) == (4, "creative", "crisp")
    assert (spec["name"], spec["max_credits"]) == ("Cat", None)
    assert spec["provenance"] == {
        "scale_factor": "dropscale.yaml:1:15",
        "mode": "a/dropscale.yaml:2:16",
        "prompt": "dropscale.yaml:2:33",
        "max_credits": "a/b/cat.png.yaml:2:14",
        "name": "a/b/cat.png.yaml:1:7",
    }


def test_how_an_output_is_written_is_merged_field_by_field(world: World) -> None:
    world.put(ROOT, "output: {format: webp, quality: 80}")
    world.put(SIDECAR, "output: {quality: null}\nrenditions: [{output: {metadata: strip}}]")
    world.drop(IMAGE, png())

    spec = spec_of(world, IMAGE)
    (rendition,) = spec["renditions"]
    written = {"name": None, "format": "webp", "quality": None, "metadata": "keep"}
    assert spec["output"] == written
    assert rendition["output"] == written | {"metadata": "strip"}
    assert rendition["provenance"]["output.format"] == "dropscale.yaml:1:18"


def test_the_folders_beside_an_image_say_nothing_about_it(world: World) -> None:
    world.put("a/c/dropscale.yaml", "scale_factor: 4")
    world.put("a/b/deeper/dropscale.yaml", "scale_factor: 4")
    world.drop(IMAGE, png())

    assert spec_of(world, IMAGE)["scale_factor"] == 2


def test_a_faulty_folder_spec_rejects_all_below_it_for_free(world: World) -> None:
    world.put(FOLDER, "scale_factor: 3")
    world.put(SIDECAR, "colour: red")
    world.drop(IMAGE, png())
    world.drop("cat.png", png())

    reason = world.manifest(IMAGE)["reason"]
    places = [line.partition(": ")[0] for line in reason["message"].splitlines()]
    assert (reason["code"], places) == ("SpecInvalid", [f"{FOLDER}:1:15", f"{SIDECAR}:1:1"])
    assert world.row("cat.png").state is DropState.SUBMITTED
    assert len(world.upscaler.creates) == 1


def test_a_folder_specs_own_event_starts_nothing(world: World) -> None:
    world.drop(IMAGE, png())
    before = world.row(IMAGE)

    world.drop(FOLDER, "scale_factor: 4")

    assert world.row(IMAGE) == before


def test_folders_are_read_once_for_many_images_and_again_when_time_has_passed(
    world: World,
) -> None:
    for number in range(20):
        world.drop(f"a/b/{number}.png", png(shade=number))
    # Of each folder the three beginnings of its specs' names; of each image a HEAD, a list of the
    # names of its specs, and a GET. Once it was a HEAD, three GETs, and a GET.
    assert world.bucket.requests == 3 * 3 + 20 * 3
    assert world.bucket.spec_reads == []

    world.put("a/b/dropscale.yaml", "scale_factor: 4")
    world.clock.advance(seconds=FOLDER_SPEC_SECONDS)
    world.drop("a/b/late.png", png(shade=99))

    assert spec_of(world, "a/b/late.png")["scale_factor"] == 4


@pytest.mark.parametrize("order", list(permutations([IMAGE, SIDECAR, FOLDER])))
def test_within_the_settle_time_every_order_gives_the_same_manifest(
    order: tuple[str, ...],
) -> None:
    bodies: dict[str, bytes | str] = {
        IMAGE: png(),
        SIDECAR: "style: {mode: preserve}",
        FOLDER: "scale_factor: 4",
    }
    world = World()
    for key in order:
        world.put(key, bodies[key])
    for key in order:
        world.submit(key)
    world.finish_all()

    manifest = world.manifest(IMAGE)
    del manifest["timeline"]
    assert manifest == expected_manifest()
    assert len(world.upscaler.creates) == 1


def expected_manifest() -> dict[str, Any]:
    world = World()
    world.put(FOLDER, "scale_factor: 4")
    world.put(SIDECAR, "style: {mode: preserve}")
    world.drop(IMAGE, png())
    world.finish_all()
    manifest = world.manifest(IMAGE)
    del manifest["timeline"]
    return manifest


def test_what_comes_in_the_settle_time_is_seen_although_folders_are_kept(world: World) -> None:
    world.drop("a/b/first.png", png(shade=1))
    world.put(IMAGE, png())
    world.put(FOLDER, "scale_factor: 4")
    world.clock.advance(seconds=FOLDER_SPEC_SECONDS)

    world.submit(IMAGE)

    assert spec_of(world, IMAGE)["scale_factor"] == 4


def test_a_deleted_sidecar_counts_when_the_image_is_looked_at_again(world: World) -> None:
    world.put("cat.png.yaml", "style: {mode: preserve}")
    world.drop("cat.png", png())
    del world.bucket.objects["cat.png.yaml"]
    assert world.row("cat.png").state is DropState.SUBMITTED

    world.submit("cat.png")

    modes = {r.parameters.mode: r.state for r in world.row("cat.png").renditions.values()}
    assert modes == {"preserve": DropState.SUPERSEDED, "balanced": DropState.SUBMITTED}


def test_two_sidecars_are_named(world: World) -> None:
    world.put("cat.png.yaml", "scale_factor: 2")
    world.put("cat.png.json", "{}")
    world.drop("cat.png", png())

    reason = world.manifest("cat.png")["reason"]
    assert reason["code"] == "SidecarAmbiguous"
    assert "cat.png.json and cat.png.yaml" in reason["message"]


def test_a_foreign_file_that_is_named_like_a_sidecar_can_be_left_alone_by_its_suffix() -> None:
    world = World(suffixes=[".yaml"])
    world.put("cat.png.json", '{"photoTakenTime": 1}')
    world.drop("cat.png", png())

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_what_is_no_longer_wanted_and_not_paid_is_not_paid(world: World) -> None:
    world.set_slots(0)
    world.drop("cat.png", png())
    world.drop("cat.png.yaml", "max_credits: 10")
    assert world.manifest("cat.png")["state"] == "rejected"
    world.set_slots(1)
    world.sweep(minutes=10)

    assert world.upscaler.creates == []


@pytest.mark.parametrize("sidecars", [0, 1])
def test_an_image_takes_at_most_one_request_more_than_three_reads_for_its_sidecar_took(
    world: World, monkeypatch: pytest.MonkeyPatch, sidecars: int
) -> None:
    """Before names were listed, an image took a HEAD, three GETs for sidecars, and its own GET."""
    notes: list[str] = []
    note_name = world.ledger.note_name

    def count(name_id: str, names: Names) -> Names:
        notes.append(name_id)
        return note_name(name_id, names)

    monkeypatch.setattr(world.ledger, "note_name", count)
    folders, images = 3, 20
    for number in range(images):
        if sidecars:
            world.put(f"a/b/{number}.png.yaml", "scale_factor: 4")
        world.drop(f"a/b/{number}.png", png(shade=number))

    before = images * (1 + 3 + 1) + folders
    assert len(notes) == images
    # All in all it is less for images without a sidecar: a list takes the place of three GETs.
    assert world.bucket.requests + len(notes) <= before + images
    assert world.bucket.requests == images * (3 + sidecars) + 3 * folders


def test_an_image_that_was_read_before_rules_went_by_alpha_is_read_again(world: World) -> None:
    world.drop(IMAGE, encoded(with_alpha(pixels()), "PNG"))
    known = world.row(IMAGE)
    source = known.source.model_copy(update={"alpha": None})
    world.ledger.write(SaveDrop(known.model_copy(update={"source": source, "seq": known.seq + 1})))
    reads = dict(world.bucket.reads)
    world.submit(IMAGE)
    assert world.bucket.reads == reads
    world.put(FOLDER, "rules: [{if: {alpha: true}, scale_factor: 4}]")
    world.clock.advance(seconds=FOLDER_SPEC_SECONDS)

    world.submit(IMAGE)

    assert world.row(IMAGE).source == known.source
    assert spec_of(world, IMAGE)["scale_factor"] == 4
