"""CloudFormation's DescribeStacks, for the only stack.

moto's CloudFormation would need to create the stack itself, which the embedded cloud does. Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from werkzeug.wrappers import Request, Response

from dropscale_embedded.cloud.error_response import error_response
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import Stack

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_CREATED_AT = "2000-01-01T00:00:00Z"


def stack_descriptions(
    context: StackContext, stack: Stack
) -> Callable[[WSGIApplication], WSGIApplication]:
    """Return a wrapper that makes an application also answer for CloudFormation."""

    def beside(application: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if "/cloudformation/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
                return application(environ, start_response)
            return _response(Request(environ), context, stack)(environ, start_response)

        return answer

    return beside


def _response(request: Request, context: StackContext, stack: Stack) -> Response:
    name = request.form.get("StackName", context.stack_name)
    if request.form.get("Action") != "DescribeStacks":
        return error_response("InvalidAction", "The embedded cloud supports only DescribeStacks")
    if name != context.stack_name:
        return error_response("ValidationError", f"Stack with id {name} does not exist")
    root = ET.Element("DescribeStacksResponse", xmlns=_NAMESPACE)
    stacks = ET.SubElement(ET.SubElement(root, "DescribeStacksResult"), "Stacks")
    member = ET.SubElement(stacks, "member")
    for field, value in {
        "StackName": name,
        "StackStatus": "CREATE_COMPLETE",
        "CreationTime": _CREATED_AT,
    }.items():
        ET.SubElement(member, field).text = value
    _add_list(member, "Parameters", "Parameter", stack.parameters)
    _add_list(member, "Outputs", "Output", stack.outputs)
    return Response(ET.tostring(root), mimetype="text/xml")


def _add_list(parent: ET.Element, field: str, item: str, values: Mapping[str, str]) -> None:
    listed = ET.SubElement(parent, field)
    for key, value in values.items():
        member = ET.SubElement(listed, "member")
        ET.SubElement(member, f"{item}Key").text = key
        ET.SubElement(member, f"{item}Value").text = value
