"""Each step of `make check`, which passes on the tree, finds the faults that its copy has.

Not part of `make test`: `make check` runs it once these steps have passed, with VENV and TOOLS
naming the environments.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATE = "template.yaml"
MODULE = "shared/dropscale/upscaler.py"
LEAF = "functions/fail/app.py"  # nothing imports it, so nothing else is checked anew

Check = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that no fault gets into the real one and mypy is quick all the same."""
    cache = tmp_path_factory.mktemp("mypy") / "cache"
    shutil.copytree(ROOT / ".mypy_cache", cache)
    return cache


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git knows or would take."""
    top = tmp_path_factory.mktemp("copy")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for file in filter(Path.is_file, (ROOT / name for name in names.split("\0") if name)):
        target = top / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    subprocess.run(["git", "init", "--quiet"], cwd=top, check=True)
    return top


@pytest.fixture(scope="session")
def check(copy: Path, mypy_cache: Path) -> Check:
    """Return what runs one step of `make check` in the copy, with this tree's environments."""
    venv, tools = os.environ["VENV"], os.environ["TOOLS"]
    # Whatever a fault does to their requirements, these are not installed anew.
    stamps = [f"{tools}/sam/.installed", f"{tools}/checkov/.installed", f"{venv}/.check"]
    # What make hands down to its children is not for another make's.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    def run(step: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", f"check-{step}", f"VENV={venv}", f"TOOLS={tools}"]
            + [f"--assume-old={stamp}" for stamp in stamps],
            cwd=copy,
            env={**inherited, "MYPY_CACHE_DIR": str(mypy_cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


class Fault(NamedTuple):
    """A fault to seed, and what must come of it."""

    step: str  # the step of `make check` that is to find it
    file: str
    old: str  # the text to replace, which stands in the file once; empty: add at the end
    new: str
    report: str  # a pattern for what the step must say: the place and the fault


FAULTS = {
    "bad GetAtt": Fault(
        "template",
        TEMPLATE,
        "DelaySeconds: !Ref SettleSeconds",
        "DelaySeconds: !GetAtt SubmitFunction.Seconds",
        r"E1010 Resources/DropQueue/Properties/DelaySeconds/.*'Seconds'",
    ),
    "visibility below the function's time-out": Fault(
        "template",
        TEMPLATE,
        "VisibilityTimeout: 720",
        "VisibilityTimeout: 119",
        r"E3505 Resources/DropQueue/Properties/VisibilityTimeout",
    ),
    "missing substitution": Fault(
        "template",
        TEMPLATE,
        "        FailFunctionArn: !GetAtt FailFunction.Arn\n",
        "",
        r"E1029 Resources/UpscaleStateMachine/.*FailFunctionArn",
    ),
    "cycle through generated roles": Fault(
        "template",
        TEMPLATE,
        "POLL_INTERVAL_CAP_SECONDS: !Ref PollIntervalCapSeconds",
        "STATE_MACHINE_ARN: !Ref UpscaleStateMachine",
        r"E3004 Resources/UpscaleStateMachine.*CheckFunction",
    ),
    "unknown IAM action": Fault(
        "template",
        TEMPLATE,
        "Action: states:StartExecution",
        "Action: states:BeginExecution",
        r"W3037 Resources/StartPolicy/.*beginexecution",
    ),
    "unused parameter": Fault(
        "template",
        TEMPLATE,
        "\nRules:\n",
        "  Unused: { Type: String, Default: x }\n\nRules:\n",
        r"W2001 Parameters/Unused",
    ),
    "wrong policy template name": Fault(
        "sam-validate",
        TEMPLATE,
        "      Policies:\n        - Version:",
        "      Policies:\n        - S3WritingPolicy: { BucketName: x }\n        - Version:",
        r"UpscaleStateMachine.*Policy at index 0",
    ),
    "missing definition file": Fault(
        "sam-files",
        TEMPLATE,
        "DefinitionUri: functions/upscale.asl.yaml",
        "DefinitionUri: functions/upscale.asl.yml",
        r"UpscaleStateMachine\.DefinitionUri: functions/upscale\.asl\.yml",
    ),
    "missing code": Fault(
        "sam-files",
        TEMPLATE,
        "CodeUri: functions/fail/",
        "CodeUri: functions/fial/",
        r"FailFunction\.CodeUri: functions/fial/",
    ),
    "unknown samconfig key": Fault(
        "sam-files",
        "samconfig.toml",
        "confirm_changeset",
        "confirm_changes",
        r"samconfig\.toml: default\.deploy\.parameters\.confirm_changes",
    ),
    "dangling Next": Fault(
        "state-machine",
        "functions/upscale.asl.yaml",
        "        Next: Deliver\n",
        "        Next: Delivery\n",
        r"\"Delivery\".*ChooseByStatus",
    ),
    "over-broad policy": Fault(
        "checkov",
        TEMPLATE,
        "Action: secretsmanager:GetSecretValue\n            Resource: !Ref ApiKeySecret",
        'Action: "*"\n            Resource: "*"',
        r"AWS::IAM::ManagedPolicy\.RuntimePolicy",
    ),
    "public bucket": Fault(
        "checkov",
        TEMPLATE,
        "\nOutputs:\n",
        "  Copies: { Type: AWS::S3::Bucket }\n\nOutputs:\n",
        r"AWS::S3::Bucket\.Copies",
    ),
    "not formatted": Fault("format", MODULE, "", "\nFACTORS = {2:4}\n", r"upscaler\.py"),
    "unused import": Fault("lint", MODULE, "", "\nimport os\n", r"F401.*\n.*upscaler\.py"),
    "type error": Fault(
        "types",
        LEAF,
        "",
        '\nFACTOR: int = "two"\n',
        r"fail/app\.py:\d+: error: Incompatible types",
    ),
    "boto3 in the pipeline": Fault(
        "imports",
        "shared/dropscale/pipeline/check.py",
        "",
        "\nimport boto3\n",
        r"dropscale\.pipeline\.check -> boto3",
    ),
    "use case on a use case": Fault(
        "imports",
        "shared/dropscale/pipeline/deliver.py",
        "",
        "\nimport dropscale.pipeline.check\n",
        r"dropscale\.pipeline\.deliver -> dropscale\.pipeline\.check",
    ),
    "dead function": Fault(
        "dead-code",
        MODULE,
        "",
        "\ndef never_called() -> None: ...\n",
        r"upscaler\.py:\d+: unused function 'never_called'",
    ),
    "stale page": Fault(
        "generated", "docs/ledger.md", "", "\nBy hand.\n", r"not current: ledger\.md"
    ),
    "unused dependency": Fault(
        "dependencies",
        "shared/requirements.txt",
        "requests==",
        "six==1.17.0\nrequests==",
        r"DEP002.*'six'",
    ),
    "dependency that does not ship": Fault(
        "dependencies", MODULE, "", "\nimport flask\n", r"upscaler\.py.*DEP.*'flask'"
    ),
    "machine path": Fault(
        "machine-names", "README.md", "", f"\ncd /{'home'}/ann/dropscale\n", r"README\.md:\d+:cd"
    ),
    "registry host": Fault(
        "machine-names", "README.md", "", f"\nhttps://{'pypi'}.org\n", r"README\.md:\d+:https"
    ),
}


# These end with the first thing that is wrong.
ONE_BY_ONE = {"dependencies"}


def rounds() -> Iterator[pytest.ParameterSet]:
    """Yield each step with the faults that one run of it is to find."""
    for step in sorted({fault.step for fault in FAULTS.values()}):
        names = [name for name, fault in FAULTS.items() if fault.step == step]
        for some in [[name] for name in names] if step in ONE_BY_ONE else [names]:
            faults = [FAULTS[name] for name in some]
            yield pytest.param(step, faults, id=f"{step}: {', '.join(some)}")


@contextmanager
def seeded(faults: Sequence[Fault], tree: Path) -> Iterator[None]:
    """Put faults into a tree, and take them out again."""
    before = {tree / fault.file: (tree / fault.file).read_text() for fault in faults}
    for fault in faults:
        file = tree / fault.file
        text = file.read_text()
        if fault.old:
            assert text.count(fault.old) == 1, f"{fault.file} has changed: seed the fault elsewhere"
            file.write_text(text.replace(fault.old, fault.new))
        else:
            file.write_text(text + fault.new)
    try:
        yield
    finally:
        for file, text in before.items():
            file.write_text(text)


@pytest.mark.parametrize(("step", "faults"), [*rounds()])
def test_a_step_finds_its_faults_and_names_the_places(
    step: str, faults: list[Fault], copy: Path, check: Check
) -> None:
    with seeded(faults, copy):
        run = check(step)

    assert run.returncode != 0, f"{step} found nothing"
    missed = [fault.report for fault in faults if not re.search(fault.report, run.stdout)]
    assert missed == [], run.stdout
