"""Logs the AWS calls of a Lambda worker. Python imports this by its name, before all else.

It is on the path of workers only, while a test session records them.
"""

import os
import sys
from pathlib import Path
from typing import Any

from call_log import CallLog  # type: ignore[import-not-found] # is beside this file

_log = CallLog(Path(os.environ["AWS_CALL_LOG"]))
_is_worker = "botocore" in sys.modules or any("lambda_runtime" in word for word in sys.orig_argv)
"""Forked or spawned; else this is a process of a worker's, which makes no calls."""


def _record(params: dict[str, Any], model: Any, **_: object) -> None:
    # Tests put handlers of their own into our template, too.
    if "dropscale.aws.wiring" in sys.modules:
        function = os.environ["AWS_LAMBDA_FUNCTION_NAME"].rpartition("-")[2]
        _log.add(function, model.service_model.service_name, model.name, params)


if _is_worker:
    from botocore.handlers import BUILTIN_HANDLERS

    BUILTIN_HANDLERS.append(("before-parameter-build", _record))
