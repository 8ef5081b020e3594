from pathlib import Path

import pytest

from dropscale_embedded.cloud import InvalidTemplateError
from dropscale_embedded.cloud.state_machine import read_definition


def test_substitutions_reach_every_string(tmp_path: Path) -> None:
    path = tmp_path / "flow.asl.yaml"
    path.write_text("States: {A: {Resource: 'arn:${P}:x', Retry: [{E: ['${F}', '$.y']}]}}")
    definition = read_definition(path, {"P": "aws", "F": "Oops", "Unused": "z"})
    assert definition == {
        "States": {"A": {"Resource": "arn:aws:x", "Retry": [{"E": ["Oops", "$.y"]}]}}
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("A: ${Missing}", r"flow\.asl\.yaml: \$\{Missing\} is not among"),
        ("just text", "not a state machine definition"),
        (None, r"no state machine definition flow\.asl\.yaml"),
    ],
)
def test_faulty_definitions(tmp_path: Path, content: str | None, complaint: str) -> None:
    path = tmp_path / "flow.asl.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidTemplateError, match=complaint):
        read_definition(path, {})
