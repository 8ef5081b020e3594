"""Read the metadata of finished results with ExifTool, an independent reader.

    tests/gate/with-exiftool .venv/bin/python -m tests.gate.read_with_exiftool

The other tests read the same with Pillow. Exits with 1 if anything is missing or reads otherwise.

    ... -m tests.gate.read_with_exiftool PHOTOS OUT [OUT ...]

prints a table: what photos say, and what their results, as runs of several versions left them.
"""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from dropscale.specs.effective import OutputFormat
from tests import originals
from tests.unit.pipeline.finishing import P3, SIZE, TWICE, enlarged, finish

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

PROPERTIES: Mapping[str, Sequence[str]] = {
    "profile": ("ICC_Profile:ProfileDescription", "PNG-cICP:ColorPrimaries", "Meta:ColorPrimaries"),
    "resolution": (
        "JFIF:XResolution",
        "PNG-pHYs:PixelsPerUnitX",
        "IFD0:XResolution",
    ),
    "XMP": ("XMP-photoshop:Credit", "XMP-crs:Look"),
    "long XMP": ("XMP-crs:Mask", "XMP-dc:Description"),
    "dangling": ("XMP-xmpNote:HasExtendedXMP",),
    "orientation": ("IFD0:Orientation", "XMP-tiff:Orientation", "Meta:Rotation"),
    "texts": (),
}
"""By label: where files tell it."""

TEXTS = frozenset(
    {"PNG:Parameters", "PNG:Copyright", "PNG:Description", "PNG:Comment", "File:Comment"}
    | {"ExifIFD:UserComment", "IFD0:Copyright", "IFD0:ImageDescription"}
)
STRIPPED = frozenset({"IFD0", "ExifIFD", "GPS", "IPTC", "Photoshop", "XMP-photoshop", "XMP-tiff"})


def main() -> int:
    """Print what ExifTool finds wrong, and return the exit code; or print the table."""
    if len(sys.argv) > 2:
        photos, *outs = map(Path, sys.argv[1:])
        print("\n".join(table(photos, outs)))  # noqa: T201 # this is its output
        return 0
    faults = [*kept(), *stripped(), *resolved()]
    print("\n".join(faults) or "ExifTool reads all of it")  # noqa: T201 # this is its output
    return int(bool(faults))


def kept() -> Iterator[str]:
    """Yield faults of results that keep their metadata, in every format."""
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
    """Yield faults of results that must have no metadata, in every format."""
    result = originals.photo("PNG", icc_profile=P3, image=originals.pixels(TWICE))
    for wanted in OutputFormat:
        said = read(finish(originals.photo("JPEG"), result, format=wanted, metadata="strip").body)
        for tag in said:
            if tag.partition(":")[0] in STRIPPED:
                yield f"{wanted}, stripped: {tag}: {said[tag]}"
        if "ICC_Profile:ProfileDescription" not in said:
            yield f"{wanted}, stripped: no colour profile"


def resolved() -> Iterator[str]:
    """Yield faults of resolutions, for an original with one and one without."""
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


def table(photos: Path, outs: Sequence[Path]) -> Iterator[str]:
    """Yield the lines of a table, a line for what any of them says of a property."""
    yield "| | | the photo | " + " | ".join(out.name for out in outs) + " |"
    yield "|---" * (3 + len(outs)) + "|"
    for photo in sorted(photos.iterdir()):
        own = {} if photo.suffix == ".svg" else properties(photo.read_bytes())
        results = [_outcome(out, photo.name) for out in outs]
        name = photo.name
        for label in (*PROPERTIES, "size", "told"):
            cells = [found.get(label, "") for found in (own, *results)]
            if any(cells):
                yield f"| {name} | {label} | " + " | ".join(cells) + " |"
                name = ""


def properties(body: bytes) -> dict[str, str]:
    """Return what a file says, by names of properties, each in one place or another."""
    said = read(body)
    found = {
        label: next((str(said[tag])[:40] for tag in tags if said.get(tag)), "")
        for label, tags in PROPERTIES.items()
    }
    found["texts"] = ", ".join(sorted(tag for tag in said if tag in TEXTS))
    return found


def _outcome(out: Path, name: str) -> dict[str, str]:
    """Return what became of a photo, and what its result says."""
    path = out / f"{name}.dropscale.json"
    if not path.exists():
        return {"told": "no drop"}
    manifest = json.loads(path.read_text())
    if manifest["reason"]:
        return {"told": f"{manifest['state']}: {manifest['reason']['fix']}"}
    job: dict[str, Any] = next(iter(manifest["jobs"]), {})
    if not job.get("output"):
        return {"told": manifest["state"]}
    key = job["output"]["key"]
    body = (out / key).read_bytes()
    with Image.open(io.BytesIO(body)) as image:
        image.load()
        size = f"{image.width} x {image.height}"
    codes = [each["code"] if isinstance(each, dict) else each for each in manifest["warnings"]]
    return {**properties(body), "size": size, "told": ", ".join(codes)}


def read(body: bytes) -> Mapping[str, Any]:
    """Return what ExifTool finds in a file, by group and name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(body)
        command = ["exiftool", "-json", "-G1", "-a", "-unknown", str(path)]
        answer = subprocess.run(command, capture_output=True, check=False).stdout
    found: Mapping[str, Any] = json.loads(answer)[0]
    return found


if __name__ == "__main__":
    sys.exit(main())
