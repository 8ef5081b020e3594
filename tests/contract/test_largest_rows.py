"""The largest row of each kind stays below DynamoDB's 400 KB, whatever users and vendor write."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropscale.aws.ledger import DynamoLedger
from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.drops import Download, Drop, Output, Reason, Rendition, Source
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import Change, SaveDrop, SaveSingleton, job_changes
from dropscale.pipeline.parts.plan import plan_renditions
from dropscale.specs.effective import EffectiveSpec
from dropscale.specs.faults import SpecInvalid
from dropscale.specs.merge import MAX_PROMPTS_BYTES, effective_spec, merge, stack_defaults
from dropscale.specs.model import MAX_RENDITIONS
from dropscale.specs.parse import parse_folder_spec, parse_sidecar
from dropscale.specs.values import MAX_BATCH_NAME, MAX_LABEL, MAX_PROMPT
from dropscale.upscaler import Mode

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MOST = 400 * 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""
LONGEST_KEY = 1024
TRANSACTION = 4 * 1024 * 1024
CHARACTERS = ["x", "🐈"]


def told(text: str) -> tuple[CodedWarning, ...]:
    return (CodedWarning(max(WarningCode, key=len), text),) * 99


def size_of(value: dict[str, Any]) -> int:
    """Return the size of a value in DynamoDB's own JSON, as its guide counts it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content) // 2 + 2
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size_of(one) for name, one in content.items())
    return 3 + sum(1 + size_of(one) for one in content) if kind == "L" else 1


def written(*changes: Change) -> list[int]:
    """Return the sizes of the rows that the storage makes of changes."""

    class Client:
        def transact_write_items(self, **request: Any) -> None:
            self.rows = [one["Put"]["Item"] for one in request["TransactItems"] if "Put" in one]

    client = Client()
    DynamoLedger(cast(Any, client), "ledger").write(*changes)
    return [size_of({"M": row}) for row in client.rows]


def as_long_as(size: int, character: str) -> str:
    return character * (size // len(character.encode()))


def largest_specs(character: str) -> tuple[str, bytes, bytes]:
    """Return an image's key, its folder's spec and its sidecar, as much as is allowed."""
    size = len(character.encode())
    key = "k" * 230 + "/" + as_long_as(LONGEST_KEY - 240, character) + ".jpg"
    label = character * MAX_LABEL
    share = min(MAX_PROMPT, MAX_PROMPTS_BYTES // MAX_RENDITIONS // size) - 1
    renditions = [
        {
            "name": label,
            "revision": label[:-1] + str(number),
            "download_directory": as_long_as(240, character) + str(number),
            "style": {"prompt": character * share + str(number), "mode": "creative"},
            "output": {
                "name": character * 180 + f"{{stem}}{number}{{ext}}",
                **{"format": "jpeg", "quality": 90, "metadata": "strip"},
            },
        }
        for number in range(MAX_RENDITIONS)
    ]
    own = {"renditions": renditions, "skip_if": {"min_width": 9}, "max_credits": 999999}
    prompt = {"style": {"prompt": character * MAX_PROMPT}, "name": label, "revision": label}
    prompt |= {"batch": character * MAX_BATCH_NAME}
    outer, inner = (json.dumps(spec, ensure_ascii=False).encode() for spec in (prompt, own))
    return key, outer, inner


def effective(key: str, folder: bytes, sidecar: bytes) -> EffectiveSpec:
    outer = parse_folder_spec(folder, key.rpartition("/")[0] + "/dropscale.yaml")
    own = parse_sidecar(sidecar, f"{key}.yaml", key)
    assert outer is not None
    merged = merge([stack_defaults(2, Mode.CREATIVE), outer.layer, own.layer])
    return effective_spec(merged, key)


def endings(rendition: Rendition, key: str, text: str) -> Iterator[Rendition]:
    """Yield a rendition with all possible parts at their greatest length."""
    reason = Reason(code=text, message=text, fix=text)
    output = Output(key=key, type="image/jpeg", width=9, height=9, bytes=9, sha256="5" * 64)
    submitted = rendition.move(DropState.SUBMITTED, project_id=text[:250])
    downloads = tuple(Download(url=f"https://{text[:3000]}", expires_at=text) for _ in range(9))
    full = submitted.move(
        DropState.DELIVERED,
        output=output,
        downloads=downloads,
        warnings=told(text),
    )
    yield full
    again = full.want_again().move(DropState.SUBMITTED)
    yield again.move(
        DropState.FAILED,
        downloads=downloads,
        warnings=told(text),
        reason=reason,
    )


def largest_drop(character: str) -> Drop:
    key, folder, sidecar = largest_specs(character)
    spec, text = effective(key, folder, sidecar), character * 20_000
    source = Source(bucket="b" * 63, key=key, etag="e" * 40, version_id="v" * 1024, sha256="5" * 64)
    drop = Drop(id=Drop.id_of("b", key), source=source)
    for round_ in range(6):
        changed = spec.renditions
        if round_ % 2:
            changed = tuple(
                one.model_copy(update={"revision": f"{round_}{one.revision}"[:MAX_LABEL]})
                for one in spec.renditions
            )
        planned = plan_renditions(source, spec.model_copy(update={"renditions": changed}))
        kept = {
            name: one.move(DropState.SUPERSEDED, reason=one.reason)
            for name, one in drop.renditions.items()
        }
        drop = drop.evaluate(kept | planned, NOW, spec=spec, batch=spec.batch, warnings=told(text))
        for ended in zip(*(endings(one, key, text) for one in planned.values()), strict=True):
            drop = drop.with_renditions(ended, NOW)
    return drop


@pytest.mark.parametrize("character", CHARACTERS)
def test_the_largest_drop_is_a_row(character: str) -> None:
    drop = largest_drop(character)
    assert len([one for one in drop.renditions.values() if one.state is DropState.FAILED]) == (
        MAX_RENDITIONS
    )

    size, line = written(SaveDrop(drop))
    assert MOST / 3 < size < MOST - 10_000, size
    assert 3000 < line < MOST / 10, line
    declined = drop.set_state(
        DropState.REJECTED, NOW, reason=Reason(code="x", message=character * 10**5, fix="y" * 10**5)
    )
    size, _ = written(SaveDrop(declined))
    assert size < MOST - 10_000


@pytest.mark.parametrize("character", CHARACTERS)
def test_the_largest_job_is_a_row(character: str) -> None:
    spec = effective(*largest_specs(character))
    source = Source(bucket="b", key="k", etag="e", sha256="5" * 64)
    rendition = next(iter(plan_renditions(source, spec).values()))
    job = Job(
        fingerprint=rendition.fingerprint,
        parameters=rendition.parameters,
        label=character * 120,
        created_at=NOW,
    ).with_upload(as_long_as(16_000, character), NOW)
    for attempt in range(400):
        now = NOW + timedelta(days=attempt)
        claimed = job.claim("f" * 24, now, [f"day#{now:%Y-%m-%d}", f"month#{now:%Y-%m}"])
        project_id = as_long_as(990, character) + str(attempt)
        submitted = claimed.record_project(project_id, None, now, now)
        ended = submitted.settle(project_id, JobState.ERROR, 0, now)
        job = ended.renew(now)
        unknown = claimed.record_unknown(now)
        lost = unknown.pay_again(now)
        job = job.model_copy(update={"written_off": {**job.written_off, **lost.written_off}})
    rows = written(*job_changes(claimed, submitted))
    # One transaction writes a drop and its jobs: those that it has, and those that it leaves.
    assert 30_000 < max(rows) < (TRANSACTION - MOST) / (2 * MAX_RENDITIONS) < MOST


def test_the_largest_gate_is_a_row() -> None:
    text = "🐈" * 10**5
    cause = Reason(code=text, message=text, fix=text)
    gate = Gate(is_open=False, reason=WaitReason.ACCOUNT, until=NOW, strikes=1, cause=cause)

    assert max(written(SaveSingleton(gate))) < MOST


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=40), st.randoms())
def test_no_history_of_renditions_outgrows_its_room(texts: list[str], random: Any) -> None:
    key, folder, sidecar = largest_specs("é")
    spec = effective(key, folder, sidecar)
    source = Source(bucket="b", key=key, etag="e", sha256="5" * 64)
    drop = Drop(id="d", source=source)
    for text in texts:
        revised = spec.renditions[0].model_copy(update={"revision": text[:MAX_LABEL]})
        planned = plan_renditions(source, spec.model_copy(update={"renditions": (revised,)}))
        kept = {name: one.move(DropState.SUPERSEDED) for name, one in drop.renditions.items()}
        drop = drop.evaluate(kept | planned, NOW)
        state = random.choice([DropState.SUBMITTED, DropState.UNKNOWN, DropState.REJECTED])
        reason = Reason(code="C", message=text * 99, fix=text * 99)
        (name,) = planned
        drop = drop.with_rendition(drop.renditions[name].move(state, reason=reason), NOW)

        (size,) = written(SaveDrop(drop))
        assert size < MOST / 4
        assert name in drop.renditions


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("style.prompt", {"style": {"prompt": "x" * (MAX_PROMPT + 1)}}),
        ("name", {"name": "x" * (MAX_LABEL + 1)}),
        ("revision", {"revision": "x" * (MAX_LABEL + 1)}),
        ("renditions[1].name", {"renditions": [{}, {"name": "x" * (MAX_LABEL + 1)}]}),
    ],
)
def test_one_character_more_is_refused_where_it_stands(field: str, spec: dict[str, Any]) -> None:
    with pytest.raises(SpecInvalid) as refused:
        parse_sidecar(json.dumps(spec).encode(), "cat.jpg.yaml", "cat.jpg")

    (fault,) = refused.value.faults
    assert (fault.path, fault.field, fault.line) == ("cat.jpg.yaml", field, 1)
    assert fault.column > 1
    assert "allowed are at most" in fault.hint


def test_prompts_that_are_too_long_together_are_refused_where_they_stand() -> None:
    prompts = ["🐈" * (MAX_PROMPT - number) for number in range(3)]
    renditions = [
        {"download_directory": str(number), "style": {"mode": "creative", "prompt": prompt}}
        for number, prompt in enumerate(prompts)
    ]
    spec = {"renditions": renditions}
    sidecar = json.dumps(spec, ensure_ascii=False).encode()
    with pytest.raises(SpecInvalid) as refused:
        effective("cat.jpg", b"scale_factor: 2", sidecar)

    (fault,) = refused.value.faults
    assert (fault.path, fault.field) == ("cat.jpg.yaml", "renditions[2]")
    assert f"{MAX_PROMPTS_BYTES:,}" in fault.hint
