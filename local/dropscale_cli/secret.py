"""`dropscale secret set`: puts the vendor's API key where the stack reads it."""

import sys

from botocore.exceptions import ClientError

from dropscale.magichour import Client, MagicHourError
from dropscale_cli.deployed_stack import deployed_target
from dropscale_cli.errors import KeyRefused
from dropscale_cli.terminal import ask_unseen, say


def set_key(stack: str) -> None:
    """Read a key from the terminal, unseen, or from standard input, and keep it.

    Raises:
        KeyRefused: it cannot be a key, the vendor does not take it, or AWS does not.
        StackUnreachable: as its name says.
    """
    target = deployed_target(stack)
    if sys.stdin.isatty():
        key = ask_unseen("Magic Hour API key").strip()
    else:
        key = sys.stdin.readline().strip()
    settings = target.settings
    try:
        account = Client(token=key, base_url=settings.api_base_url).v1.account.list()
        target.client("secretsmanager").put_secret_value(
            SecretId=settings.api_key_secret_arn, SecretString=key
        )
    except (ValueError, MagicHourError, ClientError) as error:
        raise KeyRefused(f"Nothing was changed. {error}") from error
    told = "" if account.credits is None else f" The account has {account.credits:,} credits."
    say(f"Kept.{told} What waits for the key goes on within minutes.")
