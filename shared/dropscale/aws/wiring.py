"""Composes each function's use case from its settings: the only place that knows all parts.

Parts of a single use case are imported where it is composed, so that they do not slow down the cold
start of other functions.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from dropscale.aws.buckets import S3InputBucket, S3ResultsBucket
from dropscale.aws.event_bus import EventBridgeAnnouncer
from dropscale.aws.ledger import DynamoLedger
from dropscale.aws.magic_hour import MagicHourUpscaler
from dropscale.aws.settings import (
    CheckSettings,
    InputSettings,
    Settings,
    SpecSettings,
    StartSettings,
    SubmitSettings,
    SweepSettings,
    WebhookSettings,
)
from dropscale.aws.stored_secret import StoredSecret
from dropscale.ledger.drops import Drop
from dropscale.magichour.calls import CONNECT_TIMEOUT
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.tag import TagDrop

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from dropscale.aws.drop_queue import SqsDropQueue
    from dropscale.aws.webhook import ReceiveWebhook
    from dropscale.ledger.budget import Budget
    from dropscale.pipeline.check import Check
    from dropscale.pipeline.deliver import Deliver
    from dropscale.pipeline.fail import Fail
    from dropscale.pipeline.forget import Forget
    from dropscale.pipeline.parts.follow import FollowJob
    from dropscale.pipeline.parts.gate import GateKeeper
    from dropscale.pipeline.parts.look import LookAtProject
    from dropscale.pipeline.parts.ownership import Ownership
    from dropscale.pipeline.parts.ports import SpecFiles
    from dropscale.pipeline.parts.spec_resolver import NamesLike, SpecResolver
    from dropscale.pipeline.parts.start import StartJob
    from dropscale.pipeline.parts.waiters import WakeWaiters
    from dropscale.pipeline.rebuild import RebuildLedger
    from dropscale.pipeline.resolve import Resolve
    from dropscale.pipeline.restart import Restart
    from dropscale.pipeline.retry import Retry
    from dropscale.pipeline.submit import Submit
    from dropscale.pipeline.sweep import Sweep

Observer = Callable[[Drop], None]
"""Called with each drop that has a new manifest."""

ClientOf = Callable[[str], Any]
"""Creates the client of an AWS service, by the service's name."""

_MOST_FOLDER_SPECS = 1000
_SHARE_OF_SETTLING = 1 / 3
"""The share of the settle time for which a folder spec is cached. A spec dropped together with an
image, or in the rest of its settle time, is read when the image is evaluated."""

PIXELS_BYTES = 1408 * 1024 * 1024
"""The memory limit of decoding, out of what the template gives deliver."""

CALL_SECONDS = 45.0
_TOKEN_BYTES = 12
"""96 bits, so that an attempt's token cannot be guessed."""
CHECK_CALL_SECONDS = 15.0
BRIEF_CALL_SECONDS = 2.0
"""The time limit of a look in a wait that a token ends: twice this, as its connection may take as
long, is less than the shortest such wait."""

TRANSFER_SECONDS = 90.0
"""The time limit of an upload, out of the 120 s that the template gives submit."""

DOWNLOAD_SECONDS = 180.0
"""The time limit of a download, out of the 300 s that it gives deliver."""

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=20,
    # Otherwise botocore builds its user agent again for each request: a tenth of a request's cost.
    user_agent="dropscale",
)
_WEBHOOK_CONFIG = _CONFIG.merge(
    # The vendor waits 10 s, and then sends the event again.
    Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=2)
)


def submit(settings: SubmitSettings, observe: Observer) -> Submit:
    """Compose submit."""
    from dropscale.pipeline.parts.accept import AcceptDrop
    from dropscale.pipeline.parts.advance import AdvanceDrop
    from dropscale.pipeline.parts.decline import DeclineDrop
    from dropscale.pipeline.parts.evaluate import EvaluateDrop
    from dropscale.pipeline.parts.locate import LocateDrop, noting_images
    from dropscale.pipeline.submit import Submit

    parts = _StartParts(settings, observe)
    bucket = S3InputBucket(parts.s3, settings.input_prefix)
    resolve = specs(settings, bucket, noting_images(parts.ledger))
    return Submit(
        locate=LocateDrop(bucket, parts.ledger, settings.sidecar_suffixes),
        evaluate=EvaluateDrop(bucket, resolve, parts.budget),
        accept=AcceptDrop(parts.ledger, _now),
        decline=DeclineDrop(parts.ledger, _now, resolve.batch_of),
        advance=AdvanceDrop(
            ledger=parts.ledger,
            upscaler=parts.upscaler,
            start=parts.start,
            follow=parts.follow,
            gate=parts.gate,
            clock=_now,
        ),
        write_manifest=parts.write_manifest,
        ownership=parts.ownership,
    )


def check(settings: CheckSettings, observe: Observer) -> Check:
    """Compose check."""
    from dropscale.pipeline.check import Check
    from dropscale.pipeline.parts.poll_schedule import PollSchedule

    parts = _Parts(settings, observe, call_seconds=CHECK_CALL_SECONDS)
    return Check(
        ledger=parts.ledger,
        look=parts.look,
        write_manifest=parts.write_manifest,
        clock=_now,
        schedule=PollSchedule.up_to(settings.poll_interval_cap_seconds),
        sleep=time.sleep,
        brief_look=parts.look.within(parts.upscaler.within(BRIEF_CALL_SECONDS)),
        wake_waiters=parts.wake_waiters,
    )


def deliver(settings: StartSettings, observe: Observer) -> Deliver:
    """Compose deliver."""
    from dropscale.image.vips import Vips
    from dropscale.pipeline.deliver import Deliver
    from dropscale.pipeline.parts.finish import FinishResult
    from dropscale.pipeline.parts.publish import PublishOutput

    parts = _StartParts(settings, observe, transfer_seconds=DOWNLOAD_SECONDS)
    finish = FinishResult(S3InputBucket(parts.s3), Vips(PIXELS_BYTES))
    return Deliver(
        ledger=parts.ledger,
        upscaler=parts.upscaler,
        look=parts.look,
        results=parts.results,
        publish=PublishOutput(parts.ledger, parts.results, finish),
        write_manifest=parts.write_manifest,
        start=parts.start,
        clock=_now,
    )


def fail(settings: StartSettings, observe: Observer) -> Fail:
    """Compose fail."""
    from dropscale.pipeline.fail import Fail

    parts = _StartParts(settings, observe)
    return Fail(parts.ledger, parts.write_manifest, parts.start, _now)


def sweep(settings: SweepSettings, observe: Observer) -> Sweep:
    """Compose sweep."""
    from dropscale.aws.drop_queue import SqsDropQueue
    from dropscale.pipeline.parts.account import AskForAccount
    from dropscale.pipeline.parts.settle_batches import SettleBatch
    from dropscale.pipeline.reconcile import Reconcile
    from dropscale.pipeline.sweep import Sweep

    parts = _StartParts(settings, observe)
    bucket = S3InputBucket(parts.s3, settings.input_prefix)
    queue = SqsDropQueue(_client("sqs"), settings.drop_queue_url)
    quiet = timedelta(seconds=settings.batch_quiet_seconds)
    return Sweep(
        ledger=parts.ledger,
        bucket=bucket,
        look=parts.look,
        queue=queue,
        start=parts.start,
        follow=parts.follow,
        gate=parts.gate,
        write_manifest=parts.write_manifest,
        settle_batch=SettleBatch(
            parts.ledger, parts.results, parts.announcer.announce_batch, _now, quiet
        ),
        ask_for_account=AskForAccount(parts.ledger, parts.upscaler, _now),
        reconcile=Reconcile(parts.ledger, bucket, queue, _now, settings.input_bucket),
        ownership=parts.ownership,
        clock=_now,
    )


def webhook(settings: WebhookSettings, _observe: Observer) -> ReceiveWebhook:
    """Compose webhook."""
    from dropscale.aws.executions import StepFunctionsCallbacks
    from dropscale.aws.webhook import ReceiveWebhook
    from dropscale.pipeline.parts.waiters import WakeWaiters
    from dropscale.pipeline.receive_event import ReceiveEvent

    def client(service: str) -> Any:
        return _session().client(service, config=_WEBHOOK_CONFIG)  # type: ignore[call-overload] # chosen by name

    secret = StoredSecret(
        client("secretsmanager"), settings.webhook_secret_arn, "the webhook's secret"
    )
    ledger = DynamoLedger(client("dynamodb"), settings.ledger_table)
    wake = WakeWaiters(ledger, StepFunctionsCallbacks(lambda: client("stepfunctions")))
    return ReceiveWebhook(secret, ReceiveEvent(ledger, wake, _now), _now)


def retry(settings: SweepSettings, client: ClientOf) -> Retry:
    """Compose retry, for the command line; `client` makes its AWS clients.

    Raises:
        MayNotPay: this stack may not pay from the ledger.
    """
    from dropscale.aws.drop_queue import SqsDropQueue
    from dropscale.pipeline.retry import Retry

    parts = _StartParts(settings, client=client)
    parts.ownership.require()
    return Retry(
        ledger=parts.ledger,
        bucket=S3InputBucket(parts.s3, settings.input_prefix),
        results=parts.results,
        queue=SqsDropQueue(client("sqs"), settings.drop_queue_url),
        start=parts.start,
        follow=parts.follow,
        write_manifest=parts.write_manifest,
        clock=_now,
    )


def resolve(settings: StartSettings, client: ClientOf) -> Resolve:
    """Compose resolve, for the command line; `client` makes its AWS clients.

    Raises:
        MayNotPay: this stack may not pay from the ledger.
    """
    from dropscale.pipeline.resolve import Resolve

    parts = _StartParts(settings, client=client)
    parts.ownership.require()
    return Resolve(parts.ledger, parts.upscaler, parts.start, parts.follow, _now)


def forget(settings: StartSettings, client: ClientOf) -> Forget:
    """Compose forget, for the command line; `client` makes its AWS clients.

    Raises:
        MayNotPay: this stack may not change the ledger.
    """
    from dropscale.pipeline.forget import Forget

    parts = _StartParts(settings, client=client)
    parts.ownership.require()
    return Forget(parts.ledger, parts.upscaler, parts.results, parts.write_manifest, _now)


def restart(settings: StartSettings, client: ClientOf) -> Restart:
    """Compose restart, for the stack on one machine; `client` makes its AWS clients."""
    from dropscale.pipeline.restart import Restart

    parts = _StartParts(settings, client=client)
    return Restart(parts.ledger, parts.follow, _now)


def input_bucket(settings: InputSettings, client: ClientOf) -> S3InputBucket:
    """Compose the input bucket, for the command line."""
    return S3InputBucket(client("s3"), settings.input_prefix)


def results_bucket(settings: Settings, client: ClientOf) -> S3ResultsBucket:
    """Compose the results bucket, for the command line."""
    return S3ResultsBucket(client("s3"), settings.results_bucket, settings.results_prefix)


def drop_queue(settings: SweepSettings, client: ClientOf) -> SqsDropQueue:
    """Compose the queue that feeds submit, for the command line."""
    from dropscale.aws.drop_queue import SqsDropQueue

    return SqsDropQueue(client("sqs"), settings.drop_queue_url)


def ledger(settings: Settings, client: ClientOf) -> DynamoLedger:
    """Compose the ledger alone, for the command line; `client` makes its AWS client."""
    return DynamoLedger(client("dynamodb"), settings.ledger_table)


def ownership(settings: Settings, client: ClientOf) -> Ownership:
    """Compose who owns the ledger, for the command line; `client` makes its AWS clients."""
    return _Parts(settings, client=client).ownership


def rebuild(settings: Settings, client: ClientOf) -> RebuildLedger:
    """Compose rebuild, for the command line; `client` makes its AWS clients."""
    from dropscale.pipeline.rebuild import RebuildLedger

    parts = _Parts(settings, client=client)
    return RebuildLedger(parts.ledger, parts.results, _now)


def specs(settings: SpecSettings, files: SpecFiles, names_like: NamesLike) -> SpecResolver:
    """Compose the resolver of the specs in `files`."""
    from cachetools import TTLCache

    from dropscale.pipeline.parts.spec_resolver import SpecResolver
    from dropscale.specs.merge import stack_defaults

    return SpecResolver(
        files=files,
        defaults=stack_defaults(settings.default_scale_factor, settings.default_mode),
        suffixes=settings.sidecar_suffixes,
        sidecar_required=settings.sidecar_mode == "required",
        folder_specs=TTLCache(_MOST_FOLDER_SPECS, settings.settle_seconds * _SHARE_OF_SETTLING),
        names_like=names_like,
    )


def _client(service: str) -> Any:
    return _session().client(service, config=_CONFIG)  # type: ignore[call-overload] # chosen by name


@cache
def _session() -> boto3.Session:
    return boto3.Session()


def _observe_nothing(_: Drop) -> None:
    """Do nothing: commands send no metrics."""


class _Parts:
    """The parts of every function."""

    def __init__(
        self,
        settings: Settings,
        observe: Observer = _observe_nothing,
        client: ClientOf = _client,
        call_seconds: float = CALL_SECONDS,
        transfer_seconds: float = TRANSFER_SECONDS,
    ) -> None:
        self._client = client
        self.s3 = cast("S3Client", client("s3"))
        self.ledger = DynamoLedger(client("dynamodb"), settings.ledger_table)
        where = settings.results_bucket, settings.results_prefix
        self.results = S3ResultsBucket(self.s3, *where)
        self._stack_id = settings.stack_id
        self.announcer = EventBridgeAnnouncer(lambda: client("events"), *where)
        self.write_manifest = WriteManifest(self.ledger, self.results, observe, self.announcer)
        api_key = StoredSecret(client("secretsmanager"), settings.api_key_secret_arn)
        self.upscaler = MagicHourUpscaler(
            api_key, settings.api_base_url, call_seconds, transfer_seconds
        )

    @cached_property
    def ownership(self) -> Ownership:
        from dropscale.pipeline.parts.ownership import Ownership

        return Ownership(self.ledger, self.results, _now, self._stack_id)

    @cached_property
    def look(self) -> LookAtProject:
        from dropscale.pipeline.parts.look import LookAtProject

        return LookAtProject(self.ledger, self.upscaler, _now)

    @cached_property
    def wake_waiters(self) -> WakeWaiters:
        from dropscale.aws.executions import StepFunctionsCallbacks
        from dropscale.pipeline.parts.waiters import WakeWaiters

        return WakeWaiters(
            self.ledger, StepFunctionsCallbacks(partial(self._client, "stepfunctions"))
        )


class _StartParts(_Parts):
    """The parts of a function that may start jobs."""

    def __init__(
        self,
        settings: StartSettings,
        observe: Observer = _observe_nothing,
        client: ClientOf = _client,
        transfer_seconds: float = TRANSFER_SECONDS,
    ) -> None:
        super().__init__(settings, observe, client, transfer_seconds=transfer_seconds)
        if settings.tag_drops:
            tag = TagDrop(S3InputBucket(self.s3))
            self.write_manifest = replace(self.write_manifest, tag=tag)
        self._settings = settings

    @cached_property
    def gate(self) -> GateKeeper:
        from dropscale.pipeline.parts.gate import GateKeeper

        return GateKeeper(self.ledger, self.upscaler, _now, random.random)

    @cached_property
    def follow(self) -> FollowJob:
        from dropscale.aws.executions import StepFunctionsExecutions
        from dropscale.pipeline.parts.follow import FollowJob, Timing

        settings = self._settings
        arn = settings.state_machine_arn
        executions = StepFunctionsExecutions(self._client("stepfunctions"), arn)
        timing = Timing(
            settings.first_check_seconds,
            settings.job_deadline_seconds,
            webhooks=settings.webhooks == "enabled",
        )
        return FollowJob(self.ledger, self.write_manifest, executions, _now, timing)

    @cached_property
    def budget(self) -> Budget:
        from dropscale.ledger.budget import Budget

        return Budget(self._settings.daily_credit_limit, self._settings.monthly_credit_limit)

    @cached_property
    def start(self) -> StartJob:
        from dropscale.pipeline.parts.adopt import AdoptProject
        from dropscale.pipeline.parts.start import StartJob, StartPolicy

        policy = StartPolicy(
            slots=self._settings.max_concurrent_jobs or None,
            create_seconds=CALL_SECONDS + CONNECT_TIMEOUT,
            budget=self.budget,
        )
        return StartJob(
            ledger=self.ledger,
            upscaler=self.upscaler,
            follow=self.follow,
            gate=self.gate,
            ownership=self.ownership,
            adopt=AdoptProject(self.ledger, self.upscaler, self.follow, _now),
            clock=_now,
            sleep=time.sleep,
            new_token=lambda: secrets.token_hex(_TOKEN_BYTES),
            policy=policy,
        )


def _now() -> datetime:
    return datetime.now(UTC)
