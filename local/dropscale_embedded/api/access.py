"""Who may call the embedded API: a transfer shows its URL's signature, all else the API key."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from dropscale_embedded.access_control import RequestRefused
from dropscale_embedded.api.storage import SignatureRefused, UrlSigner

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

STORAGE_PATH = "/storage/"
"""What the paths of all transfers begin with."""


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """Lets in the transfers that `signer` has signed, and what carries the token."""

    signer: UrlSigner
    token: str = field(repr=False)

    def __call__(self, environ: WSGIEnvironment) -> None:
        """Decide about a request.

        Raises:
            RequestRefused: it has neither.
        """
        request = Request(environ)
        if request.path.startswith(STORAGE_PATH):
            self._require_signature(request)
        else:
            self._require_token(request)

    def _require_signature(self, request: Request) -> None:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            self.signer.check(method, request.path.removeprefix(STORAGE_PATH), request.args)
        except SignatureRefused as error:
            raise RequestRefused(str(error)) from error

    def _require_token(self, request: Request) -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise RequestRefused("Unauthorized", status=401)  # in the vendor's words


def refusal_response(_environ: WSGIEnvironment, refused: RequestRefused) -> Response:
    """Return the answer to a request that is not let in, in the shape of the vendor's errors."""
    body = json.dumps({"message": str(refused)})
    return Response(body, refused.status, mimetype="application/json")
