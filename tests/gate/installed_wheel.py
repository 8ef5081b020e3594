"""The wheel, installed outside the checkout with only its declared dependencies.

Nothing is downloaded: what the wheel requires, and what that requires, is linked from this
environment, so a dependency that is used but not declared is missed here.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TUTORIAL = re.compile(
    r"^## A quarter of an hour\n.*?^```console\n(.*?)^```", re.DOTALL | re.MULTILINE
)

LONGEST, GRACE = 120, 10
"""Seconds that one command may take, and that it has to end when it took longer."""

CLIENT = """
from pathlib import Path
from typing import assert_type

import dropscale.magichour as mh
from dropscale.upscaler import ProjectStatus

with mh.Client(token="t", timeout=None, environment=mh.Environment.ENVIRONMENT) as client:
    style: mh.Style = {"mode": "creative", "prompt": "fur"}
    assets: mh.Assets = {"image_file_path": "api-assets/1.png"}


def use(client: mh.Client) -> None:
    made = client.v1.ai_image_upscaler.create(assets=assets, scale_factor=2, style=style)
    assert_type(made, mh.CreatedProject)
    assert_type(client.v1.image_projects.get(id=made.id).status, ProjectStatus)
    assert_type(client.v1.account.list(request_options={"timeout": 5}).credits, int | None)


async def use_async(client: mh.AsyncClient) -> None:
    async with client:
        made = await client.v1.ai_image_upscaler.generate(
            assets={"image_file_path": Path("cat.png")}, scale_factor=2
        )
        assert_type(made, mh.ProjectResult)
"""
WRONG = """
from dropscale.magichour import Client

def use(client: Client) -> None:
    client.v1.ai_image_upscaler.create(
        assets={"image_file_path": "x"}, scale_factor=2, style={"mod": "creative"}
    )
    client.v1.ai_image_upscaler.create(
        assets={"image_file_path": "x"}, scale_factor=2, style={"mode": "creativ"}
    )
    client.v1.ai_image_upscaler.create(assets={"image": "x"}, scale_factor=2)
"""
WRONG_LINES = (6, 9, 11)


class Installed:
    """A new environment with the wheel and some of its extras, and an empty folder to work in."""

    def __init__(self, wheel: Path, extras: frozenset[str], folder: Path) -> None:
        self.python = folder / "venv/bin/python"
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        (folder / "home").mkdir()
        venv = [sys.executable, "-m", "venv", "--without-pip"]
        subprocess.run([*venv, folder / "venv"], check=True)
        (site,) = (folder / "venv").glob("lib/python3*/site-packages")
        pip = [sys.executable, "-m", "pip", f"--python={self.python}", "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
        for needed in required(site, extras).values():
            link(needed, site)
        self.environment = {
            "HOME": str(folder / "home"),
            "PATH": os.pathsep.join([str(folder / "venv/bin"), os.environ["PATH"]]),
            "LANG": "C.UTF-8",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SAM_CLI_TELEMETRY": "0",
        }

    def run(
        self,
        *command: str | Path,
        fails: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command, in the new environment or another, and return all that it printed."""
        done = subprocess.run(
            ["timeout", f"--kill-after={GRACE}", str(LONGEST), *command],
            cwd=self.work,
            env=environment or self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if (done.returncode != 0) is not fails:
            sys.exit(f"{command} exited with {done.returncode}:\n{done.stdout}")
        return done.stdout


def required(site: Path, extras: frozenset[str]) -> Mapping[str, Distribution]:
    """Return what the wheel in `site` and all that it requires need of this environment.

    Exits if an installed version is not allowed.
    """
    (ours,) = Distribution.discover(name="dropscale", path=[str(site)])
    found: dict[str, Distribution] = {}
    todo = list(wanted(ours, extras))
    while todo:
        requirement = todo.pop()
        if requirement.name == "dropscale":
            todo += wanted(ours, frozenset(requirement.extras))
            continue
        one = distribution(requirement.name)
        if not requirement.specifier.contains(one.version):
            sys.exit(f"{requirement} does not allow {one.version}, which the tests run on")
        if requirement.name not in found or requirement.extras:
            found[requirement.name] = one
            todo += wanted(one, frozenset(requirement.extras))
    return found


def wanted(one: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    """Yield what a distribution requires on this machine with some of its extras."""
    for text in one.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def link(one: Distribution, site: Path) -> None:
    """Have a distribution of this environment in another one, too."""
    for name in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
        target = site / name
        if not target.exists():
            target.symlink_to(Path(str(one.locate_file(name))).resolve())


def check_client(client: Installed) -> None:
    """The base install is the typed client; its command says in one line what is missing."""
    (client.work / "right.py").write_text(CLIENT)
    (client.work / "wrong.py").write_text(WRONG)
    client.run(client.python, "right.py")
    said = client.run("dropscale", "--version", fails=True)
    assert said == (
        "The command needs the package click, which the library does not: pip install "
        "'dropscale[local]'\n"
    ), said
    checkers: list[list[str | Path]] = [
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", client.python],
        [os.environ["PYRIGHT"], "--pythonpath", client.python],
    ]
    for checker in checkers:
        client.run(*checker, "right.py", environment=os.environ)
        said = client.run(*checker, "wrong.py", fails=True, environment=os.environ)
        lines = {int(line) for line in re.findall(r"wrong\.py:(\d+)(?::\d+)?[: -]+error", said)}
        assert lines == set(WRONG_LINES), said


def check_specs(specs: Installed) -> None:
    """What the pre-commit hook runs needs no more than this."""
    specs.run("dropscale", "init", "photos")
    specs.run("dropscale", "validate", "photos")


def check_command(local: Installed, wheel: str) -> None:
    """README's tutorial runs in an empty folder, and the ejected stack is that of the checkout."""
    pictures = Path(local.environment["HOME"], "Pictures")
    pictures.mkdir()
    shutil.copy(ROOT / "examples/chelsea.jpg", pictures / "cat.jpg")
    (block,) = TUTORIAL.findall(README.read_text(encoding="utf-8"))
    for line in re.findall(r"^\$ (.*?) *(?:# .*)?$", block, re.MULTILINE):
        sys.stdout.write(f"$ {line}\n")
        if line.startswith("pipx "):
            assert f"'./{wheel}[local]'" in line  # as it is installed already
        else:
            sys.stdout.write(local.run("bash", "-euc", line))
    for part in ("template.yaml", "samconfig.toml", "constraints.txt", "functions", "shared"):
        skipped = ["--exclude=__pycache__", "--exclude=.aws-sam"]
        local.run("diff", "--recursive", *skipped, ROOT / part, f"my-stack/{part}")


def main() -> None:
    """Build the wheel, install it three times, and use it."""
    with tempfile.TemporaryDirectory(prefix="dropscale-wheel-") as temporary:
        folder = Path(temporary)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
        (wheel,) = folder.glob("*.whl")
        check_client(Installed(wheel, frozenset({"async"}), folder / "client"))
        check_specs(Installed(wheel, frozenset({"specs"}), folder / "specs"))
        check_command(Installed(wheel, frozenset({"local"}), folder / "local"), wheel.name)


if __name__ == "__main__":
    main()
