"""Notes what a Lambda worker calls of AWS. Python imports this by its name, before all else.

It is on the path of workers only, while the costs are counted.
"""

import json
import os
from typing import Any

from botocore.handlers import BUILTIN_HANDLERS


def _note(params: dict[str, Any], model: Any, **_: object) -> None:
    function = os.environ["AWS_LAMBDA_FUNCTION_NAME"].rpartition("-")[2]
    line = [function, model.service_model.service_name, model.name, params]
    with open(os.environ["AWS_USAGE_NOTES"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=lambda body: "") + "\n")


BUILTIN_HANDLERS.append(("before-parameter-build", _note))
