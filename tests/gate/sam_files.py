"""Find what SAM CLI passes over in silence: files that are not there, settings it does not know.

Run from the top folder, in the environment of aws-sam-cli.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped] # ships no types


def missing_files() -> Iterator[str]:
    """Yield a line for each resource whose code or definition is not there."""
    template = yaml_parse(Path("template.yaml").read_text())
    for resource_name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for name in properties.keys() & {"CodeUri", "ContentUri", "DefinitionUri"}:
            if not Path(properties[name]).exists():
                yield f"template.yaml: {resource_name}.{name}: {properties[name]} does not exist"


def options(command: str) -> set[str]:
    """Return the names that a SAM command's options have in samconfig.toml."""
    sam = Path(sys.executable).with_name("sam")
    shown = subprocess.run([sam, command, "--help"], capture_output=True, text=True, check=False)
    return {name.replace("-", "_") for name in re.findall(r"--([a-z][a-z0-9-]*)", shown.stdout)}


def unknown_settings() -> Iterator[str]:
    """Yield a line for each setting that its command (`global`: every command named) lacks."""
    environments = tomllib.loads(Path("samconfig.toml").read_text())
    del environments["version"]
    for environment, commands in environments.items():
        known = {command: options(command) for command in commands if command != "global"}
        known["global"] = set().union(*known.values())
        for command, tables in commands.items():
            for setting in tables["parameters"].keys() - known[command]:
                yield (
                    f"samconfig.toml: {environment}.{command}.parameters.{setting}: no such option"
                )


if __name__ == "__main__":
    sys.exit("\n".join([*missing_files(), *unknown_settings()]) or None)
