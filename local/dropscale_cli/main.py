"""The `dropscale` command, and the commands that its help lists.

A command's module is imported when the command is called: most imports take a quarter of a second,
and the help should not wait for them.
"""

import atexit
import gc
from types import MappingProxyType

import click

from dropscale import __version__
from dropscale_cli.options import examples
from dropscale_cli.terminal import Commands, Listed

_COLLECT_AFTER = 200_000
"""Number of objects allocated minus freed before the garbage collector runs."""

_LISTED = MappingProxyType(
    {
        "Start here": [
            Listed("init", "specs.starter:init", "Write a dropscale.yaml with every setting."),
            Listed("plan", "specs.plan:plan", "Show what a run would do and cost."),
            Listed("run", "follow.run:run_command", "Upscale an image or a folder of images."),
        ],
        "Specs": [
            Listed("validate", "specs.validate:validate", "Check specs for errors."),
            Listed(
                "explain", "specs.explain:explain", "Show which settings an image gets and why."
            ),
            Listed("schema", "specs.starter:schema", "Print the JSON Schema of spec files."),
        ],
        "Run": [
            Listed("status", "follow.status:status", "Show the state of each image."),
            Listed(
                "gallery", "page.gallery:gallery", "Write an HTML page of results and originals."
            ),
            Listed("apply", "follow.apply:apply", "Apply changed specs to images dropped before."),
        ],
        "Settle": [
            Listed("retry", "follow.by_hand:retry", "Retry images without a result."),
            Listed("resolve", "follow.by_hand:resolve", "Settle an upscale of unknown outcome."),
            Listed("forget", "follow.forget:forget", "Delete delivered results at Magic Hour."),
        ],
        "Serve": [
            Listed("up", "stacks.serve:up", "Run the stack on this machine until Ctrl-C."),
            Listed("api", "stacks.serve:api", "Run only the embedded Magic Hour API."),
            Listed(
                "doctor",
                "stacks.doctor:doctor",
                "Check a stack and say how to fix what is wrong.",
            ),
            Listed("stack", "stacks.stack_source:stack", "Write the stack's files for deployment."),
            Listed("ledger", "stacks.ledger:ledger", "Rebuild a stack's ledger from its results."),
            Listed("secret", "stacks.doctor:secret", "Set a stack's API key or webhook secret."),
        ],
    }
)


@click.group(
    cls=Commands,
    listed=_LISTED,
    package="dropscale_cli",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "dropscale plan photos",
        "dropscale run photos --out results",
        "dropscale run photos --out results --watch",
        "dropscale run photos --stack dropscale",
        "dropscale status --out results --failed",
    ),
)
@click.version_option(__version__, prog_name="dropscale")
def main() -> None:
    """Upscale images with AI, on this machine or through a stack on AWS."""
    # Most objects belong to modules, which live until the process ends. Searching them for garbage
    # repeatedly, and once more at exit, takes a third of a short command's time.
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)
