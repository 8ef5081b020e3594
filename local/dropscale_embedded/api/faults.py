"""The fault plan: which calls of the embedded API fail, and how. No HTTP, no clock.

Decisions depend on a count of calls, and chance on the plan's seed and that count. So a plan makes
the same faults at the same calls, whatever the timing of threads.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from threading import Lock
from typing import Annotated, ClassVar, Literal, Self

import yaml
import yamlcore
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)


class Call(StrEnum):
    """What can fail: the calls, the rendering of a created project, and events to a webhook."""

    UPLOAD_URLS = "upload_urls"
    UPLOAD = "upload"
    CREATE = "create"
    RENDER = "render"
    PROJECT = "project"
    DELETE = "delete"
    ACCOUNT = "account"
    DOWNLOAD = "download"
    WEBHOOK = "webhook"


_HTTP_CALLS = frozenset(Call) - {Call.RENDER, Call.WEBHOOK}
_CALLS_WITH_A_BODY = _HTTP_CALLS - {Call.UPLOAD, Call.DELETE}  # in their answers
_NAMELESS_CALLS = frozenset({Call.UPLOAD_URLS, Call.ACCOUNT})

Moment = Literal["before", "after"]
"""Whether the API fails before or after it has executed the call."""

Seconds = Annotated[float, Field(gt=0, le=3600)]


class FaultPlanInvalid(Exception):
    """A fault plan cannot be used; the message has one line per error."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Answer(_Part):
    """Another answer than the API's; the call is executed first if `moment` is `after`.

    Attributes:
        body: `vendor` is its `{"code", "message"}`, `html` a proxy's page, `empty` nothing.
        code: of the vendor's body; none by default.
        message: of the vendor's body; the status's name by default.
        content: any other body, verbatim, sent as `content_type`.
        retry_after: seconds, sent in the form that `retry_after_form` names (RFC 9110, 10.2.3).
    """

    calls: ClassVar = _HTTP_CALLS
    kind: Literal["answer"] = "answer"
    status: Annotated[int, Field(ge=200, le=599)]
    body: Literal["vendor", "html", "empty"] = "vendor"
    code: str | None = None
    message: str | None = None
    content: str | None = None
    content_type: str = "text/html"
    moment: Moment = "before"
    retry_after: NonNegativeInt | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"

    @model_validator(mode="after")
    def _says_what_is_sent(self) -> Self:
        is_the_vendors = self.body == "vendor" and self.content is None
        if not is_the_vendors and (self.code or self.message):
            raise ValueError("only the vendor's body has a code and a message")
        return self


class Altered(_Part):
    """The API's answer, or a webhook's payload, with other fields; a refusal is unchanged.

    Attributes:
        fields: JSON values by name, of any type.
        without: the names of fields that are left out.
    """

    calls: ClassVar = _CALLS_WITH_A_BODY - {Call.DOWNLOAD} | {Call.WEBHOOK}
    kind: Literal["altered"] = "altered"
    fields: dict[str, JsonValue] = {}
    without: tuple[str, ...] = ()


class Reset(_Part):
    """The connection is reset instead of an answer."""

    calls: ClassVar = _HTTP_CALLS
    kind: Literal["reset"] = "reset"
    moment: Moment


class Latency(_Part):
    """The answer is delayed after the call was executed."""

    calls: ClassVar = _HTTP_CALLS
    kind: Literal["latency"] = "latency"
    seconds: Seconds


class Drip(_Part):
    """The answer's body arrives in small pieces, over this many seconds in all."""

    calls: ClassVar = _CALLS_WITH_A_BODY
    kind: Literal["drip"] = "drip"
    seconds: Seconds


class Truncated(_Part):
    """Only half of the answer's body arrives.

    Attributes:
        content_length: `whole` announces all of it, so that the transfer shows the loss; `part`
            only the part sent.
    """

    calls: ClassVar = _CALLS_WITH_A_BODY
    kind: Literal["truncated"] = "truncated"
    content_length: Literal["whole", "part"] = "whole"


class CutOff(_Part):
    """The connection is reset after half of the upload; nothing is stored."""

    calls: ClassVar = frozenset({Call.UPLOAD})
    kind: Literal["cut_off"] = "cut_off"


class Expired(_Part):
    """The storage URL has expired."""

    calls: ClassVar = frozenset({Call.UPLOAD, Call.DOWNLOAD})
    kind: Literal["expired"] = "expired"


class WrongOutput(_Part):
    """The download is an image of half the size, one without a picture, or empty."""

    calls: ClassVar = frozenset({Call.DOWNLOAD})
    kind: Literal["wrong_size", "blank", "empty"]


class Outcome(_Part):
    """The project is never rendered and keeps this status; `error` refunds the credits.

    Any text is allowed, including a status outside the vendor's contract.
    """

    calls: ClassVar = frozenset({Call.RENDER})
    kind: Literal["outcome"] = "outcome"
    status: Annotated[str, Field(min_length=1)]
    code: str = "content_policy_violation"


class Lost(_Part):
    """The event is never sent."""

    calls: ClassVar = frozenset({Call.WEBHOOK})
    kind: Literal["lost"] = "lost"


class Late(_Part):
    """The event is sent later, and so perhaps after the next one."""

    calls: ClassVar = frozenset({Call.WEBHOOK})
    kind: Literal["late"] = "late"
    seconds: Seconds


class Repeated(_Part):
    """The event is sent again, although the first was accepted.

    Attributes:
        times: how often it is sent in all.
        seconds: the pause between two.
        signed: `anew` each time, or `once`, so that the last are old (a replay).
    """

    calls: ClassVar = frozenset({Call.WEBHOOK})
    kind: Literal["repeated"] = "repeated"
    times: Annotated[int, Field(ge=2, le=100)] = 2
    seconds: Seconds = 0.1
    signed: Literal["anew", "once"] = "anew"


class SignedOnce(_Part):
    """Retries of the event have the signature and time of the first try."""

    calls: ClassVar = frozenset({Call.WEBHOOK})
    kind: Literal["signed_once"] = "signed_once"


class Forged(_Part):
    """A copy with another secret's signature is sent first."""

    calls: ClassVar = frozenset({Call.WEBHOOK})
    kind: Literal["forged"] = "forged"


Fault = Annotated[
    Answer
    | Altered
    | Reset
    | Latency
    | Drip
    | Truncated
    | CutOff
    | Expired
    | WrongOutput
    | Outcome
    | Lost
    | Late
    | Repeated
    | SignedOnce
    | Forged,
    Field(discriminator="kind"),
]


class When(_Part):
    """Which of a rule's calls fail: exactly one way of choosing."""

    nth: PositiveInt | None = None
    first: PositiveInt | None = None
    every: PositiveInt | None = None
    chance: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for _, value in self) != 1:
            raise ValueError("must have exactly one of nth, first, every, chance")
        return self

    def chooses(self, number: int, draw: float) -> bool:
        """Whether the call is chosen.

        Args:
            number: of the call, from 1.
            draw: the call's random number, at least 0 and below 1.
        """
        return (
            number == self.nth
            or (self.first is not None and number <= self.first)
            or (self.every is not None and number % self.every == 0)
            or (self.chance is not None and draw < self.chance)
        )


class Rule(_Part):
    """One kind of fault.

    Attributes:
        match: a glob on the project's name or the image's path; only matching calls are counted.
        when: every call by default.
    """

    call: Call
    match: str | None = None
    when: When | None = None
    fault: Fault

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.call not in self.fault.calls:
            raise ValueError(
                f"{self.fault.kind} cannot happen to {self.call}, "
                f"only to {', '.join(sorted(self.fault.calls))}"
            )
        if self.match is not None and self.call in _NAMELESS_CALLS:
            raise ValueError(f"{self.call} has no name or path that match could apply to")
        return self

    def is_about(self, call: Call, names: Collection[str]) -> bool:
        """Whether the rule counts a call; `names` are the project's name and the paths in it."""
        return call is self.call and (
            self.match is None or any(fnmatchcase(name, self.match) for name in names)
        )


class FaultPlan(_Part):
    """Rules; if several choose the same call, the first wins, and each counts it."""

    seed: int = 0
    rules: tuple[Rule, ...] = ()


def parse_fault_plan(text: bytes, path: str) -> FaultPlan:
    """Parse a fault plan in YAML 1.2 or JSON; `path` names it in messages.

    Raises:
        FaultPlanInvalid: with all errors, as "path: field: what".
    """
    try:
        document = yaml.load(text.decode(), Loader=yamlcore.CCoreLoader)  # noqa: S506 # a safe one
        # Through JSON, because pydantic's strict mode accepts text for an enum only from JSON.
        return FaultPlan.model_validate_json(json.dumps(document))
    except ValidationError as error:
        faults = [
            f"{path}: {'.'.join(map(str, fault['loc'])) or 'the plan'}: "
            + fault["msg"].removeprefix("Value error, ")
            for fault in error.errors(include_url=False)
        ]
    except (yaml.YAMLError, ValueError) as error:
        faults = [f"{path}: is neither YAML nor JSON: {' '.join(str(error).split())}"]
    raise FaultPlanInvalid("\n".join(faults))


@dataclass
class Tally:
    """A rule's tally: the calls it counted, and the faults it made."""

    calls: int = 0
    faults: int = 0


class Faults:
    """A running plan; many threads may use it."""

    def __init__(self, plan: FaultPlan) -> None:
        self._lock = Lock()
        self.use(plan)

    def use(self, plan: FaultPlan) -> None:
        """Use another plan, and count from the beginning."""
        with self._lock:
            self._plan = plan
            self._tallies = [Tally() for _ in plan.rules]

    @property
    def plan(self) -> FaultPlan:
        """The plan in use."""
        return self._plan

    @property
    def tallies(self) -> list[Tally]:
        """A copy of the tallies, in the order of the rules."""
        with self._lock:
            return [Tally(tally.calls, tally.faults) for tally in self._tallies]

    def draw(self, call: Call, names: Collection[str] = ()) -> Fault | None:
        """Count a call, and return its fault."""
        chosen: Fault | None = None
        with self._lock:
            pairs = zip(self._plan.rules, self._tallies, strict=True)
            for index, (rule, tally) in enumerate(pairs):
                if not rule.is_about(call, names):
                    continue
                tally.calls += 1
                draw = _draw(self._plan.seed, index, tally.calls)
                if chosen is None and (rule.when is None or rule.when.chooses(tally.calls, draw)):
                    tally.faults += 1
                    chosen = rule.fault
        return chosen


def _draw(seed: int, rule: int, number: int) -> float:
    """Return a number, at least 0 and below 1, that depends only on the arguments."""
    digest = hashlib.sha256(f"{seed}/{rule}/{number}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
