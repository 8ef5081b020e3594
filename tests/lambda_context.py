"""What a handler is given beside its event."""

from dataclasses import dataclass

from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass
class FakeLambdaContext(LambdaContext):
    """The part of Lambda's context that handlers use; 90 seconds always remain."""

    _function_name: str = "function"
    _memory_limit_in_mb: int = 512
    _invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:function"
    _aws_request_id: str = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 90_000
