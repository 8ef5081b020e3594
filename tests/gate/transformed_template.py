"""Lint template.yaml as CloudFormation gets it: transformed, with the state machine inlined.

cfn-lint does not apply SAM's transform, so on the template as written it sees no generated role,
mapping or permission, and no state machine that lies in a file of its own.

Run from the top folder, in an environment with aws-sam-cli and cfn-lint.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from samtranslator.model.exceptions import (  # type: ignore[import-untyped]
    InvalidDocumentException,
)
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

CODE_BUCKET = "code"
PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "dropscale",
}


class NoManagedPolicies:
    """The AWS managed policies by name: none, so that none is looked up in an account."""

    def load(self) -> dict[str, str]:
        """Return each policy's ARN by its name."""
        return {}


def packaged(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template as `sam package` leaves it, but with state machines inlined."""
    for resource_name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for name in properties.keys() & {"CodeUri", "ContentUri"}:
            properties[name] = f"s3://{CODE_BUCKET}/{resource_name}"
        if "DefinitionUri" in properties:
            definition = Path(properties.pop("DefinitionUri")).read_text()
            properties["Definition"] = yaml_parse(definition)
    return template


def transformed(template: dict[str, Any]) -> dict[str, Any]:
    """Return the packaged template as SAM's transform makes it.

    Raises:
        InvalidDocumentException: it finds something wrong.
    """
    # The transform asks for it, and for nothing of an account.
    os.environ.setdefault("AWS_DEFAULT_REGION", PSEUDO_PARAMETERS["AWS::Region"])
    made: dict[str, Any] = transform(packaged(template), PSEUDO_PARAMETERS, NoManagedPolicies())
    return made


def faults(template: dict[str, Any]) -> list[str]:
    """Return what SAM's transform and, after it, cfn-lint find wrong."""
    # Not installed where others import this.
    from cfnlint.api import (  # type: ignore[import-not-found] # noqa: PLC0415
        ManualArgs,
        lint,
    )

    try:
        made = transformed(template)
    except InvalidDocumentException as error:
        return [cause.message for cause in error.causes]
    matches = lint(json.dumps(made), config=ManualArgs(regions=["us-east-1"]))
    return [
        f"{match.rule.id} {'/'.join(map(str, match.path))}: {match.message}" for match in matches
    ]


if __name__ == "__main__":
    sys.exit("\n".join(faults(yaml_parse(Path("template.yaml").read_text()))) or None)
