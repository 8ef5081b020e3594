"""Files with endless parts: finishing ends in time, and no result is lost."""

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from dropscale.image.metadata.files import read_metadata
from dropscale.image.metadata.model import MalformedMetadata
from dropscale.image.timed_file import OutOfTime, timed
from dropscale.image.verify import verify_result
from dropscale.pipeline.parts import finish as steps
from tests import originals
from tests.fakes import png_chunk
from tests.unit.pipeline.finishing import KEY, NOT_SEEN, P3, finish
from tests.unit.pipeline.test_finish import result

MILLION = 1_000_000
PARTS = 60_000
SECONDS = 0.01
"""The time limit of each step."""
MOST_SECONDS = 3.0
"""The limit of all steps together."""


def png_with(chunks: bytes) -> bytes:
    return (body := result("png"))[:33] + chunks + body[33:]


def jpeg_with(segments: bytes) -> bytes:
    return (body := result("jpeg"))[:2] + segments + body[2:]


def webp_with(chunks: bytes) -> bytes:
    body = result("webp", quality=80) + chunks
    return body[:4] + struct.pack("<I", len(body) - 8) + body[8:]


def bomb() -> bytes:
    text = zlib.compress(bytes(20 * 1024 * 1024), 9)
    return png_chunk(b"zTXt", b"Raw profile type xmp\0\0" + text)


FILES: dict[str, Callable[[], bytes]] = {
    "png, many chunks": lambda: png_with(png_chunk(b"teXt", b"") * PARTS),
    "png, many texts": lambda: png_with(png_chunk(b"tEXt", b"a\0b") * PARTS),
    "png, texts that inflate": lambda: png_with(bomb() * 500),
    "jpeg, many segments": lambda: jpeg_with(b"\xff\xe5\0\x02" * PARTS),
    "jpeg, a million fill bytes": lambda: jpeg_with(b"\xff" * MILLION),
    "jpeg, many resources": lambda: jpeg_with(
        (b"\xff\xed\xfb\xb0" + b"Photoshop 3.0\0" + b"8BIM\0\1\0\0\0\0\0\0" * 5368) * 60
    ),
    "webp, many chunks": lambda: webp_with(b"abcd\0\0\0\0" * PARTS),
}


@pytest.mark.parametrize("which", ["result", "original"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_without_end_costs_no_result_and_little_time(name: str, which: str) -> None:
    endless = FILES[name]()
    came = endless if which == "result" else result("png")
    original = endless if which == "original" else originals.photo("JPEG", icc_profile=P3)
    began = time.process_time()

    done = finish(original, came, NOT_SEEN, seconds=steps._RESERVED_SECONDS + SECONDS)

    assert time.process_time() - began < MOST_SECONDS
    assert done.warnings or "resources" in name
    if which == "original":
        assert verify_result(io.BytesIO(done.body), KEY) == verify_result(io.BytesIO(came), KEY)
    else:
        assert done.body == came or "resources" in name


def test_a_file_is_used_until_its_time_is_over() -> None:
    now = 0.0
    file = timed(io.BytesIO(b"abc"), 10.0, most_bytes=2, clock=lambda: now)
    assert file.read(2) == b"ab"
    assert file.read() == b"c"
    file.seek(0)
    with pytest.raises(OutOfTime, match="longer than 2 bytes"):
        file.read(3)
    now = 10.0
    for use in (lambda: file.read(1), lambda: file.seek(0), lambda: file.write(b"")):
        with pytest.raises(OutOfTime, match="in time"):
            use()


def test_fields_that_share_their_bytes_take_no_memory_each() -> None:
    size, count = 10 * MILLION, 1000  # a thousand fields of 10 MB in a file of 10 MB
    table = 8 + 2 + 12 + 4
    value_at = table + 2 + 12 * count + 4
    fields = b"".join(struct.pack("<HHII", 0x9000 + n, 7, size, value_at) for n in range(count))
    tiff = struct.pack("<4sIHHHIII", b"II*\0", 8, 1, 0x8769, 4, 1, table, 0)
    tiff += struct.pack("<H", count) + fields + bytes(4 + size)
    tracemalloc.start()

    with pytest.raises(MalformedMetadata, match="together are too long"):
        read_metadata(io.BytesIO(tiff), "tiff")

    assert tracemalloc.get_traced_memory()[1] < 64 * MILLION
    tracemalloc.stop()
