"""The settings of each function, from its environment: exactly the variables in the template."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dropscale.upscaler import Mode


def _split(value: object) -> object:
    return tuple(value.split(",")) if isinstance(value, str) else value


class Settings(BaseModel):
    """The settings of every function. A field's variable is its name in capitals."""

    model_config = ConfigDict(frozen=True)

    ledger_table: str
    stack_id: str
    """Identifies the ledger's owner."""
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
    """The settings of functions that may start jobs: deliver, fail. Times in seconds."""

    state_machine_arn: str
    max_concurrent_jobs: int
    """0: as many as the account's tier runs."""
    job_deadline_seconds: int
    first_check_seconds: int
    daily_credit_limit: int
    monthly_credit_limit: int
    tag_drops: bool = False
    webhooks: Literal["enabled", "disabled"] = "disabled"


class InputSettings(Settings):
    """The settings of functions that read the input bucket."""

    input_bucket: str
    input_prefix: str = ""


class SpecSettings(InputSettings):
    """The settings of functions that resolve specs."""

    default_scale_factor: Annotated[Literal[2, 4], BeforeValidator(int)]
    default_mode: Mode
    sidecar_mode: Literal["optional", "required"]
    settle_seconds: int
    """The time between a drop and its evaluation."""
    sidecar_suffixes: Annotated[tuple[str, ...], BeforeValidator(_split)]


class SubmitSettings(StartSettings, SpecSettings):
    """The settings of submit."""

    max_receives: int
    """How often a message is received before it goes to the dead-letter queue."""


class CheckSettings(Settings):
    """The settings of check."""

    poll_interval_cap_seconds: int


class WebhookSettings(Settings):
    """The settings of webhook; it may not read the API key."""

    webhook_secret_arn: str


class SweepSettings(StartSettings, InputSettings):
    """The settings of sweep."""

    batch_quiet_seconds: int = 300
    """For how long none of a batch's drops must be open."""
    drop_queue_url: str


class CommandSettings(SweepSettings, SpecSettings):
    """The settings of the commands, from the parameters and outputs of a stack."""

    kms_key_arn: str = ""
