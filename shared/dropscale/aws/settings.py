"""What each function is told by its environment; the template sets exactly these variables."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dropscale.upscaler import Mode


def _split(value: object) -> object:
    return tuple(value.split(",")) if isinstance(value, str) else value


class Settings(BaseModel):
    """What every function is told. A field's variable is its name in capitals."""

    model_config = ConfigDict(frozen=True)

    ledger_table: str
    stack_id: str
    """By which the ledger knows its owner."""
    results_bucket: str
    results_prefix: str = ""
    api_base_url: str
    api_key_secret_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            pydantic.ValidationError: naming every variable that is missing or wrong.
        """
        named = {field: environment.get(field.upper()) for field in cls.model_fields}
        return cls.model_validate({name: value for name, value in named.items() if value})


class StartSettings(Settings):
    """What a function is told that may start jobs: deliver, fail. Times in seconds."""

    state_machine_arn: str
    max_concurrent_jobs: int
    """0: as many as the account's tier runs."""
    job_deadline_seconds: int
    first_check_seconds: int
    daily_credit_limit: int
    monthly_credit_limit: int
    tag_drops: bool = False


class InputSettings(Settings):
    """What is told to whoever reads what people drop."""

    input_bucket: str
    input_prefix: str = ""


class SpecSettings(InputSettings):
    """What is told to whoever resolves specs."""

    default_scale_factor: Annotated[Literal[2, 4], BeforeValidator(int)]
    default_mode: Mode
    sidecar_mode: Literal["optional", "required"]
    settle_seconds: int
    """Between a drop and its evaluation."""
    sidecar_suffixes: Annotated[tuple[str, ...], BeforeValidator(_split)]


class SubmitSettings(StartSettings, SpecSettings):
    """What submit is told."""

    max_receives: int
    """How often a message is received before it goes to the dead-letter queue."""


class CheckSettings(Settings):
    """What check is told."""

    poll_interval_cap_seconds: int


class SweepSettings(StartSettings, InputSettings):
    """What sweep is told."""

    drop_queue_url: str


class CommandSettings(SweepSettings, SpecSettings):
    """What a person's commands are told, by the parameters and outputs of a stack."""

    kms_key_arn: str = ""
