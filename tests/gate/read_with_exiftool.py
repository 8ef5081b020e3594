"""Let ExifTool, an independent reader, tell what finished results say of themselves.

    tests/gate/with-exiftool .venv/bin/python -m tests.gate.read_with_exiftool

The other tests read the same with Pillow. Exits with 1 if anything is missing or reads otherwise.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dropscale.specs.effective import OutputFormat
from tests import originals
from tests.unit.pipeline.test_fidelity import P3, SIZE, TWICE, enlarged, finish

SAID = {
    "IFD0:Make": "Camera Works",
    "IFD0:Copyright": originals.CREATOR,
    "ExifIFD:DateTimeOriginal": "2026:11:26 10:00:00",
    "ExifIFD:ExifImageWidth": TWICE[0],
    "ExifIFD:ExifImageHeight": TWICE[1],
    "ExifIFD:MakerNoteUnknownText": originals.NOTE.decode(),
    "GPS:GPSLatitudeRef": "North",
    "XMP-photoshop:Credit": originals.CREATOR,
    "XMP-exif:ExifImageWidth": TWICE[0],
    "ICC_Profile:ProfileDescription": "Display P3",
}
TURNED = {"IFD0:Orientation": "Horizontal (normal)", "XMP-tiff:Orientation": "Horizontal (normal)"}
CAPTION = {"IPTC:Caption-Abstract": originals.CAPTION}
NOT_SAID = ("IFD1:ThumbnailImage", "IFD1:ThumbnailLength", "ExifTool:Error", "ExifTool:Warning")
RESOLUTION = {
    "jpeg": ("JFIF:XResolution", 300),
    "png": ("PNG-pHYs:PixelsPerUnitX", 11811),
    "webp": ("IFD0:XResolution", 300),
    "avif": ("IFD0:XResolution", 300),
}
"""Where each format tells 300 dpi, and how."""

STRIPPED = frozenset({"IFD0", "ExifIFD", "GPS", "IPTC", "Photoshop", "XMP-photoshop", "XMP-tiff"})


def main() -> int:
    """Print what ExifTool finds wrong, and return the exit code."""
    faults = [*kept(), *stripped(), *resolved()]
    print("\n".join(faults) or "ExifTool reads all of it")  # noqa: T201 # this is its output
    return int(bool(faults))


def kept() -> Iterator[str]:
    """Yield what is wrong with results that keep their metadata, in every format."""
    view = originals.in_space(originals.pixels(SIZE), P3)
    stored = originals.as_stored(view, 6)
    original = originals.photo("JPEG", 6, P3, stored)
    result = originals.encoded(enlarged(view), "PNG")
    for wanted in OutputFormat:
        said = read(finish(original, result, format=wanted).body)
        expected = SAID | TURNED
        if wanted not in {OutputFormat.WEBP, OutputFormat.AVIF}:
            expected |= CAPTION
        for tag, value in expected.items():
            if said.get(tag) != value:
                yield f"{wanted}: {tag} is {said.get(tag)!r}, not {value!r}"
        yield from (f"{wanted}: {tag}: {said[tag]}" for tag in NOT_SAID if tag in said)


def stripped() -> Iterator[str]:
    """Yield what is wrong with results that are to say nothing, in every format."""
    result = originals.photo("PNG", icc_profile=P3, image=originals.pixels(TWICE))
    for wanted in OutputFormat:
        said = read(finish(originals.photo("JPEG"), result, format=wanted, metadata="strip").body)
        for tag in said:
            if tag.partition(":")[0] in STRIPPED:
                yield f"{wanted}, stripped: {tag}: {said[tag]}"
        if "ICC_Profile:ProfileDescription" not in said:
            yield f"{wanted}, stripped: no colour profile"


def resolved() -> Iterator[str]:
    """Yield what is wrong with resolutions, that of an original and that of one without."""
    view = originals.pixels(SIZE)
    result = originals.encoded(enlarged(view), "PNG")
    for dots in (300, None):
        original = originals.encoded(view, "JPEG", **({"dpi": (dots, dots)} if dots else {}))
        for wanted, (tag, value) in RESOLUTION.items():
            said = read(finish(original, result, format=wanted).body)
            found = {name: said[name] for name in said if name.endswith((":XResolution", "UnitX"))}
            expected = {tag: value} if dots else {}
            if wanted == "jpeg" and not dots:
                found = {} if said.get("JFIF:ResolutionUnit", "None") == "None" else found
            if found != expected:
                yield f"{wanted}: the resolution is {found}, not {expected}"


def read(body: bytes) -> Mapping[str, Any]:
    """Return what ExifTool finds in a file, by group and name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(body)
        command = ["exiftool", "-json", "-G1", "-a", "-unknown", str(path)]
        answer = subprocess.run(command, capture_output=True, check=True).stdout
    found: Mapping[str, Any] = json.loads(answer)[0]
    return found


if __name__ == "__main__":
    sys.exit(main())
