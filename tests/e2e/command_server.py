"""Runs `dropscale` again and again, each time in a process forked from one that has imported it.

    python -m tests.e2e.command_server SOCKET

A process that imports all anew takes a third to two thirds of a second of CPU to begin. A forked
one is else the same: it has its own session, environment, standard files, signals and exit code.
SOCKET is the number of an inherited SOCK_SEQPACKET socket that takes one `Request` per message,
with four files: the command's standard input, output and error, and a socket to which its process
number, then its return code (as subprocess has it) are written.
"""

import gc
import json
import os
import pkgutil
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn, TypedDict

import dropscale_cli
import dropscale_embedded

_LARGEST_REQUEST = 1024 * 1024


class Request(TypedDict):
    """A command's words, its own name first, and its whole environment."""

    words: list[str]
    environment: dict[str, str]


def serve(control: socket.socket) -> None:
    """Run each requested command until the socket closes."""
    for package in (dropscale_cli, dropscale_embedded):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    gc.freeze()
    while True:
        message, files, _, _ = socket.recv_fds(control, _LARGEST_REQUEST, 4)
        with suppress(ChildProcessError):  # there is none to reap
            while os.waitpid(-1, os.WNOHANG if message else 0)[0]:
                pass
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _supervise(json.loads(message), files)
        for file in files:
            os.close(file)


def _supervise(request: Request, files: list[int]) -> NoReturn:
    """Fork the command, and report on it."""
    *standard, life = files
    command = os.fork()
    if command == 0:
        os.close(life)
        os.setsid()
        for number, file in enumerate(standard):
            os.dup2(file, number)
            os.close(file)
        _run(request)
    for file in standard:
        os.close(file)
    with socket.socket(fileno=life) as report:
        report.send(str(command).encode())
        _, status = os.waitpid(command, 0)
        report.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _run(request: Request) -> NoReturn:
    """Do as the installed script does."""
    standard = open(0), open(1, "w"), open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115 # until the end
    sys.stdin, sys.stdout, sys.stderr = standard
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["words"]
    import_module("dropscale_cli.entry").main()
    sys.exit()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
