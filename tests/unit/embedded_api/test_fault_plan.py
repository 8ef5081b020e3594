"""Which calls a fault plan chooses, and what it says about a file that it cannot use."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from dropscale_embedded.api.faults import (
    Answer,
    Call,
    CutOff,
    Fault,
    FaultPlan,
    FaultPlanInvalid,
    Faults,
    Latency,
    Reset,
    Rule,
    Tally,
    When,
    parse_fault_plan,
)

RESET = Reset(moment="before")


def rule(
    when: When | None = None,
    match: str | None = None,
    call: Call = Call.CREATE,
    fault: Fault = RESET,
) -> Rule:
    return Rule(call=call, match=match, when=when, fault=fault)


def faulty_calls(plan: FaultPlan, calls: int) -> list[int]:
    faults = Faults(plan)
    drawn = [n for n in range(1, calls + 1) if faults.draw(Call.CREATE, ["cat"])]
    faults.use(plan)  # it counts from the beginning
    assert drawn == [n for n in range(1, calls + 1) if faults.draw(Call.CREATE, ["cat"])]
    return drawn


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (None, [1, 2, 3, 4, 5, 6]),
        (When(nth=3), [3]),
        (When(first=2), [1, 2]),
        (When(every=2), [2, 4, 6]),
        (When(chance=1.0), [1, 2, 3, 4, 5, 6]),
    ],
)
def test_the_count_chooses(when: When | None, expected: list[int]) -> None:
    assert faulty_calls(FaultPlan(rules=(rule(when),)), 6) == expected


def test_chance_follows_the_seed() -> None:
    def with_seed(seed: int) -> list[int]:
        return faulty_calls(FaultPlan(seed=seed, rules=(rule(When(chance=0.3)),)), 2000)

    assert with_seed(1) == with_seed(1)
    assert with_seed(1) != with_seed(2)
    assert 500 < len(with_seed(1)) < 700
    assert with_seed(0)[:5] == [2, 4, 6, 8, 10]  # so also on other machines


def test_rules_draw_independently() -> None:
    both = FaultPlan(rules=(rule(When(chance=0.5)), rule(When(chance=0.5))))

    assert 700 < len(faulty_calls(both, 1000)) < 800


def test_threads_get_as_many_faults_as_one_caller() -> None:
    plan = FaultPlan(
        seed=3,
        rules=(
            rule(When(every=7), fault=Latency(seconds=1)),
            rule(When(chance=0.2)),
            rule(When(first=50), fault=Answer(status=503)),
        ),
    )

    def kinds(threads: int) -> Counter[str]:
        faults = Faults(plan)
        with ThreadPoolExecutor(threads) as pool:
            drawn = pool.map(lambda _: faults.draw(Call.CREATE), range(1000))
        return Counter(fault.kind for fault in drawn if fault)

    assert kinds(1) == kinds(8)


def test_the_first_rule_wins_and_the_others_count() -> None:
    second = rule(When(nth=2), fault=Answer(status=503))
    faults = Faults(FaultPlan(rules=(rule(When(first=2)), second, rule())))

    drawn = [faults.draw(Call.CREATE) for _ in range(3)]

    assert drawn == [RESET, RESET, RESET]
    assert faults.tallies == [Tally(3, 2), Tally(3, 0), Tally(3, 1)]


def test_only_what_fits_is_counted() -> None:
    faults = Faults(FaultPlan(rules=(rule(When(nth=2), match="cat *"),)))

    names = [["cat 1"], ["dog"], [], ["Cat 2"], ["x", "cat 3"], ["cat 4"]]

    assert [bool(faults.draw(Call.CREATE, given)) for given in names] == [0, 0, 0, 0, 1, 0]
    assert faults.draw(Call.PROJECT, ["cat 5"]) is None
    assert faults.tallies == [Tally(3, 1)]


def test_yaml_and_json_say_the_same() -> None:
    text = b"seed: 2\nrules: [{call: create, when: {nth: 3}, fault: {kind: latency, seconds: 2}}]"
    plan = parse_fault_plan(text, "plan.yaml")

    assert plan == FaultPlan(seed=2, rules=(rule(When(nth=3), fault=Latency(seconds=2)),))
    assert parse_fault_plan(plan.model_dump_json(exclude_none=True).encode(), "p.json") == plan


def one(**fields: object) -> str:
    return json.dumps(
        {"rules": [{"call": "create", "fault": {"kind": "reset", "moment": "after"}} | fields]}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "p: is neither YAML nor JSON: "),
        ("\xff", "p: is neither YAML nor JSON: "),
        ("&a [*a]", "p: is neither YAML nor JSON: "),
        ("", "p: the plan: Input should be an object"),
        ("seeds: 1", "p: seeds: Extra inputs are not permitted"),
        ("seed: x", "p: seed: Input should be a valid integer"),
        (one(call="pay"), "p: rules.0.call: Input should be 'upload_urls', "),
        (one(when={"nth": 1, "every": 2}), "p: rules.0.when: must have exactly one of nth, "),
        (one(when={}), "p: rules.0.when: must have exactly one of nth, "),
        (one(when={"nth": None}), "p: rules.0.when: must have exactly one of nth, "),
        (one(when={"nth": 0}), "p: rules.0.when.nth: Input should be greater than 0"),
        (one(when={"chance": 1.5}), "p: rules.0.when.chance: Input should be less than or equal"),
        (one(fault={"kind": "fire"}), "p: rules.0.fault: Input tag 'fire' found using 'kind' "),
        (one(fault={"kind": "reset"}), "p: rules.0.fault.reset.moment: Field required"),
        (one(fault={"kind": "answer", "status": "503"}), "p: rules.0.fault.answer.status: "),
        (one(fault={"kind": "blank"}), "p: rules.0: blank cannot happen to create, only to down"),
        (
            one(fault={"kind": "answer", "status": 402, "body": "html", "code": "x"}),
            "p: rules.0.fault.answer: only the vendor's body has a code and a message",
        ),
        (one(call="upload", fault={"kind": "altered"}), "p: rules.0: altered cannot happen to "),
        (one(call="account", match="*"), "p: rules.0: account has no name or path that match"),
    ],
)
def test_an_unusable_plan_is_refused_with_the_field(text: str, message: str) -> None:
    with pytest.raises(FaultPlanInvalid) as caught:
        parse_fault_plan(text.encode("latin-1"), "p")

    assert str(caught.value).startswith(message)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(FaultPlanInvalid) as caught:
        parse_fault_plan(b"{seed: x, rules: 3, more: 1}", "plan.yaml")

    fields = [line.split(": ")[:2] for line in str(caught.value).splitlines()]
    assert fields == [["plan.yaml", "seed"], ["plan.yaml", "rules"], ["plan.yaml", "more"]]


def test_a_fault_is_refused_where_it_is_impossible_in_python_too() -> None:
    with pytest.raises(ValueError, match="cut_off cannot happen to create, only to upload"):
        rule(fault=CutOff())
