"""Metadata that a result lacks is reported by stable codes; texts are carried over."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dropscale.image.carry import foresee_losses
from dropscale.image.header import read_header
from dropscale.specs.effective import OutputFormat
from tests import heic, originals
from tests.originals import encoded, grey16, pixels, with_png_chunk
from tests.unit.pipeline.finishing import SIZE, TWICE, finish
from tests.unit.pipeline.test_damaged_packets import with_segments

pytestmark = pytest.mark.usefixtures("decoding_here")

PROMPT = "a red fox, 8k\nSteps: 20, Seed: 7"
JUMBF = b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9bq\3c2pa\0"
USER_COMMENT = 0x9286
HDR = "http://ns.adobe.com/hdr-gain-map/1.0/"
AUXILIARY = {
    "gain map": b"urn:com:apple:photo:2020:aux:hdrgainmap",
    "depth": b"urn:mpeg:hevc:2015:auxid:2",
}


def tiff_pages(subfile: int) -> bytes:
    tags = ImageFileDirectory_v2()
    tags[0x00FE] = subfile
    second = pixels(SIZE).resize((24, 16))
    second.encoderinfo = {"tiffinfo": tags}
    return encoded(pixels(SIZE), "TIFF", save_all=True, append_images=[second])


def moving(kind: str, **options: Any) -> bytes:
    frames = [pixels(SIZE).rotate(90 * at) for at in (1, 2)]
    return encoded(pixels(SIZE), kind, save_all=True, append_images=frames, **options)


def xmp_with(namespace: str) -> bytes:
    return originals.xmp().replace(b"xmlns:tiff", f'xmlns:z="{namespace}" xmlns:tiff'.encode())


MOTION = xmp_with("http://ns.google.com/photos/1.0/camera/").replace(
    b"tiff:Orient", b'z:MotionPhoto="1" z:MotionPhotoPresentationTimestampUs="9" tiff:Orient'
)


def heic_beside(kind: str) -> bytes:
    """Return a photo with a second picture: independent, a thumbnail or auxiliary."""
    told = [heic.full_box(b"auxC", AUXILIARY[kind] + b"\0")] if kind in AUXILIARY else []
    refers = {"picture": (), "thumbnail": ((b"thmb", [1]),)}.get(kind, ((b"auxl", [1]),))
    other = replace(heic.coded(pixels((64, 64)), *told), references=refers)
    return heic.heif([heic.coded(pixels(SIZE)), other])


def jpeg(**options: Any) -> bytes:
    return encoded(pixels(SIZE), "JPEG", **options)


def png(name: bytes, data: bytes) -> bytes:
    return with_png_chunk(encoded(pixels(SIZE)), name, data)


LOSSES: dict[str, dict[str, Callable[[], bytes]]] = {
    "PicturesLost": {
        "MPO": lambda: moving("MPO"),
        "pages of TIFF": lambda: tiff_pages(0),
        "pictures in HEIC": lambda: heic_beside("picture"),
    },
    "AnimationLost": {
        "WebP": lambda: moving("WEBP"),
        "PNG": lambda: moving("PNG", default_image=True),
        "AVIF": lambda: moving("AVIF"),
    },
    "BitsLost": {
        "PNG": lambda: encoded(grey16(SIZE)),
        "TIFF": lambda: encoded(grey16(SIZE), "TIFF"),
    },
    "GainMapLost": {
        "XMP": lambda: jpeg(xmp=xmp_with(HDR)),
        "XMP in UTF-16": lambda: jpeg(xmp=xmp_with(HDR).decode().encode("utf-16")),
        "ISO": lambda: with_segments(jpeg(), 0xE2, [b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"]),
        "HEIC": lambda: heic_beside("gain map"),
    },
    "VideoLost": {
        "JPEG": lambda: jpeg(xmp=MOTION),
        "HEIC": lambda: heic.photo(pixels(SIZE)) + heic.box(b"mpvd", bytes(40)),
    },
    "DepthMapLost": {
        "XMP": lambda: jpeg(xmp=xmp_with("http://ns.google.com/photos/dd/1.0/device/")),
        "HEIC": lambda: heic_beside("depth"),
    },
    "CredentialsLost": {
        "JPEG": lambda: with_segments(jpeg(), 0xEB, [JUMBF]),
        "PNG": lambda: png(b"caBX", JUMBF[8:]),
    },
    "MetadataDamaged": {
        "EXIF": lambda: png(b"eXIf", b"II*\0\x08\0\0\0\xff\xff"),
        "XMP with a DTD": lambda: encoded(
            pixels(SIZE), "WEBP", xmp=b"<!DOCTYPE a>" + originals.xmp()
        ),
    },
    "TextsLost": {"no zlib": lambda: png(b"zTXt", b"Copyright\0\0no zlib")},
    "": {
        **{
            kind: lambda kind=kind: originals.photo(kind)  # type: ignore[misc]
            for kind in ("JPEG", "PNG", "TIFF", "AVIF")
        },
        "plain WebP": lambda: encoded(pixels(SIZE), "WEBP"),
        "HEIC in tiles": lambda: heic.photo(pixels(SIZE), tiles=2),
        "HEIC with a thumbnail": lambda: heic_beside("thumbnail"),
        "TIFF with a preview": lambda: tiff_pages(1),
    },
}
"""By code: files that lose it; under no code: files that lose nothing."""
CASES = [(code, name) for code, named in LOSSES.items() for name in named]


@pytest.mark.parametrize(("code", "name"), CASES)
def test_a_loss_is_told_before_it_is_paid_and_after_and_nothing_else_is(
    code: str, name: str
) -> None:
    body = LOSSES[code][name]()
    file = io.BytesIO(body)

    foreseen = foresee_losses(file, read_header(file, name).type, ["png"], strip=False)

    expected = [code] if code else []
    assert [loss.code for loss in foreseen] == expected
    besides = {"ColoursDiffer", "NotVerified"} if code else set()
    assert [each for each in finish(body).codes if each not in besides] == expected


def test_bits_that_a_result_kept_are_not_lost() -> None:
    original, result = encoded(grey16(SIZE)), encoded(grey16(SIZE).resize(TWICE))

    assert finish(original, result).codes == []
    assert finish(original, result, format="jpeg").codes == ["BitsLost"]


def with_texts(**options: Any) -> bytes:
    info = PngInfo()
    info.add_text("parameters", PROMPT)
    info.add_text("Copyright", "© Ada Example")
    info.add_itxt("Description", "狐")
    info.add_text("workflow", "{}" * 5000, zip=True)
    return encoded(pixels(SIZE), pnginfo=info, **options)


@pytest.mark.parametrize("came", ["PNG", "JPEG"])
def test_texts_of_a_png_are_carried_to_a_png(came: str) -> None:
    own = PngInfo()
    own.add_text("Software", "the upscaler")
    own.add_text("parameters", "of the upscaler")
    options = {"pnginfo": own} if came == "PNG" else {}
    result = encoded(pixels(TWICE), came, **options)

    done = finish(with_texts(), result, format="png")

    told = {key: done.image.info[key] for key in ("parameters", "Copyright", "Description")}
    assert told == {"parameters": PROMPT, "Copyright": "© Ada Example", "Description": "狐"}
    assert done.image.info["workflow"] == "{}" * 5000
    assert (done.image.info.get("Software") == "the upscaler") is (came == "PNG")
    assert done.warnings == ()


@pytest.mark.parametrize("with_exif", [True, False])
@pytest.mark.parametrize("wanted", ["jpeg", "webp", "avif"])
def test_texts_go_into_exif_where_a_format_has_no_room_and_the_others_are_told(
    wanted: str, with_exif: bool
) -> None:
    original = with_texts(**({"exif": originals.exif()} if with_exif else {}))

    (foreseen,) = foresee_losses(io.BytesIO(original), "png", [wanted], strip=False)
    done = finish(original, format=wanted)

    exif, details = done.image.getexif(), done.details
    assert details[USER_COMMENT] == b"ASCII\0\0\0" + PROMPT.encode()
    assert exif[0x010E].encode("latin-1").decode() == "狐"
    if with_exif:
        assert exif[originals.COPYRIGHT] == originals.CREATOR  # EXIF's own stands
        assert details[originals.MAKER_NOTE] == originals.NOTE
    else:
        assert exif[originals.COPYRIGHT].encode("latin-1").decode() == "© Ada Example"
    left = "Copyright, workflow" if with_exif else "workflow"
    assert done.warnings == (foreseen.message,)
    assert foreseen.message == f"{wanted} cannot hold the original's texts: {left}"


@pytest.mark.parametrize("wanted", OutputFormat)
def test_a_comment_is_carried_to_every_format(wanted: str) -> None:
    done = finish(jpeg(comment="Grüße"), format=wanted)

    if wanted in {"webp", "avif"}:
        assert done.details[USER_COMMENT] == b"UNICODE\0" + "Grüße".encode("utf-16-be")
    else:
        told = done.image.info["comment" if wanted == "jpeg" else "Comment"]
        assert (told if isinstance(told, str) else told.decode()) == "Grüße"
    assert done.codes == []


def test_a_text_that_is_too_long_for_a_jpegs_exif_is_told_and_strip_says_nothing() -> None:
    info = PngInfo()
    info.add_text("parameters", "a fox " * 20_000)

    done = finish(encoded(pixels(SIZE), pnginfo=info), format="jpeg")
    stripped = finish(with_texts(), metadata="strip")

    assert (done.codes, stripped.codes) == (["TextsLost"], [])
    assert not done.image.getexif()
    texts = {"parameters", "Copyright", "Description", "workflow"}
    assert not stripped.image.info.keys() & texts


def test_a_result_does_not_say_that_it_has_pictures_which_it_has_not() -> None:
    container = "http://ns.google.com/photos/1.0/container/"
    told = f"""xmlns:h="{HDR}" h:Version="1.0" xmlns:c="{container}" xmlns:tiff"""
    packet = originals.xmp().replace(b"xmlns:tiff", told.encode(), 1)
    packet = packet.replace(b"</rdf:Desc", b"<c:Directory><rdf:Seq/></c:Directory></rdf:Desc", 1)

    moving = finish(jpeg(xmp=MOTION))
    assert b"MotionPhoto" not in moving.image.info["xmp"]

    done = finish(jpeg(xmp=packet))

    assert b"h:Version" not in done.image.info["xmp"]
    assert b"c:Directory" not in done.image.info["xmp"]
    assert originals.CREATOR.encode() in done.image.info["xmp"]
    assert done.codes == ["GainMapLost"]
