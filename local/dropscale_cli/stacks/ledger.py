"""`dropscale ledger rebuild`, and `doctor`'s checks and changes of a stack's ledger."""

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
    """Yield why a table cannot be a ledger: its keys, index, state or KMS key.

    The answer of DescribeTable:
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
    """
    name = target.settings.ledger_table
    table = target.client("dynamodb").describe_table(TableName=name)["Table"]
    if _keys(table) != _KEYS:
        yield f"its keys are {_keys(table)}, not {_KEYS}"
    indexes = {one["IndexName"]: one for one in table.get("GlobalSecondaryIndexes", [])}
    index = indexes.get("sweep")
    if index is None:
        yield "it has no index named sweep"
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
        yield f"its key is {sse['KMSMasterKeyArn']}, but KmsKeyArn is another"


def ownership_detail(target: AwsTarget) -> str:
    """Return the ledger's owner, if this stack may pay by it or will.

    Raises:
        MayNotPay: it may not.
    """
    name = target.settings.ledger_table
    if wiring.ledger(target.settings, target.client).owner() is None:
        return f"{name} has no owner yet; the next sweep checks whether this stack may own it"
    wiring.ownership(target.settings, target.client).require()
    return f"{name} belongs to this stack, schema {SCHEMA}"


def take_over(target: AwsTarget, stack: str, *, is_agreed: bool) -> None:
    """Make a stack the owner of its ledger, once a person has agreed.

    Raises:
        LedgerUnchanged: there is nobody to ask, no agreement, or another process was first.
    """
    settings = target.settings
    ownership = wiring.ownership(settings, target.client)
    with _changing_nothing_else():
        owner = ownership.owner()
        if owner.stack_id == settings.stack_id:
            say(f"The ledger belongs to {stack} already.", to_stderr=True)
            return
        _ask(
            f"The ledger {settings.ledger_table} belongs to stack {owner.stack_id}, which can no "
            f"longer pay once {stack} takes it over; {stack} delivers what that stack has paid "
            "for.",
            is_agreed=is_agreed,
        )
        ownership.take_over()
    say(f"Taken over by {stack}. Waiting images continue within minutes.", to_stderr=True)


def rebuild_ledger(target: AwsTarget, *, declines: bool, is_agreed: bool) -> int:
    """Read the results bucket into the ledger, or continue without; return the exit code.

    Raises:
        LedgerUnchanged: there is nobody to ask, no agreement, or the owner is another stack.
    """
    settings = target.settings
    ownership = wiring.ownership(settings, target.client)
    with _changing_nothing_else():
        if declines:
            if not ownership.owner().is_rebuilt:
                told = (
                    f"Images with results in {settings.results_bucket} are paid for again if "
                    "dropped again."
                )
                _ask(told, is_agreed=is_agreed)
            ownership.note_rebuilt()
            say("The ledger is used as it is. Waiting images continue within minutes.")
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
            say("Waiting images continue within minutes.")
            return 0
    say(*(f"Cannot be read: {key}" for key in rebuilt.unreadable[:_SHOWN]), to_stderr=True)
    say(
        f"{len(rebuilt.unreadable):,} manifests cannot be read. Remove them and run this command "
        "again, or continue without them: `dropscale ledger rebuild --decline`.",
        to_stderr=True,
    )
    return 1


def _keys(described: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {key["KeyType"]: key["AttributeName"] for key in described["KeySchema"]}


def _ask(what: str, *, is_agreed: bool) -> None:
    if not is_agreed and not sys.stdin.isatty():
        raise LedgerUnchanged(f"{what} To agree, add --yes.")
    say(what, to_stderr=True)
    if not is_agreed and not confirm("Continue?"):
        raise LedgerUnchanged("Nothing was changed.")


@contextmanager
def _changing_nothing_else() -> Iterator[None]:
    try:
        yield
    except (MayNotPay, LedgerConflict, BotoCoreError, ClientError) as error:
        raise LedgerUnchanged(str(error)) from error


@click.group(cls=Commands)
def ledger() -> None:
    """Manage a stack's ledger, the record of paid jobs."""


@ledger.command(
    epilog=examples(
        "dropscale ledger rebuild --stack dropscale", "dropscale ledger rebuild --decline"
    )
)
@stack_option
@click.option(
    "--decline",
    "declines",
    is_flag=True,
    help="Continue without the results; images dropped again are paid for again.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def rebuild(*, stack: str, declines: bool, yes: bool) -> None:
    """Rebuild a stack's lost ledger from its results bucket.

    With a new ledger and a results bucket that has manifests, a stack pays for nothing until this
    is done. It reads every manifest and output, so that no existing result is paid for again. It is
    free, and can be interrupted and repeated.

    Exits with 0 if everything was read, 1 if not, 2 if there is no such stack.
    """
    with ended_by_signals():
        sys.exit(rebuild_ledger(deployed_target(stack), declines=declines, is_agreed=yes))
