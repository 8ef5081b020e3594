"""What importing the package brings along, each in a new interpreter."""

import subprocess
import sys

import pytest

from dropscale.magichour import AsyncClient


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_http_library() -> None:
    assert not {"requests", "httpx", "asyncio"} & modules_after("import dropscale.magichour")


def test_each_client_loads_its_own() -> None:
    make = "from dropscale.magichour import {0}; {0}(token='t')"
    assert {"requests", "httpx"} & modules_after(make.format("Client")) == {"requests"}
    assert {"requests", "httpx"} & modules_after(make.format("AsyncClient")) == {"httpx"}


def test_without_httpx_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "dropscale.magichour.async_transport", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'dropscale\[async\]'"):
        AsyncClient(token="t")
