"""Who is let in at an embedded cloud's endpoint: its own run, and no page and no other user."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from dropscale_embedded.cloud import EmbeddedCloud
from dropscale_embedded.cloud.aws_clients import Credentials

SECRET = "hush"  # of the `cloud` fixture's stack
FROM_A_PAGE = {"Origin": "https://evil.example"}


class _Captured(Exception):
    def __init__(self, request: AWSPreparedRequest) -> None:
        self.request = request


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire, to whatever its Host header says."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def with_headers(self, **headers: str | None) -> "Sent":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name not in named}
        return replace(self, headers=kept | {n: v for n, v in named.items() if v is not None})


@dataclass(frozen=True)
class Got:
    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """Signs like boto3 and sends the given request."""

    def __init__(self, cloud: EmbeddedCloud) -> None:
        self.cloud = cloud
        self.port = int(cloud.endpoint_url.rpartition(":")[2])
        self.host = f"127.0.0.1:{self.port}"

    def client(
        self, service: str, url: str = "", credentials: Credentials | None = None, **config: Any
    ) -> Any:
        return boto3.client(  # type: ignore[call-overload] # chosen by name
            service,
            endpoint_url=url or self.cloud.endpoint_url,
            region_name=self.cloud.region,
            config=Config(**config),
            **(credentials or self.cloud.credentials),
        )

    def signed(self, operation: str, client: Any, **parameters: Any) -> Sent:
        """What boto3 would send."""

        def capture(request: AWSPreparedRequest, **_: Any) -> None:
            raise _Captured(request)

        client.meta.events.register("before-send", capture)
        with pytest.raises(_Captured) as captured:
            getattr(client, operation)(**parameters)
        request = captured.value.request
        url = urlsplit(request.url)
        headers = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        body: Any = request.body or b""
        if not isinstance(body, bytes):
            body = b"".join(iter(partial(body.read, 65536), b""))
        for name in ("Expect", "Transfer-Encoding"):
            headers.pop(name, None)
        headers |= {"Host": url.netloc, "Content-Length": str(len(body))}
        target = f"{url.path}?{url.query}" if url.query else url.path
        return Sent(request.method, target, headers, body)

    def get_secret(self, **options: Any) -> Sent:
        arn = f"arn:aws:secretsmanager:{self.cloud.region}:123456789012:secret:dropscale-Secret"
        client = self.client("secretsmanager", **options)
        return self.signed("get_secret_value", client, SecretId=arn)

    def put_object(self, body: bytes, **options: Any) -> Sent:
        bucket = self.cloud.outputs["Results"]
        return self.signed(
            "put_object", self.client("s3", **options), Bucket=bucket, Key="a b", Body=body
        )

    def send(self, sent: Sent) -> Got:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(
                sent.method, sent.target, skip_host=True, skip_accept_encoding=True
            )
            for name, value in sent.headers.items():
                connection.putheader(name, value)
            connection.endheaders(sent.body)
            answer = connection.getresponse()
            got = Got(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()
        assert not [name for name in got.headers if name.lower().startswith("access-control-")]
        return got

    def object(self) -> bytes | None:
        s3, bucket = self.cloud.client("s3"), self.cloud.outputs["Results"]
        try:
            got: bytes = s3.get_object(Bucket=bucket, Key="a b")["Body"].read()
        except ClientError:
            return None
        s3.delete_object(Bucket=bucket, Key="a b")
        return got


Make = Callable[[Caller], Sent]
At = Callable[[timedelta], None]


@pytest.fixture
def caller(cloud: EmbeddedCloud) -> Caller:
    return Caller(cloud)


@pytest.fixture
def sign_at(monkeypatch: pytest.MonkeyPatch) -> At:
    """Have boto3 sign at another time, relative to now."""

    def sign_at(when: timedelta) -> None:
        monkeypatch.setattr(
            auth, "get_current_datetime", lambda: datetime.now(UTC).replace(tzinfo=None) + when
        )

    return sign_at


def unsigned(caller: Caller) -> Sent:
    return caller.get_secret().with_headers(Authorization=None, X_Amz_Date=None)


def with_the_key_of(caller: Caller, **other: str) -> Sent:
    credentials: Any = {**caller.cloud.credentials, **other}
    return caller.get_secret(credentials=credentials)


def cut_down(caller: Caller) -> Sent:
    """Signed without the header that names the operation."""
    sent = caller.get_secret()
    authorization = sent.headers["Authorization"].replace(";x-amz-target", "")
    return sent.with_headers(Authorization=authorization)


OTHER_USERS: dict[str, Make] = {
    "unsigned": unsigned,
    "as a page can": lambda caller: replace(
        unsigned(caller), headers={"Host": caller.host, "Content-Type": "text/plain"}
    ).with_headers(
        Content_Length=str(len(unsigned(caller).body)), X_Amz_Target="secretsmanager.GetSecretValue"
    ),
    "a bearer token": lambda caller: unsigned(caller).with_headers(Authorization="Bearer x"),
    "the constant of old": lambda caller: with_the_key_of(
        caller, aws_access_key_id="embedded", aws_secret_access_key="embedded"
    ),
    "another key": lambda caller: with_the_key_of(caller, aws_access_key_id="EMBEDDED000000000000"),
    "another secret": lambda caller: with_the_key_of(caller, aws_secret_access_key="0" * 40),
    "an empty secret": lambda caller: with_the_key_of(caller, aws_secret_access_key=" "),
    "replayed with another body": lambda caller: replace(
        caller.signed("list_secrets", caller.client("secretsmanager")).with_headers(
            Content_Length=str(len(unsigned(caller).body))
        ),
        body=unsigned(caller).body,
    ),
    "replayed as another call": lambda caller: replace(
        caller.signed("list_secrets", caller.client("secretsmanager")),
    ).with_headers(X_Amz_Target="secretsmanager.GetSecretValue"),
    "replayed at another path": lambda caller: replace(caller.get_secret(), target="/other"),
    "replayed with a query": lambda caller: replace(caller.get_secret(), target="/?a=b"),
    "replayed with another method": lambda caller: replace(caller.get_secret(), method="PUT"),
    "the call not signed": cut_down,
    "its hash said not to matter": lambda caller: caller.get_secret().with_headers(
        X_Amz_Content_Sha256="UNSIGNED-PAYLOAD"
    ),
    "no date": lambda caller: caller.get_secret().with_headers(X_Amz_Date=None),
    "an empty signature": lambda caller: caller.get_secret().with_headers(
        Authorization=caller.get_secret().headers["Authorization"].rpartition("=")[0] + "="
    ),
    "an absolute target": lambda caller: replace(
        caller.get_secret(), target=caller.cloud.endpoint_url + "/"
    ),
}


@pytest.mark.parametrize("make", OTHER_USERS.values(), ids=OTHER_USERS)
def test_another_user_gets_no_secret(caller: Caller, make: Make) -> None:
    got = caller.send(make(caller))
    assert (got.status, SECRET in got.body.decode()) == (403, False)


def from_site(site: str, caller: Caller) -> Sent:
    return caller.get_secret().with_headers(Sec_Fetch_Site=site)


PAGES: dict[str, Make] = {
    "its origin": lambda caller: caller.get_secret().with_headers(Origin="https://evil.example"),
    "an opaque origin": lambda caller: caller.get_secret().with_headers(Origin="null"),
    "our own origin": lambda caller: caller.get_secret().with_headers(
        Origin=caller.cloud.endpoint_url
    ),
    **{site: partial(from_site, site) for site in ("cross-site", "same-site", "same-origin")},
    "a name pointed at loopback": lambda caller: caller.get_secret(
        url=f"http://evil.example:{caller.port}"
    ),
    "a name that ends like ours": lambda caller: caller.get_secret(
        url=f"http://evil-localhost:{caller.port}"
    ),
    "another port": lambda caller: caller.get_secret(url="http://127.0.0.1:81"),
    "two hosts": lambda caller: caller.get_secret().with_headers(host=f"127.0.0.1:{caller.port}"),
    "a preflight": lambda caller: Sent(
        "OPTIONS", "/", {"Host": caller.host, **FROM_A_PAGE, "Access-Control-Request-Method": "PUT"}
    ),
}


@pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)
def test_a_page_is_refused_whatever_it_has_signed(caller: Caller, make: Make) -> None:
    got = caller.send(make(caller))
    assert (got.status, SECRET in got.body.decode()) == (403, False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "http://localhost:{}"])
def test_the_run_itself_gets_its_secret(caller: Caller, url: str) -> None:
    """What the tests above send, as it was signed."""
    got = caller.send(caller.get_secret(url=url.format(caller.port)))
    assert (got.status, SECRET in got.body.decode()) == (200, True)


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_clocks_may_differ_by_a_quarter_hour(
    caller: Caller, sign_at: At, minutes: int, status: int
) -> None:
    sign_at(timedelta(minutes=minutes))
    assert caller.send(caller.get_secret()).status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/moto-api/"),
        ("GET", "/moto-api/data.json"),
        ("POST", "/moto-api/reset"),
        ("GET", "/latest/meta-data/iam/security-credentials/default-role"),
    ],
)
def test_motos_own_pages_are_not_there(caller: Caller, method: str, path: str) -> None:
    assert caller.send(Sent(method, path, {"Host": caller.host})).status == 403
    operation = {"GET": "get_object", "POST": "create_multipart_upload"}[method]
    _, bucket, key = path.split("/", 2)
    key = key or "x"
    signed = caller.signed(operation, caller.client("s3"), Bucket=bucket, Key=key)
    assert caller.send(signed).status == 404
    assert caller.send(caller.get_secret()).status == 200


def test_a_body_is_the_one_whose_hash_was_signed(caller: Caller) -> None:
    sent = caller.put_object(b"mine")
    assert sent.headers["X-Amz-Content-SHA256"] == hashlib.sha256(b"mine").hexdigest()
    got = caller.send(replace(sent, body=b"evil"))
    assert (got.status, b"XAmzContentSHA256Mismatch" in got.body) == (400, True)
    assert caller.object() is None
    assert caller.send(sent).status == 200
    assert caller.object() == b"mine"


def test_bodies_that_boto3_does_not_sign(caller: Caller) -> None:
    https = f"https://{caller.host}"
    trailing = caller.put_object(b"checked by its trailer", url=https)
    assert trailing.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert caller.send(trailing).status == 200
    assert caller.object() == b"checked by its trailer"

    plain = {"request_checksum_calculation": "when_required", "s3": {"payload_signing_enabled": 0}}
    not_signed = caller.put_object(b"not checked", **plain)
    assert not_signed.headers["X-Amz-Content-SHA256"] == "UNSIGNED-PAYLOAD"
    assert caller.send(not_signed).status == 200
    assert caller.object() == b"not checked"


def test_a_body_signed_in_pieces_is_refused(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nobody verifies the pieces."""
    pieces = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    monkeypatch.setattr(auth.S3SigV4Auth, "payload", lambda *_: pieces)
    assert caller.send(caller.put_object(b"x")).status == 403


def presigned(caller: Caller, operation: str, seconds: int = 60) -> Sent:
    s3 = caller.client("s3", signature_version="s3v4")
    bucket = caller.cloud.outputs["Results"]
    url = s3.generate_presigned_url(operation, {"Bucket": bucket, "Key": "a b"}, ExpiresIn=seconds)
    target = url.removeprefix(caller.cloud.endpoint_url)
    method = {"get_object": "GET", "put_object": "PUT"}[operation]
    return Sent(method, target, {"Host": caller.host})


def test_a_presigned_url_moves_an_object(caller: Caller) -> None:
    put = replace(presigned(caller, "put_object"), body=b"moved")
    assert caller.send(put.with_headers(Content_Length="5")).status == 200
    got = caller.send(presigned(caller, "get_object"))
    assert (got.status, got.body) == (200, b"moved")
    assert caller.object() == b"moved"


def retargeted(change: Callable[[str], str]) -> Make:
    """Have the target of a presigned URL changed."""

    def make(caller: Caller) -> Sent:
        sent = presigned(caller, "get_object")
        return replace(sent, target=change(sent.target))

    return make


MISUSES: dict[str, Make] = {
    "by a page": lambda caller: presigned(caller, "get_object").with_headers(**FROM_A_PAGE),
    "for longer": retargeted(lambda target: target.replace("Expires=60", "Expires=600")),
    "for eight days": lambda caller: presigned(caller, "get_object", 8 * 86_400),
    "for another method": lambda caller: replace(presigned(caller, "get_object"), method="DELETE"),
    "for another key": retargeted(lambda target: target.replace("a%20b", "c")),
    "for another call": retargeted(lambda target: target + "&acl"),
    "with a header added": lambda caller: presigned(caller, "get_object").with_headers(
        X_Amz_Target="secretsmanager.GetSecretValue"
    ),
    "with its date twice": retargeted(lambda target: target + "&X-Amz-Date=20000101T000000Z"),
    "without its signature": retargeted(lambda target: target.partition("&X-Amz-Signature")[0]),
    "with a signature that is no text": retargeted(
        lambda target: target.replace("Signature=", "Signature=%C3%A9")
    ),
}


@pytest.mark.parametrize("make", MISUSES.values(), ids=MISUSES)
def test_a_presigned_url_is_good_for_what_it_was_made_for(caller: Caller, make: Make) -> None:
    assert caller.send(make(caller)).status == 403


def test_a_presigned_url_ends(caller: Caller, sign_at: At) -> None:
    sign_at(timedelta(seconds=-61))
    got = caller.send(presigned(caller, "get_object", 60))
    assert (got.status, b"The signature is of" in got.body) == (403, True)
    assert caller.send(presigned(caller, "get_object", 90)).status == 404, "there is no such object"


def test_a_bucket_may_be_named_in_the_host(caller: Caller) -> None:
    sent = caller.put_object(
        b"virtual", url=f"http://localhost:{caller.port}", s3={"addressing_style": "virtual"}
    )
    assert sent.headers["Host"].endswith(f".localhost:{caller.port}")
    assert caller.send(sent).status == 200
    assert caller.object() == b"virtual"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("secretsmanager", "list_secrets"),
        ("sqs", "list_queues"),
        ("sts", "get_caller_identity"),
        ("cloudformation", "describe_stacks"),
        ("lambda", "list_functions"),
        ("s3", "list_buckets"),
    ],
)
def test_boto3_tells_why_it_is_refused(caller: Caller, service: str, operation: str) -> None:
    old: Credentials = {"aws_access_key_id": "embedded", "aws_secret_access_key": "embedded"}
    with (
        closing(caller.client(service, credentials=old)) as client,
        pytest.raises(ClientError) as refused,
    ):
        getattr(client, operation)()
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidAccessKeyId"
    assert "each run has its own" in error["Message"]


def test_each_cloud_draws_its_own_credentials(cloud: EmbeddedCloud) -> None:
    others = [EmbeddedCloud(template=cloud._template).credentials for _ in range(2)]
    drawn = [cloud.credentials, *others]
    assert len({given["aws_access_key_id"] for given in drawn}) == 3
    assert len({given["aws_secret_access_key"] for given in drawn}) == 3


@pytest.mark.parametrize(
    "body",
    [
        f'{{"Name": "dropscale-Secret", "SecretString": "{SECRET}"}}',  # exists
        f'{{"Name": ["{SECRET}"], "SecretString": {{"{SECRET}": "{SECRET}"}}}}',
        f'["{SECRET}"]',
        f"{{{SECRET}",
        f"SecretString={SECRET}&\0\xff",
    ],
)
def test_no_error_writes_the_secret_down(caller: Caller, log_path: Path, body: str) -> None:
    """Whatever makes moto fail, neither its log nor its answer contains its input."""

    def replace_body(request: AWSRequest, **_: Any) -> None:
        request.data = body.encode()

    with closing(caller.client("secretsmanager", retries={"total_max_attempts": 1})) as client:
        client.meta.events.register("before-sign", replace_body)
        sent = caller.signed("create_secret", client, Name="n", SecretString="s")
    got = caller.send(sent.with_headers(Content_Length=str(len(sent.body))))
    assert got.status in {400, 500}
    assert SECRET not in got.body.decode() + log_path.read_text()
