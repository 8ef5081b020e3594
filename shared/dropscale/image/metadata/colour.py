"""Makes ICC profiles for colours that a file declares without one.

They are declared by code points (ITU-T H.273, sections 8.1 and 8.2), as in PNG's cICP and in the
nclx of HEIC and AVIF, or by PNG's gAMA and cHRM (PNG, third edition, 11.3.2).
"""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from dropscale.coded_warning import CodedWarning, WarningCode

_D65 = 0.3127, 0.3290


class Chromaticities(NamedTuple):
    """The x and y of a colour space's white, red, green and blue (CIE 1931)."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


_BT709 = Chromaticities(_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_BY_PRIMARIES: Mapping[int, Chromaticities] = MappingProxyType(
    {
        1: _BT709,
        5: Chromaticities(_D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
        6: Chromaticities(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
        9: Chromaticities(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
        11: Chromaticities((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
        12: Chromaticities(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    }
)
_Curve = tuple[float, ...]
"""A `parametricCurveType` (ICC.1:2022, 10.18): one number is a gamma; five are g, a, b, c, d."""

_SRGB: _Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT1886: _Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_BY_TRANSFER: Mapping[int, _Curve] = MappingProxyType(
    {
        **dict.fromkeys((1, 6, 14, 15), _BT1886),
        4: (2.2,),
        5: (2.8,),
        8: (1.0,),
        13: _SRGB,
    }
)
HDR_BY_TRANSFER: Mapping[int, str] = MappingProxyType({16: "PQ", 18: "HLG"})
"""The transfer curves of HDR images, for which no profile is made here."""

_LIKE_SRGB = frozenset({1, 6, 13, 14, 15})
"""Transfer curves that viewers show as sRGB, with BT.709's primaries."""

_NEARLY = 0.005
_SRGB_GAMMA = 1 / 2.2

_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50 = 0.9642, 1.0, 0.8249
_PARAMETERS = {1: 0, 5: 3}
"""The type of a curve's function, by the number of its parameters."""

_Matrix = Sequence[Sequence[float]]


def describe_hdr(name: str) -> CodedWarning:
    """Return the warning about an HDR original, with the name of its curve."""
    message = f"The original is HDR ({name}); its result is not, and may look paler or darker"
    return CodedWarning(WarningCode.HDR_LOST, message)


def profile_of_code_points(primaries: int, transfer: int) -> bytes | None:
    """Return the profile for code points; None: they are sRGB, HDR or not known."""
    space, curve = _BY_PRIMARIES.get(primaries), _BY_TRANSFER.get(transfer)
    if space is None or curve is None or (primaries == 1 and transfer in _LIKE_SRGB):
        return None
    return _profile(space, curve)


def profile_of_chromaticities(space: Chromaticities | None, gamma: float | None) -> bytes | None:
    """Return the profile for an encoding exponent; None: nearly sRGB, or invalid colours."""
    space, gamma = space or _BT709, gamma or _SRGB_GAMMA
    told = [value for pair in space for value in pair]
    known = [value for pair in _BT709 for value in pair]
    is_709 = all(abs(one - other) < _NEARLY for one, other in zip(told, known, strict=True))
    is_srgb = abs(gamma - _SRGB_GAMMA) < _NEARLY
    if (is_709 and is_srgb) or not 0.1 <= gamma <= 10:
        return None
    try:
        return _profile(space, _SRGB if is_srgb else (1 / gamma,))
    except (ZeroDivisionError, struct.error):
        return None


def _profile(space: Chromaticities, curve: _Curve) -> bytes:
    """Return a display profile of version 4 (ICC.1:2022, 8.3)."""
    white = _xyz(space.white)
    columns = [_xyz(pair) for pair in (space.red, space.green, space.blue)]
    shares = _times(_inverse(_transposed(columns)), white)
    adapted = _adaptation(white)
    colorants = [
        _times(adapted, [value * share for value in column])
        for column, share in zip(columns, shares, strict=True)
    ]
    numbers = b"".join(_fixed(value) for value in curve)
    trc = struct.pack(">4s4xHxx", b"para", _PARAMETERS[len(curve)]) + numbers
    tags = {
        b"desc": _text("The original's colours"),
        b"cprt": _text("CC0"),
        b"wtpt": _xyz_type(_D50),
        b"chad": b"sf32\0\0\0\0" + b"".join(_fixed(value) for row in adapted for value in row),
        **{
            name + b"XYZ": _xyz_type(value)
            for name, value in zip((b"r", b"g", b"b"), colorants, strict=True)
        },
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), trc),
    }
    return _assemble(tags)


def _assemble(tags: Mapping[bytes, bytes]) -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    placed: dict[bytes, int] = {}
    for tag, value in tags.items():
        if value not in placed:  # tags may share their data
            placed[value] = at + len(data)
            data += value + bytes(-len(value) % 4)
        table += struct.pack(">4sII", tag, placed[value], len(value))
    head = struct.pack(">I4x4s4s4s4s", at + len(data), b"\x04\x40\0\0", b"mntr", b"RGB ", b"XYZ ")
    # The date must be valid, and fixed, so that the profile is always the same.
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    head = head.ljust(68, b"\0") + b"".join(_fixed(value) for value in _D50)
    return head.ljust(128, b"\0") + table + data


def _text(text: str) -> bytes:
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", 2 * len(text), 28) + (
        text.encode("utf-16-be")
    )


def _xyz_type(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(value) for value in values)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(pair: tuple[float, float]) -> list[float]:
    x, y = pair
    return [x / y, 1.0, (1 - x - y) / y]


def _adaptation(white: Sequence[float]) -> _Matrix:
    """Return the matrix that adapts colours from a white to D50 (ICC.1:2022, annex E)."""
    before, after = _times(_BRADFORD, white), _times(_BRADFORD, _D50)
    scale = [[0.0] * at + [after[at] / before[at]] + [0.0] * (2 - at) for at in range(3)]
    return _product(_inverse(_BRADFORD), _product(scale, _BRADFORD))


def _times(matrix: _Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(one * other for one, other in zip(row, vector, strict=True)) for row in matrix]


def _transposed(matrix: _Matrix) -> _Matrix:
    return [list(row) for row in zip(*matrix, strict=True)]


def _product(one: _Matrix, other: _Matrix) -> _Matrix:
    return _transposed([_times(one, column) for column in _transposed(other)])


def _inverse(matrix: _Matrix) -> _Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    adjugate = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * adjugate[0][0] + b * adjugate[1][0] + c * adjugate[2][0]
    return [[value / determinant for value in row] for row in adjugate]
