"""Access to the embedded API: a transfer needs its URL's signature, any other call the API key."""

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
"""The prefix of the paths of all transfers."""


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """Allows transfers signed by `signer` and requests with the token."""

    signer: UrlSigner
    token: str = field(repr=False)

    def __call__(self, environ: WSGIEnvironment) -> None:
        """Check a request.

        Raises:
            RequestRefused: it has neither signature nor token.
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
            raise RequestRefused("Unauthorized", status=401)  # the vendor's message


def refusal_response(_environ: WSGIEnvironment, refused: RequestRefused) -> Response:
    """Return the answer to a refused request, in the format of the vendor's errors."""
    body = json.dumps({"message": str(refused)})
    return Response(body, refused.status, mimetype="application/json")
