"""Names of outputs: each belongs to one drop before anything is paid for it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dropscale.ledger.states import DropState
from dropscale.ledger.store import LedgerConflict
from dropscale.pipeline.parts.claim_names import releases_of
from dropscale.results.announcement import announcement_of
from dropscale.results.output_key import claimed_name, name_claimed_for
from tests.fakes import png
from tests.originals import encoded, pixels
from tests.world import World

NAMED = "output: {name: '{stem}_{scale}x{ext}'}"
FILES = "renditions: [{output: {format: png}}, {output: {format: jpeg, name: '{stem}-web{ext}'}}]"


def reason(world: World, key: str) -> str:
    told = world.manifest(key)["reason"]
    return f"{told['code']}: {told['message']}" if told else ""


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


def test_a_name_that_is_not_paid_for_is_free_for_others_once_it_is_given_up(world: World) -> None:
    world.set_slots(0)
    world.put("cat.jpg.yaml", "output: {name: 'a{ext}'}")
    world.put("cat.png.yaml", "output: {name: 'A{ext}'}")
    world.drop("cat.jpg", png())
    world.drop("cat.png", png(9))
    assert reason(world, "cat.png").startswith("OutputNameTaken: cat.png and cat.jpg would have")

    world.drop("cat.jpg.yaml", "output: {name: 'b{ext}'}")
    world.submit("cat.png")
    assert world.row("cat.png").state is DropState.WAITING
    world.drop("cat.jpg.yaml", "output: {name: 'a{ext}'}")
    assert world.row("cat.jpg").state is DropState.REJECTED

    world.drop("cat.png.yaml", "scale_factor: 3")
    world.submit("cat.jpg")
    world.set_slots(3)
    world.sweep(minutes=2)
    world.finish_all()
    assert set(world.results.outputs) == {"a.png"}
    assert world.row("cat.jpg").state is DropState.DELIVERED


def test_a_name_outlives_its_spec_for_as_long_as_there_is_an_output(world: World) -> None:
    for template in ("a", "b", "c"):
        world.drop("cat.jpg.yaml", f"output: {{name: '{template}{{ext}}'}}")
        world.drop("cat.jpg", png())
        world.finish_all()
    world.set_slots(0)  # Another upscale of that name is wanted for a while, and not paid.
    world.drop("cat.jpg.yaml", "{scale_factor: 4, output: {name: 'a{ext}'}}")
    world.drop("cat.jpg.yaml", "output: {name: 'c{ext}'}")
    world.set_slots(3)
    world.drop("dog.jpg.yaml", "output: {name: 'a{ext}'}")
    world.drop("dog.jpg", png(9))

    assert set(world.results.outputs) == {"a.png", "b.png", "c.png"}
    assert reason(world, "dog.jpg").startswith("OutputNameTaken: dog.jpg and cat.jpg would have")
    assert len(world.upscaler.creates) == 1


@pytest.mark.parametrize("fact", ["project_id", "output", "earlier_output"])
def test_a_name_is_not_released_while_there_may_be_an_output_of_it(world: World, fact: str) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    before = world.row("cat.png")
    (rendition,) = before.renditions.values()
    facts = dict.fromkeys(("project_id", "output", "earlier_output"))
    facts |= {fact: rendition.project_id if fact == "project_id" else rendition.output}
    known = rendition.model_copy(update=facts)
    after = before.model_copy(update={"renditions": {}})
    before = before.model_copy(update={"renditions": {rendition.id: known}})

    assert releases_of(before, after) == []
    unpaid = known.model_copy(update={fact: None})
    before = before.model_copy(update={"renditions": {rendition.id: unpaid}})
    assert [one.claim.name for one in releases_of(before, after)] == ["cat.png@2x"]


def test_the_default_name_in_another_folder_is_claimed_too(world: World) -> None:
    world.put("cat.png.yaml", "download_directory: print")
    world.drop("cat.png", png())
    world.drop("print/cat.png", png(9))

    assert "print/cat.png and cat.png" in reason(world, "print/cat.png")


def test_of_several_names_the_one_that_is_taken_is_told(world: World) -> None:
    world.put("dropscale.yaml", f"preset: []\n{FILES}")
    world.drop("cat.jpg", png())
    world.drop("cat.png", png(9))
    assert reason(world, "cat.png").endswith("name, cat-web (dropscale.yaml:2:69)")

    world.ledger.name_claim = lambda name: None  # type: ignore[method-assign] # released meanwhile
    with pytest.raises(LedgerConflict):
        world.submit("cat.png")


def test_files_of_one_upscale_are_paid_once_and_each_is_delivered(world: World) -> None:
    world.put("cat.png.yaml", f"max_credits: 50\n{FILES}")
    world.pixels.converted = encoded(pixels((16, 12)), "JPEG")
    world.drop("cat.png", png())
    first, second = world.running()
    world.upscaler.finish(credits_charged=50)
    world.deliver(world.check(second))
    manifest = world.manifest("cat.png")
    assert (manifest["state"], [job["credits_charged"] for job in manifest["jobs"]]) == (
        "submitted",
        [50, None],
    )
    world.deliver(world.check(first))

    assert set(world.results.outputs) == {"cat.png@2x.png", "cat-web.jpg"}
    manifest = world.manifest("cat.png")
    assert [job["credits_charged"] for job in manifest["jobs"]] == [50, None]
    assert [job["written"]["name"] for job in manifest["jobs"]] == [None, "cat-web"]
    assert len(world.upscaler.creates) == 1
    assert world.ledger.credits_spent("month#2026-11") == 50
    assert announcement_of(world.row("cat.png"), "out").credits_charged == 50


def test_a_file_more_of_an_upscale_that_is_delivered_is_free(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    world.drop("cat.png.yaml", FILES)
    world.finish_all()

    assert set(world.results.outputs) == {"cat.png@2x.png", "cat-web.jpg.png"}
    assert len(world.upscaler.creates) == 1
    assert world.row("cat.png").state is DropState.DELIVERED


def test_of_several_files_only_the_one_that_is_missing_is_tried_again(world: World) -> None:
    names = [f"{{output: {{name: '{name}{{ext}}'}}}}" for name in "abc"]
    world.put("cat.png.yaml", f"renditions: [{', '.join(names)}]")
    world.drop("cat.png", png())
    world.finish_all()
    world.drop("cat.png.yaml", f"renditions: [{', '.join(names[:2])}]")
    del world.results.outputs["b.png"], world.results.outputs["c.png"]
    begun = len(world.executions.started)
    world.retry("cat.png")
    world.finish_all()

    assert len(world.executions.started) == begun + 1
    assert set(world.results.outputs) == {"a.png", "b.png"}
    states = [job["state"] for job in world.manifest("cat.png")["jobs"]]
    assert sorted(states) == ["delivered", "delivered", "superseded"]


KEYS = ("cat.jpg", "cat.png", "print/cat.png")
SPECS = (
    "{}",
    NAMED,
    "download_directory: print",
    "renditions: [{output: {format: png}}, {output: {format: jpeg}}]",
    FILES,
    "output: {name: 'CAT_2x{ext}'}",
    "{scale_factor: 4, output: {name: '{stem}{ext}'}}",
    "scale_factor: 3",
)
moves = st.one_of(
    st.tuples(st.just("spec"), st.sampled_from(KEYS), st.sampled_from(SPECS)),
    st.tuples(st.just("drop"), st.sampled_from(KEYS), st.just("")),
    st.tuples(st.just("slots"), st.just(""), st.sampled_from(["", "1", "3"])),
    st.tuples(st.just("finish"), st.just(""), st.just("")),
    st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just("")),
)


@settings(derandomize=True, database=None, deadline=None)
@example(
    [
        ("spec", "cat.png", SPECS[3]),
        ("slots", "", ""),
        ("drop", "cat.png", ""),
        ("spec", "cat.png", "{}"),
    ]
)
@given(st.lists(moves, min_size=4, max_size=14))
def test_whatever_people_change_an_output_is_its_drops_alone_and_an_upscale_is_paid_once(
    made: list[tuple[str, str, str]],
) -> None:
    world = World()
    for move, key, text in made:
        match move:
            case "spec":
                world.put(f"{key}.yaml", text)
                world.submit(f"{key}.yaml")
            case "drop":
                world.drop(key, png(shade=KEYS.index(key)))
            case "slots":
                world.set_slots(int(text or 0))
                world.sweep(minutes=2)
            case "finish":
                world.finish_all(credits_charged=50)
            case "delete":
                world.bucket.delete(key)
                world.submit(key)
    world.set_slots(9)
    for _ in range(3):
        world.sweep(minutes=2)
        world.finish_all(credits_charged=50)

    claims, drops = world.ledger.claims, world.ledger.drops
    for drop in drops.values():
        for rendition in drop.renditions.values():
            name = claimed_name(drop.source.key, rendition)
            assert claims[name].drop_id == drop.id
        told = [one.reason.code for one in drop.renditions.values() if one.reason]
        assert "OutputOccupied" not in told
    for key, (_, labels) in world.results.outputs.items():
        assert labels.drop_id == claims[name_claimed_for(key)].drop_id
    assert len(world.upscaler.creates) == len(
        {job.fingerprint for job in world.ledger.jobs.values() if job.attempt}
    )
    assert all(job.attempt <= 1 for job in world.ledger.jobs.values())
