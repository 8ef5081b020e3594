"""What importing the package brings along, each in a new interpreter."""

import subprocess
import sys

import pytest

from dropscale.magichour import AsyncClient


@pytest.mark.parametrize(("kind", "library"), [("Client", "requests"), ("AsyncClient", "httpx")])
def test_each_client_loads_its_own_library_and_the_package_none(kind: str, library: str) -> None:
    code = f"""
import sys, dropscale.magichour
print(*sys.modules)
dropscale.magichour.{kind}(token="t")
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    package, client = (set(line.split()) for line in done.stdout.splitlines())
    assert not {"requests", "httpx", "asyncio"} & package
    assert {"requests", "httpx"} & client == {library}


def test_without_httpx_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "dropscale.magichour.async_transport", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'dropscale\[async\]'"):
        AsyncClient(token="t")
