"""The ledger's values are written as boto3 would write them, and read back unchanged."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from dropscale.aws.attribute_values import deserialized, serialized
from dropscale.ledger.states import DropState

VALUES: list[Any] = [
    None,
    True,
    False,
    "",
    "été",
    DropState.WAITING,
    0,
    -3,
    10**20,
    Decimal("0.1"),
    Decimal("-2.50"),
    Decimal("1E+3"),
    [],
    [1, "a", [None, True]],
    {},
    {"spec": {"scale_factor": 2, "prompt": None}, "timeline": [{"state": "waiting"}]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_written_as_boto3_writes_it_and_read_back(value: Any) -> None:
    written: Any = serialized(value)
    assert written == TypeSerializer().serialize(value)
    assert deserialized(written) == TypeDeserializer().deserialize(written) == value


@pytest.mark.parametrize("value", [0.5, b"bytes", {1}, object()])
def test_what_the_ledger_does_not_keep_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="the ledger keeps no"):
        serialized(value)


def test_what_the_ledger_never_writes_is_refused() -> None:
    with pytest.raises(TypeError, match="SS"):
        deserialized({"SS": ["a"]})
