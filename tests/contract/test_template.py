"""template.yaml, upscale.asl.yaml and the code they name agree, and keep their promises."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dropscale.aws.wiring import BRIEF_CALL_SECONDS
from dropscale.image.verify import UnreadableResult
from dropscale.ledger.store import LedgerConflict
from dropscale.magichour.errors import TRANSIENT, NotFound
from dropscale.pipeline.parts.delivery_errors import ProjectNotComplete
from dropscale.pipeline.parts.poll_schedule import SHORTEST_CALLBACK
from dropscale.upscaler import (
    DEFAULT_BASE_URL,
    FINAL_STATUSES,
    SCALE_FACTORS,
    Mode,
    ProjectStatus,
)
from tests.template import read_template

ROOT = Path(__file__).parents[2]
TEMPLATE = read_template()
PARAMETERS: dict[str, Any] = TEMPLATE["Parameters"]
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]

MACHINE = RESOURCES["UpscaleStateMachine"]["Properties"]
ASL_TEXT = (ROOT / MACHINE["DefinitionUri"]).read_text()
ASL: dict[str, Any] = yaml.safe_load(ASL_TEXT)
STATES: dict[str, Any] = ASL["States"]
TASKS = {name: state for name, state in STATES.items() if "TimeoutSeconds" in state}
"""The states with a function that answers; what waits for a token has its time in its input."""


def of_type(resource_type: str) -> dict[str, Any]:
    return {
        name: resource["Properties"]
        for name, resource in RESOURCES.items()
        if resource["Type"] == resource_type
    }


FUNCTIONS = of_type("AWS::Serverless::Function")
BUCKETS = of_type("AWS::S3::Bucket")
QUEUES = of_type("AWS::SQS::Queue")


def nodes(value: Any) -> Iterator[Any]:
    """Yield a document's every node, itself first."""
    yield value
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from nodes(child)


def references(value: Any) -> set[str]:
    """Return the names that a part of the template takes by Ref, GetAtt or Sub."""
    found: set[str] = set()
    for node in nodes(value):
        match node:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
                found.add(name)
            case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), _]}:
                found.update(name.split(".")[0] for name in re.findall(r"\$\{([^}]+)\}", text))
    return found


def statements(effect: str) -> list[dict[str, Any]]:
    """Return every policy statement of the template that has an effect."""
    return [
        node for node in nodes(RESOURCES) if isinstance(node, dict) and node.get("Effect") == effect
    ]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class TestParameters:
    def test_each_is_described_used_and_grouped_once(self) -> None:
        groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        grouped = [name for group in groups for name in group["Parameters"]]
        used = references([TEMPLATE["Conditions"], TEMPLATE["Globals"], RESOURCES])

        assert sorted(grouped) == sorted(PARAMETERS)
        assert PARAMETERS.keys() <= used
        for name, parameter in PARAMETERS.items():
            assert parameter["Description"], name
            assert "Default" in parameter, name
            assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MinValue"}, name

    def test_upscale_choices_are_the_vendors(self) -> None:
        assert PARAMETERS["DefaultMode"]["AllowedValues"] == list(Mode)
        assert PARAMETERS["DefaultScaleFactor"]["AllowedValues"] == list(SCALE_FACTORS)
        assert PARAMETERS["ApiBaseUrl"]["Default"] == DEFAULT_BASE_URL

    def test_a_new_stack_has_a_daily_limit_that_can_be_raised_or_taken_away(self) -> None:
        limit = PARAMETERS["DailyCreditLimit"]
        assert (limit["Default"], limit["MinValue"]) == (5000, 0)
        assert "MaxValue" not in limit
        assert limit["Description"].endswith("0 sets no limit.")

    @pytest.mark.parametrize(
        ("name", "value", "allowed"),
        [
            ("ApiBaseUrl", DEFAULT_BASE_URL, True),
            ("ApiBaseUrl", "https://proxy.example.com:8443/magic-hour", True),
            ("ApiBaseUrl", "http://127.0.0.1:8080", True),
            ("ApiBaseUrl", "http://localhost:8080", True),
            ("ApiBaseUrl", "http://[::1]:8080", True),
            ("ApiBaseUrl", "http://api.magichour.ai", False),
            ("ApiBaseUrl", "http://localhost.example.com", False),
            ("ApiBaseUrl", "http://127.0.0.1@example.com", False),
            ("ApiBaseUrl", "https://user@example.com", False),
            ("ApiBaseUrl", "https://api.magichour.ai/", False),
            ("ApiBaseUrl", "https://api.magichour.ai?key=1", False),
            ("InputPrefix", "", True),
            ("InputPrefix", "team a/", False),
            ("InputPrefix", "team-a/drops/", True),
            ("InputPrefix", "drops", False),
            ("InputPrefix", "/drops/", False),
            ("ResultsPrefix", "up*/", False),
            ("ExistingInputBucket", "", True),
            ("ExistingInputBucket", "my.bucket-1", True),
            ("ExistingInputBucket", "arn:aws:s3:::mine", False),
            ("KmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:key/1234-ab", True),
            ("KmsKeyArn", "alias/mine", False),
            ("AlarmEmail", "ann@example.com", True),
            ("AlarmEmail", "ann", False),
            ("SidecarSuffixes", ".yaml,.yml,.json", True),
            ("SidecarSuffixes", ".json", True),
            ("SidecarSuffixes", "", False),
            ("SidecarSuffixes", ".yaml,", False),
            ("SidecarSuffixes", ".yaml, .yml", False),
            ("SidecarSuffixes", ".txt", False),
        ],
    )
    def test_patterns(self, name: str, value: str, allowed: bool) -> None:
        assert bool(re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)) is allowed


class TestStorage:
    @pytest.mark.parametrize("name", BUCKETS)
    def test_buckets_are_private_encrypted_versioned(self, name: str) -> None:
        bucket = BUCKETS[name]
        blocks = bucket["PublicAccessBlockConfiguration"]
        encryption = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]

        assert len(blocks) == 4
        assert all(blocks.values())
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert encryption[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        assert bucket["VersioningConfiguration"]["Status"] == "Enabled"

    @pytest.mark.parametrize("name", [*BUCKETS, "Ledger", "ApiKeySecret"])
    def test_what_holds_data_outlives_the_stack(self, name: str) -> None:
        assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"

    @pytest.mark.parametrize("name", [*BUCKETS, *QUEUES])
    def test_plain_text_connections_are_denied(self, name: str) -> None:
        tls_only = [
            statement
            for statement in statements("Deny")
            if statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            and {"Fn::GetAtt": [name, "Arn"]} in listed(statement["Resource"])
        ]
        assert len(tls_only) == 1
        assert tls_only[0]["Principal"] == "*"

    def test_the_secret_has_no_value_that_could_be_sent(self) -> None:
        assert RESOURCES["ApiKeySecret"]["Properties"].keys() == {"Description"}


class TestDropQueue:
    @pytest.mark.parametrize("name", QUEUES)
    def test_queues_are_encrypted_and_keep_messages_two_weeks(self, name: str) -> None:
        assert QUEUES[name]["SqsManagedSseEnabled"] is True
        assert QUEUES[name]["MessageRetentionPeriod"] == 14 * 24 * 3600

    def test_a_message_stays_hidden_for_six_times_the_time_out(self) -> None:
        queue, submit = QUEUES["DropQueue"], FUNCTIONS["SubmitFunction"]
        assert queue["VisibilityTimeout"] >= 6 * submit["Timeout"]

    def test_one_drop_at_a_time_and_partial_failures(self) -> None:
        event = FUNCTIONS["SubmitFunction"]["Events"]["Drop"]["Properties"]
        assert event["BatchSize"] == 1
        assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

    @pytest.mark.parametrize("name", ["DropQueue", "RuleDeadLetterQueue"])
    def test_only_the_rule_may_send_from_outside(self, name: str) -> None:
        policy = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]
        (allow,) = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
        assert allow["Principal"] == {"Service": "events.amazonaws.com"}
        assert allow["Action"] == "sqs:SendMessage"
        assert allow["Condition"] == {
            "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["DropRule", "Arn"]}}
        }


class TestFunctions:
    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_the_handler_exists(self, name: str) -> None:
        handler = FUNCTIONS[name].get("Handler", TEMPLATE["Globals"]["Function"]["Handler"])
        module, function = handler.split(".")
        source = ROOT / FUNCTIONS[name]["CodeUri"] / f"{module}.py"
        defined = [
            n.name for n in ast.parse(source.read_text()).body if isinstance(n, ast.FunctionDef)
        ]
        assert function in defined

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_logs_are_kept_as_long_as_asked(self, name: str) -> None:
        group = RESOURCES[FUNCTIONS[name]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Type"] == "AWS::Logs::LogGroup"
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_no_cycle_through_the_state_machine(self, name: str) -> None:
        assert references(FUNCTIONS[name]).isdisjoint({*FUNCTIONS, "UpscaleStateMachine"})

    def test_functions_know_the_state_machine_by_its_name(self) -> None:
        machine_name = MACHINE["Name"]["Fn::Sub"]
        environments = [f["Environment"]["Variables"] for f in FUNCTIONS.values()]
        arns = [e["STATE_MACHINE_ARN"]["Fn::Sub"] for e in environments if "STATE_MACHINE_ARN" in e]
        assert len(arns) == 4
        assert {arn.split(":stateMachine:")[1] for arn in arns} == {machine_name}


ROLES = of_type("AWS::IAM::Role")


def below_the_prefix(kind: str) -> dict[str, Any]:
    bucket = {
        "Fn::If": [f"Makes{kind}Bucket", {"Ref": f"{kind}Bucket"}, {"Ref": f"Existing{kind}Bucket"}]
    }
    return {
        "Fn::Sub": [
            f"arn:${{AWS::Partition}}:s3:::${{Bucket}}/${{{kind}Prefix}}*",
            {"Bucket": bucket},
        ]
    }


class TestPermissions:
    """What the statements say; that each is needed, the integration tests show."""

    def test_each_function_has_a_role_of_its_own_that_only_lambda_may_take(self) -> None:
        roles = {name: function["Role"]["Fn::GetAtt"][0] for name, function in FUNCTIONS.items()}
        assert set(roles.values()) == ROLES.keys()
        for role in ROLES.values():
            (trusts,) = role["AssumeRolePolicyDocument"]["Statement"]
            assert trusts["Principal"] == {"Service": "lambda.amazonaws.com"}

    def test_no_action_is_a_wildcard(self) -> None:
        actions = [action for s in statements("Allow") for action in listed(s["Action"])]
        assert [action for action in actions if "*" in action] == []

    def test_resources_are_named(self) -> None:
        """Wildcards only for objects, executions, and an API that knows no resources."""
        wildcards = {
            (s["Sid"], str(resource))
            for s in statements("Allow")
            for resource in listed(s.get("Resource", []))
            if "*" in str(resource)
        }
        executions = (
            "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
            ":execution:${AWS::StackName}-upscale:*"
        )
        assert wildcards == {
            ("Results", str(below_the_prefix("Results"))),
            ("Drops", str(below_the_prefix("Input"))),
            ("Originals", str(below_the_prefix("Input"))),
            ("Tags", str(below_the_prefix("Input"))),
            ("LostExecutions", str({"Fn::Sub": executions})),
            ("LogDelivery", "*"),
        }

    def test_who_starts_executions_knows_the_machine_and_nobody_else_may(self) -> None:
        allowed = {
            name
            for name, function in FUNCTIONS.items()
            if {"Ref": "StartPolicy"}
            in ROLES[function["Role"]["Fn::GetAtt"][0]]["ManagedPolicyArns"]
        }
        told = {
            n for n, f in FUNCTIONS.items() if "STATE_MACHINE_ARN" in f["Environment"]["Variables"]
        }
        assert allowed == told


def successors(state: dict[str, Any]) -> set[str]:
    return {
        node[field]
        for node in nodes(state)
        if isinstance(node, dict)
        for field in ("Next", "Default")
        if field in node
    }


class TestStateMachine:
    def test_substitutions_match(self) -> None:
        assert set(re.findall(r"\$\{(\w+)\}", ASL_TEXT)) == set(MACHINE["DefinitionSubstitutions"])

    def test_every_state_exists_and_is_reached(self) -> None:
        reached: set[str] = set()
        assert ASL["StartAt"] == "${FirstState}"
        ahead = {*MACHINE["DefinitionSubstitutions"]["FirstState"]["Fn::If"][1:]}
        while ahead:
            reached |= ahead
            ahead = {n for name in ahead for n in successors(STATES[name])} - reached
        assert reached == STATES.keys()

    def test_a_final_status_ends_an_execution_and_any_other_waits(self) -> None:
        routes = {
            rule["StringEquals"]: choice["Next"]
            for choice in STATES["ChooseByStatus"]["Choices"]
            for rule in choice.get("Or", [choice])
            if "StringEquals" in rule
        }
        assert routes == {
            ProjectStatus.COMPLETE: "Deliver",
            ProjectStatus.ERROR: "ReportFailure",
            ProjectStatus.CANCELED: "ReportFailure",
        }
        assert set(routes) == FINAL_STATUSES
        assert STATES["ChooseByStatus"]["Default"] == "WaitForRender"

    @pytest.mark.parametrize("name", TASKS)
    def test_a_task_waits_a_little_longer_than_its_function_runs(self, name: str) -> None:
        substitution = TASKS[name]["Parameters"]["FunctionName"].strip("${}")
        function = MACHINE["DefinitionSubstitutions"][substitution]["Fn::GetAtt"][0]
        assert 5 <= TASKS[name]["TimeoutSeconds"] - FUNCTIONS[function]["Timeout"] <= 30

    @pytest.mark.parametrize("name", TASKS)
    def test_a_task_retries_our_transient_errors_and_no_other_of_ours(self, name: str) -> None:
        ours = {
            error
            for retrier in TASKS[name]["Retry"]
            for error in retrier["ErrorEquals"]
            if "." not in error
        }
        # Check answers a longer wait where the vendor says nothing, and fail asks it nothing.
        passing: dict[str, list[type[Exception]]] = {
            "CheckProject": [NotFound],
            "Deliver": [*TRANSIENT, UnreadableResult, ProjectNotComplete, NotFound],
            "ReportFailure": [],
        }
        assert ours == {error.__name__ for error in (*passing[name], LedgerConflict)}

    @pytest.mark.parametrize("name", TASKS)
    def test_retries_are_named_and_back_off_with_jitter(self, name: str) -> None:
        for retrier in TASKS[name]["Retry"]:
            assert not {"States.ALL", "States.TaskFailed"} & set(retrier["ErrorEquals"])
            assert retrier["BackoffRate"] >= 2
            assert retrier["MaxDelaySeconds"] <= 60
            assert retrier["JitterStrategy"] == "FULL"

    @pytest.mark.parametrize("name", TASKS)
    def test_retries_outlive_an_outage_of_five_minutes(self, name: str) -> None:
        retrier = next(r for r in TASKS[name]["Retry"] if "LedgerConflict" in r["ErrorEquals"])
        delays = [
            min(
                retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt,
                retrier["MaxDelaySeconds"],
            )
            for attempt in range(retrier["MaxAttempts"])
        ]
        mean_with_full_jitter = sum(delays) / 2
        assert mean_with_full_jitter >= 5 * 60

    @pytest.mark.parametrize("name", sorted(TASKS.keys() - {"ReportFailure"}))
    def test_whatever_else_goes_wrong_is_reported(self, name: str) -> None:
        assert TASKS[name]["Catch"][-1] == {
            "ErrorEquals": ["States.ALL"],
            "ResultPath": "$.error",
            "Next": "ReportFailure",
        }

    def test_a_wait_that_a_token_ends_is_in_its_input_and_long_enough_for_a_look(self) -> None:
        """A retry would be a wait with a token that an event has ended already."""
        (wait,) = (state for state in STATES.values() if "TimeoutSecondsPath" in state)
        (rule,) = (c for c in STATES["ChooseByStatus"]["Choices"] if c["Next"] == "AwaitEvent")
        (shortest,) = (
            r["NumericGreaterThanEquals"]
            for r in rule["And"]
            if r["Variable"] == wait["TimeoutSecondsPath"]
        )

        assert "Retry" not in wait
        assert wait["Resource"].endswith(":lambda:invoke.waitForTaskToken")
        assert 2 * BRIEF_CALL_SECONDS < shortest == SHORTEST_CALLBACK
        assert wait["Catch"] == [
            {
                "ErrorEquals": ["States.Timeout", "LookAgain"],
                "ResultPath": None,
                "Next": "CheckProject",
            },
            {"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "WaitForRender"},
        ]

    def test_a_reported_failure_fails_the_execution(self) -> None:
        end = STATES[STATES["ReportFailure"]["Next"]]

        assert STATES[end["Default"]]["Type"] == "Fail"

    def test_an_execution_outlasts_the_longest_deadline(self) -> None:
        assert ASL["TimeoutSeconds"] > PARAMETERS["JobDeadlineSeconds"]["MaxValue"]
