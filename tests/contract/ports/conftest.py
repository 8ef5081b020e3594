"""Each contract of `dropscale.pipeline.parts.ports` is kept in memory, by the fakes, and on AWS."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest

from tests.mocked_aws import mocked_aws

ClientOf = Callable[[str], Any]
NewBucket = Callable[[str, bool], Any]


@pytest.fixture(params=["memory", "aws"])
def where(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=[False, True], ids=["unversioned", "versioned"])
def is_versioned(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


@cache  # to make one takes longer than most tests
def client_of(service: str) -> Any:
    secret = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client(service, region_name="us-east-1", **secret)  # type: ignore[call-overload]


@pytest.fixture
def aws() -> Iterator[ClientOf]:
    with mocked_aws():
        yield client_of


@pytest.fixture
def new_bucket(aws: ClientOf) -> NewBucket:
    """Makes a bucket, of this name, versioned or not; returns a client of S3."""

    def create(name: str, is_versioned: bool) -> Any:
        client = aws("s3")
        client.create_bucket(Bucket=name)
        if is_versioned:
            versioning = {"Status": "Enabled"}
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
        return client

    return create
