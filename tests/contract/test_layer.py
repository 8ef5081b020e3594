"""The layer ships the models of the AWS services that its code calls, and of no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def asked_of_clients(source: str) -> Iterator[str]:
    """Yield each service that is named to what makes clients."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Call(func=ast.Name(id=maker), args=[ast.Constant(value=str(service)), *_])
                | ast.Call(
                    func=ast.Attribute(attr=maker), args=[ast.Constant(value=str(service)), *_]
                )
            ) if maker.endswith("client"):
                yield service


def test_botocores_models_in_the_layer_are_those_of_the_services_that_are_called() -> None:
    line = re.search(r"^AWS_SERVICES := (.+)$", (ROOT / "shared/Makefile").read_text(), re.M)
    sources = [*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]

    assert line is not None
    assert line[1].split() == sorted(
        {s for path in sources for s in asked_of_clients(path.read_text())}
    )
