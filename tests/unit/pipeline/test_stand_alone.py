"""Specs that are drops themselves, because they name an image stored elsewhere."""

import pytest

from dropscale.ledger.states import DropState
from dropscale.pipeline.submit import SubmitOutcome
from tests.fakes import png
from tests.world import World

URL = "https://cdn.example.com/shoe.jpg"


def spec(path: str, more: str = "") -> str:
    return f"assets: {{image_file_path: '{path}'}}\n{more}"


def test_an_image_elsewhere_is_upscaled_by_its_path(world: World) -> None:
    world.put("dropscale.yaml", "scale_factor: 4")
    world.drop("jobs/shoe.yaml", spec(f"{URL}?signature=secret", "name: Shoe"))
    world.finish_all()

    ((path, parameters, name),) = world.upscaler.creates
    assert path == f"{URL}?signature=secret"
    assert parameters["scale_factor"] == 4
    assert name.startswith("Shoe [")
    assert set(world.results.outputs) == {"jobs/shoe.yaml@4x.png"}
    manifest = world.manifest("jobs/shoe.yaml")
    assert manifest["state"] == "delivered"
    told = "No metadata of the original is restored: it is stored elsewhere"
    assert manifest["warnings"] == [{"code": "OriginalUnread", "message": told}]
    assert (manifest["source"]["key"], manifest["source"]["image_path"]) == ("jobs/shoe.yaml", URL)
    assert world.upscaler.uploads == []


def test_no_signature_comes_into_the_manifest(world: World) -> None:
    world.drop("good.yaml", spec(f"{URL}?signature=secret"))
    world.drop("bad.yaml", spec("https://user:secret@cdn.example.com/shoe.jpg"))
    world.drop("worse.yaml", spec(f"{URL}.exe?signature=secret"))

    assert (
        world.manifest("bad.yaml")["state"] == world.manifest("worse.yaml")["state"] == "rejected"
    )
    assert not any(b"secret" in body for _, body in world.results.manifests.values())


def test_the_same_image_under_another_signature_is_paid_once(world: World) -> None:
    world.drop("a.yaml", spec(f"{URL}?signature=1"))
    world.drop("b.json", f'{{"assets": {{"image_file_path": "{URL}?signature=2"}}}}')

    assert len(world.upscaler.creates) == 1
    assert world.row("b.json").state is DropState.SUBMITTED


def test_two_images_of_the_library_are_two_jobs(world: World) -> None:
    library = "https://magichour.ai/my-library?imageId="
    for name in ("a", "b"):
        world.drop(f"{name}.yaml", spec(f"{library}{name}"))
    world.drop("c.yaml", spec("api-assets/id/1234.png"))

    paths = [path for path, _, _ in world.upscaler.creates]
    assert paths == [f"{library}a", f"{library}b", "api-assets/id/1234.png"]


def test_without_waiting_or_downloads_it_ends_as_an_image_does(world: World) -> None:
    world.drop("a.yaml", spec(URL, "wait_for_completion: false"))
    world.drop("b.yaml", spec(URL, "download_outputs: false"))
    world.finish_all()

    assert world.manifest("a.yaml")["state"] == "submitted"
    assert world.manifest("b.yaml")["state"] == "complete"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("package.json", '{"name": "x", "version": "1.0.0"}'),
        ("notes.yaml", "- just\n- a list"),
        ("broken.json", "{"),
        ("big.json", '{"style": "' + "x" * 70_000 + '"}'),
        ("schema.json", '{"properties": {"scale_factor": {"enum": [2, 4]}}}'),
    ],
)
def test_the_files_of_other_tools_are_left_alone(world: World, key: str, text: str) -> None:
    assert world.drop(key, text).outcome is SubmitOutcome.IGNORED
    assert world.ledger.drops == {}
    assert world.results.manifests == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scale_factor: 4", "is missing; give an https URL"),
        ("assets: {image_file_path: cat.jpg}", "'cat.jpg' is not stored elsewhere"),
        (spec("http://cdn.example.com/a.jpg"), "allowed is https://"),
    ],
)
def test_a_spec_that_cannot_be_used_says_why(world: World, text: str, words: str) -> None:
    world.drop("job.yaml", text)

    manifest = world.manifest("job.yaml")
    assert manifest["state"] == "rejected"
    assert words in manifest["reason"]["message"]
    assert world.upscaler.creates == []


@pytest.mark.parametrize("text", ["scale_factor: 4", "name: Cat"])
def test_a_spec_that_is_named_like_an_image_is_told_its_right_name(world: World, text: str) -> None:
    world.drop("a/cat.JPG", png())
    world.drop("a/cat.yaml", text)

    message = world.manifest("a/cat.yaml")["reason"]["message"]
    assert "the spec of a/cat.JPG must have its full name: a/cat.JPG.yaml" in message


def test_a_deleted_spec_that_was_read_goes_on(world: World) -> None:
    world.set_slots(0)
    world.drop("job.yaml", spec(URL))
    del world.bucket.objects["job.yaml"]

    world.submit("job.yaml")

    assert world.row("job.yaml").state is DropState.WAITING
    assert world.submit("never-read.yaml").outcome is SubmitOutcome.IGNORED
