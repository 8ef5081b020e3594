"""Names of outputs: each belongs to one drop before anything is paid for it."""

import pytest

from dropscale.ledger.states import DropState
from tests.fakes import png
from tests.world import World

NAMED = "output: {name: '{stem}_{scale}x{ext}'}"
A_NAME = "output: {{name: '{}{{ext}}'}}"


def reason(world: World, key: str) -> str:
    told = world.manifest(key)["reason"]
    return f"{told['code']}: {told['message']}" if told else ""


def names(world: World) -> dict[str, str]:
    return {claim.name: claim.key for claim in world.ledger.claims.values()}


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (NAMED, "photos/cats/tom_2x.png"),
        ("output: {name: '{folder}-{mode}{ext}'}", "photos/cats/cats-balanced.png"),
        ("{download_directory: web, output: {name: 'x{ext}'}}", "web/photos/cats/x.png"),
        ("{preset: [a, b], output: {name: '{preset}{ext}'}}", "photos/cats/a-b.png"),
        ("output: {format: jpeg, name: 'x{ext}'}", "photos/cats/x.jpg.png"),  # not converted
    ],
)
def test_an_output_has_its_name_in_the_folder_of_its_image(
    world: World, spec: str, key: str
) -> None:
    world.put("dropscale.yaml", "presets: {a: {}, b: {}}")
    world.put("photos/cats/tom.png.yaml", spec)
    world.drop("photos/cats/tom.png", png())
    world.finish_all()

    assert set(world.results.outputs) == {key}
    assert world.manifest("photos/cats/tom.png")["state"] == "delivered"


def test_a_hash_is_that_of_the_upscale(world: World) -> None:
    world.put("cat.png.yaml", "output: {name: '{stem}.{hash}{ext}'}")
    world.drop("cat.png", png())
    world.finish_all()

    assert set(world.results.outputs) == {f"cat.{world.only_job.fingerprint[:8]}.png"}


def test_of_two_images_with_one_output_name_the_second_is_rejected_free(world: World) -> None:
    world.put("dropscale.yaml", NAMED)
    world.drop("cat.jpg", png())
    world.drop("cat.png", png(9))

    assert world.row("cat.png").state is DropState.REJECTED
    assert reason(world, "cat.png") == (
        "OutputNameTaken: cat.png and cat.jpg would have the same output name, cat_2x "
        "(dropscale.yaml:1:16)"
    )
    world.finish_all()
    world.pass_hours(48)
    assert set(world.results.outputs) == {"cat_2x.png"}
    assert len(world.upscaler.creates) == 1
