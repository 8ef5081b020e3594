"""Makes calls of the embedded API fail as the fault plan says."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import singledispatch, wraps
from http import HTTPStatus
from http.client import responses
from io import BytesIO
from itertools import pairwise
from threading import Event
from typing import TYPE_CHECKING

from flask import Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from PIL import Image
from pydantic import ValidationError

from dropscale_embedded.api import contract, faults
from dropscale_embedded.api.faults import Call, Faults
from dropscale_embedded.api.projects import Projects, UnknownProject
from dropscale_embedded.api.storage import SignatureRefused

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_DRIPS = 20

_RETRY_AFTER: dict[str, Callable[[int], int | datetime]] = {
    "seconds": int,
    "date": lambda seconds: datetime.now(UTC) + timedelta(seconds=seconds),
}

View = Callable[..., ResponseReturnValue]


class ResetResponse(Response):
    """No answer: the server resets the connection instead of sending this."""

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterator[bytes]:
        """Raise the error that the server also gets when a client disconnects."""
        raise ConnectionResetError("as the fault plan says")


@dataclass(frozen=True, slots=True)
class FaultInjection:
    """Applies the fault plan between calls and callers.

    Attributes:
        faults: the running plan.
        projects: gives the names of projects.
        stopping: when it is set, no answer is delayed any longer.
    """

    faults: Faults
    projects: Projects
    stopping: Event

    def wrap(self, call: Call, view: View) -> View:
        """Return the view with the plan's faults for this call."""

        @wraps(view)
        def answer(**arguments: str) -> ResponseReturnValue:
            def proceed() -> Response:
                try:
                    value = view(**arguments)
                except Exception as error:
                    # A refusal is also an answer, and can be lost like any other.
                    value = current_app.handle_user_exception(error)
                return current_app.make_response(value)

            fault = self.faults.draw(call, self._names(call, arguments))
            return proceed() if fault is None else _inject(fault, proceed, self.stopping)

        return answer

    def _names(self, call: Call, arguments: dict[str, str]) -> list[str]:
        """Return the texts that a rule's `match` can match: the project's name, and paths."""
        if call is Call.CREATE:
            try:
                body = contract.CreateRequest.model_validate_json(request.get_data())
            except ValidationError:
                return []
            return [body.name or "", body.assets.image_file_path]
        path = arguments.get("project_id") or arguments.get("path", "")
        try:
            return [self.projects.get(path.partition("/")[0]).name, path]
        except UnknownProject:
            return [path]


@singledispatch
def _inject(fault: object, proceed: Callable[[], Response], stopping: Event) -> Response:
    """Return the answer that the fault makes of `proceed`'s call."""
    raise TypeError(f"{type(fault).__name__} is not a fault of a call")


@_inject.register
def _(fault: faults.Answer, proceed: Callable[[], Response], stopping: Event) -> Response:
    if fault.moment == "after":
        proceed().close()
    response = _answer(fault)
    response.status_code = fault.status
    if fault.retry_after is not None:
        response.retry_after = _RETRY_AFTER[fault.retry_after_form](fault.retry_after)
    return response


@_inject.register
def _(fault: faults.Altered, proceed: Callable[[], Response], stopping: Event) -> Response:
    response = proceed()
    if response.status_code == HTTPStatus.OK:
        kept = {k: v for k, v in response.get_json().items() if k not in fault.without}
        response.set_data(json.dumps({**kept, **fault.fields}))
    return response


@_inject.register
def _(fault: faults.Reset, proceed: Callable[[], Response], stopping: Event) -> Response:
    if fault.moment == "after":
        proceed().close()
    return ResetResponse()


@_inject.register
def _(fault: faults.Latency, proceed: Callable[[], Response], stopping: Event) -> Response:
    response = proceed()
    stopping.wait(fault.seconds)
    return response


@_inject.register
def _(fault: faults.Drip, proceed: Callable[[], Response], stopping: Event) -> Response:
    response = proceed()
    body = _body(response)

    def drips() -> Iterator[bytes]:
        ends = [len(body) * drip // _DRIPS for drip in range(_DRIPS + 1)]
        for start, end in pairwise(ends):
            stopping.wait(fault.seconds / _DRIPS)
            yield body[start:end]

    response.response = drips()
    return response


@_inject.register
def _(fault: faults.Truncated, proceed: Callable[[], Response], stopping: Event) -> Response:
    response = proceed()
    body = _body(response)
    response.set_data(body[: len(body) // 2])
    if fault.content_length == "whole":
        response.content_length = len(body)
    return response


@_inject.register
def _(fault: faults.CutOff, proceed: Callable[[], Response], stopping: Event) -> Response:
    request.stream.read((request.content_length or 0) // 2)
    return ResetResponse()


@_inject.register
def _(fault: faults.Expired, proceed: Callable[[], Response], stopping: Event) -> Response:
    raise SignatureRefused("The URL has expired; ask for a new one")


@_inject.register
def _(fault: faults.WrongOutput, proceed: Callable[[], Response], stopping: Event) -> Response:
    response = proceed()
    if response.status_code == HTTPStatus.OK:
        response.set_data(_wrong_output(fault, _body(response)))
    return response


def _answer(fault: faults.Answer) -> Response:
    if fault.content is not None:
        return Response(fault.content, content_type=fault.content_type)
    phrase = responses.get(fault.status, "Fault")
    code = {"code": fault.code} if fault.code else {}
    page = f"<html><body><h1>{fault.status} {phrase}</h1></body></html>"
    bodies: dict[str, Response] = {
        "vendor": jsonify({**code, "message": fault.message or phrase}),
        "html": Response(page, mimetype="text/html"),
        "empty": Response(),
    }
    return bodies[fault.body]


def _wrong_output(fault: faults.WrongOutput, output: bytes) -> bytes:
    if fault.kind == "empty":
        return b""
    file = BytesIO()
    with Image.open(BytesIO(output)) as image:
        half = (image.width // 2, image.height // 2)
        wrong = (
            image.resize(half) if fault.kind == "wrong_size" else Image.new(image.mode, image.size)
        )
        wrong.save(file, "PNG")
    return file.getvalue()


def _body(response: Response) -> bytes:
    response.direct_passthrough = False  # else a file's body cannot be read
    return response.get_data()
