"""XMP that tells the truth about another file than the one it was written for (ISO 16684-1)."""

import re

_NUMBER = re.compile(
    rb"""\b(tiff:Orientation|tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension)"""
    rb"""(\s*(?:=\s*["']|>)\s*)-?\d+"""
)
# The look behind keeps it from trying at each of a packet's many blanks, all the way to their end.
_EXTENSION = re.compile(rb"""(?<!\s)\s+xmpNote:HasExtendedXMP\s*=\s*(?:"[^"]*"|'[^']*')""")


def adapt(xmp: bytes, orientation: int, width: int, height: int) -> bytes:
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
    told = _NUMBER.sub(lambda found: b"%b%b%d" % (found[1], found[2], numbers[found[1]]), xmp)
    return _EXTENSION.sub(b"", told)
