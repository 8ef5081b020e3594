"""An asynchronous client with the face of a blocking one, so that one test serves both."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any


class Blocking:
    """Whatever is reached from `wrapped` by attributes; its coroutine methods are run.

    Args:
        wrapped: the client, or a part of it.
        run: `asyncio.run`, or the same of a runner whose event loop lasts.
    """

    def __init__(self, wrapped: Any, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._wrapped = wrapped
        self._run = run

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if inspect.iscoroutinefunction(found):
            return lambda *args, **kwargs: self._run(found(*args, **kwargs))
        return Blocking(found, self._run)
