"""The API key is read in each form that people keep it in, or the fault is named."""

from typing import Any

import pytest

from dropscale.aws.stored_secret import StoredSecret
from dropscale.magichour.errors import Unauthorized


class Secrets:
    """Secrets Manager with one secret."""

    class exceptions:  # noqa: N801 # as boto3's client has it
        """What boto3's client raises."""

        class ResourceNotFoundException(Exception):
            """There is no value."""

    def __init__(self, **secret: object) -> None:
        self.secret = secret

    def get_secret_value(self, **_: Any) -> dict[str, object]:
        return self.secret


def read(**secret: object) -> str:
    client: Any = Secrets(**secret)
    return StoredSecret(client, "arn")()


@pytest.mark.parametrize(
    "text",
    [
        "mhk_1",
        " mhk_1\r\n",
        '"mhk_1"',
        "'mhk_1'\n",
        "\ufeffmhk_1",
        '{"key": "mhk_1"}',
        '{"MAGIC_HOUR_API_KEY": " mhk_1 "}',
        '{"key": "mhk_1", "owner": "me"}',
        '{"whatever": "mhk_1"}',
    ],
)
def test_a_key_is_read_as_people_keep_it(text: str) -> None:
    assert read(SecretString=text) == "mhk_1"
    assert read(SecretBinary=text.encode()) == "mhk_1"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({"SecretString": ""}, "empty"),
        ({"SecretString": '""'}, "empty"),
        ({}, "empty"),
        ({"SecretBinary": b"\xff\xfe"}, "binary"),
        ({"SecretString": '{"user": "a", "password": "b"}'}, "without a field 'key'"),
        ({"SecretString": '{"key": {"inner": "b"}}'}, "without a field 'key'"),
        ({"SecretString": "{}"}, "without a field 'key'"),
        ({"SecretString": "{mhk_1"}, "looks like JSON"),
    ],
)
def test_what_is_no_key_is_named_and_never_shown(secret: dict[str, object], words: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        read(**secret)

    assert words in (caught.value.message or "")
    assert "mhk_1" not in str(caught.value)
