"""Each function is allowed to do what it does in the integration tests, and nothing else.

Every use of a permission is brought about here, so that this file stands by itself: also the start
of the next job by those that free a slot, a withdrawal, and all that the sweeper does.
"""

import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.s3.models import s3_backends

from dropscale.aws.ledger import DynamoLedger
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop, Rendition, Source
from dropscale.ledger.jobs import Job, Parameters
from dropscale.ledger.states import DropState, WaitReason
from dropscale.ledger.store import (
    Attach,
    Limits,
    SaveDrop,
    SaveJob,
    SaveSingleton,
    Spend,
    job_changes,
)
from dropscale.ledger.walk import Walk
from dropscale.magichour import Client
from dropscale.results.manifest import manifest_key
from dropscale.specs.effective import EffectiveSpec
from dropscale.upscaler import Mode
from dropscale_embedded.api import EmbeddedApi, StubEngine
from dropscale_embedded.api.engines import Stopped
from dropscale_embedded.api.faults import Call, FaultPlan, Outcome, Rule
from dropscale_embedded.api.picture import ImageFault, Picture
from dropscale_embedded.cloud import EmbeddedCloud
from tests.aws_calls.call_log import ACCOUNT, CallLog, Permission
from tests.fakes import png
from tests.policies import TEMPLATE, Policies, Statement, policies_in_use, refused_calls

FUNCTIONS = [
    f"{name}Function" for name in ("Submit", "Check", "Deliver", "Fail", "Sweep", "Webhook")
]

BY_LAMBDA = "Lambda does it with the function's role"
BY_STORAGE = "S3 and DynamoDB do it with the function's role, where KmsKeyArn names a key"
IMPLIED = {
    ("ResultsListing", "s3:ListBucket"): "without it, a missing manifest is a 403 and not a 404",
    ("OriginalsListing", "s3:ListBucket"): "without it, a deleted image is a 403 and not a 404",
    ("Originals", "s3:GetObject"): "an existing bucket may keep no versions",
    ("Logs", "logs:CreateLogStream"): BY_LAMBDA,
    ("Logs", "logs:PutLogEvents"): BY_LAMBDA,
    ("DropMessages", "sqs:ReceiveMessage"): BY_LAMBDA,
    ("DropMessages", "sqs:DeleteMessage"): BY_LAMBDA,
    ("DropMessages", "sqs:GetQueueAttributes"): BY_LAMBDA,
    ("Key", "kms:Decrypt"): BY_STORAGE,
    ("Key", "kms:Encrypt"): BY_STORAGE,
    ("Key", "kms:GenerateDataKey"): BY_STORAGE,
}
"""Permissions that our code never uses directly; by statement and action. Reviewed by hand."""

DEADLINE_SECONDS = 240.0
FIRST, WITHDRAWN, FAILING, LAST = "first.png", "withdrawn.png", "failing.png", "last.png"
UNREAD, UPLOADED, UNWATCHED = "unread.png", "uploaded.png", "unwatched.png"
TOO_LATE, BROKEN, FAILING_LATER = "too late.png", "broken.png", "failing later.png"

WAITING, AT_VENDOR = {DropState.WAITING}, {DropState.SUBMITTED, DropState.RENDERING}
DELIVERED, FAILED, REJECTED = {DropState.DELIVERED}, {DropState.FAILED}, {DropState.REJECTED}

LIMITS = Limits(slots=2, credits={})
BUDGET = Budget(daily=5000)

Needed = dict[str, set[Permission]]


@pytest.fixture(scope="module")
def policies() -> Policies:
    return policies_in_use()


@pytest.fixture(scope="module")
def needed(aws_calls: CallLog, busy_stack: None) -> Needed:
    return aws_calls.read()


class HeldEngine(StubEngine):
    """Renders as many images as it is let, and fails on one of a width when it is told to."""

    def __init__(self, failing_width: int) -> None:
        super().__init__(seconds=0)
        self._failing_width = failing_width
        self._permits = threading.Semaphore(0)
        self.fail = threading.Event()

    def let(self, images: int) -> None:
        """Let so many more images be rendered."""
        self._permits.release(images)

    def upscale(self, picture: Picture, *, stopping: threading.Event, **kwargs: Any) -> Picture:
        is_failing = picture.colour.width == self._failing_width
        go_on = self.fail.wait if is_failing else self._permits.acquire
        while not go_on(timeout=0.1):
            if stopping.is_set():
                raise Stopped
        if is_failing:
            raise ImageFault("invalid_file_format", "As the test says")
        return super().upscale(picture, stopping=stopping, **kwargs)


@pytest.fixture(scope="module")
def busy_stack() -> None:
    """Two slots and many who want them, on a stack whose sweeper finds work left behind."""
    engine = HeldEngine(failing_width=13)
    fails = Rule(call=Call.RENDER, match=f"*{FAILING}*", fault=Outcome(status="error"))
    with (
        EmbeddedApi(engine=engine, faults=FaultPlan(rules=(fails,))) as api,
        EmbeddedCloud(
            template=TEMPLATE,
            parameters={
                "SettleSeconds": "0",
                "FirstCheckSeconds": "1",
                "PollIntervalCapSeconds": "1",
                "MaxConcurrentJobs": str(LIMITS.slots),
                "DailyCreditLimit": str(BUDGET.daily),
                "ApiBaseUrl": api.base_url,
                "TagDrops": "true",
                "Webhooks": "enabled",
            },
            secrets={"ApiKeySecret": api.token},
            before_events=lambda cloud: leave_work(cloud, api),
        ) as cloud,
    ):
        put(cloud, BROKEN, b"no image")
        await_states(
            cloud, {BROKEN: REJECTED, UPLOADED: REJECTED, UNREAD: AT_VENDOR, UNWATCHED: AT_VENDOR}
        )
        waiting = (FIRST, 3), (WITHDRAWN, 5), (FAILING, 7), (FAILING_LATER, 13), (LAST, 9)
        for key, width in waiting:
            put(cloud, key, png(width, 2))
            await_states(cloud, {key: WAITING})
        put(cloud, f"{WITHDRAWN}.yaml", b"scale_factor: 4")
        eventually_idle(cloud)
        # Then the first and the failing ones start, and with the latter's end the last.
        engine.let(2)
        await_waiter(cloud, FAILING_LATER)
        engine.fail.set()
        await_states(cloud, {FAILING: FAILED, FAILING_LATER: FAILED, LAST: AT_VENDOR})
        engine.let(100)
        await_states(cloud, dict.fromkeys((UNREAD, UNWATCHED, FIRST, WITHDRAWN, LAST), DELIVERED))
        spend_the_budget(cloud)
        put(cloud, TOO_LATE, png(11, 2))
        await_states(cloud, {TOO_LATE: WAITING})


def spend_the_budget(cloud: EmbeddedCloud) -> None:
    """Leave nothing of it, neither today nor, should midnight come, tomorrow."""
    ledger = DynamoLedger(cloud.client("dynamodb"), cloud.outputs["LedgerTableName"])
    today = datetime.now(UTC)
    for day in (today, today + timedelta(days=1)):
        window = next(iter(BUDGET.windows(day)))
        ledger.write(Spend(window, BUDGET.daily, limit=None))


def leave_work(cloud: EmbeddedCloud, api: EmbeddedApi) -> None:
    """Leave a job whose image is to be read again, one to start, and one that nobody watches."""
    cloud.client("secretsmanager").put_secret_value(
        SecretId=cloud.outputs["WebhookSecretArn"],
        SecretString=api.create_webhook(cloud.outputs["WebhookUrl"]),
    )
    (rule,) = cloud.client("events").list_rules()["Rules"]
    cloud.client("events").disable_rule(Name=rule["Name"])
    put(cloud, UNREAD, png())  # of which the sweeper alone is to tell submit
    put(cloud, UPLOADED, png(1, 1))  # which the sweeper is to tag
    cloud.client("events").enable_rule(Name=rule["Name"])
    files = Client(token=api.token, base_url=api.base_url).v1
    path = files.files.upload_file(io.BytesIO(png(1, 2)), "png")
    project = files.ai_image_upscaler.create(
        assets={"image_file_path": path}, scale_factor=2, style={"mode": "balanced"}
    )
    now = datetime.now(UTC)
    ledger = DynamoLedger(cloud.client("dynamodb"), cloud.outputs["LedgerTableName"])
    # A walk that is to begin a pass, and an object that has lain there for long.
    long_ago = now - timedelta(hours=1)
    ledger.write(SaveSingleton(Walk.first(long_ago - timedelta(hours=1))))
    bucket = s3_backends[ACCOUNT]["aws"].buckets[cloud.outputs["InputBucketName"]]
    bucket.keys[UNREAD].last_modified = long_ago.replace(tzinfo=None)
    for key in (UNREAD, UPLOADED, UNWATCHED):
        job = leave_job(cloud, ledger, key, now)
        if key == UPLOADED:
            ledger.write(SaveJob(job.with_upload("api-assets/gone.png", now)))
        if key == UNWATCHED:
            claimed = job.claim("attempt", now, LIMITS.credits)
            ledger.write(*job_changes(job, claimed, LIMITS))
            ledger.write(SaveJob(claimed.record_project(project.id, 50, now, now)))


def leave_job(cloud: EmbeddedCloud, ledger: DynamoLedger, key: str, now: datetime) -> Job:
    """Leave a ready job that is due, and a drop that waits for it."""
    bucket = cloud.outputs["InputBucketName"]
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    due = now - timedelta(minutes=1)
    job = Job(fingerprint=key, parameters=parameters, label=key, created_at=due, due=due)
    source = Source(bucket=bucket, key=key, etag="etag", width=1, height=2)
    if key == UPLOADED:
        found = cloud.client("s3").head_object(Bucket=bucket, Key=key)
        told = {"etag": found["ETag"].strip('"'), "version_id": found["VersionId"]}
        source = source.model_copy(update=told)
    wanted = Rendition(fingerprint=key, parameters=parameters, wait=WaitReason.SLOT)
    if key == UNWATCHED:
        wanted = wanted.move(DropState.SUBMITTED)
    spec = EffectiveSpec(scale_factor=parameters.scale_factor, mode=parameters.mode)
    drop = Drop(id=Drop.id_of(bucket, key), source=source, spec=spec)
    drop = drop.evaluate({key: wanted}, now)
    ledger.write(SaveDrop(drop), SaveJob(job), Attach(key, drop.id))
    return job


def put(cloud: EmbeddedCloud, key: str, body: bytes) -> None:
    bucket = cloud.outputs["InputBucketName"]
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def await_states(cloud: EmbeddedCloud, expected: dict[str, set[DropState]]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    for key, states in expected.items():
        while (found := state(cloud, key)) not in states:
            assert time.monotonic() < deadline, f"{key}: {found}"
            cloud.wait_for_object(1)


def await_waiter(cloud: EmbeddedCloud, key: str) -> None:
    """Wait until an execution waits for a drop's event."""
    deadline, dynamodb = time.monotonic() + DEADLINE_SECONDS, cloud.client("dynamodb")
    name = f"waiter#{Drop.id_of(cloud.outputs['InputBucketName'], key)}#"
    rows: list[Any] = []
    while not any(row["sk"]["S"].startswith(name) for row in rows):
        assert time.monotonic() < deadline, rows
        rows = dynamodb.scan(TableName=cloud.outputs["LedgerTableName"])["Items"]
        time.sleep(0.1)


def eventually_idle(cloud: EmbeddedCloud) -> None:
    """Wait until submit has taken every message."""
    deadline, sqs = time.monotonic() + DEADLINE_SECONDS, cloud.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = ["some"]
    while set(counts) != {"0"}:
        assert time.monotonic() < deadline, counts
        found = sqs.get_queue_attributes(
            QueueUrl=cloud.outputs["DropQueueUrl"], AttributeNames=names
        )
        counts = list(found["Attributes"].values())
        time.sleep(0.05)


def state(cloud: EmbeddedCloud, key: str) -> str | None:
    s3, results = cloud.client("s3"), cloud.outputs["ResultsBucketName"]
    try:
        found = s3.get_object(Bucket=results, Key=manifest_key(key))
    except s3.exceptions.NoSuchKey:
        return None
    return str(json.load(found["Body"])["state"])


def test_what_a_function_calls_is_allowed(needed: Needed) -> None:
    assert needed.keys() >= set(FUNCTIONS)
    assert refused_calls(needed) == {}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_function_is_allowed_it_calls(
    policies: Policies, needed: Needed, function: str
) -> None:
    unused = {
        (single.sid, *single.actions, *single.resources)
        for single in singles(policies.of_function(function))
        if (single.sid, *single.actions) not in IMPLIED
        and not any(single.allows(permission) for permission in needed[function])
    }
    assert unused == set()


def test_nothing_is_called_implied_that_is_called_or_not_allowed(
    policies: Policies, needed: Needed
) -> None:
    allowed = {function: list(singles(policies.of_function(function))) for function in FUNCTIONS}
    assert IMPLIED.keys() == {
        (single.sid, *single.actions)
        for function, statements in allowed.items()
        for single in statements
        if not any(single.allows(permission) for permission in needed[function])
    }


def test_no_function_touches_tags_unless_tagdrops_says_so() -> None:
    unset = Policies()
    actions = {a for name in FUNCTIONS for one in unset.of_function(name) for a in one.actions}
    assert not [action for action in actions if "Tagging" in action]


def test_no_role_has_a_policy_that_is_not_the_templates(policies: Policies) -> None:
    assert policies.managed_elsewhere() == set()


def singles(statements: list[Statement]) -> Iterator[Statement]:
    """Take statements apart into such with one action on one resource."""
    for statement in statements:
        for action in statement.actions:
            for resource in statement.resources:
                yield replace(statement, actions=(action,), resources=(resource,))
