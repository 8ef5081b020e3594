"""boto3 clients that can reach the embedded cloud and nothing else."""

import os
import secrets
import threading
from typing import Any, TypedDict

import boto3
import botocore.session
from botocore.config import Config


class Credentials(TypedDict):
    """The credentials that boto3 signs with."""

    aws_access_key_id: str
    aws_secret_access_key: str


def drawn_credentials() -> Credentials:
    """Return new random credentials, which need no quotes in a shell."""
    return {
        "aws_access_key_id": f"EMBEDDED{secrets.token_hex(6).upper()}",
        "aws_secret_access_key": secrets.token_hex(20),
    }


# A proxy from the environment does not reach loopback. botocore would build its user agent for each
# request, a tenth of the request's cost. On a busy machine, an answer may take more than botocore's
# minute, and moto, which knows no request tokens, does a repeated write twice.
_OPTIONS: dict[str, Any] = {
    "proxies": {},
    "max_pool_connections": 50,
    "user_agent": "dropscale",
    "read_timeout": 300,
}
_ISOLATED: dict[str, tuple[Any, Any, Any, Any]] = {
    # The user's profiles, credentials and endpoints must not be used.
    "profile": (None, [], None, None),
    "config_file": (None, [], os.devnull, None),
    "credentials_file": (None, [], os.devnull, None),
}


class ClientFactory:
    """Makes clients for one endpoint. Thread-safe, unlike a boto3 session."""

    def __init__(self, endpoint_url: str, region: str, credentials: Credentials) -> None:
        session = botocore.session.Session(session_vars=_ISOLATED)
        self._session = boto3.Session(botocore_session=session, region_name=region, **credentials)
        self.region = region
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return the client of a service, always the same one: clients are thread-safe."""
        if service not in self._clients:
            self._clients[service] = self.new_client(service)
        return self._clients[service]

    def new_client(self, service: str, **options: Any) -> Any:
        """Return a new client; ``options`` are those of botocore's Config."""
        options = _OPTIONS | options
        with self._lock:
            # The service, and so the client's type, is known only at run time.
            return self._session.client(  # type: ignore[call-overload]
                service, endpoint_url=self._endpoint_url, config=Config(**options)
            )
