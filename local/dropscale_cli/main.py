"""The `dropscale` command, and what its help lists.

The module of a command is imported when the command is called: most take a quarter of a second,
and the help should not.
"""

import atexit
import gc
from types import MappingProxyType

import click

from dropscale import __version__
from dropscale_cli.options import examples
from dropscale_cli.terminal import Commands, Listed

_COLLECT_AFTER = 200_000
"""New objects, less those gone again, until the collector looks for garbage among them."""

_LISTED = MappingProxyType(
    {
        "Start here": [
            Listed("init", "specs.starter:init", "Write a dropscale.yaml with every setting."),
            Listed("plan", "specs.plan:plan", "Show what a run would do, and what it would cost."),
            Listed("run", "follow.run:run_command", "Upscale an image, or all in a folder."),
        ],
        "Specs": [
            Listed("validate", "specs.validate:validate", "Check specs for errors."),
            Listed(
                "explain", "specs.explain:explain", "Show which settings an image gets, and why."
            ),
            Listed("schema", "specs.starter:schema", "Print the JSON Schema of spec files."),
        ],
        "Run": [
            Listed("status", "follow.status:status", "Show how far the images are."),
            Listed("gallery", "page.gallery:gallery", "Write a page of results and originals."),
            Listed("apply", "follow.apply:apply", "Apply changed specs to images dropped before."),
        ],
        "Settle": [
            Listed("retry", "follow.by_hand:retry", "Retry images without a result."),
            Listed("resolve", "follow.by_hand:resolve", "Settle an upscale of unknown outcome."),
        ],
        "Serve": [
            Listed("up", "stacks.serve:up", "Run the stack on this machine until Ctrl-C."),
            Listed("api", "stacks.serve:api", "Run only the embedded Magic Hour API."),
            Listed("doctor", "stacks.doctor:doctor", "Check a stack, and say how to fix it."),
            Listed("stack", "stacks.stack_source:stack", "Write the stack's files, to deploy."),
            Listed("ledger", "stacks.ledger:ledger", "Rebuild a stack's ledger from its results."),
            Listed("secret", "stacks.doctor:secret", "Set the Magic Hour API key of a stack."),
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
    """Drop images into an S3 bucket; upscaled images and manifests come out."""
    # Most of what there is are modules, which live to the end: looking through them for garbage
    # again and again, and once more at the end, takes a third of a short command's time.
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)
