"""`dropscale doctor` and `dropscale secret set`: check a stack and set its secrets."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import click
from botocore.exceptions import BotoCoreError, ClientError

from dropscale import __version__
from dropscale.aws import wiring
from dropscale.aws.stored_secret import StoredSecret
from dropscale.ledger.budget import Budget
from dropscale.magichour import Account, Client, MagicHourError, Unauthorized
from dropscale.magichour.urls import VISIBLE_ASCII
from dropscale.pipeline.parts.ownership import MayNotPay
from dropscale_cli.errors import KeyRefused
from dropscale_cli.options import YES_HELP, ended_by_signals, examples, format_option, stack_option
from dropscale_cli.stacks.account import Concern, Demand, concerns, described
from dropscale_cli.stacks.aws_target import AwsTarget, deployed_target
from dropscale_cli.stacks.ledger import ownership_detail, table_faults, take_over
from dropscale_cli.stacks.live_check import report_live
from dropscale_cli.stacks.local_stack import RealApi, chosen_api
from dropscale_cli.terminal import Commands, Terminal, ask_unseen, on_one_line, say, say_json
from dropscale_cli.tracking.progress import progress_on

_VENDOR_PAGE = "https://magichour.ai/developer"
_EVENT_DAYS = 14


@dataclass(frozen=True)
class Finding:
    """The finding about one part; `fix`: how to fix it, if it is faulty."""

    part: str
    detail: str
    fix: str | None = None

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to fix."""
        return self.fix is None


def examine(target: AwsTarget, stack: str) -> list[Finding]:
    """Check every part of a stack; nothing is changed or charged."""
    checks: dict[str, Callable[[], Finding]] = {
        "AWS account": lambda: _caller(target),
        "versions": lambda: _versions(target, stack),
        "input events": lambda: _events(target),
        "results bucket": lambda: _results(target),
        "ledger": lambda: _ledger(target, stack),
        "dead letters": lambda: _dead_letters(target),
        "API key": lambda: _api_key(target, stack),
        "Magic Hour": lambda: _magic_hour(target, stack),
        "budget": lambda: _budget(target),
        "gate": lambda: _gate(target),
        "webhooks": lambda: _webhooks(target, stack),
    }
    return [_found(part, check) for part, check in checks.items()]


def report(findings: list[Finding], *, as_json: bool) -> int:
    """Print the findings; return the exit code: 0 if all is well, else 1."""
    if as_json:
        told = [{**asdict(finding), "ok": finding.is_well} for finding in findings]
        say_json(told)
    else:
        say(*_lines(findings))
    return 0 if all(finding.is_well for finding in findings) else 1


def _lines(findings: list[Finding]) -> Iterator[str]:
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        mark = "ok  " if finding.is_well else "FIX "
        yield f"{mark}  {finding.part:{width}}  {finding.detail}"
        if finding.fix:
            yield f"{'':{width + 8}}{finding.fix}"


def _found(part: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except (BotoCoreError, ClientError) as error:
        return Finding(part, str(error), "Allow this call, or ask somebody who can.")


def _caller(target: AwsTarget) -> Finding:
    return Finding("AWS account", target.client("sts").get_caller_identity()["Arn"])


def _versions(target: AwsTarget, stack: str) -> Finding:
    ours = __version__
    detail = f"dropscale {ours}, stack {stack} {target.version}, Python {platform.python_version()}"
    fix = "Deploy again, or use the command of the stack's version."
    return Finding("versions", detail, None if ours == target.version else fix)


def _events(target: AwsTarget) -> Finding:
    bucket = target.input_bucket
    found = target.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    found.pop("ResponseMetadata", None)
    if "EventBridgeConfiguration" in found:
        return Finding("input events", f"{bucket} sends its events to EventBridge")
    # Setting a configuration replaces the whole one, so it must include the existing entries.
    whole = json.dumps({**found, "EventBridgeConfiguration": {}})
    return Finding(
        "input events",
        f"{bucket} sends no events to EventBridge, so drops go unnoticed",
        f"aws s3api put-bucket-notification-configuration --bucket {bucket} "
        f"--notification-configuration '{whole}'",
    )


def _results(target: AwsTarget) -> Finding:
    bucket = target.settings.results_bucket
    if bucket == target.input_bucket:
        return Finding("results bucket", f"{bucket} is also the input bucket", "Use two buckets.")
    status = target.client("s3").get_bucket_versioning(Bucket=bucket).get("Status")
    if status == "Enabled":
        return Finding("results bucket", f"{bucket} keeps replaced results")
    return Finding(
        "results bucket",
        f"{bucket} keeps no versions, so a replaced result is lost",
        f"aws s3api put-bucket-versioning --bucket {bucket} "
        "--versioning-configuration Status=Enabled",
    )


def _ledger(target: AwsTarget, stack: str) -> Finding:
    if faults := ". ".join(table_faults(target)):
        detail = f"{target.settings.ledger_table} is not a ledger of this version: {faults}"
        return Finding(
            "ledger", detail, "Set ExistingLedger only to the table of an earlier stack."
        )
    try:
        return Finding("ledger", ownership_detail(target))
    except MayNotPay as error:
        fix = error.fix.replace("take-over`", f"take-over --stack {stack}`")
        return Finding("ledger", error.message, fix)


def _dead_letters(target: AwsTarget) -> Finding:
    name = "ApproximateNumberOfMessages"
    queue = target.dead_letter_queue_url
    found = target.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    count = int(found["Attributes"][name])
    if not count:
        return Finding("dead letters", "none")
    return Finding(
        "dead letters",
        f"{count} drop{'s' * (count != 1)} could not be submitted",
        "Fix the cause named in their manifests, then: aws sqs start-message-move-task "
        "--source-arn <the queue's ARN>",
    )


def _key_of(target: AwsTarget) -> str:
    return StoredSecret(target.client("secretsmanager"), target.settings.api_key_secret_arn)()


def _api_key(target: AwsTarget, stack: str) -> Finding:
    try:
        _key_of(target)
    except Unauthorized as error:
        detail = on_one_line(error.message or error.what)
        return Finding("API key", detail, f"dropscale secret set --stack {stack}")
    return Finding("API key", "the secret has a value")


def _magic_hour(target: AwsTarget, stack: str) -> Finding:
    settings = target.settings
    try:
        client = Client(token=_key_of(target), base_url=settings.api_base_url)
        account = client.v1.account.list()
    except (Unauthorized, ValueError) as error:
        return Finding("Magic Hour", str(error), f"dropscale secret set --stack {stack}")
    except MagicHourError as error:
        return Finding("Magic Hour", str(error), "Check ApiBaseUrl, then try again.")
    factors = frozenset({settings.default_scale_factor})
    return account_finding(account, Demand(0, factors, settings.max_concurrent_jobs))


def account_finding(account: Account, demand: Demand) -> Finding:
    """Check whether an account has what the stack's settings need."""
    found = list(concerns(account, demand))
    if account.credits is not None and account.credits <= 0:
        found.append(Concern("No credits are left", "Buy credits, or wait for the next period."))
    detail = ". ".join([described(account), *(concern.what for concern in found)])
    return Finding("Magic Hour", detail, " ".join(concern.fix for concern in found) or None)


def _budget(target: AwsTarget) -> Finding:
    settings = target.settings
    budget = Budget(settings.daily_credit_limit, settings.monthly_credit_limit)
    ledger = wiring.ledger(settings, target.client)
    told, is_spent = [], False
    for window, limit in budget.windows(datetime.now(UTC)).items():
        spent = ledger.credits_spent(window)
        told.append(f"{window.replace('#', ' ')}: {spent} of {limit or 'no limit'}")
        is_spent = is_spent or (limit is not None and spent >= limit)
    fix = "Wait for the next one, or raise DailyCreditLimit or MonthlyCreditLimit."
    return Finding("budget", ", ".join(told), fix if is_spent else None)


def _gate(target: AwsTarget) -> Finding:
    gate = wiring.ledger(target.settings, target.client).gate()
    if gate is None or gate.is_open:
        return Finding("gate", "open")
    why = f"{gate.reason}: {on_one_line(gate.cause.message)}" if gate.cause else gate.reason
    return Finding(
        "gate",
        f"closed: the vendor accepts no jobs ({why}); one job tries again at {gate.until:%H:%M}",
        "See `API key` and `Magic Hour` above; it opens automatically.",
    )


def _webhooks(target: AwsTarget, stack: str) -> Finding:
    if target.webhook is None:
        return Finding("webhooks", "off: projects are looked at again and again")
    url = target.webhook.url
    try:
        StoredSecret(target.client("secretsmanager"), target.webhook.secret_arn)()
    except Unauthorized:
        return Finding(
            "webhooks",
            f"no secret is set, so no event counts; the URL is {url}",
            f"On {_VENDOR_PAGE}, create a webhook for this URL with all image events. Then: "
            f"dropscale secret set --webhook --stack {stack}",
        )
    last = _last_event(target, stack)
    detail = (
        f"the last event came on {last:%Y-%m-%d}, in the hour from {last:%H:%M} UTC"
        if last
        else f"no event in {_EVENT_DAYS} days. If images were upscaled, compare URL, events and "
        f"secret with the webhook on {_VENDOR_PAGE}"
    )
    return Finding("webhooks", f"{url}: {detail}")


def _last_event(target: AwsTarget, stack: str) -> datetime | None:
    now = datetime.now(UTC)
    found = target.client("cloudwatch").get_metric_statistics(
        Namespace="dropscale",
        MetricName="webhook_events",
        Dimensions=[{"Name": "service", "Value": stack}],
        StartTime=now - timedelta(days=_EVENT_DAYS),
        EndTime=now,
        Period=3600,
        Statistics=["Sum"],
    )
    return max((point["Timestamp"] for point in found["Datapoints"]), default=None)


def set_webhook_secret(stack: str) -> None:
    """Read a webhook's secret like a key, and store it; only the vendor's events can prove it.

    Raises:
        KeyRefused: the stack has no webhook, the secret cannot be one, or AWS refuses it.
        StackUnreachable: the stack does not exist or cannot be reached.
    """
    target = deployed_target(stack)
    if target.webhook is None:
        raise KeyRefused(
            "Nothing was changed. The stack has no webhook: deploy it with Webhooks=enabled first."
        )
    secret = _given_secret("Secret of the Magic Hour webhook")
    if not VISIBLE_ASCII.fullmatch(secret):
        raise KeyRefused("Nothing was changed. A secret is one word.")
    try:
        target.client("secretsmanager").put_secret_value(
            SecretId=target.webhook.secret_arn, SecretString=secret
        )
    except ClientError as error:
        raise KeyRefused(f"Nothing was changed. {error}") from error
    say(
        "The webhook's secret is set; it counts within a minute.",
        f"The webhook on {_VENDOR_PAGE} must send all image events to {target.webhook.url}",
    )


def _given_secret(what: str) -> str:
    """Return what is typed, without echo, or the first line of standard input."""
    return (ask_unseen(what) if sys.stdin.isatty() else sys.stdin.readline()).strip()


def set_key(stack: str) -> None:
    """Read a key from the terminal, without echo, or from standard input, and store it.

    Raises:
        KeyRefused: it cannot be a key, or the vendor or AWS refuses it.
        StackUnreachable: the stack does not exist or cannot be reached.
    """
    target = deployed_target(stack)
    key = _given_secret("Magic Hour API key")
    settings = target.settings
    try:
        account = Client(token=key, base_url=settings.api_base_url).v1.account.list()
        target.client("secretsmanager").put_secret_value(
            SecretId=settings.api_key_secret_arn, SecretString=key
        )
    except (ValueError, MagicHourError, ClientError) as error:
        raise KeyRefused(f"Nothing was changed. {error}") from error
    told = "" if account.credits is None else f" The account has {account.credits:,} credits."
    say(f"The key is set.{told} Images that wait for it continue within minutes.")


@click.command(
    "doctor",
    epilog=examples(
        "dropscale doctor --stack dropscale",
        "dropscale doctor --take-over",
        "dropscale doctor --live",
    ),
)
@stack_option
@click.option(
    "--take-over", "takes_over", is_flag=True, help="Take over the ledger of another stack."
)
@click.option("--yes", "is_agreed", is_flag=True, help=YES_HELP)
@format_option()
@click.option(
    "--live",
    is_flag=True,
    help="Check the real API instead: upscale one small image for 25 credits, and compare all "
    "answers with the documentation. Needs MAGIC_HOUR_API_KEY.",
)
def doctor(
    *, stack: str, takes_over: bool, is_agreed: bool, output_format: str, live: bool
) -> None:
    """Check each part of a stack, and say how to fix what is wrong.

    Parts are, for example, the API key, the account, events, the budget and the ledger. Nothing is
    changed or charged, except with --take-over and --live, which ask first.

    Exits with 0 if all is well, 1 if not, 2 if there is no such stack.
    """
    with ended_by_signals("", "To check again"):
        if live:
            api = chosen_api(os.environ, None)
            if not isinstance(api, RealApi):
                raise click.UsageError("--live needs MAGIC_HOUR_API_KEY.")
            sys.exit(report_live(api.api_key, api.name, is_agreed=is_agreed))
        if takes_over:
            take_over(deployed_target(stack), stack, is_agreed=is_agreed)
        target = deployed_target(stack)
        with progress_on(Terminal(to_stderr=True), f"Checking stack {stack}"):
            findings = examine(target, stack)
        sys.exit(report(findings, as_json=output_format == "json"))


@click.group(cls=Commands)
def secret() -> None:
    """Manage the Magic Hour API key of a stack, and the secret of its webhook."""


@secret.command(
    "set",
    epilog=examples(
        "dropscale secret set",
        "pass show magic-hour | dropscale secret set",
        "dropscale secret set --webhook",
    ),
)
@stack_option
@click.option(
    "--webhook",
    "is_webhooks",
    is_flag=True,
    help="Set the secret of the Magic Hour webhook instead (docs/webhooks.md).",
)
def set_secret(*, stack: str, is_webhooks: bool) -> None:
    """Set a stack's key, after a free call that checks it.

    The key is asked for or read from standard input. It is not an argument, because others on this
    machine could see that.
    """
    with ended_by_signals("Nothing was changed."):
        if is_webhooks:
            set_webhook_secret(stack)
        else:
            set_key(stack)
