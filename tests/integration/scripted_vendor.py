"""A Magic Hour API that answers one job over HTTP, with the faults that a test sets."""

from enum import Enum

from tests.unit.magichour.scripted_server import Reply, ScriptedServer, json_reply


class VendorCall(Enum):
    """The calls that a job takes, in their order: method and path."""

    UPLOAD_URLS = "POST", "/v1/files/upload-urls"
    PUT = "PUT", "/storage/upload.png"
    CREATE = "POST", "/v1/ai-image-upscaler"
    GET_PROJECT = "GET", "/v1/image-projects/project-1"
    DOWNLOAD = "GET", "/storage/output.png"


class ScriptedVendor:
    """Takes one image, charges for every create, and has one result, complete at once.

    Args:
        server: answers for it.
        result: the bytes of the result.
    """

    def __init__(self, server: ScriptedServer, result: bytes) -> None:
        self._server = server
        self._result = result
        self.heal()

    def heal(self) -> None:
        """Answer every call well from now on."""
        url = self._server.base_url
        upload = {"upload_url": f"{url}/storage/upload.png?sig=1", "file_path": "api-assets/1.png"}
        project = {
            "id": "project-1",
            "status": "complete",
            "credits_charged": 50,
            "downloads": [{"url": f"{url}/storage/output.png?sig=1"}],
        }
        self.answer(VendorCall.UPLOAD_URLS, json_reply({"items": [upload]}))
        self.answer(VendorCall.PUT, Reply())
        self.answer(VendorCall.CREATE, json_reply({"id": "project-1", "credits_charged": 50}))
        self.answer(VendorCall.GET_PROJECT, json_reply(project))
        self.answer(VendorCall.DOWNLOAD, Reply(body=self._result))

    def answer(self, call: VendorCall, reply: Reply) -> None:
        """Answer one call like this from now on."""
        self._server.on(*call.value, reply)

    def times(self, call: VendorCall) -> int:
        """Return how often a call was made."""
        return len(self._server.sent_to(*call.value))
