"""What a forked worker is like: a process started afresh, but for the libraries it finds loaded."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

from dropscale_embedded.cloud.lambda_workers import FunctionConfig, FunctionPool
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import read_template, resolve_template
from dropscale_embedded.workers import zygote
from dropscale_embedded.workers.processes import StartWorker, base_environment, fork_server
from tests.integration.embedded_cloud.test_lambda_workers import SAID

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")

ROOT = Path(__file__).parents[3]
PROC = Path("/proc")
SECRET = "canary-0f4ad1"
HANDLER = """
import json, os, random, signal, sys, tempfile, threading, time
import yaml

def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found

def handler(event, context):
    print("said", flush=True)
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "environment": dict(os.environ),
        "at_start": open("/proc/self/environ").read(),
        "arguments": open("/proc/self/cmdline").read(),
        "folder": os.getcwd(),
        "path": sys.path,
        "files": descriptors(),
        "threads": threading.active_count(),
        "random": random.random(),
        "temporary": tempfile.gettempdir(),
        "zone": time.tzname,
        "child_signal": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "yaml": yaml.__file__,
    }
"""


@pytest.fixture
def make_pool_on(tmp_path: Path) -> Iterator[Callable[..., FunctionPool]]:
    """Make the pool of a function; more folders and variables join its environment."""
    pools = []

    def make_pool_on(
        start: StartWorker, *more: Path, handler: str = "app.handler", **variables: str
    ) -> FunctionPool:
        environment = {
            **base_environment(),
            "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, *more))),
            "TMPDIR": str(tmp_path),
            "_HANDLER": handler,
            "AWS_DEFAULT_REGION": "us-east-1",
            **SAID,
            **variables,
        }
        config = FunctionConfig("f", "arn:f", tmp_path, 20, 2, environment)
        pools.append(FunctionPool(config, start, log))
        return pools[-1]

    (tmp_path / "app.py").write_text(HANDLER)
    with (tmp_path / "log").open("a") as log:
        yield make_pool_on
        for pool in pools:
            pool.close(time.monotonic())


@pytest.fixture
def pool_of(
    one_fork_server: Callable[[], StartWorker], make_pool_on: Callable[..., FunctionPool]
) -> Callable[..., FunctionPool]:
    return partial(make_pool_on, one_fork_server())


def answer(pool: FunctionPool) -> Any:
    invocation = pool.invoke({})
    assert not invocation.failed, invocation.payload
    return json.loads(invocation.payload)


def is_forked(seen: Mapping[str, Any]) -> bool:
    return "zygote.py" in seen["arguments"]


def test_a_worker_is_as_if_started_afresh(
    pool_of: Callable[..., FunctionPool], tmp_path: Path
) -> None:
    seen = answer(pool_of(SECRET=SECRET))
    assert is_forked(seen)
    assert seen["environment"]["SECRET"] == SECRET
    assert seen["environment"].keys().isdisjoint({"PYTEST_CURRENT_TEST", "VIRTUAL_ENV"})
    assert seen["session"] == seen["pid"]
    assert (seen["folder"], seen["path"][0]) == (str(tmp_path), str(tmp_path))
    assert (seen["temporary"], seen["zone"][0], seen["child_signal"]) == (
        str(tmp_path),
        "UTC",
        True,
    )
    assert seen["threads"] == 2, "the handler's, and the one that waits for the parent's end"
    assert "said" in (tmp_path / "log").read_text()


def test_what_only_the_function_may_know_is_in_no_process_list(
    pool_of: Callable[..., FunctionPool],
) -> None:
    seen = answer(pool_of(SECRET=SECRET))
    assert SECRET not in seen["at_start"] + seen["arguments"]


def test_no_file_of_the_zygotes_or_of_another_worker_is_open(
    pool_of: Callable[..., FunctionPool], tmp_path: Path
) -> None:
    first, second = pool_of(), pool_of()
    for _ in range(2):
        for seen in (answer(first), answer(second)):
            files = {int(number): target for number, target in seen["files"].items()}
            assert files.pop(0) == "/dev/null"
            assert {files.pop(1), files.pop(2)} == {str(tmp_path / "log")}
            (connection,) = files.values()
            assert connection.startswith("socket:")


def test_workers_draw_random_numbers_of_their_own(pool_of: Callable[..., FunctionPool]) -> None:
    assert answer(pool_of())["random"] != answer(pool_of())["random"]


def test_the_zygote_has_one_thread_and_leaves_no_zombie(
    pool_of: Callable[..., FunctionPool],
) -> None:
    pool = pool_of()
    seen = answer(pool)
    assert len(list((PROC / str(seen["parent"]) / "task").iterdir())) == 1
    pool.close(time.monotonic())
    assert not (PROC / str(seen["pid"])).exists()


@pytest.mark.parametrize("variable", ["PYTHONHASHSEED", "LC_ALL", "AWS_EXECUTION_ENV"])
def test_a_variable_read_only_at_start_needs_a_new_process(
    pool_of: Callable[..., FunctionPool], variable: str
) -> None:
    assert not is_forked(answer(pool_of(**{variable: "1"})))


def test_a_function_that_brings_a_library_of_its_own_gets_that(
    pool_of: Callable[..., FunctionPool], tmp_path: Path
) -> None:
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "yaml.py").write_text("")
    seen = answer(pool_of(layer))
    assert seen["yaml"] == str(layer / "yaml.py")
    assert not is_forked(seen)


def test_a_sitecustomize_of_the_functions_is_run_first(
    pool_of: Callable[..., FunctionPool], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['CUSTOM'] = 'yes'")
    seen = answer(pool_of())
    assert is_forked(seen)
    assert seen["environment"]["CUSTOM"] == "yes"


def test_without_a_zygote_workers_are_spawned(
    make_pool_on: Callable[..., FunctionPool], eventually: Callable[..., Any]
) -> None:
    with fork_server(base_environment()) as start:
        first = answer(make_pool_on(start))
        os.kill(first["parent"], signal.SIGKILL)
        status = PROC / str(first["parent"]) / "status"
        eventually(lambda: "zombie" in status.read_text())
        second = answer(make_pool_on(start))
    assert (is_forked(first), is_forked(second)) == (True, False)


LAYER_USER = """
import os
import PACKAGE
from PACKAGE import plain
import own
def handler(event, context):
    return [PACKAGE.WHERE, plain.IMPORTED_BY, own.KIND, os.getpid(), os.getppid()]
"""


@pytest.fixture
def make_layer(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder with a package, the test's own, that tells its folder and who imported it."""

    def make_layer(name: str, own: str = "KIND = 'the layer'") -> Path:
        package = tmp_path / name / tmp_path.name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"WHERE = {name!r}")
        (package / "plain.py").write_text("import os; IMPORTED_BY = os.getpid()")
        (package.parent / "own.py").write_text(own)
        (tmp_path / "app.py").write_text(LAYER_USER.replace("PACKAGE", tmp_path.name))
        return package.parent

    return make_layer


def test_a_layer_is_imported_once_for_all_workers(
    pool_of: Callable[..., FunctionPool], make_layer: Callable[..., Path]
) -> None:
    layer = make_layer("shared")
    for _ in range(2):
        where, imported_by, kind, _pid, zygote_pid = answer(pool_of(layer))
        assert (where, imported_by, kind) == ("shared", zygote_pid, "the layer")


@pytest.mark.parametrize(
    "read", ["environ.get('KIND')", "getenv('KIND')", "environ.copy()['KIND']"]
)
def test_what_reads_the_environment_is_imported_in_each_worker(
    pool_of: Callable[..., FunctionPool], make_layer: Callable[..., Path], read: str
) -> None:
    layer = make_layer("reading", f"import os; KIND = os.{read}")
    for kind in ("one", "two"):
        _, imported_by, found, _pid, zygote_pid = answer(pool_of(layer, KIND=kind))
        assert (found, imported_by) == (kind, zygote_pid)


def test_a_function_finds_its_own_modules_first_and_its_own_layers_only(
    pool_of: Callable[..., FunctionPool], make_layer: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = make_layer("first"), make_layer("second")
    for layer, name in ((first, "first"), (second, "second")):
        where, imported_by, _, pid, zygote_pid = answer(pool_of(layer))
        assert where == name
        assert imported_by == (zygote_pid if layer == first else pid)
    (tmp_path / "own.py").write_text("KIND = 'the function'")
    assert answer(pool_of(first))[2] == "the function"
    invocation = pool_of().invoke({})
    assert f"No module named '{tmp_path.name}'" in invocation.payload


@pytest.mark.parametrize("function", ["check", "deliver", "fail", "submit", "sweep"])
def test_handlers_find_all_loaded_that_does_not_depend_on_the_function(
    function: str, pool_of: Callable[..., FunctionPool], tmp_path: Path
) -> None:
    context = StackContext("dropscale", "us-east-1", "123456789012", "http://127.0.0.1:9")
    stack = resolve_template(read_template(ROOT / "template.yaml"), {}, context)
    declared = stack.resources[f"{function.title()}Function"].properties["Environment"]
    variables = {name: str(value) for name, value in declared["Variables"].items()}
    source = (ROOT / "functions" / function / "app.py").read_text()
    probe = "def probe(event, context): return sorted(set(sys.modules) - before)"
    (tmp_path / "app.py").write_text(f"import sys; before = set(sys.modules)\n{source}\n{probe}")
    loaded_late = answer(pool_of(ROOT / "shared", handler="app.probe", **variables))
    assert set(loaded_late) <= {"dropscale.aws.invocation"}, "which reads the function's variables"


RECORDER = """
import importlib, os
from dropscale_embedded.workers import zygote
read = set()
class Recorded(type(os.environ)):
    def __getitem__(self, name):
        read.add(name)
        return super().__getitem__(name)
os.environ.__class__ = Recorded
for name in zygote.LIBRARIES:
    importlib.import_module(name)
print(*read)
"""


def test_what_libraries_read_at_their_import_is_known() -> None:
    """Else a worker would find what the zygote's environment says."""
    printed = subprocess.run(
        [sys.executable, "-c", RECORDER], check=True, capture_output=True, text=True
    ).stdout.split()
    assert printed, "powertools read one at least"
    names = set(printed) - base_environment().keys()
    assert [name for name in names if not zygote.READ_AT_START.fullmatch(name)] == []


@pytest.mark.parametrize("type_name", ["service-2", "endpoint-rule-set-1"])
def test_services_are_listed_as_botocore_lists_them(type_name: str) -> None:
    loader = Loader()
    listed = loader.list_available_services(type_name=type_name)  # named, as botocore does
    assert zygote.list_services(loader, type_name=type_name) == listed


def test_the_zygote_knows_the_services_that_handlers_call() -> None:
    called = {"dynamodb", "events", "s3", "secretsmanager", "sqs", "stepfunctions"}
    assert set(zygote.SERVICES) == called
