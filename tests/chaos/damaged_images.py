"""Damaged originals and results through finish and libvips' worker, and the results.

    python -m tests.chaos.damaged_images [--seed N] [--images N]

The worker is the real one, with its limits, in a process of its own for each task; only that it is
forked, and not started, which takes a thirtieth of the time. So who runs this must not have used
libvips before. A failure prints its seed.
"""

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

from PIL import Image, ImageCms, UnidentifiedImageError

from dropscale.coded_warning import WarningCode
from dropscale.image import vips_worker
from dropscale.image.header import read_header
from dropscale.image.verify import UnreadableResult, verify_result
from dropscale.image.vips import Vips
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.finish import FinishResult
from dropscale.specs.effective import OutputFormat, OutputSettings
from tests import heic, originals
from tests.fakes import FakeInputBucket
from tests.originals import encoded, pixels
from tests.world import PLENTY

MAX_BYTES = 1024 * 1024 * 1024

CPU_SECONDS = 10.0
"""What one task may take; a good one of these files takes a hundredth."""

_MOST_SECONDS = 60
_SIZE, _TWICE = (64, 48), (128, 96)
_SUSPICIOUS = {
    WarningCode.NOT_DECODED,
    WarningCode.NOT_VERIFIED,
    WarningCode.COLOURS_DIFFER,
    WarningCode.BLANK,
}
_P3 = originals.profile("Display P3")
_HEAD = 2_500


@dataclass
class ForkedWorkers:
    """Stands for `subprocess.run` in `dropscale.image.vips`; keeps what each task took."""

    faults: list[str] = field(default_factory=list)
    crashes: int = 0

    def run(self, _: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Do the task that stands in `input`; see `subprocess.run`."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _work(options["input"], out.fileno(), err.fileno())
            _, status, used = os.wait4(child, 0)
            seconds = used.ru_utime + used.ru_stime
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGALRM or seconds > CPU_SECONDS:
                self.faults.append(f"a task took {seconds:.1f} s")
            self.crashes += code < 0
            answer, said = (_content(file) for file in (out, err))
        return subprocess.CompletedProcess([], code, answer, said)


def _work(task: bytes, out: int, err: int) -> None:
    """Do a task in this process, and end it."""
    code = 1
    try:
        signal.alarm(_MOST_SECONDS)
        os.dup2(err, 2)
        answer = io.StringIO()
        sys.stdin, sys.stderr = io.StringIO(task.decode()), os.fdopen(err, "w", closefd=False)
        with redirect_stdout(answer):
            vips_worker.main()
        os.write(out, answer.getvalue().encode())
        code = 0
    except BaseException as error:
        os.write(err, f"{type(error).__name__}: {error}".encode(errors="replace"))
    finally:
        os._exit(code)


def _content(file: Any) -> bytes:
    file.seek(0)
    content: bytes = file.read()
    return content


def _moving(kind: str) -> bytes:
    turned = [pixels(_SIZE).rotate(90 * at) for at in (1, 2)]
    return encoded(pixels(_SIZE), kind, save_all=True, append_images=turned)


def _deep() -> Image.Image:
    return pixels(_SIZE).convert("L").convert("I;16").point(lambda value: value * 257)


def _wholes() -> Iterator[tuple[str, bytes]]:
    """Yield files of each kind that has a decoder or a reader of its own."""
    view, clear = pixels(_SIZE), originals.with_alpha(pixels(_SIZE))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        yield f"{kind} with all metadata", originals.photo(kind, 6, _P3, view)
    yield "progressive JPEG", encoded(view, "JPEG", progressive=True, comment="of it")
    yield "CMYK JPEG", encoded(view.convert("CMYK"), "JPEG")
    yield "JPEG with further pictures", _moving("MPO")
    yield "PNG with alpha", encoded(clear, "PNG")
    yield "palette PNG", encoded(view.quantize(16), "PNG", transparency=3)
    yield "16-bit PNG", encoded(_deep(), "PNG")
    yield "animated PNG", _moving("PNG")
    yield "lossless WebP", encoded(clear, "WEBP", lossless=True, exif=originals.exif(3))
    yield "animated WebP", _moving("WEBP")
    yield "AVIF with alpha", encoded(clear, "AVIF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"TIFF, {compression}", encoded(view, "TIFF", compression=compression)
    yield "TIFF of 16 bits", encoded(_deep(), "TIFF")
    yield "TIFF of pages", _moving("TIFF")
    facts = originals.exif(6)[6:], originals.xmp(6)
    yield "HEIC", heic.photo(pixels((64, 32)), heic.icc_of(_P3), exif=facts[0], xmp=facts[1])
    yield "HEIC in tiles", heic.photo(pixels((64, 64)), heic.irot(1), tiles=2)


WHOLE: Mapping[str, bytes] = MappingProxyType(dict(_wholes()))
_RESULTS: Mapping[str, bytes] = MappingProxyType(
    {
        kind: encoded(pixels(_TWICE), kind, **options)
        for kind, options in {
            "PNG": {},
            "JPEG": {"quality": 92},
            "WEBP": {"quality": 90},
            "AVIF": {"quality": 80},
        }.items()
    }
)


def mutated(body: bytes, dice: random.Random) -> bytes:
    """Return a file that is damaged in one to four ways."""
    data = bytearray(body)
    for _ in range(dice.choice((1, 1, 2, 4))):
        dice.choice(_DAMAGES)(data, dice)
    return bytes(data)


def _at(data: bytearray, dice: random.Random) -> int:
    """Return a place; most are in the head, where damage does more than to change some pixels."""
    return (
        dice.randrange(min(len(data), _HEAD) if dice.random() < 0.7 else len(data)) if data else 0
    )


def _change_byte(data: bytearray, dice: random.Random) -> None:
    at = _at(data, dice)
    data[at : at + 1] = bytes([dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))])


def _change_number(data: bytearray, dice: random.Random) -> None:
    at, size = _at(data, dice), dice.choice((2, 4))
    value = dice.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 100_000, 65_500)) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, dice.choice(("big", "little")))


def _cut_off(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(min(20, len(data)), len(data) + 1) :]


def _cut_out(data: bytearray, dice: random.Random) -> None:
    at = _at(data, dice)
    del data[at : at + dice.choice((1, 4, 100, 1000))]


def _double(data: bytearray, dice: random.Random) -> None:
    at, size = _at(data, dice), dice.choice((4, 100, 1000))
    data[at:at] = data[at : at + size]


def _blot(data: bytearray, dice: random.Random) -> None:
    at, size = _at(data, dice), dice.choice((8, 100, 1000))
    data[at : at + size] = bytes([dice.choice((0, 0xFF))]) * len(data[at : at + size])


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _change_byte,
    _change_byte,
    _change_number,
    _cut_off,
    _cut_out,
    _double,
    _blot,
)


@dataclass(frozen=True)
class Trial:
    """A damaged original or result, and the requested output; always the same for one seed."""

    seed: int
    name: str
    original: bytes
    result: bytes
    is_result_damaged: bool
    settings: OutputSettings

    @classmethod
    def of(cls, seed: int) -> "Trial":
        """Draw the trial of a seed."""
        dice = random.Random(seed)
        name, came = dice.choice(sorted(WHOLE)), dice.choice(sorted(_RESULTS))
        original, result = WHOLE[name], _RESULTS[came]
        is_result_damaged = dice.random() < 0.3
        if is_result_damaged:
            # Of HEIC there is no decoder that is independent of libvips'.
            others = (result,) if name.startswith("HEIC") else (result, original)
            result = mutated(dice.choice(others), dice)
        else:
            original = mutated(original, dice)
        wanted = OutputSettings(
            format=dice.choice(list(OutputFormat)), quality=dice.choice((None, 30))
        )
        told = f"{name}, {came} to {wanted.format}"
        return cls(seed, told, original, result, is_result_damaged, wanted)

    def faults(self, workers: ForkedWorkers) -> list[str]:
        """Finish it; return the faults of the result."""
        workers.faults.clear()
        bucket = FakeInputBucket()
        bucket.objects["cat"] = self.original
        version = bucket.head("input", "cat")
        assert version is not None
        source = Source(bucket="input", key="cat", etag=version.etag, sha256="known")
        begin = time.process_time()
        with ExitStack() as files, patch("subprocess.run", workers.run):
            file = files.enter_context(tempfile.TemporaryFile())
            file.write(self.result)
            try:
                header = verify_result(file, "cat")
            except UnreadableResult:
                return [] if self.is_result_damaged else ["a whole result is taken for damaged"]
            finish = FinishResult(bucket, Vips(MAX_BYTES))
            done = finish(file, header, source, self.settings, files, lambda: PLENTY)
            done.file.seek(0)
            body = done.file.read()
        codes = {warning.code for warning in done.warnings}
        found = [*workers.faults, *self._wrong_with(body, codes)]
        if (seconds := time.process_time() - begin) > CPU_SECONDS:
            found.append(f"it took {seconds:.1f} s")
        return found

    def _wrong_with(self, body: bytes, codes: set[WarningCode]) -> Iterator[str]:
        if self.is_result_damaged and codes & _SUSPICIOUS:
            return
        if codes & {WarningCode.NOT_DECODED}:
            yield "a whole result is said not to decode"
        try:
            with Image.open(io.BytesIO(body)) as image:
                image.load()
                told = image.info.get("icc_profile"), image.info.get("xmp")
                image.getexif()
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
            yield f"Pillow cannot read what came out: {error}; told are {sorted(codes)}"
            return
        if self.is_result_damaged:
            return  # decoders differ in what they make of damage
        header = read_header(io.BytesIO(body), "cat", as_stored=True)
        if image.size != (header.width, header.height):
            yield f"Pillow finds {image.size} pixels, not {header}"
        wanted = self.settings.format
        if wanted not in {OutputFormat.KEEP, header.type} and WarningCode.FORMAT_KEPT not in codes:
            yield f"it is {header.type}, and not {wanted}"
        yield from _wrong_with_metadata(*told)


def _wrong_with_metadata(profile: bytes | None, xmp: bytes | None) -> Iterator[str]:
    if profile:
        try:
            ImageCms.ImageCmsProfile(io.BytesIO(profile))
        except OSError as error:
            yield f"the profile that came out cannot be read: {error}"
    if xmp:
        try:
            ElementTree.fromstring(xmp)
        except ElementTree.ParseError as error:
            yield f"the XMP that came out cannot be read: {error}"


def faults_of(seeds: Iterator[int], workers: ForkedWorkers) -> Iterator[str]:
    """Play the trials of seeds; yield faults."""
    for seed in seeds:
        trial = Trial.of(seed)
        try:
            found = trial.faults(workers)
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        yield from (f"seed {seed}, {trial.name}: {fault}" for fault in found)


def main() -> int:
    """Play trials, print faults; return 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.damaged_images")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--images", type=int, default=3_000)
    options = parser.parse_args()
    workers = ForkedWorkers()
    broken = 0
    begin = time.monotonic()
    for fault in faults_of(iter(range(options.seed, options.seed + options.images)), workers):
        broken += 1
        print(f"  BROKEN {fault}", flush=True)  # noqa: T201 - a command
    print(  # noqa: T201 - a command
        f"{options.images:,} damaged images from seed {options.seed}: {workers.crashes} crashes of "
        f"a decoder, {broken} broken promises, {time.monotonic() - begin:.0f} s"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
