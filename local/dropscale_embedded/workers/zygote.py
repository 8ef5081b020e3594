"""The process from which workers are forked: it has imported the libraries that functions use.

    python -P -u zygote.py PROGRAM SOCKET

PROGRAM is what each worker runs. Only it imports handlers, in the worker, after their environment
is set. Modules in layers are imported before the fork if they are the same for all functions: see
`SharedLayers`.

SOCKET is the number of an inherited SOCK_SEQPACKET socket. The zygote sends `Ready` when all is
imported, then accepts one `Request` per message. Each comes with three files: the worker's socket,
its log, and a socket that represents the worker's life. On the last, the zygote sends the return
code when the worker has ended (as subprocess does); when its other end is shut down, the zygote
kills the worker and the processes it started. When SOCKET closes, the zygote and all workers end.
"""

import ast
import contextlib
import gc
import importlib
import json
import os
import re
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.machinery import PathFinder
from types import CodeType, ModuleType
from typing import Any, NamedTuple, TypedDict

LIBRARIES = (
    "aws_lambda_powertools.utilities.typing",
    "boto3.dynamodb.types",
    "cachetools",
    "difflib",
    "pydantic.functional_serializers",
    "pydantic.dataclasses",
    "pydantic.fields",
    "pydantic.main",
    "pydantic.plugin._loader",
    "pydantic.types",
    "pydantic.json_schema",
    "requests",
    "xml.parsers.expat",
    "xml.sax.saxutils",
    "yaml",
    "yamlcore",
    "zoneinfo",
)
SERVICES = ("dynamodb", "events", "s3", "secretsmanager", "sqs", "stepfunctions")

READ_AT_START = re.compile(
    r"_?PYTHON(?!PATH$).*|LD_.*|LC_.*|MALLOC_.*|PYDANTIC_.*"
    r"|AWS_EXECUTION_ENV|AWS_LAMBDA_INITIALIZATION_TYPE|POWERTOOLS_DEV|POWERTOOLS_DEBUG|PY_SAX_PARSER"
)
"""Variables that Python, the system's libraries or ours read only once, at start."""

_IMPORT_SECONDS = 30
"""Seconds after which a hanging import is left to the worker, which can be killed."""

_LARGEST_REQUEST = 1024 * 1024
_SITE = "sitecustomize"


class Ready(TypedDict):
    """The names of all imported top-level modules."""

    modules: list[str]


class Request(TypedDict):
    """A worker's whole environment, and its working folder."""

    environment: dict[str, str]
    folder: str


class Worker(NamedTuple):
    """What a newly forked process must become; `connection` and `log` are file descriptors."""

    request: Request
    connection: int
    log: int


class _EnvironmentRead(BaseException):  # not an Exception: it ends an import despite any `except`
    """A layer's module reads something that differs between functions."""


class _ClosedEnvironment(type(os.environ)):  # type: ignore[misc] # its class has no public name
    """An environment that allows reading only what is the same in all forked workers."""

    def __getitem__(self, name: str) -> str:
        if READ_AT_START.fullmatch(name):
            return str(super().__getitem__(name))
        raise _EnvironmentRead(name)

    def __iter__(self) -> Iterator[str]:
        raise _EnvironmentRead("all")


class SharedLayers:
    """Modules in layers, imported once for all workers: most of the cost of a handler's import.

    A module is shared if its import does not read the environment, which is the only difference
    between functions. A worker whose path finds another module of that name drops the shared one.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()

    def import_for(self, environment: dict[str, str]) -> None:
        """Import the modules of a function's layers that its handler's module names."""
        code, *layers = _folders(environment)
        handler = environment["_HANDLER"].rpartition(".")[0].replace(".", os.sep)
        before, path = set(sys.modules), sys.path[:]
        sys.path[:0] = layers
        os.environ.__class__ = _ClosedEnvironment
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.alarm(_IMPORT_SECONDS)
        gc.disable()
        try:
            for name in _named_modules(os.path.join(code, f"{handler}.py")):
                if name not in sys.modules and _origin(name.partition(".")[0], layers):
                    # A module that fails here is imported in the worker, and may fail there again.
                    with contextlib.suppress(BaseException):
                        importlib.import_module(name)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            os.environ.__class__ = _ClosedEnvironment.__base__
            sys.path[:] = path
            self._names |= sys.modules.keys() - before
            gc.freeze()
            gc.enable()

    def keep_only_own(self) -> None:
        """Drop shared modules that the worker's own path does not find."""
        tops = {name for name in self._names if "." not in name}
        others = {top for top in tops if _origin(top, sys.path) != sys.modules[top].__file__}
        for name in self._names:
            if name.partition(".")[0] in others:
                del sys.modules[name]


class Zygote:
    """Forks workers, reaps them, and kills them on request."""

    def __init__(self, control: socket.socket, layers: SharedLayers) -> None:
        self._control = control
        self._layers = layers
        # Unlike epoll's, its state is not in the kernel, where workers would share it.
        self._selector = selectors.PollSelector()
        self._lives: dict[int, socket.socket] = {}
        self._ended, self._wake = socket.socketpair()

    def serve(self) -> Worker | None:
        """Fork on request. Return a worker in the new process, and None at the end in this one."""
        self._ended.setblocking(False)
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._watch(self._ended, self._reap)
        self._watch(self._control, self._take_request)
        while self._control.fileno() >= 0:
            for key, _ in self._selector.select():
                act: Callable[[], Worker | None] = key.data
                worker = act()
                if worker is not None:
                    return worker
        for process in self._lives:
            _kill(process)
        return None

    def _watch(self, watched: socket.socket, act: Callable[[], Worker | None]) -> None:
        self._selector.register(watched, selectors.EVENT_READ, act)

    def _take_request(self) -> Worker | None:
        message, files, _, _ = socket.recv_fds(self._control, _LARGEST_REQUEST, 3)
        if not message:
            self._control.close()
            return None
        connection, log, life = files
        request: Request = json.loads(message)
        self._layers.import_for(request["environment"])
        process = os.fork()
        if process == 0:
            self._let_go()
            os.close(life)
            return Worker(request, connection, log)
        os.close(connection)
        os.close(log)
        self._lives[process] = socket.socket(fileno=life)
        self._watch(self._lives[process], partial(self._kill, process))
        return None

    def _let_go(self) -> None:
        """Close the zygote's files in a worker; their numbers will be reused."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for held in (self._control, self._ended, self._wake, *self._lives.values()):
            held.close()

    def _kill(self, process: int) -> None:
        self._selector.unregister(self._lives[process])
        _kill(process)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._ended.recv(1024):
                pass
        while self._lives:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            with self._lives.pop(process) as life:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(life)
                with contextlib.suppress(OSError):
                    life.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def main(program: str, control: socket.socket) -> None:
    """Import the libraries, then fork workers that run `program`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    _import_libraries()
    with open(program, "rb") as file:
        code = compile(file.read(), program, "exec")
    gc.freeze()  # Garbage collection in a worker must not write to shared memory.
    gc.enable()
    modules = sorted({name.partition(".")[0] for name in sys.modules} - {_SITE})
    control.sendall(json.dumps(Ready(modules=modules)).encode())
    layers = SharedLayers()
    worker = Zygote(control, layers).serve()
    if worker is None:
        os._exit(0)
    _become(worker)
    layers.keep_only_own()
    _run(program, code, str(worker.connection))


def list_services(loader: Any, type_name: str) -> list[str]:  # botocore names it
    """List AWS's services for a botocore loader, which would open each one's folder."""
    return sorted(name for name in os.listdir(loader.BUILTIN_DATA_PATH) if "." not in name)


def _import_libraries() -> None:
    """Import the libraries that functions use, and load AWS's service models."""
    for name in LIBRARIES:
        importlib.import_module(name)
    import boto3  # noqa: PLC0415 # what reads this file imports no library
    import botocore.loaders  # noqa: PLC0415 # likewise
    import botocore.session  # noqa: PLC0415 # likewise
    import pydantic  # noqa: PLC0415 # likewise

    pydantic.create_model("First", field=(int, 0))  # imports the modules that every model needs
    # All sessions then have one loader, and so one cache of service models.
    botocore.session.create_loader = cache(botocore.session.create_loader)
    botocore.loaders.Loader.list_available_services = list_services  # type: ignore[assignment]
    session = boto3.Session("none", "none", region_name="us-east-1")
    for service in SERVICES:
        session.client(service)  # type: ignore[call-overload] # chosen by name


def _become(worker: Worker) -> None:
    """Make a newly forked process look like a newly started one."""
    os.setsid()
    for output in (1, 2):
        os.dup2(worker.log, output)
    os.close(worker.log)
    os.environ.clear()
    os.environ.update(worker.request["environment"])
    time.tzset()
    os.chdir(worker.request["folder"])
    folders = _folders(worker.request["environment"])
    sys.path[:0] = folders
    if PathFinder.find_spec(_SITE, folders):
        sys.modules.pop(_SITE, None)
        importlib.import_module(_SITE)


def _folders(environment: dict[str, str]) -> list[str]:
    """Return the folders of a function's modules: its code's, then its layers'."""
    return [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]


def _named_modules(file: str) -> Iterator[str]:
    """Yield the names that a module's top level imports; some may not be modules."""
    try:
        with open(file, "rb") as source:
            statements = ast.parse(source.read()).body
    except (OSError, SyntaxError, ValueError):
        return
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def _origin(module: str, folders: list[str]) -> str | None:
    """Return the file that a module would be imported from."""
    spec = PathFinder.find_spec(module, folders)
    return None if spec is None else spec.origin


def _run(program: str, code: CodeType, *arguments: str) -> None:
    sys.argv = [program, *arguments]
    module = ModuleType("__main__")
    module.__file__ = program
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102 # it is what a worker that is not forked runs, too


def _kill(process: int) -> None:
    # Until it has its own session, it has started no process.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
