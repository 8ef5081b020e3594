import subprocess
import sys

from tests.second_engine.conftest import ROOT
from tests.second_engine.engine import Engine

CONTRACT = ["tests/contract/test_ledger_storage.py", "tests/contract/test_ledger_repeats.py"]


def test_the_ledger_keeps_its_contract(engine: Engine) -> None:
    dynamodb = {"AWS_ENDPOINT_URL_DYNAMODB": engine.url, "PYTHONPATH": ".:shared:local"}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *CONTRACT],
        cwd=ROOT,
        env=engine.environment | dynamodb,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
