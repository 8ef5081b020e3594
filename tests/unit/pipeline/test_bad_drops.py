"""Bad input gets a clear manifest, costs nothing and disturbs no other drop."""

import pytest
from PIL import Image

from dropscale.ledger.states import DropState
from tests import originals
from tests.fakes import png
from tests.world import World


@pytest.mark.parametrize(
    ("key", "body", "code", "words"),
    [
        ("cat.png", b"", "EmptyImage", "empty"),
        ("cat.psd", b"", "EmptyImage", "empty"),
        ("cat.png", b"<html>not an image</html>", "NotAnImage", "not an image"),
        ("cat.png", png()[:20], "DamagedImage", "damaged"),
        ("cat.png", png(4097, 1), "ImageTooLarge", "4097 x 1 pixels"),
        ("cat.gif", b"GIF89a....", "UnsupportedImage", "cat.gif is a GIF file"),
        ("cat.jpg", b"GIF89a....", "UnsupportedImage", "cat.jpg is a GIF file"),
        ("cat.NEF", b"II*\0\xff\xff\xff\0", "UnsupportedImage", "camera raw file (NEF)"),
        ("cat.gif", png(), "UnsupportedImage", "is png by its content"),
    ],
)
def test_a_bad_image_is_rejected_before_anything_is_sent(
    world: World, key: str, body: bytes, code: str, words: str
) -> None:
    world.drop(key, body)

    manifest = world.manifest(key)
    assert (manifest["state"], manifest["reason"]["code"]) == ("rejected", code)
    assert words in manifest["reason"]["message"]
    assert manifest["reason"]["fix"]
    assert code != "UnsupportedImage" or "rop" not in manifest["reason"]["fix"]
    assert (world.upscaler.uploads, world.upscaler.creates) == ([], [])


def test_an_image_that_is_too_large_has_its_sizes_in_the_manifest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("cat.png", body := png(4097, 1))
    source = world.manifest("cat.png")["source"]
    assert (source["width"], source["height"], source["bytes"]) == (4097, 1, len(body))
    assert source["type"] == "png"

    monkeypatch.setattr("dropscale.pipeline.parts.source_image.MAX_IMAGE_BYTES", 10)
    world.drop("dog.png", png())
    manifest = world.manifest("dog.png")
    assert manifest["reason"]["code"] == "ImageTooLarge"
    assert manifest["source"]["bytes"] == len(png())


def test_what_is_large_enough_is_skipped_even_if_it_is_too_large(world: World) -> None:
    world.put("cat.png.yaml", "skip_if: {min_width: 3000}")
    world.drop("cat.png", png(4097, 1))

    assert world.manifest("cat.png")["state"] == "skipped"


@pytest.mark.parametrize(("limit", "state"), [(40, "skipped"), (41, "submitted")])
def test_skip_if_means_the_picture_as_it_is_seen(world: World, limit: int, state: str) -> None:
    exif = Image.Exif()
    exif[originals.ORIENTATION] = 6
    world.put("dropscale.yaml", f"skip_if: {{min_height: {limit}}}")
    world.drop("cat.png", originals.encoded(Image.new("RGB", (40, 20)), "PNG", exif=exif))

    manifest = world.manifest("cat.png")
    assert (manifest["source"]["width"], manifest["source"]["height"]) == (20, 40)
    assert manifest["state"] == state


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("cat.png.yaml", "scale_factor: 3", "cat.png.yaml:1:15: scale_factor: 3 is not a"),
        ("cat.png.json", '{"style": {"mode": "best"}}', "style.mode"),
        ("cat.png.yml", "x" * 70_000, "larger than a spec can be, 65,536"),
    ],
)
def test_a_bad_sidecar_is_rejected_by_file_and_field(
    world: World, name: str, text: str, words: str
) -> None:
    world.put(name, text)
    world.drop("cat.png", png())

    manifest = world.manifest("cat.png")
    assert manifest["state"] == "rejected"
    assert name in manifest["reason"]["message"]
    assert words in manifest["reason"]["message"]
    assert world.upscaler.creates == []


def test_a_corrected_sidecar_puts_it_right(world: World) -> None:
    world.put("cat.png.yaml", "scale_factor: 3")
    world.drop("cat.png", png())
    world.drop("cat.png.yaml", "scale_factor: 4")

    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]) == ("submitted", None)
    assert manifest["timeline"][0]["state"] == "rejected"


def test_a_sidecar_without_its_image_starts_nothing(world: World) -> None:
    world.drop("cat.png.yaml", "scale_factor: 4")

    assert world.ledger.drops == {}


def test_a_drop_that_submit_gives_up_is_described(world: World) -> None:
    world.submit_object.give_up("input", "cat.png.yaml", OSError("no luck"))

    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("failed", "OSError")
    assert "no luck" in manifest["reason"]["message"]
    world.drop("cat.png", png())
    assert world.row("cat.png").state is DropState.SUBMITTED


def test_what_the_ledger_knows_of_is_not_given_up(world: World) -> None:
    world.drop("cat.png", png())

    world.submit_object.give_up("input", "cat.png", OSError("no luck"))

    assert world.row("cat.png").state is DropState.SUBMITTED
