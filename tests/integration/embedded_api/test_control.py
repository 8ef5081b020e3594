"""The control endpoint: faults and the book over HTTP."""

from typing import Any

import pytest
import requests

from tests.integration.embedded_api.conftest import Caller, GatedEngine
from tests.integration.embedded_api.webhook_receiver import receiving

LOST_CREATE = """
rules:
  - {call: create, when: {first: 1}, fault: {kind: reset, moment: after}}
"""
UNAVAILABLE_TWICE = """
rules:
  - {call: account, when: {first: 2}, fault: {kind: answer, status: 503}}
"""


@pytest.fixture
def control(call: Caller) -> Any:
    def control(method: str, path: str, **options: Any) -> requests.Response:
        return call(method, f"/_control/{path}", **options)

    return control


def test_the_book_has_a_create_whose_answer_was_lost(
    call: Caller, control: Any, engine: GatedEngine, photo: bytes
) -> None:
    path = call.upload(photo)
    assert control("PUT", "faults", data=LOST_CREATE).status_code == 204

    with pytest.raises(requests.ConnectionError):
        call.create(path, name="cat", style={"mode": "preserve"})
    project_id = call.create(path).json()["id"]

    book = control("GET", "book").json()
    assert book["credits_spent"] == 75
    assert [entry["kind"] for entry in book["entries"]] == ["create", "charge"] * 2
    lost, charged = book["entries"][1], book["entries"][3]
    assert charged["project_id"] == project_id
    assert lost.pop("at") <= charged["at"]
    assert call.project(lost.pop("project_id"))["name"] == "cat"
    assert lost == {
        "kind": "charge",
        "name": "cat",
        "params": {"scale_factor": 2, "mode": "preserve", "prompt": None},
        "image_path": path,
        "credits": 25,
    }


def test_a_webhook_receives_the_events_of_a_project(
    call: Caller, control: Any, engine: GatedEngine, photo: bytes
) -> None:
    for elsewhere in ("https://example.org/", "http://10.0.0.1/", "file:///etc", ""):
        assert control("POST", "webhook", data=elsewhere).status_code == 400
    with receiving() as receiver:
        receiver.secret = control("POST", "webhook", data=receiver.url).json()["secret"]
        project_id = call.create(call.upload(photo)).json()["id"]
        engine.gate.set()
        sent = receiver.wait_for(2)

    assert {one.event and one.event.project_id for one in sent} == {project_id}


def test_a_plan_can_be_read_back_and_put_again(call: Caller, control: Any) -> None:
    control("PUT", "faults", data=UNAVAILABLE_TWICE)
    statuses = [call("GET", "/v1/account").status_code for _ in range(3)]
    first = control("GET", "faults").json()
    control("PUT", "faults", json=first["plan"])
    second = control("GET", "faults").json()

    assert statuses == [503, 503, 200]
    assert first["tallies"] == [{"calls": 3, "faults": 2}]
    assert second == {"plan": first["plan"], "tallies": [{"calls": 0, "faults": 0}]}


def test_an_unusable_plan_changes_nothing_and_deleted_faults_happen_no_more(
    call: Caller, control: Any
) -> None:
    control("PUT", "faults", data=UNAVAILABLE_TWICE)

    refused = control("PUT", "faults", json={"rules": [], "sead": 1})

    assert refused.status_code == 400
    assert refused.json() == {"message": "body: sead: Extra inputs are not permitted"}
    assert call("GET", "/v1/account").status_code == 503
    assert control("DELETE", "faults").status_code == 204
    assert call("GET", "/v1/account").status_code == 200
    assert control("GET", "faults").json() == {"plan": {"seed": 0, "rules": []}, "tallies": []}
