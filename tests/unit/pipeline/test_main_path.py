"""A drop on its way from the input bucket to the results."""

from typing import BinaryIO

import pytest

from dropscale.ledger.states import DropState, JobState
from dropscale.pipeline.submit import SubmitOutcome
from dropscale.results.manifest import Manifest
from dropscale.upscaler import ProjectStatus
from tests import originals
from tests.fakes import png
from tests.world import World


def test_a_dropped_image_is_paid_once_and_delivered(world: World) -> None:
    world.drop("photos/cat.jpg", png())
    (state,) = world.running()
    world.upscaler.finish(credits_charged=50)

    found = world.check(state)
    world.deliver(found)

    assert found.status is ProjectStatus.COMPLETE
    assert len(world.upscaler.creates) == 1
    assert world.results.outputs["photos/cat.jpg@2x.png"][0] == world.upscaler.result
    manifest = world.manifest("photos/cat.jpg")
    assert manifest["state"] == "delivered"
    assert [entry["state"] for entry in manifest["timeline"]] == [
        "waiting",
        "submitted",
        "delivered",
    ]
    (job,) = manifest["jobs"]
    assert (job["credits_charged"], job["project_id"]) == (50, "project-1")
    assert (job["output"]["width"], job["output"]["height"]) == (16, 12)
    assert world.ledger.taken == 0


def test_the_execution_waits_for_a_typical_job_and_knows_its_deadline(world: World) -> None:
    world.drop("cat.png", png())

    (state,) = world.running()

    assert state.wait_seconds == 20
    assert state.deadline == int(world.clock().timestamp()) + 3600


def test_a_second_event_of_the_same_object_changes_nothing(world: World) -> None:
    world.drop("cat.png", png())
    before = world.row("cat.png")

    world.submit("cat.png")

    assert world.row("cat.png") == before
    assert world.bucket.reads == {"cat.png": 1}
    assert len(world.upscaler.creates) == len(world.running()) == 1


def test_the_same_bytes_at_two_keys_are_paid_once_and_delivered_twice(world: World) -> None:
    world.drop("a.png", png())
    world.drop("b.png", png())
    world.finish_all()

    assert len(world.upscaler.creates) == 1
    assert set(world.results.outputs) == {"a.png@2x.png", "b.png@2x.png"}


def test_a_drop_after_the_job_is_complete_gets_the_result_free(world: World) -> None:
    world.drop("a.png", png())
    world.finish_all()

    world.drop("b.png", png())
    (state,) = world.running()
    world.deliver(world.check(state))

    assert state.wait_seconds == 1
    assert len(world.upscaler.creates) == 1
    assert world.row("b.png").state is DropState.DELIVERED


def test_a_sidecar_decides_scale_mode_prompt_name_and_folder(world: World) -> None:
    world.put(
        "cat.png.yaml",
        "scale_factor: 4\nstyle: {mode: creative, prompt: fur}\nname: Cat\n"
        "download_directory: best\n",
    )
    world.drop("cat.png", png())
    world.finish_all()

    ((path, parameters, name),) = world.upscaler.creates
    assert path == "api-assets/1.png"
    assert parameters == {"scale_factor": 4, "mode": "creative", "prompt": "fur"}
    assert name.startswith("Cat [")
    assert set(world.results.outputs) == {"best/cat.png@4x-creative.png"}
    spec = world.manifest("cat.png")["spec"]
    assert spec["provenance"]["scale_factor"] == "cat.png.yaml:1:15"


def test_a_sidecar_that_comes_late_withdraws_the_image_from_an_unpaid_job(world: World) -> None:
    world.set_slots(0)
    world.drop("cat.png", png())
    world.drop("cat.png.yaml", "scale_factor: 4")

    (rendition,) = world.row("cat.png").renditions.values()
    assert rendition.parameters.scale_factor == 4
    assert world.bucket.reads == {"cat.png": 2}
    assert world.upscaler.creates == []


def test_a_sidecar_that_comes_after_payment_is_a_job_of_its_own(world: World) -> None:
    world.drop("cat.png", png())
    world.drop("cat.png.json", '{"scale_factor": 4}')

    states = {r.parameters.scale_factor: r.state for r in world.row("cat.png").renditions.values()}
    assert states == {2: DropState.SUPERSEDED, 4: DropState.SUBMITTED}
    assert [job["credits_charged"] for job in world.manifest("cat.png")["jobs"]] == [50, 50]


@pytest.mark.parametrize(("spec", "creates"), [("name: My cat", 1), ("revision: 2", 2)])
def test_a_sidecar_that_changes_no_pixel_costs_nothing_but_another_revision_does(
    world: World, spec: str, creates: int
) -> None:
    world.drop("cat.png", png())
    world.drop("cat.png.yaml", spec)

    assert len(world.upscaler.creates) == len(world.running()) == creates


def test_another_folder_for_the_result_is_free(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()

    world.drop("cat.png.yaml", "download_directory: elsewhere")
    world.deliver(world.check(world.running()[0]))

    assert "elsewhere/cat.png@2x.png" in world.results.outputs
    assert len(world.upscaler.creates) == 1


def test_an_overwritten_image_is_a_new_job(world: World) -> None:
    world.drop("cat.png", png())
    world.drop("cat.png", png(shade=9))

    states = [rendition.state for rendition in world.row("cat.png").renditions.values()]
    assert states == [DropState.SUPERSEDED, DropState.SUBMITTED]


def test_an_image_overwritten_while_it_is_read_is_left_to_its_newer_event(world: World) -> None:
    world.put("cat.png", png())
    world.bucket.before_open = lambda: world.put("cat.png", png(shade=9))

    submitted = world.submit("cat.png")

    assert submitted.outcome is SubmitOutcome.OVERWRITTEN
    assert world.ledger.drops == {}


def test_an_image_deleted_before_it_is_read_ends_with_a_manifest(world: World) -> None:
    world.submit("cat.png")

    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("canceled", "SourceGone")


def test_without_wait_for_completion_the_drop_ends_submitted(world: World) -> None:
    world.put("cat.png.yaml", "wait_for_completion: false")
    world.drop("cat.png", png())

    assert world.row("cat.png").state is DropState.SUBMITTED
    assert Manifest.model_validate(world.manifest("cat.png")).is_settled
    assert world.running() == []


def test_without_download_outputs_the_manifest_holds_the_urls(world: World) -> None:
    world.put("cat.png.yaml", "download_outputs: false")
    world.drop("cat.png", png())
    world.finish_all()

    manifest = world.manifest("cat.png")
    assert manifest["state"] == "complete"
    assert manifest["jobs"][0]["downloads"][0]["url"] == "https://vendor.example/output.png"
    assert world.results.outputs == {}


def test_a_required_sidecar_is_waited_for(world: World) -> None:
    world.sidecar_required = True
    world.compose()
    world.drop("cat.png", png())
    assert world.manifest("cat.png")["waiting_for"] == "sidecar"

    world.drop("cat.png.yaml", "")

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_what_is_neither_image_nor_sidecar_is_ignored(world: World) -> None:
    for key in ("notes.txt", "folder/", "dropscale.yaml", "cat.pdf", "data.json"):
        assert world.drop(key, "x").outcome is SubmitOutcome.IGNORED
    assert world.ledger.drops == {}


def test_jobs_beyond_the_slots_wait_and_start_when_one_is_delivered(world: World) -> None:
    world.set_slots(1)
    world.drop("a.png", png(shade=1))
    world.drop("b.png", png(shade=2))
    assert world.manifest("b.png")["waiting_for"] == "slot"
    world.upscaler.finish()
    world.clock.advance(seconds=30)

    world.deliver(world.check(world.running()[0]))

    assert world.row("b.png").state is DropState.SUBMITTED
    assert world.bucket.reads == {"a.png": 1, "b.png": 1}
    assert world.ledger.taken == 1


def test_an_image_is_not_read_twice_because_the_sweeper_comes_while_it_is_sent(
    world: World,
) -> None:
    upload = world.upscaler.upload

    def upload_slowly(file: BinaryIO, extension: str) -> str:
        world.sweep(seconds=30)
        return upload(file, extension)

    world.upscaler.upload = upload_slowly  # type: ignore[method-assign]
    world.drop("a.png", png())

    assert world.queue.keys == []


def test_rendering_is_shown(world: World) -> None:
    world.drop("cat.png", png())
    world.upscaler.finish(ProjectStatus.RENDERING)

    found = world.check(world.running()[0])

    assert world.manifest("cat.png")["state"] == "rendering"
    assert found.wait_seconds >= 1


def test_delivery_after_a_crash_before_the_ledger_knew_is_not_repeated(world: World) -> None:
    world.drop("cat.png", png())
    world.upscaler.finish()
    state = world.check(world.running()[0])
    before = world.row("cat.png")
    world.deliver(state)
    world.ledger.drops[before.id] = before
    world.results.outputs["cat.png@2x.png"] = (
        b"the delivery",
        world.results.outputs["cat.png@2x.png"][1],
    )

    world.deliver(state)

    assert world.row("cat.png").state is DropState.DELIVERED
    assert world.results.outputs["cat.png@2x.png"][0] == b"the delivery"


def test_a_result_of_unexpected_size_is_delivered_with_a_warning(world: World) -> None:
    world.upscaler.result = png(10, 10)
    world.drop("cat.png", png(8, 6))
    world.finish_all()

    manifest = world.manifest("cat.png")
    assert manifest["state"] == "delivered"
    assert "16 x 12 were expected" in manifest["warnings"][0]["message"]


def test_a_job_that_ended_in_error_is_paid_again_only_by_a_new_drop(world: World) -> None:
    world.drop("a.png", png())
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)
    world.submit("a.png")
    assert len(world.upscaler.creates) == 1

    world.drop("b.png", png())

    assert len(world.upscaler.creates) == 2
    assert world.row("a.png").state is DropState.FAILED
    assert world.row("b.png").state is DropState.SUBMITTED
    assert (world.only_job.state, world.only_job.attempt) == (JobState.SUBMITTED, 2)


def test_a_drop_on_a_job_that_nobody_wanted_is_not_forgotten_while_slots_are_taken(
    world: World,
) -> None:
    world.set_slots(0)
    world.drop("a.png", png())
    world.drop("a.png.yaml", "scale_factor: 4")
    world.set_slots(1)
    world.sweep(seconds=1)
    world.drop("b.png", png())
    assert world.manifest("b.png")["waiting_for"] == "slot"
    world.finish_all()
    world.sweep(seconds=1)

    assert world.row("b.png").state is DropState.SUBMITTED


def test_a_superseded_job_frees_its_slot_and_publishes_nothing(world: World) -> None:
    world.drop("cat.png", png())
    world.drop("cat.png.yaml", "scale_factor: 4")
    world.finish_all()

    assert set(world.results.outputs) == {"cat.png@4x.png"}
    assert world.ledger.taken == 0


def test_a_sidecar_put_right_again_shows_what_was_delivered_before(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    world.drop("cat.png.yaml", "scale_factor: 3")
    assert world.manifest("cat.png")["state"] == "rejected"

    world.drop("cat.png.yaml", "scale_factor: 2")

    assert world.manifest("cat.png")["state"] == "delivered"
    assert len(world.upscaler.creates) == 1


def test_another_form_of_the_output_is_free(world: World) -> None:
    world.put("cat.png", originals.photo("PNG"))
    world.submit("cat.png")
    world.upscaler.result = originals.encoded(originals.pixels((96, 64)), "PNG")
    world.finish_all()
    before = world.results.outputs["cat.png@2x.png"][0]

    world.drop("cat.png.yaml", "output: {metadata: strip}")
    world.deliver(world.check(world.running()[0]))

    after = world.results.outputs["cat.png@2x.png"][0]
    assert originals.CREATOR.encode() in before
    assert originals.CREATOR.encode() not in after
    assert len(world.row("cat.png").renditions) == 1
    assert len(world.upscaler.creates) == 1
    world.submit("cat.png.yaml")
    assert world.running() == []


def test_another_form_of_an_output_that_only_the_results_bucket_still_has_is_free(
    world: World,
) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    world.upscaler.projects.clear()

    world.drop("cat.png.yaml", "output: {metadata: strip}\ndownload_directory: public")
    world.deliver(world.running()[0])

    assert world.row("cat.png").state is DropState.DELIVERED
    assert "public/cat.png@2x.png" in world.results.outputs


def test_an_image_deleted_before_its_delivery_is_delivered_as_it_came(world: World) -> None:
    world.drop("cat.png", originals.photo("PNG"))
    del world.bucket.objects["cat.png"]
    world.finish_all()

    assert world.results.outputs["cat.png@2x.png"][0] == world.upscaler.result
    assert "it was deleted" in world.manifest("cat.png")["warnings"][-1]["message"]


def test_an_outputs_key_ends_as_what_it_was_written_as(world: World) -> None:
    world.pixels.converted = originals.encoded(originals.pixels((16, 12)), "WEBP")
    world.put("cat.png.yaml", "output: {format: webp}")
    world.drop("cat.png", png())
    world.finish_all()

    assert set(world.results.outputs) == {"cat.png@2x.webp"}
    (job,) = world.manifest("cat.png")["jobs"]
    assert (job["output"]["type"], job["output"]["delta_e"]) == ("webp", 0.5)


def test_a_result_that_cannot_be_written_anew_is_delivered_as_it_came(world: World) -> None:
    world.put("cat.png.yaml", "output: {format: webp}")
    world.drop("cat.png", png())
    world.finish_all()

    assert world.results.outputs["cat.png@2x.webp.png"][0] == world.upscaler.result
    assert "The result keeps its format" in world.manifest("cat.png")["warnings"][-1]["message"]


def test_another_quality_is_written_over_the_earlier_output(world: World) -> None:
    bodies = [
        originals.encoded(originals.pixels((16, 12)), "JPEG", quality=each) for each in (90, 20)
    ]
    for quality, body in zip((90, 20), bodies, strict=True):
        world.pixels.converted = body
        world.drop("cat.png.yaml", f"output: {{format: jpeg, quality: {quality}}}")
        world.drop("cat.png", png())
        world.finish_all()

        assert world.results.outputs["cat.png@2x.jpg"][0] == body
    assert len(world.upscaler.creates) == 1
