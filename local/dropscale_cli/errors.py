"""Errors of commands; click prints the message and uses the exit code."""

import click


class WrongUsage(click.ClickException):
    """The command's arguments cannot be used."""

    exit_code = 2


class NothingToDrop(WrongUsage):
    """There is no image at the path."""


class UnusablePath(WrongUsage):
    """A file or folder that the command needs cannot be used."""


class Unconfirmed(WrongUsage):
    """A price or a deletion needs confirmation, but there is no terminal to ask on."""


class Declined(click.ClickException):
    """The user did not agree to a price or a deletion."""


class StartFailed(click.ClickException):
    """The embedded API or the embedded cloud could not start."""


class JournalStopped(click.ClickException):
    """The journal can no longer be written, so the stack accepts nothing and pays for nothing."""


class StackUnreachable(WrongUsage):
    """A stack does not exist or cannot be reached."""


class KeyRefused(click.ClickException):
    """An API key was not stored."""


class LedgerUnchanged(click.ClickException):
    """A stack's ledger could not be changed as asked, or the change was not confirmed."""


class UnknownImage(WrongUsage):
    """The ledger has no such image."""


class NotResolved(click.ClickException):
    """An image's unknown outcome could not be settled as asked."""


class NotForgotten(click.ClickException):
    """The vendor's copy of a result could not be deleted."""


class NoResults(WrongUsage):
    """There is no manifest in the folder."""


class PageUnwritable(click.ClickException):
    """The page cannot be written, or another file has its name."""
