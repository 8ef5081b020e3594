"""The vendor's terms: what Magic Hour's AI Image Upscaler accepts, charges and answers.

Source of every fact here: the vendor's public API reference, version "beta", mid 2026
(https://docs.magichour.ai/api-reference).
"""

from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType


class Mode(StrEnum):
    """How far the upscaler may depart from the original."""

    PRESERVE = "preserve"
    BALANCED = "balanced"
    CREATIVE = "creative"


class ProjectStatus(StrEnum):
    """The status of a project at the vendor."""

    DRAFT = "draft"
    QUEUED = "queued"
    RENDERING = "rendering"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELED = "canceled"


PROJECT_TYPE = "IMAGE_UPSCALER"
"""The type of an upscaler's project; the account's other tools make others."""

FINAL_STATUSES = frozenset({ProjectStatus.COMPLETE, ProjectStatus.ERROR, ProjectStatus.CANCELED})

SCALE_FACTORS = (2, 4)

MODE_BY_ENHANCEMENT = MappingProxyType(
    {"Resemblance": Mode.PRESERVE, "Balanced": Mode.BALANCED, "Creative": Mode.CREATIVE}
)
"""The older names of the modes, still accepted by the API."""

TYPE_BY_EXTENSION = MappingProxyType(
    {
        "png": "png",
        "jpg": "jpeg",
        "jpeg": "jpeg",
        "jfif": "jpeg",
        "heic": "heic",
        "heif": "heic",
        "webp": "webp",
        "avif": "avif",
        "jp2": "jp2",
        "tiff": "tiff",
        "tif": "tiff",
        "bmp": "bmp",
    }
)
"""Every file extension the API accepts, lower case, without the dot, and its image type."""

EXTENSION_BY_TYPE = MappingProxyType(
    {"png": "png", "jpeg": "jpg", "heic": "heic", "webp": "webp", "avif": "avif", "jp2": "jp2"}
    | {"tiff": "tiff", "bmp": "bmp"}
)
"""The extension to use for a file of each image type."""

UNSUPPORTED_EXTENSIONS = frozenset(
    {
        "3fr",
        "arw",
        "btf",
        "cr2",
        "cr3",
        "dng",
        "gif",
        "jxl",
        "nef",
        "nrw",
        "orf",
        "pef",
        "psb",
        "psd",
    }
    | {"raf", "rw2", "srw", "svg", "tf8"}
)
"""Extensions of common image files that the API does not accept: lower case, without the dot."""

MAX_SIDE = 4096
"""Largest width and height of an input image, in pixels."""

UPLOAD_DAYS = 7
"""How long the vendor keeps uploaded bytes."""

DOWNLOAD_URL_HOURS = 24
"""How long a download URL is valid; a new GET of the project returns a new one."""

DEFAULT_BASE_URL = "https://api.magichour.ai"

CONCURRENT_JOBS = MappingProxyType({"creator": 3, "pro": 5})
"""Jobs that may run at once, by the account's tier; `business` has no limit, `free` states none."""

PLACES = MappingProxyType({"free": 1, "business": 10, **CONCURRENT_JOBS})
"""How many jobs of ours run at once, by tier; where the vendor states no limit, a safe number."""

TIERS_WITHOUT_4X = frozenset({"free"})
"""Tiers that may not use a scale factor of 4."""

_CREDITS = MappingProxyType(
    {
        (2, Mode.PRESERVE): 25,
        (2, Mode.BALANCED): 50,
        (2, Mode.CREATIVE): 50,
        (4, Mode.PRESERVE): 100,
        (4, Mode.BALANCED): 200,
        (4, Mode.CREATIVE): 200,
    }
)

DOLLARS_PER_CREDIT = MappingProxyType({"Creator": Decimal("0.0012"), "Business": Decimal("0.0025")})
"""The base rates of plans that are billed by use: roughly the value of a credit.

Source: https://docs.magichour.ai/billing/usage-based-pricing.
"""


def price(scale_factor: int, mode: Mode) -> int:
    """Return what one upscale costs, in credits.

    Raises:
        KeyError: the scale factor is not one the vendor offers.
    """
    return _CREDITS[scale_factor, mode]
