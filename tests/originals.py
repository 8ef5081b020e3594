"""Small photos as people drop them: with profiles, metadata, orientations and odd pixels."""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.fakes import png_chunk

ORIENTATION, THUMBNAIL_MARK = 0x0112, b"a thumbnail"
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825
MAKE, COPYRIGHT, DATE_TIME_ORIGINAL, MAKER_NOTE = 0x010F, 0x8298, 0x9003, 0x927C
PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION, GPS_LATITUDE_REF = 0xA002, 0xA003, 1
CAPTION, CAPTION_DATASET = "A cat on a fence", (2, 120)
CREATOR = "Ada Example"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOTE = b"maker's own, with offsets"
SIZE = (48, 32)

_COLORANTS = {
    "Display P3": (
        [0.51512, 0.2412, -0.00105],
        [0.29198, 0.69225, 0.04189],
        [0.1571, 0.06657, 0.78407],
    ),
    "Adobe RGB": (
        [0.60974, 0.31111, 0.01947],
        [0.20528, 0.62567, 0.06087],
        [0.14919, 0.06322, 0.74457],
    ),
}
"""Red, green and blue as XYZ, adapted to D50."""


def profile(name: str, gamma: float = 2.2) -> bytes:
    """Return a small ICC profile of a wide colour space, or of grey (ICC.1:2001-04)."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    text = name.encode() + b"\0"
    description = struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78)
    curve, white = struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256)), xyz(0.9642, 1, 0.8249)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": white}
    if name == "grey":
        tags[b"kTRC"] = curve
    else:
        named = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _COLORANTS[name], strict=True)
        tags |= {tag: xyz(*colorant) for tag, colorant in named}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag, at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    space = b"GRAY" if name == "grey" else b"RGB "
    head = struct.pack(">I4x4s4s4s4s", at + len(data), b"\2\x40\0\0", b"mntr", space, b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp"
    return (head.ljust(68, b"\0") + white[8:]).ljust(128, b"\0") + table + data


def pixels(size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture of many colours without any symmetry."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    planes = [x, y * (1 - x), 0.2 + 0.6 * np.abs(np.sin(5 * x + 2 * y))]
    planes[0] = np.where((x < 0.3) & (y < 0.3), 0.95, planes[0])
    return Image.fromarray(np.rint(np.stack(planes, axis=2) * 255).astype(np.uint8))


def grey16(size: tuple[int, int] = SIZE) -> Image.Image:
    """Return the picture in grey of 16 bits."""
    return pixels(size).convert("L").convert("I;16").point(lambda value: value * 257)


def exif(orientation: int = 1, size: tuple[int, int] = SIZE) -> bytes:
    """Return EXIF as cameras write it: maker notes, a position, and a thumbnail at its end."""
    built = Image.Exif()
    built[ORIENTATION] = orientation
    built[MAKE], built[COPYRIGHT] = "Camera Works", CREATOR
    details = {DATE_TIME_ORIGINAL: "2026:11:26 10:00:00", MAKER_NOTE: NOTE}
    built.get_ifd(EXIF_DIRECTORY).update(details)
    built.get_ifd(EXIF_DIRECTORY).update({PIXEL_X_DIMENSION: size[0], PIXEL_Y_DIMENSION: size[1]})
    built.get_ifd(GPS_DIRECTORY).update({GPS_LATITUDE_REF: "N", 2: (48.0, 12.0, 30.0)})
    return _with_thumbnail(built.tobytes())


def xmp(orientation: int = 1, size: tuple[int, int] = SIZE) -> bytes:
    """Return an XMP packet that repeats what EXIF says, as attributes and as elements."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Credit="{CREATOR}"
 tiff:Orientation="{orientation}" exif:PixelXDimension='{size[0]}'>
<exif:PixelYDimension>{size[1]}</exif:PixelYDimension></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


def iptc() -> bytes:
    """Return IPTC-IIM records with a caption."""
    text = CAPTION.encode()
    return b"\x1c\x01\x5a\x00\x03\x1b%G" + struct.pack(">BBBH", 0x1C, 2, 120, len(text)) + text


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def photo(
    image_format: str,
    orientation: int = 1,
    icc_profile: bytes | None = None,
    image: Image.Image | None = None,
) -> bytes:
    """Return a photo with all metadata that its format (Pillow's name) can hold."""
    image = image or pixels()
    facts = exif(orientation, image.size), xmp(orientation, image.size)
    options: dict[str, Any] = {"exif": facts[0], "xmp": facts[1], "icc_profile": icc_profile}
    if image_format == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", facts[1].decode())
        options = {"exif": facts[0], "pnginfo": info, "icc_profile": icc_profile}
    if image_format == "TIFF":
        options = {"tiffinfo": tiff_tags(orientation), "icc_profile": icc_profile}
    body = encoded(image, image_format, **options)
    return with_iptc(body) if image_format == "JPEG" else body


def with_png_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    """Return a PNG file with a chunk behind its first one."""
    return png[:33] + png_chunk(name, data) + png[33:]


def tiff_tags(orientation: int) -> ImageFileDirectory_v2:
    """Return what a TIFF file says of its photo."""
    tags = ImageFileDirectory_v2()
    tags[ORIENTATION], tags[MAKE], tags[COPYRIGHT] = orientation, "Camera Works", CREATOR
    tags[700], tags[33723] = xmp(orientation), iptc()
    tags[EXIF_DIRECTORY] = {DATE_TIME_ORIGINAL: "2026:11:26 10:00:00", MAKER_NOTE: NOTE}
    return tags


def with_iptc(jpeg: bytes) -> bytes:
    """Return a JPEG file with IPTC between two of Photoshop's other resources."""
    records = iptc()
    resources = b"8BIM\x03\xed\0\0\0\0\0\x03abc\0" + b"8BIM\x04\x04\x04name\0"
    resources += struct.pack(">I", len(records)) + records + bytes(len(records) % 2)
    body = b"Photoshop 3.0\0" + resources + b"8BIM\x0f\xff\0\0\0\0\0\0"
    return jpeg[:2] + struct.pack(">BBH", 0xFF, 0xED, len(body) + 2) + body + jpeg[2:]


def as_stored(upright: Image.Image, orientation: int) -> Image.Image:
    """Return the pixels that a camera stores of a view, for an orientation."""
    for candidate in range(1, 9):
        tag = Image.Exif()
        tag[ORIENTATION] = candidate
        turned = Image.open(io.BytesIO(encoded(upright, "PNG", exif=tag)))
        stored = ImageOps.exif_transpose(turned)
        back = Image.Exif()
        back[ORIENTATION] = orientation
        again = Image.open(io.BytesIO(encoded(stored, "PNG", exif=back)))
        if _same(ImageOps.exif_transpose(again), upright):
            return stored
    raise ValueError(orientation)


def with_alpha(image: Image.Image, mode: str = "RGBA") -> Image.Image:
    """Return a picture whose left half cannot be seen."""
    alpha = Image.new("L", image.size, 0)
    alpha.paste(255, (image.width // 2, 0, image.width, image.height))
    transparent = image.convert(mode)
    transparent.putalpha(alpha)
    return transparent


def in_space(image: Image.Image, space: bytes) -> Image.Image:
    """Return an sRGB picture's pixels in the colour space of a profile."""
    wide = ImageCms.ImageCmsProfile(io.BytesIO(space))
    converted = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), wide)
    if converted is None:
        raise ValueError("not converted")
    return converted


def _same(one: Image.Image, other: Image.Image) -> bool:
    first: npt.NDArray[np.uint8] = np.asarray(one)
    return first.shape == np.asarray(other).shape and bool((first == np.asarray(other)).all())


def _with_thumbnail(data: bytes) -> bytes:
    marker, tiff = data[:6], bytearray(data[6:])
    order = "<" if tiff[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, first)
    directory = len(tiff) + len(tiff) % 2
    tiff += bytes(len(tiff) % 2)
    struct.pack_into(order + "I", tiff, first + 2 + 12 * count, directory)
    body = b"\xff\xd8" + THUMBNAIL_MARK + b"\xff\xd9"
    rows = [(0x0103, 3, 6), (0x0201, 4, directory + 2 + 36 + 4), (0x0202, 4, len(body))]
    tiff += struct.pack(order + "H", len(rows))
    for tag, kind, value in rows:
        packed = struct.pack(order + ("HH" if kind == 3 else "I"), value, *[0] * (kind == 3))
        tiff += struct.pack(order + "HHI", tag, kind, 1) + packed
    return marker + bytes(tiff) + bytes(4) + body
