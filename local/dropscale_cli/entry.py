"""The entry point of `dropscale`; it imports nothing, so that it can name a missing package."""

import sys

_OURS = ("dropscale", "dropscale_cli", "dropscale_embedded")


def main() -> None:
    """Run the command, or say in one line which extra installs a missing package."""
    try:
        from dropscale_cli.main import main as command  # noqa: PLC0415 # click may be missing

        command()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in _OURS:
            raise
        sys.exit(
            f"The command needs the package {missing}, which the library does not: pip install "
            "'dropscale[local]'"
        )
