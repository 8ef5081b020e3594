"""XMP that tells the truth about another file than the one it was written for (ISO 16684-1)."""

import re

_NUMBER = rb"""(?P<before>\b%s\s*(?:=\s*["']|>)\s*)-?\d+"""
# The look behind keeps it from trying at each of a packet's many blanks, all the way to their end.
_EXTENSION = re.compile(rb"""(?<!\s)\s+xmpNote:HasExtendedXMP\s*=\s*(?:"[^"]*"|'[^']*')""")


def corrected(xmp: bytes, orientation: int, width: int, height: int) -> bytes:
    """Return an XMP packet for a file of another orientation and size.

    What it says of an extension is dropped: that lies elsewhere in the original.
    """
    numbers = {
        b"tiff:Orientation": orientation,
        b"tiff:ImageWidth": width,
        b"tiff:ImageLength": height,
        b"exif:PixelXDimension": width,
        b"exif:PixelYDimension": height,
    }
    for name, number in numbers.items():
        xmp = re.sub(_NUMBER % name, rb"\g<before>%d" % number, xmp)
    return _EXTENSION.sub(b"", xmp)
