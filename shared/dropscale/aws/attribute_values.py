"""The ledger's values as DynamoDB's API takes and gives them.

boto3 has the same in `boto3.dynamodb.types`, but with it comes all of boto3 and s3transfer, which
nothing else here needs and every cold start would pay for. A test holds both together.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def serialized(value: object) -> dict[str, Any]:
    """Return a JSON value, with its decimals as `Decimal`, as an attribute value.

    Raises:
        TypeError: It is of another type, or a float, which DynamoDB would not keep exactly.
    """
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": str(value)}
        case list() | tuple():
            return {"L": [serialized(item) for item in value]}
        case Mapping():
            return {"M": {name: serialized(item) for name, item in value.items()}}
    raise TypeError(f"the ledger keeps no {type(value).__name__}: {value!r}")


def deserialized(attribute: Mapping[str, Any]) -> Any:
    """Return an attribute value as a JSON value; a number with a fraction as a Decimal.

    Raises:
        TypeError: It is of a type that the ledger never writes.
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "S" | "BOOL":
            return value
        case "N":
            return int(value) if value.lstrip("-").isdigit() else Decimal(value)
        case "L":
            return [deserialized(item) for item in value]
        case "M":
            return {name: deserialized(item) for name, item in value.items()}
    raise TypeError(f"the ledger has no values of DynamoDB's type {kind}")
