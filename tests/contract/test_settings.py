"""Each function's settings model and its environment in the template say the same."""

from typing import Any

import pytest

from dropscale.aws.settings import (
    CheckSettings,
    Settings,
    StartSettings,
    SubmitSettings,
    SweepSettings,
)
from dropscale.aws.wiring import CALL_SECONDS, CHECK_CALL_SECONDS
from dropscale.magichour.calls import CONNECT_TIMEOUT
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from dropscale.pipeline.parts.start import SPARE_SECONDS
from dropscale.results.output_key import MOST_PREFIX_BYTES
from tests.template import read_template

TEMPLATE = read_template()
SHARED = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
SETTINGS = {
    "SubmitFunction": SubmitSettings,
    "CheckFunction": CheckSettings,
    "DeliverFunction": StartSettings,
    "FailFunction": StartSettings,
    "SweepFunction": SweepSettings,
}


def function(name: str) -> dict[str, Any]:
    found: dict[str, Any] = TEMPLATE["Resources"][name]["Properties"]
    return found


@pytest.mark.parametrize(("name", "model"), SETTINGS.items())
def test_the_environment_is_exactly_what_the_model_reads(name: str, model: type[Settings]) -> None:
    own = function(name).get("Environment", {}).get("Variables", {})
    variables = {variable for variable in SHARED | own if not variable.startswith("POWERTOOLS_")}

    assert variables == {field.upper() for field in model.model_fields}


def default_of(value: Any, defaults: dict[str, str]) -> str:
    """Return the value of a variable of a stack without webhooks; "x": not known here."""
    if not isinstance(value, dict):
        return str(value)
    condition, *_, otherwise = value.get("Fn::If", ("", value))
    reference = otherwise if condition in {"", "HasWebhooks"} else {}
    return defaults.get(reference.get("Ref", ""), "x")


def test_the_parameters_defaults_are_valid_settings() -> None:
    defaults = {name: str(p["Default"]) for name, p in TEMPLATE["Parameters"].items()}
    variables = SHARED | function("SubmitFunction")["Environment"]["Variables"]
    environment = {variable: default_of(value, defaults) for variable, value in variables.items()}

    settings = SubmitSettings.from_environment(environment)

    assert settings.default_scale_factor == 2
    assert settings.sidecar_suffixes == (".yaml", ".yml", ".json")


def test_results_leave_room_for_as_long_a_prefix_as_the_template_takes() -> None:
    assert TEMPLATE["Parameters"]["ResultsPrefix"]["MaxLength"] == MOST_PREFIX_BYTES


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ValueError, match="ledger_table"):
        Settings.from_environment({"RESULTS_BUCKET": "b"})


def test_there_is_time_for_a_paid_create_in_every_function_that_may_start_jobs() -> None:
    needed = CALL_SECONDS + CONNECT_TIMEOUT + SPARE_SECONDS
    names = [name for name, model in SETTINGS.items() if issubclass(model, StartSettings)]

    assert {name for name in names if function(name)["Timeout"] <= needed} == set()


def test_a_look_at_a_project_ends_before_its_function_is_killed() -> None:
    patience = PollSchedule(cap=300).patience

    assert function("CheckFunction")["Timeout"] > patience + CHECK_CALL_SECONDS + CONNECT_TIMEOUT


def test_submit_knows_after_how_many_receives_a_message_is_a_dead_letter() -> None:
    environment = function("SubmitFunction")["Environment"]["Variables"]
    redrive = TEMPLATE["Resources"]["DropQueue"]["Properties"]["RedrivePolicy"]

    assert environment["MAX_RECEIVES"] == redrive["maxReceiveCount"]
