"""IPTC-IIM records in Photoshop's image resources, the form that JPEG and PNG keep them in.

Adobe Photoshop File Formats Specification, "Image Resources Section".
"""

import struct

from dropscale.image.metadata.model import MalformedMetadata

_SIGNATURE = b"8BIM"
_IPTC_RESOURCE = 0x0404


def iptc_in(resources: bytes) -> bytes | None:
    """Return the IPTC records in image resources; None: there are none.

    Raises:
        MalformedMetadata: these are not image resources.
    """
    at = 0
    while resources.startswith(_SIGNATURE, at):
        try:
            resource, name_length = struct.unpack_from(">HB", resources, at + 4)
            body = at + 6 + (name_length + 2) // 2 * 2
            (size,) = struct.unpack_from(">I", resources, body)
        except struct.error as error:
            raise MalformedMetadata("image resources are cut off") from error
        if resource == _IPTC_RESOURCE:
            return resources[body + 4 : body + 4 + size]
        at = body + 4 + size + size % 2
    return None


def as_resources(iptc: bytes) -> bytes:
    """Return IPTC records as image resources."""
    head = _SIGNATURE + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc))
    return head + iptc + bytes(len(iptc) % 2)
