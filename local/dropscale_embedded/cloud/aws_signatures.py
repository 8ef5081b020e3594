"""Verifies that requests are signed with this run's credentials, as AWS does.

Signature Version 4, in the Authorization header or, for S3, in a presigned URL's query. botocore's
signers build the text to sign, as in the client. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hmac
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningCredentials
from werkzeug.wsgi import get_input_stream

from dropscale_embedded.access_control import RequestRefused
from dropscale_embedded.cloud.aws_clients import Credentials

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html: 15 minutes either way.
_MAX_SKEW = timedelta(minutes=15)
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html: seven days.
_MAX_EXPIRES_SECONDS = 604_800

# Values for a body that is not signed, with S3 only. Bodies signed in chunks
# (STREAMING-AWS4-HMAC-SHA256-PAYLOAD) are refused: nothing here verifies the chunks.
# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
_UNSIGNED_BODIES = frozenset({auth.UNSIGNED_PAYLOAD, auth.STREAMING_UNSIGNED_PAYLOAD_TRAILER})

# More than any call except S3's may have: DynamoDB's 16 MB, Lambda's 50 MB of code.
_MAX_BODY_TO_READ_FIRST = 64 * 1024 * 1024

_CREDENTIAL = re.compile(
    r"(?P<key>[^/,\s]+)/\d{8}/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request", re.ASCII
)
_AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 Credential={_CREDENTIAL.pattern}, ?"
    r"SignedHeaders=(?P<headers>[^,\s]+), ?Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_SECONDS = re.compile("[0-9]{1,6}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

# Headers that WSGI passes without the prefix HTTP_.
_UNPREFIXED = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})


class _Credential(NamedTuple):
    """The access key id of a signature, and its scope."""

    key: str
    region: str
    service: str

    @classmethod
    def of(cls, found: re.Match[str]) -> _Credential:
        """Return the parts of a match of `_CREDENTIAL`."""
        return cls(found["key"], found["region"], found["service"])


@dataclass(frozen=True, slots=True)
class _Claim:
    """The signature that a request claims to have.

    Attributes:
        headers: The names of the signed headers.
        timestamp: When it was signed, as written.
        expires: How long it is valid; None: as long as clocks may differ.
    """

    credential: _Credential
    headers: tuple[str, ...]
    signature: str
    timestamp: str
    expires: timedelta | None

    @property
    def is_presigned(self) -> bool:
        """Whether it is in the query."""
        return self.expires is not None


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Allows requests signed with the credentials; `now` returns the current time, in UTC."""

    credentials: Credentials
    now: Callable[[], datetime]

    def __call__(self, environ: WSGIEnvironment) -> None:
        """Verify a request's signature, and that its body is the signed one.

        Raises:
            RequestRefused: It is not signed, or the signature does not match.
        """
        claim = _claim_of(environ)
        self._require_our_key(claim)
        self._require_in_time(claim)
        _require_signed_headers(claim, environ)
        body_claim = _body_claim(claim, environ)
        # A request without the header has signed the body's hash anyway.
        body = _read_body(environ, _MAX_BODY_TO_READ_FIRST) if body_claim is None else b""
        signature = self._signature(claim, environ, body)
        if not hmac.compare_digest(signature.encode(), claim.signature.encode()):
            raise RequestRefused(
                "The signature does not match this request", code="SignatureDoesNotMatch"
            )
        if body_claim is not None and body_claim not in _UNSIGNED_BODIES:
            hashed = sha256(_read_body(environ)).hexdigest()
            if not hmac.compare_digest(hashed, body_claim):
                raise RequestRefused(
                    "The body is not the signed one", status=400, code="XAmzContentSHA256Mismatch"
                )

    def _require_our_key(self, claim: _Claim) -> None:
        ours = self.credentials["aws_access_key_id"]
        if not hmac.compare_digest(claim.credential.key.encode(), ours.encode()):
            raise RequestRefused(
                "The access key is not this run's; each run has its own",
                code="InvalidAccessKeyId",
            )

    def _require_in_time(self, claim: _Claim) -> None:
        try:
            signed_at = datetime.strptime(claim.timestamp, auth.SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        except ValueError:
            raise _incomplete("it has no X-Amz-Date") from None
        now = self.now()
        if not -_MAX_SKEW <= now - signed_at <= (claim.expires or _MAX_SKEW):
            raise RequestRefused(
                f"The signature is of {claim.timestamp}, but the time is {now:%Y%m%dT%H%M%SZ}",
                code="RequestTimeTooSkewed",
            )

    def _signature(self, claim: _Claim, environ: WSGIEnvironment, body: bytes) -> str:
        credentials = SigningCredentials(
            self.credentials["aws_access_key_id"], self.credentials["aws_secret_access_key"]
        )
        signer = _signer(claim)(credentials, claim.credential.service, claim.credential.region)
        headers = {
            name: environ[_environ_key(name)]
            for name in claim.headers
            if _environ_key(name) in environ
        }
        target = environ["REQUEST_URI"]
        if claim.is_presigned:
            target = _without_signature(target)
        request = AWSRequest(
            method=environ["REQUEST_METHOD"],
            url=f"http://{environ['HTTP_HOST']}{target}",
            headers=headers,
            data=body,
        )
        request.context["timestamp"] = claim.timestamp
        canonical = signer.canonical_request(request)
        signature: str = signer.signature(signer.string_to_sign(request, canonical), request)
        return signature


def _claim_of(environ: WSGIEnvironment) -> _Claim:
    if authorization := environ.get("HTTP_AUTHORIZATION"):
        return _header_claim(authorization, environ)
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    if "X-Amz-Signature" in query:
        return _query_claim(query)
    raise RequestRefused(
        "The request is not signed; sign it (Signature Version 4) with this run's credentials",
        code="MissingAuthenticationToken",
    )


def _header_claim(authorization: str, environ: WSGIEnvironment) -> _Claim:
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None:
        raise _incomplete("its Authorization header is not of Signature Version 4")
    return _Claim(
        _Credential.of(found),
        headers=tuple(found["headers"].split(";")),
        signature=found["signature"],
        timestamp=environ.get("HTTP_X_AMZ_DATE", ""),
        expires=None,
    )


def _query_claim(query: Mapping[str, str]) -> _Claim:
    credential = _CREDENTIAL.fullmatch(query.get("X-Amz-Credential", ""))
    expires = query.get("X-Amz-Expires", "")
    if credential is None:
        raise _incomplete("its query is not of Signature Version 4")
    if credential["service"] != "s3":
        raise _incomplete("only requests to S3 may be signed in the query")
    if not _SECONDS.fullmatch(expires) or not 0 < int(expires) <= _MAX_EXPIRES_SECONDS:
        raise _incomplete("X-Amz-Expires must be from 1 to 604800 seconds")
    return _Claim(
        _Credential.of(credential),
        headers=tuple(query.get("X-Amz-SignedHeaders", "").split(";")),
        signature=query["X-Amz-Signature"],
        timestamp=query.get("X-Amz-Date", ""),
        expires=timedelta(seconds=int(expires)),
    )


def _require_signed_headers(claim: _Claim, environ: WSGIEnvironment) -> None:
    """Refuse unsigned headers that change what AWS does: anybody may have added them later."""
    signed = {_environ_key(name) for name in claim.headers}
    unsigned = {name for name in environ if name.startswith("HTTP_X_AMZ_")} - signed
    if unsigned:
        name = min(unsigned).removeprefix("HTTP_").replace("_", "-").lower()
        raise _incomplete(f"its header {name} is not signed")


def _body_claim(claim: _Claim, environ: WSGIEnvironment) -> str | None:
    """Return the request's header about its body's hash; None if it has none."""
    said: str | None = environ.get("HTTP_X_AMZ_CONTENT_SHA256")
    if said is None:
        return auth.UNSIGNED_PAYLOAD if claim.is_presigned else None
    if _SHA256.fullmatch(said) or (said in _UNSIGNED_BODIES and claim.credential.service == "s3"):
        return said
    raise _incomplete("x-amz-content-sha256 is neither a hash nor a value that is accepted here")


def _read_body(environ: WSGIEnvironment, limit: int | None = None) -> bytes:
    """Return a request's body, and pass the same bytes to the application."""
    body = get_input_stream(environ, max_content_length=limit).read()
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _signer(claim: _Claim) -> type[auth.SigV4Auth]:
    if claim.is_presigned:
        return auth.S3SigV4QueryAuth
    return auth.S3SigV4Auth if claim.credential.service == "s3" else auth.SigV4Auth


def _without_signature(target: str) -> str:
    path, _, query = target.partition("?")
    return f"{path}?" + "&".join(
        part for part in query.split("&") if not part.startswith("X-Amz-Signature=")
    )


def _environ_key(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name in _UNPREFIXED else f"HTTP_{name}"


def _incomplete(what: str) -> RequestRefused:
    return RequestRefused(f"The request cannot be verified: {what}", code="IncompleteSignature")
