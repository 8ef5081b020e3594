import io
from datetime import timedelta
from pathlib import Path

import pytest

from dropscale_embedded.api.storage import SignatureRefused, Storage, UrlSigner
from tests.fakes import Clock

PATH = "api-assets/a/image.png"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> UrlSigner:
    return UrlSigner(key=b"secret", clock=clock)


def test_a_signed_url_opens_its_path_until_it_expires(signer: UrlSigner, clock: Clock) -> None:
    query, expires_at = signer.sign("PUT", PATH, timedelta(minutes=5))
    signer.check("PUT", PATH, query)

    clock.now = expires_at

    with pytest.raises(SignatureRefused, match="expired"):
        signer.check("PUT", PATH, query)


def test_a_signed_url_opens_nothing_else(signer: UrlSigner, clock: Clock) -> None:
    query, _ = signer.sign("PUT", PATH, timedelta(minutes=5))
    another = UrlSigner(key=b"another", clock=clock).sign("PUT", PATH, timedelta(minutes=5))[0]

    for method, path, wrong in [
        ("GET", PATH, query),
        ("PUT", "api-assets/b/image.png", query),
        ("PUT", PATH, query | {"expires": "9999999999.0"}),
        ("PUT", PATH, query | {"signature": ""}),
        ("PUT", PATH, query | {"signature": "é"}),
        ("PUT", PATH, another),
    ]:
        with pytest.raises(SignatureRefused, match="does not match"):
            signer.check(method, path, wrong)


@pytest.mark.parametrize("path", [PATH, "../../outside", "/etc/outside", "x" * 5000])
def test_objects_never_leave_the_folder(tmp_path: Path, path: str) -> None:
    storage = Storage(tmp_path)

    storage.write(path, io.BytesIO(b"bytes"))

    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"bytes"]
    assert storage.file(path).read_bytes() == b"bytes"
    storage.delete(path)
    assert not list(tmp_path.iterdir())


def test_an_upload_that_breaks_off_leaves_the_earlier_object(tmp_path: Path) -> None:
    class BreaksOff(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError

    storage = Storage(tmp_path)
    storage.write(PATH, io.BytesIO(b"whole"))

    with pytest.raises(ConnectionResetError):
        storage.write(PATH, BreaksOff())

    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"whole"]
