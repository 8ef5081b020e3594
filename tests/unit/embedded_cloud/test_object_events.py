import json

from dropscale_embedded.cloud.object_events import CreatedObject, ObjectEvents


def written(version_id: str | None) -> CreatedObject:
    return CreatedObject("inbox", "a b/ü+1%.jpg", 5, "abc", version_id, "PutObject")


def test_an_object_created_event_has_the_shape_of_the_real_one() -> None:
    event = ObjectEvents("eu-west-1", "123456789012", lambda: 1_700_000_000.5).created(
        written("v1")
    )

    assert json.loads(json.dumps(event)) == event
    said = {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "region": "eu-west-1",
        "resources": ["arn:aws:s3:::inbox"],
    }
    assert event | said == event
    detail = event["detail"]
    assert detail["bucket"] == {"name": "inbox"}
    assert detail["reason"] == "PutObject"
    sequencer = detail["object"].pop("sequencer")
    assert int(sequencer, 16) > 0
    written_ = {"key": "a b/ü+1%.jpg", "size": 5, "etag": "abc"}
    assert detail["object"] == {**written_, "version-id": "v1"}


def test_no_version_id_in_an_unversioned_bucket() -> None:
    event = ObjectEvents("eu-west-1", "123456789012", lambda: 0.0).created(written(None))
    assert "version-id" not in event["detail"]["object"]


def test_ids_differ_and_sequencers_grow_also_over_a_restart() -> None:
    now = 1_700_000_000.0
    first = ObjectEvents("eu-west-1", "123456789012", lambda: now)
    later = ObjectEvents("eu-west-1", "123456789012", lambda: now + 1)
    events = [maker.created(written("v")) for maker in (first, first, later)]

    assert len({event["id"] for event in events}) == 3
    sequencers = [event["detail"]["object"]["sequencer"] for event in events]
    assert sequencers == sorted(set(sequencers))
