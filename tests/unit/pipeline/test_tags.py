"""With TagDrops, the dropped version is tagged once it is finished, and only then."""

from collections.abc import Callable

import pytest

from dropscale.coded_warning import WarningCode
from dropscale.ledger.states import DropState
from dropscale.magichour import errors
from dropscale.pipeline.parts.ports import TAG
from dropscale.pipeline.parts.refusals import AccessDenied
from dropscale.pipeline.parts.tag import OPEN
from dropscale.upscaler import ProjectStatus
from tests.fakes import FakeInputBucket, png
from tests.world import World

KEY = "cat.png"
OWNERS = {"project": "wedding", "year": "2026"}


@pytest.fixture
def world() -> World:
    return World(tags_drops=True, bucket=FakeInputBucket(is_versioned=True))


def put(world: World, body: bytes | str = png(), **tags: str) -> str:
    """Put an image with its owner's tags; return the id of its version."""
    world.put(KEY, body)
    version_id = world.bucket.version_ids[KEY]
    world.bucket.tags[version_id] = dict(tags)
    return version_id


def warnings(world: World) -> list[str]:
    return [one["code"] for one in world.manifest(KEY)["warnings"]]


def is_tagged(world: World, version_id: str, state: str | None) -> bool:
    """Whether a version has that tag, and its owner's as they were."""
    expected = OWNERS | ({TAG: state} if state else {})
    return world.bucket.tags_of(version_id) == expected


def delivered(world: World) -> None:
    world.drop(KEY)
    world.finish_all()


def failed(world: World) -> None:
    world.drop(KEY)
    world.finish_all(ProjectStatus.ERROR)


def canceled(world: World) -> None:
    world.drop(KEY)
    world.finish_all(ProjectStatus.CANCELED)


def refused(world: World) -> None:
    world.upscaler.fail_create = errors.InvalidRequest("POST", status=400)
    world.drop(KEY)


def skipped(world: World) -> None:
    world.put(f"{KEY}.yaml", "skip_if: {min_width: 1}")
    world.drop(KEY)


def links_only(world: World) -> None:
    world.put(f"{KEY}.yaml", "download_outputs: false")
    delivered(world)


def waiting(world: World) -> None:
    world.set_slots(0)
    world.drop(KEY)


def waiting_for_sidecar(world: World) -> None:
    world.sidecar_required = True
    world.compose()
    world.drop(KEY)


def submitted(world: World) -> None:
    world.drop(KEY)


def rejected_while_at_vendor(world: World) -> None:
    world.drop(KEY)
    world.put(f"{KEY}.yaml", "scale_factor: 3")
    world.drop(f"{KEY}.yaml")
    assert world.row(KEY).state is DropState.REJECTED


def timed_out(world: World) -> None:
    world.drop(KEY)
    world.clock.advance(hours=2)
    world.run_executions()


def unknown(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST")
    world.drop(KEY)


@pytest.mark.parametrize(
    ("story", "state"),
    [
        (delivered, DropState.DELIVERED),
        (links_only, DropState.COMPLETE),
        (failed, DropState.FAILED),
        (canceled, DropState.CANCELED),
        (refused, DropState.REJECTED),
        (skipped, DropState.SKIPPED),
        # What may still bring a result, or needs its image, is not done.
        (waiting, None),
        (waiting_for_sidecar, None),
        (submitted, None),
        (rejected_while_at_vendor, None),
        (timed_out, None),
        (unknown, None),
    ],
)
def test_a_drop_is_tagged_once_it_is_final_and_keeps_its_owners_tags(
    world: World, story: Callable[[World], None], state: DropState | None
) -> None:
    version_id = put(world, **OWNERS)
    story(world)

    assert is_tagged(world, version_id, state)
    assert state is None or world.row(KEY).state is state
    assert WarningCode.NOT_TAGGED not in warnings(world)


def test_it_is_tagged_when_its_last_rendition_is_final(world: World) -> None:
    version_id = put(world, **OWNERS)
    world.put(f"{KEY}.yaml", "renditions: [{scale_factor: 2}, {scale_factor: 4}]")
    world.drop(KEY)
    first, second = world.running()
    world.upscaler.finish()

    world.deliver(first)
    assert is_tagged(world, version_id, None)
    world.deliver(second)
    assert is_tagged(world, version_id, DropState.DELIVERED)


def test_a_newer_image_never_gets_the_tag_of_an_older_one(world: World) -> None:
    older = put(world, **OWNERS)
    world.drop(KEY)
    newer = put(world, png(3, 3), **OWNERS)

    world.finish_all()
    assert is_tagged(world, older, DropState.DELIVERED)
    assert is_tagged(world, newer, None)

    delivered(world)
    assert is_tagged(world, newer, DropState.DELIVERED)


def test_the_tag_of_a_drop_that_is_open_again_says_so_until_it_is_final(world: World) -> None:
    version_id = put(world, **OWNERS)
    delivered(world)
    world.put(f"{KEY}.yaml", "scale_factor: 4")

    world.drop(f"{KEY}.yaml")
    assert is_tagged(world, version_id, OPEN)
    world.finish_all()
    assert is_tagged(world, version_id, DropState.DELIVERED)


def no_versions(world: World) -> None:
    world.bucket = FakeInputBucket()
    world.compose()
    world.put(KEY, png())


def null_version(world: World) -> None:
    put(world)
    world.bucket.version_ids[KEY] = "null"


def ten_tags(world: World) -> None:
    put(world, **{f"t{number}": "" for number in range(10)})


def denied(world: World) -> None:
    put(world)
    deny(world, AccessDenied("may not", fix="Allow it."))


def troubled(world: World) -> None:
    put(world)
    deny(world, OSError("reset"))


def deny(world: World, error: Exception) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    world.bucket.set_tag = refuse  # type: ignore[method-assign]


@pytest.mark.parametrize("trouble", [no_versions, null_version, ten_tags, denied, troubled])
def test_what_cannot_be_tagged_is_delivered_with_a_warning(
    world: World, trouble: Callable[[World], None]
) -> None:
    trouble(world)
    before = [dict(tags) for tags in world.bucket.tags.values()]

    delivered(world)

    assert world.manifest(KEY)["state"] == DropState.DELIVERED
    assert warnings(world)[-1] == WarningCode.NOT_TAGGED
    assert [dict(tags) for tags in world.bucket.tags.values()] == before
    assert world.row(KEY).due is None


def test_the_tags_of_a_drop_that_was_never_final_are_left_alone(world: World) -> None:
    denied(world)
    world.drop(KEY)

    assert warnings(world) == []


def test_an_image_that_was_deleted_has_no_tag_and_is_no_trouble(world: World) -> None:
    world.bucket.tags = {}
    put(world)
    world.drop(KEY)
    world.bucket.forget(KEY)

    world.finish_all()

    assert world.manifest(KEY)["state"] == DropState.DELIVERED
    assert WarningCode.NOT_TAGGED not in warnings(world)


def test_without_tagdrops_nothing_is_tagged() -> None:
    world = World(bucket=FakeInputBucket(is_versioned=True))
    version_id = put(world, **OWNERS)
    delivered(world)

    assert is_tagged(world, version_id, None)
