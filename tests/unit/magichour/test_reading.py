"""Answers are read leniently: no optional field can invalidate a whole answer."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dropscale.magichour import (
    Client,
    CreatedProject,
    CreateOutcomeUnknown,
    MagicHourError,
    Project,
    calls,
    models,
)
from dropscale.magichour.calls import MAX_ANSWER
from dropscale.magichour.json_document import document_of
from tests.unit.magichour.scripted_server import Reply, ScriptedServer, json_reply

MODELS = [
    model
    for name, model in vars(models).items()
    if isinstance(model, type) and issubclass(model, models._Answer) and not name.startswith("_")
]
INDISPENSABLE: dict[str, Any] = {
    "id": "p1",
    "status": "complete",
    "url": "https://storage.example/1",
    "upload_url": "https://storage.example/1",
    "file_path": "api-assets/1.png",
    "items": [{"upload_url": "https://storage.example/1", "file_path": "api-assets/1.png"}],
    "amount": 1,
    "currency": "usd",
}
# As JSON, since no other kind of value can come.
HOSTILE = [
    *("null", "true", "false", "0", "1", "-7", "1.5", "-0.5", "1.0", "1e308", "1e999", "-1e999"),
    *("NaN", "Infinity", "-Infinity", "9" * 400, "-" + "9" * 5000),
    *('""', '"text"', '"1"', '"true"', '"\\ud800"', '"\\u0000"', json.dumps("long " * 20_000)),
    *("[]", "[null]", '["text", 1, {}, []]', '[{"url": 1}]', "[" * 50 + "]" * 50),
    *("{}", '{"url": 5}', '{"id": null}', '{"message": ["text"], "code": {}}'),
    *('{"amount": "x", "currency": 1}', '{"price": [], "status": 1}', '{"a": 1, "a": 2}'),
]


def answer_with(model: type[BaseModel], name: str, value: str) -> str:
    needed = [key for key, field in model.model_fields.items() if field.is_required()]
    fields = {key: json.dumps(INDISPENSABLE[key]) for key in needed} | {name: value}
    return "{" + ", ".join(f'"{key}": {text}' for key, text in fields.items()) + "}"


def each_field() -> Iterator[tuple[type[BaseModel], str, bool]]:
    for model in MODELS:
        for name, field in model.model_fields.items():
            yield model, name, field.is_required()


def read(model: type[BaseModel], text: str) -> BaseModel:
    return model.model_validate(document_of(text.encode(), MAX_ANSWER))


def says(found: object, value: object) -> bool:
    """Whether the value read is the value sent: of the same kind, fractions rounded up."""
    if isinstance(found, models.ProjectError) and isinstance(value, str):
        return True
    if isinstance(found, BaseModel):
        return isinstance(value, dict)
    if isinstance(found, list):
        return isinstance(value, list) and len(found) <= len(value)
    if isinstance(value, float) and isinstance(found, int) and not isinstance(found, bool):
        return found == math.ceil(value)
    if isinstance(found, str) and isinstance(value, str):
        return len(found) <= len(value) and found[:1] in {" ", value[:1]}
    return found == value and (type(found) is type(value) or isinstance(found, float))


def require_honest(model: type[BaseModel], name: str, value: str) -> None:
    """Fail unless a field has the value sent, or its default; or the answer is refused."""
    is_required = model.model_fields[name].is_required()
    try:
        found = getattr(read(model, answer_with(model, name, value)), name)
    except ValidationError:
        assert is_required, (model, name)
        return
    came = document_of(value.encode(), MAX_ANSWER)
    if is_required:
        assert says(found, came) or (name == "id" and found == str(came)), (model, name, found)
        assert found not in ("", [])
    else:
        default = model.model_fields[name].get_default()
        assert found == default or says(found, came), (model, name, found)
    if isinstance(found, str):
        found.encode()


@pytest.mark.parametrize("value", HOSTILE, ids=[value[:20] for value in HOSTILE])
def test_each_field_is_honest_about_what_we_thought_of(value: str) -> None:
    for model, name, _ in each_field():
        require_honest(model, name, value)


NAMES = sorted({name for _, name, _ in each_field()} | {"message", "code", "a"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)  # a busy machine takes its time
@given(st.sampled_from(list(each_field())), JSON.map(json.dumps))
def test_each_field_is_honest_about_whatever_comes(
    field: tuple[type[BaseModel], str, bool], value: str
) -> None:
    require_honest(field[0], field[1], value)


CALLS: list[calls.Call[Any]] = [
    calls.get_account(),
    calls.get_project("p1"),
    calls.delete_project("p1"),
    calls.create_upload_urls([]),
    calls.create_upscale({"image_file_path": "x"}, 2, None, None),
]


@settings(deadline=None)
@given(st.sampled_from(CALLS), st.sampled_from([200, 400, 402, 404, 429, 500, 503]), JSON)
def test_whatever_comes_is_an_answer_or_an_error_that_can_be_shown(
    call: calls.Call[Any], status: int, document: object
) -> None:
    try:
        call.parse(calls.Answer(status, {}, json.dumps(document).encode()))
        return
    except MagicHourError as error:
        failure = error
    assert len(str(failure)) < 2000
    json.dumps(failure.body)


def test_what_cannot_be_done_without_is_little() -> None:
    needed: dict[str, set[str]] = {}
    for model, name, is_required in each_field():
        if is_required:
            needed.setdefault(model.__name__, set()).add(name)
    project = {"id", "status"}
    assert needed == {
        "UploadUrl": {"upload_url", "file_path"},
        "UploadUrls": {"items"},
        "CreatedProject": {"id"},
        "Download": {"url"},
        **{"Project": project, "ProjectResult": project},
        "Price": {"amount", "currency"},
        "Account": {"id"},
        "EventPayload": {"id"},
    }


PRICES = {
    "50": 50,
    "49.000001": 50,
    "-1": -1,
    "-1.5": -1,
    "1e30": 10**30,
    "9" * 400: int("9" * 400),
}
UNKNOWN = ("NaN", "Infinity", "1e999", "true", '"50"', "[50]", "null")


def test_a_price_is_a_number_rounded_up_or_unknown() -> None:
    for price, expected in {**PRICES, **dict.fromkeys(UNKNOWN)}.items():
        created = read(CreatedProject, f'{{"id": "p1", "credits_charged": {price}}}')
        assert isinstance(created, CreatedProject)
        assert created.credits_charged == (expected and pytest.approx(expected)), price


def test_only_a_real_false_tells_of_a_deletion() -> None:
    told = {"false": False, "true": True, "null": None, "0": None, '"false"': None}
    for value, expected in told.items():
        project = read(Project, f'{{"id": "p1", "status": "complete", "enabled": {value}}}')
        assert isinstance(project, Project)
        assert project.enabled is expected


def test_downloads_without_a_readable_url_are_left_out() -> None:
    entries = [None, {"url": "a", "expires_at": 5}, {"url": ""}, {"url": 3}, "b", {"url": "c"}]
    project = Project.model_validate({"id": "p1", "status": "complete", "downloads": entries})
    assert [download.url for download in project.downloads] == ["a", "c"]


def test_an_error_that_is_a_text_is_its_message() -> None:
    answer = {"id": "p1", "status": "error", "error": "out of\n" + "memory" * 1000}
    error = Project.model_validate(answer).error
    assert error is not None
    assert error.message is not None
    assert error.message.startswith("out of memory")
    assert len(error.message) == 500


CREATED = b'{"id": "p1", "credits_charged": 50}'
READABLE = {
    "byte order mark": b"\xef\xbb\xbf" + CREATED,
    "not UTF-8 elsewhere": b'{"id": "p1", "name": "\xff\xfe"}',
    "digits without end": b'{"id": "p1", "credits_charged": ' + b"9" * 10_000 + b"}",
    "no JSON number": b'{"id": "p1", "credits_charged": NaN}',
    "twice the same": b'{"id": "p1", "id": "p1"}',
    "another name in doubt": b'{"id": "p1", "credits_charged": 1, "credits_charged": 2}',
    "half a surrogate elsewhere": b'{"id": "p1", "name": "\\ud800"}',
    "nested": b'{"id": "p1", "x": ' + b"[" * 300 + b"]" * 300 + b"}",
    "just short enough": b'{"id": "p1", "x": "' + b"a" * (MAX_ANSWER - 21) + b'"}',
}
UNREADABLE = {
    "too long": CREATED + b" " * MAX_ANSWER,
    "endless": CREATED + b" " * 4 * MAX_ANSWER,
    "nested too deep": b'{"id": "p1", "x": ' + b"[" * 200_000,
    "nested too deep, whole": b'{"id": "p1", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "an id in doubt": b'{"id": "p1", "id": "p2"}',
    "an id twice, thrice": b'{"id": "p1", "id": "p2", "id": "p1"}',
    "an id that is not UTF-8": b'{"id": "p\xff"}',
    "an id of half a surrogate": b'{"id": "\\ud800"}',
    "an id of another path": b'{"id": ".."}',
    "a blank id": b'{"id": " "}',
    "an absurd id": b'{"id": "' + b"p" * 100_000 + b'"}',
    "UTF-16": CREATED.decode().encode("utf-16"),
    "two documents": CREATED + CREATED,
    "a list": b"[" + CREATED + b"]",
    "a page": b"<html>",
    "nothing": b"",
    "no id": b'{"credits_charged": 50}',
}


def create(client: Client) -> CreatedProject:
    return client.v1.ai_image_upscaler.create(assets={"image_file_path": "x"}, scale_factor=2)


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE)
def test_a_readable_id_is_a_known_project(
    server: ScriptedServer, client: Client, body: bytes
) -> None:
    server.on("POST", "/v1/ai-image-upscaler", Reply(200, body))
    assert create(client).id == "p1"


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_without_one_nobody_knows(server: ScriptedServer, client: Client, body: bytes) -> None:
    server.on("POST", "/v1/ai-image-upscaler", Reply(200, body))
    with pytest.raises(CreateOutcomeUnknown) as caught:
        create(client)
    assert type(caught.value) is CreateOutcomeUnknown
    assert caught.value.cause_name == "ServerFault"


def test_a_result_takes_over_whatever_else_a_project_says(
    server: ScriptedServer, client: Client
) -> None:
    extra = {"self": 1, "downloaded_paths": 2, "model_config": 3}
    extra["deep"] = json.loads("[" * 400 + "]" * 400)
    server.on("GET", "/v1/image-projects/p1", json_reply({"id": "p1", "status": "error", **extra}))
    result = client.v1.image_projects.check_result("p1", True, True)
    assert result.downloaded_paths is None
    assert result.status == "error"
