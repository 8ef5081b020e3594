"""Several upscales of one image, and images that are large enough already."""

import pytest

from dropscale.ledger.states import DropState
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World

TWO = "style: {prompt: crisp}\nrenditions:\n- style: {mode: preserve}\n"
TWO += "- {scale_factor: 4, style: {mode: creative}, name: Poster, download_directory: print}\n"


def test_each_rendition_is_a_job_and_an_output(world: World) -> None:
    world.put("cat.png.yaml", TWO)
    world.drop("cat.png", png())
    assert len(world.running()) == 2
    world.finish_all()

    assert set(world.results.outputs) == {
        "cat.png@2x-preserve.png",
        "print/cat.png@4x-creative.png",
    }
    manifest = world.manifest("cat.png")
    assert manifest["state"] == "delivered"
    assert [(job["scale_factor"], job["mode"]) for job in manifest["jobs"]] == [
        (2, "preserve"),
        (4, "creative"),
    ]
    sent = [(parameters, name.partition(" [")[0]) for _, parameters, name in world.upscaler.creates]
    assert sent == [
        ({"scale_factor": 2, "mode": "preserve", "prompt": None}, "cat.png"),
        ({"scale_factor": 4, "mode": "creative", "prompt": "crisp"}, "Poster"),
    ]


def test_the_image_is_read_and_sent_once_for_all_its_renditions(world: World) -> None:
    world.put("cat.png.yaml", TWO)
    world.drop("cat.png", png())

    assert world.bucket.reads == {"cat.png": 1}
    assert len(world.upscaler.uploads) == 1


def test_a_rendition_that_fails_shows_and_the_others_are_delivered(world: World) -> None:
    world.put("cat.png.yaml", TWO)
    world.drop("cat.png", png())
    first, second = world.running()
    world.upscaler.finish()
    world.deliver(world.check(first))
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.fail(world.check(second))

    manifest = world.manifest("cat.png")
    assert manifest["state"] == "failed"
    assert [job["state"] for job in manifest["jobs"]] == ["delivered", "failed"]


def test_another_list_withdraws_what_is_unpaid_and_keeps_what_is_shared(world: World) -> None:
    world.set_slots(1)
    world.put("cat.png.yaml", TWO)
    world.drop("cat.png", png())

    world.drop("cat.png.yaml", "renditions: [{style: {mode: preserve}}, {scale_factor: 4}]")

    states = {
        (r.parameters.scale_factor, r.parameters.mode.value): r.state
        for r in world.row("cat.png").renditions.values()
    }
    assert states == {(2, "preserve"): DropState.SUBMITTED, (4, "balanced"): DropState.WAITING}
    assert len(world.upscaler.creates) == 1


def test_an_empty_list_undoes_that_of_the_folder(world: World) -> None:
    world.put("dropscale.yaml", "renditions: [{scale_factor: 4}, {style: {mode: preserve}}]")
    world.put("cat.png.yaml", "renditions: []")
    world.drop("cat.png", png())

    (job,) = world.manifest("cat.png")["jobs"]
    assert (job["scale_factor"], job["mode"]) == (2, "balanced")


def test_what_a_sidecar_says_in_vain_is_a_warning_in_the_manifest(world: World) -> None:
    world.put("dropscale.yaml", "renditions: [{scale_factor: 4}]")
    world.put("cat.png.yaml", "scale_factor: 2\nstyle: {prompt: fur}")
    world.drop("cat.png", png())

    prompt, factor = world.manifest("cat.png")["warnings"]
    assert (prompt["code"], factor["code"]) == ("Spec", "Spec")
    assert prompt["message"].startswith("cat.png.yaml:2:17: style.prompt: is not used")
    assert factor["message"].startswith("cat.png.yaml:1:15: scale_factor: has no effect")


def test_all_renditions_together_must_be_allowed(world: World) -> None:
    world.put("cat.png.yaml", TWO + "max_credits: 224")
    world.drop("cat.png", png())
    assert "costs 225 credits" in world.manifest("cat.png")["reason"]["message"]

    world.drop("cat.png.yaml", TWO + "max_credits: 225")

    assert len(world.upscaler.creates) == 2


def test_back_to_what_was_delivered_before_is_free_and_delivered(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    world.drop("cat.png.yaml", "scale_factor: 4")
    world.finish_all()

    world.drop("cat.png.yaml", "scale_factor: 2")
    world.finish_all()

    assert world.manifest("cat.png")["state"] == "delivered"
    assert len(world.upscaler.creates) == 2


@pytest.mark.parametrize(
    ("limits", "state"),
    [
        ("{min_width: 8}", "skipped"),
        ("{min_width: 9}", "submitted"),
        ("{min_width: 8, min_height: 7}", "submitted"),
        ("{min_width: 8, min_height: 6}", "skipped"),
        ("{min_megapixels: 0.000048}", "skipped"),
        ("{min_megapixels: 0.00005}", "submitted"),
        ("{}", "submitted"),
        ("null", "submitted"),
    ],
)
def test_an_image_that_reaches_all_limits_is_skipped_for_free(
    world: World, limits: str, state: str
) -> None:
    world.put("dropscale.yaml", "skip_if: {min_height: 6}" if limits == "null" else "")
    world.put("cat.png.yaml", f"skip_if: {limits}")
    world.drop("cat.png", png(8, 6))

    assert world.manifest("cat.png")["state"] == state
    assert bool(world.upscaler.creates) == (state == "submitted")


def test_a_skipped_image_says_why_and_how_big_it_is(world: World) -> None:
    world.put("cat.png.yaml", "skip_if: {min_width: 8}")
    world.drop("cat.png", png(8, 6))
    world.submit("cat.png")

    manifest = world.manifest("cat.png")
    assert manifest["reason"]["code"] == "LargeEnough"
    assert "8 x 6 pixels, large enough by skip_if (min_width 8)" in manifest["reason"]["message"]
    assert manifest["source"]["width"] == 8
    assert world.row("cat.png").seq == 1


def test_a_limit_that_is_taken_back_lets_the_image_through(world: World) -> None:
    world.put("cat.png.yaml", "skip_if: {min_width: 8}")
    world.drop("cat.png", png(8, 6))

    world.drop("cat.png.yaml", "")

    assert world.manifest("cat.png")["state"] == "submitted"


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_execution_of_one_of_them_is_replaced_for_it_alone(world: World, lost: int) -> None:
    files = "[{}, {output: {metadata: strip}, download_directory: web}]"
    world.set_slots(0)
    world.drop("cat.png", png())
    world.drop("cat.png.yaml", f"renditions: {files}")
    world.set_slots(1)
    world.sweep(minutes=3)
    world.upscaler.finish()
    states = world.running()
    world.executions.ended.add(list(world.executions.started)[lost])
    world.deliver(world.check(states[1 - lost]))
    world.pass_hours(1)

    assert world.row("cat.png").state is DropState.DELIVERED
    generations = [rendition.generation for rendition in world.row("cat.png").renditions.values()]
    assert generations[lost] > generations[1 - lost] == 0
    assert len(world.upscaler.creates) == 1


def test_a_rendition_that_is_planned_anew_is_the_one_of_its_plan(world: World) -> None:
    plans = ("output: {metadata: keep}", "output: {metadata: strip}")
    world.set_slots(0)
    for key, specs in (("cat.png", plans), ("dog.png", plans[1:])):
        for spec in specs:
            world.put(f"{key}.yaml", spec)
            world.drop(key, png())

    assert world.row("cat.png").renditions.keys() == world.row("dog.png").renditions.keys()
    assert len(world.ledger.jobs) == 1


def test_what_is_delivered_is_left_alone_where_more_is_wanted(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    before = world.only_job
    world.clock.advance(days=1)
    world.put("cat.png.yaml", "renditions: [{scale_factor: 2}, {scale_factor: 4}]")
    world.drop("cat.png")

    assert world.ledger.jobs[before.fingerprint] == before
    assert len(world.upscaler.creates) == 2


def test_what_is_withdrawn_keeps_no_reason_but_that_it_may_be_charged(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all(ProjectStatus.CANCELED, credits_charged=50)
    world.drop("cat.png", png(shade=1))

    (withdrawn, _) = world.row("cat.png").renditions.values()
    assert (withdrawn.state, withdrawn.reason) == (DropState.SUPERSEDED, None)


def test_only_what_is_gone_is_retried_and_never_what_is_wanted_no_more(world: World) -> None:
    world.put("cat.png.yaml", "renditions: [{scale_factor: 2}, {scale_factor: 4}]")
    world.drop("cat.png", png())
    world.finish_all()
    del world.results.outputs["cat.png@4x.png"]

    assert world.retry("cat.png")
    small, large = world.row("cat.png").renditions.values()
    assert (small.state, large.state) == (DropState.DELIVERED, DropState.SUBMITTED)
    world.run_executions()

    world.put("cat.png.yaml", "scale_factor: 4")
    world.drop("cat.png", png())
    world.finish_all()
    del world.results.outputs["cat.png@2x.png"]
    assert not world.retry("cat.png")


def test_what_cannot_be_sent_again_is_not_tried_and_what_can_be_says_that_it_waits(
    world: World,
) -> None:
    world.drop("cat.png", png())
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)
    world.clock.advance(days=8)
    assert world.retry("cat.png")
    assert world.manifest("cat.png")["state"] == "waiting"
    assert world.queue.keys == ["cat.png"]

    world.drop("dog.png", png(shade=7))
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)
    world.clock.advance(days=8)
    world.bucket.delete("dog.png")
    assert not world.retry("dog.png")
