"""Errors in AWS's formats, so that its SDKs show their code and message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from werkzeug.wrappers import Response

from dropscale_embedded.access_control import RequestRefused

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def error_response(code: str, message: str, status: int = 400) -> Response:
    """Return an error in XML, as from services whose requests are not JSON.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html.
    """
    root = ET.Element("ErrorResponse")
    error = ET.SubElement(root, "Error")
    for field, value in {"Type": "Sender", "Code": code, "Message": message}.items():
        ET.SubElement(error, field).text = value
    return Response(ET.tostring(root), status, {"x-amzn-ErrorType": code}, mimetype="text/xml")


def refusal_response(environ: WSGIEnvironment, refused: RequestRefused) -> Response:
    """Return the answer to a refused request, in the request's protocol.

    Source: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization.
    """
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-amz-json"):
        return error_response(refused.code, str(refused), refused.status)
    body = json.dumps({"__type": refused.code, "message": str(refused)})
    return Response(body, refused.status, mimetype=environ["CONTENT_TYPE"])
