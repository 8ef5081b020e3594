"""`dropscale ledger rebuild`, and what `doctor` says and does about a stack's ledger."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from botocore.exceptions import BotoCoreError, ClientError

from dropscale.aws import wiring
from dropscale.ledger.rows import SCHEMA
from dropscale.ledger.store import LedgerConflict
from dropscale.pipeline.parts.ownership import MayNotPay
from dropscale_cli.errors import LedgerUnchanged
from dropscale_cli.options import ended_by_signals, examples, stack_option
from dropscale_cli.stacks.aws_target import AwsTarget, deployed_target
from dropscale_cli.terminal import Commands, Terminal, confirm, say
from dropscale_cli.tracking.progress import progress_on

_KEYS = {"HASH": "pk", "RANGE": "sk"}
_INDEX_KEYS = {"HASH": "sweep", "RANGE": "sweep_at"}
_SHOWN = 10


def table_faults(target: AwsTarget) -> Iterator[str]:
    """Yield what keeps a table from being a ledger: its keys, its index, its state, its key of KMS.

    What DescribeTable answers:
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
    """
    name = target.settings.ledger_table
    table = target.client("dynamodb").describe_table(TableName=name)["Table"]
    if _keys(table) != _KEYS:
        yield f"its keys are {_keys(table)}, not {_KEYS}"
    indexes = {one["IndexName"]: one for one in table.get("GlobalSecondaryIndexes", [])}
    index = indexes.get("sweep")
    if index is None:
        yield "it has no index sweep"
    elif _keys(index) != _INDEX_KEYS:
        yield f"its index sweep has the keys {_keys(index)}, not {_INDEX_KEYS}"
    for one in filter(None, (table, index)):
        status = one.get("TableStatus") or one.get("IndexStatus", "ACTIVE")
        if status not in {"ACTIVE", "UPDATING"}:
            yield f"it is {status}"
    sse = table.get("SSEDescription", {})
    if "InaccessibleEncryptionDateTime" in sse:
        yield f"its key {sse.get('KMSMasterKeyArn')} cannot be used"
    wanted = target.settings.kms_key_arn
    if wanted and sse.get("KMSMasterKeyArn", wanted) != wanted:
        yield f"its key is {sse['KMSMasterKeyArn']}, and KmsKeyArn another"


def ownership_detail(target: AwsTarget) -> str:
    """Return whose the ledger is, if this stack may pay by it, or will.

    Raises:
        MayNotPay: it may not.
    """
    name = target.settings.ledger_table
    if wiring.ledger(target.settings, target.client).owner() is None:
        return f"{name} is nobody's yet; the next sweep looks whether it may be this stack's"
    wiring.ownership(target.settings, target.client).require()
    return f"{name} is this stack's, schema {SCHEMA}"


def take_over(target: AwsTarget, stack: str, *, is_agreed: bool) -> None:
    """Let a stack pay in place of its ledger's owner, once a person has agreed.

    Raises:
        LedgerUnchanged: there is nobody to ask, or no agreement, or somebody else came first.
    """
    settings = target.settings
    ownership = wiring.ownership(settings, target.client)
    with _changing_nothing_else():
        owner = ownership.owner()
        if owner.stack_id == settings.stack_id:
            say(f"The ledger belongs to {stack} already.", to_stderr=True)
            return
        _ask(
            f"The ledger {settings.ledger_table} belongs to stack {owner.stack_id}, which pays no "
            f"more once {stack} takes it over; what it has paid is delivered by {stack}.",
            is_agreed=is_agreed,
        )
        ownership.take_over()
    say(f"Taken over: {stack} pays by it, and what waits goes on in minutes.", to_stderr=True)


def rebuild_ledger(target: AwsTarget, *, declines: bool, is_agreed: bool) -> int:
    """Read the results bucket into the ledger, or go on without; return the exit code.

    Raises:
        LedgerUnchanged: there is nobody to ask, or no agreement, or it is another stack's.
    """
    settings = target.settings
    ownership = wiring.ownership(settings, target.client)
    with _changing_nothing_else():
        if declines:
            if not ownership.owner().is_rebuilt:
                told = f"What lies in {settings.results_bucket} is paid again if it is dropped."
                _ask(told, is_agreed=is_agreed)
            ownership.note_rebuilt()
            say("The ledger is used as it is. What waits goes on within minutes.")
            return 0
        with progress_on(Terminal(to_stderr=True), f"Reading {settings.results_bucket}"):
            ownership.require_own()
            rebuilt = wiring.rebuild(settings, target.client)()
        done = rebuilt.done
        say(
            f"Read {done['manifests']:,} manifests and {done['outputs']:,} outputs: "
            f"{done['drops']:,} drops and {done['jobs']:,} jobs are new to the ledger."
        )
        if not rebuilt.unreadable:
            ownership.note_rebuilt()
            say("What waits goes on within minutes.")
            return 0
    say(*(f"Not readable: {key}" for key in rebuilt.unreadable[:_SHOWN]), to_stderr=True)
    say(
        f"{len(rebuilt.unreadable):,} manifests cannot be read. Remove them and call this again, "
        "or go on without them: `dropscale ledger rebuild --decline`.",
        to_stderr=True,
    )
    return 1


def _keys(described: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {key["KeyType"]: key["AttributeName"] for key in described["KeySchema"]}


def _ask(what: str, *, is_agreed: bool) -> None:
    if not is_agreed and not sys.stdin.isatty():
        raise LedgerUnchanged(f"{what} To agree, add --yes.")
    say(what, to_stderr=True)
    if not is_agreed and not confirm("Go on?"):
        raise LedgerUnchanged("Nothing was changed.")


@contextmanager
def _changing_nothing_else() -> Iterator[None]:
    try:
        yield
    except (MayNotPay, LedgerConflict, BotoCoreError, ClientError) as error:
        raise LedgerUnchanged(str(error)) from error


@click.group(cls=Commands)
def ledger() -> None:
    """Keep what a stack knows to be paid."""


@ledger.command(
    epilog=examples(
        "dropscale ledger rebuild --stack dropscale", "dropscale ledger rebuild --decline"
    )
)
@stack_option
@click.option("--decline", "declines", is_flag=True, help="Go on without: all is paid anew.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def rebuild(*, stack: str, declines: bool, yes: bool) -> None:
    """Read a stack's results into its ledger, whose table was lost.

    A new ledger beside a results bucket with manifests pays for nothing until this is done. It
    reads every manifest and output, so that nothing whose result is there is paid again. It is
    free, and may be interrupted and called again.

    Exits with 0 if all was read, 1 if not, 2 if there is no such stack.
    """
    with ended_by_signals():
        sys.exit(rebuild_ledger(deployed_target(stack), declines=declines, is_agreed=yes))
