"""Damaged profiles and packets are dropped with a warning; intact ones are kept intact."""

import hashlib
import io
import struct
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dropscale.image.metadata import exif, xmp
from dropscale.image.metadata.model import MalformedMetadata
from dropscale.specs.effective import OutputFormat
from tests import originals
from tests.originals import encoded, pixels
from tests.unit.pipeline.finishing import P3, SIZE, TWICE, enlarged, finish

pytestmark = pytest.mark.usefixtures("decoding_here")

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
NOTE = "http://ns.adobe.com/xmp/note/"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
MAIN = b"http://ns.adobe.com/xap/1.0/\0"
LONG = "a mask " * 20_000
DOCUMENT_NAME, HOST_COMPUTER, RATING = 0x010D, 0x013C, 0x4746


def with_segments(jpeg: bytes, marker: int, bodies: Sequence[bytes]) -> bytes:
    """Return a JPEG file with segments behind its first one."""
    at = 4 + int.from_bytes(jpeg[4:6], "big")
    added = [struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for body in bodies]
    return jpeg[:at] + b"".join(added) + jpeg[at:]


def profile_parts(count: int = 3) -> list[bytes]:
    size = -(-len(P3) // count)
    pieces = [P3[at : at + size] for at in range(0, len(P3), size)]
    return [
        b"ICC_PROFILE\0" + bytes([number, count]) + piece
        for number, piece in enumerate(pieces, start=1)
    ]


WHOLE = profile_parts()
DAMAGED = {
    "missing": WHOLE[:1] + WHOLE[2:],
    "last missing": WHOLE[:2],
    "doubled": [*WHOLE, WHOLE[1]],
    "short": [*WHOLE[:2], WHOLE[2][:-8]],
    "long": [*WHOLE[:2], WHOLE[2] + b"more"],
    "other count": [WHOLE[0], WHOLE[1], WHOLE[2][:13] + b"\x04" + WHOLE[2][14:]],
    "none": [b"ICC_PROFILE\0\1\1" + b"no profile"],
    "too many tags": [b"ICC_PROFILE\0\1\1" + P3[:128] + b"\0\0\0\xff" + P3[132:]],
    "tags outside": [b"ICC_PROFILE\0\1\1" + P3[:136] + b"\0\0\xff" + P3[139:]],
}


@pytest.mark.parametrize("parts", [WHOLE, WHOLE[::-1]])
def test_a_profile_in_parts_is_put_together(parts: list[bytes]) -> None:
    view = originals.in_space(pixels(SIZE), P3)
    original = with_segments(encoded(view, "JPEG"), 0xE2, parts)

    done = finish(original, encoded(enlarged(view)))

    assert done.image.info["icc_profile"] == P3
    assert done.warnings == ()


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [(damage, "keep") for damage in (*DAMAGED, "PNG", "WEBP", "TIFF")]
    + [("doubled", wanted) for wanted in ("jpeg", "webp", "avif")],
)
def test_a_damaged_profile_is_not_passed_on(damage: str, wanted: str) -> None:
    if damage in DAMAGED:
        original = with_segments(encoded(pixels(SIZE), "JPEG"), 0xE2, DAMAGED[damage])
    else:  # a format whose profile has the wrong length
        original = encoded(pixels(SIZE), damage, icc_profile=P3[:-30])

    done = finish(original, format=wanted)

    assert "icc_profile" not in done.image.info
    assert [each for each in done.warnings if "profile is damaged" in each]


def test_what_can_be_read_of_a_damaged_file_is_given_back() -> None:
    for kind in ("PNG", "WEBP"):
        cut_off = finish(originals.photo(kind, icc_profile=P3, image=pixels(SIZE))[:-40])
        assert cut_off.image.info["icc_profile"] == P3
        assert "MetadataDamaged" in cut_off.codes

    body = originals.photo("PNG", icc_profile=P3, image=pixels(SIZE))
    at = body.index(b"iCCP") + 30
    done = finish(body[:at] + b"\xff" * 8 + body[at + 8 :])  # it cannot be unpacked
    assert done.codes == ["ProfileDamaged"]
    assert done.image.getexif()[originals.MAKE] == "Camera Works"


def with_extension(main: str, extension: bytes, guid: str, damage: str = "") -> bytes:
    pointer = {"no pointer": "", "small letters": guid.lower()}.get(damage, guid)
    told = f'xmpNote:HasExtendedXMP="{pointer}"' if pointer else ""
    packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:xmpNote="{NOTE}" xmlns:ps="http://ns.adobe.com/photoshop/1.0/" ps:Credit="{main}"
 {told}/></rdf:RDF></x:xmpmeta>""".encode()
    named = b"0" * 32 if damage == "of another" else guid.encode()
    parts = [
        EXTENSION + struct.pack(">32sII", named, len(extension), at) + extension[at : at + 60_000]
        for at in range(0, len(extension), 60_000)
    ]
    kept = {"missing": parts[1:], "doubled": [*parts, parts[0]], "turned": parts[::-1], "all": []}
    segments = [MAIN + packet, *kept.get(damage, parts)]
    return with_segments(encoded(pixels(SIZE), "JPEG"), 0xE1, segments)


def long_xmp() -> tuple[bytes, str]:
    body = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Mask="{LONG}">
<crs:Look>first &amp; last</crs:Look></rdf:Description></rdf:RDF></x:xmpmeta>""".encode()
    return body, hashlib.md5(body, usedforsecurity=False).hexdigest().upper()


def told_by(packet: bytes) -> dict[str, str]:
    """Return the properties in a packet, by name, as another parser finds them."""
    told: dict[str, str] = {}
    for described in ElementTree.fromstring(packet).iter(f"{RDF}Description"):
        told |= {name.rpartition("}")[2]: text for name, text in described.attrib.items()}
        told |= {child.tag.rpartition("}")[2]: child.text or "" for child in described}
    return told


def packets_in(jpeg: bytes) -> tuple[bytes, bytes, str]:
    """Return a JPEG file's packet, its extension put together, and that one's GUID."""
    main, parts, guid = b"", {}, ""
    at = 2
    while jpeg[at + 1] != 0xDA:
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        body = jpeg[at + 4 : at + 2 + size]
        if jpeg[at + 1] == 0xE1 and body.startswith(MAIN):
            main = body[len(MAIN) :]
        if jpeg[at + 1] == 0xE1 and body.startswith(EXTENSION):
            name, _, offset = struct.unpack_from(">32sII", body, len(EXTENSION))
            parts[offset], guid = body[len(EXTENSION) + 40 :], name.decode()
        at += 2 + size
    return main, b"".join(parts[key] for key in sorted(parts)), guid


@pytest.mark.parametrize("damage", ["", "turned", "small letters"])
@pytest.mark.parametrize("wanted", OutputFormat)
def test_extended_xmp_is_kept_whole(wanted: str, damage: str) -> None:
    done = finish(with_extension("Ada", *long_xmp(), damage), format=wanted)

    assert done.warnings == ()
    if wanted == "jpeg":
        main, extension, guid = packets_in(done.body)
        assert f'HasExtendedXMP="{guid}"'.encode() in main
        assert hashlib.md5(extension, usedforsecurity=False).hexdigest().upper() == guid
        assert len(main) < 65_503
        packet = xmp.merge(main, extension)
    else:
        packet = done.image.info["xmp"]
        assert b"HasExtendedXMP" not in packet
    told = told_by(packet)
    assert (told["Credit"], told["Mask"], told["Look"]) == ("Ada", LONG, "first & last")


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("damage", ["missing", "doubled", "all", "of another", "no pointer"])
def test_damaged_extended_xmp_is_dropped_without_a_dangling_pointer(
    wanted: str, damage: str
) -> None:
    done = finish(with_extension("Ada", *long_xmp(), damage), format=wanted)

    assert b"Ada" in done.image.info["xmp"]
    assert b"HasExtendedXMP" not in done.image.info["xmp"]
    assert [each for each in done.warnings if "extended XMP is damaged" in each]


def test_long_xmp_of_a_png_becomes_extended_in_a_jpeg() -> None:
    packet = originals.xmp().replace(
        b"photoshop:Credit=", b"photoshop:Long='%b' photoshop:Credit=" % LONG.encode()
    )
    original = encoded(pixels(SIZE), "WEBP", xmp=packet)

    done = finish(original, format="jpeg")

    main, extension, _ = packets_in(done.body)
    assert LONG.encode() in extension
    assert originals.CREATOR.encode() in main
    assert done.warnings == ()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8-sig"])
def test_xmp_is_read_in_every_encoding_of_unicode(encoding: str) -> None:
    packet = originals.xmp(6).decode().encode(encoding)

    done = finish(encoded(pixels(SIZE), "WEBP", xmp=packet))

    told = told_by(done.image.info["xmp"])
    assert told["Credit"] == originals.CREATOR
    assert told["PixelXDimension"] == f"{TWICE[0]}"


@pytest.mark.parametrize(
    "packet",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]>' + originals.xmp().replace(b"Ada", b"&x;"),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + originals.xmp(),
        originals.xmp()[:-60],
        b"no XML",
        b"<a>" * 5000 + b"</a>" * 5000,
        b"<r>" + b"<a/>" * 20_000 + b"</r>",
    ],
    ids=["entity", "external", "cut off", "none", "deep", "many"],
)
def test_xmp_that_is_no_good_xml_is_dropped_with_a_warning(
    packet: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xmp, "_MOST_PARTS", 20_000)
    original = encoded(pixels(SIZE), "WEBP", xmp=packet, exif=originals.exif())

    done = finish(original)

    assert "xmp" not in done.image.info
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
    assert [each for each in done.warnings if "XMP is not restored" in each]


def test_prefixes_line_breaks_and_instructions_stay_as_they_are() -> None:
    packet = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<a:xmpmeta xmlns:a="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<r:Description xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6" t:Text="one&#10;two &lt;">
<t:ImageWidth>5</t:ImageWidth><!-- why --></r:Description></r:RDF></a:xmpmeta><?xpacket end="w"?>"""

    told = xmp.adapt(packet, 1, 20, 30)

    expected = packet.replace(b'"6"', b'"1"').replace(b">5<", b">20<")
    assert told.replace(b"\n", b"") == expected.replace(b"\n", b"")


def test_what_cannot_be_split_is_said_to_be_too_long() -> None:
    with pytest.raises(MalformedMetadata):
        xmp.split(originals.xmp().replace(b"<rdf:RDF", b" " * 200 + b"<rdf:RDF"), 100)


def test_a_tiffs_tags_are_kept_and_every_directory_is_in_order() -> None:
    tags = ImageFileDirectory_v2()
    tags[DOCUMENT_NAME], tags[HOST_COMPUTER], tags[RATING] = "Contact sheet", "Studio", 4
    tags[0x9C9B] = b"T\0i\0t\0l\0e\0"
    tags[originals.EXIF_DIRECTORY] = {originals.DATE_TIME_ORIGINAL: "2026:11:26 10:00:00"}
    original = encoded(pixels(SIZE), "TIFF", tiffinfo=tags)

    done = finish(original)

    told = done.image.getexif()
    assert (told[DOCUMENT_NAME], told[HOST_COMPUTER]) == ("Contact sheet", "Studio")
    assert told[RATING] == 4
    data = exif.exif_of_tiff(io.BytesIO(original))
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, first)
    found = [struct.unpack_from(order + "H", data, first + 2 + 12 * at)[0] for at in range(count)]
    assert found == sorted(found)
    assert {originals.EXIF_DIRECTORY, 0x9C9B} <= set(found)
