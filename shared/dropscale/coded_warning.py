"""What a person should know of a drop that is delivered all the same: one list, by stable codes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class WarningCode(StrEnum):
    """What is told. Codes stay; new ones may be added."""

    # of specs and charges
    SPEC = "Spec"
    EARLIER_CHARGE = "EarlierCharge"
    # of the result's pixels
    WRONG_SIZE = "WrongSize"
    NOT_VERIFIED = "NotVerified"
    NOT_DECODED = "NotDecoded"
    BLANK = "Blank"
    COLOURS_DIFFER = "ColoursDiffer"
    # of what the original says, and its result does not
    ORIGINAL_UNREAD = "OriginalUnread"
    METADATA_DAMAGED = "MetadataDamaged"
    METADATA_UNWRITTEN = "MetadataUnwritten"
    NO_ROOM = "NoRoom"
    FORMAT_KEPT = "FormatKept"
    PROFILE_DAMAGED = "ProfileDamaged"
    PROFILE_UNTESTED = "ProfileUntested"
    HDR_LOST = "HdrLost"
    GAIN_MAP_LOST = "GainMapLost"
    DEPTH_MAP_LOST = "DepthMapLost"
    VIDEO_LOST = "VideoLost"
    ANIMATION_LOST = "AnimationLost"
    PICTURES_LOST = "PicturesLost"
    BITS_LOST = "BitsLost"
    TEXTS_LOST = "TextsLost"
    CREDENTIALS_LOST = "CredentialsLost"
    # of the dropped object
    NOT_TAGGED = "NotTagged"
    # of this list
    MORE = "More"
    OTHER = "Other"


@dataclass(frozen=True)
class CodedWarning:
    """A stable code for programs, and what it says to people."""

    code: WarningCode
    message: str

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def as_text(self) -> str:
        """Return it as it is stored, so that versions that know plain texts only can read it."""
        return f"[{self.code}] {self.message}"

    @classmethod
    def of_text(cls, text: str, uncoded: WarningCode = WarningCode.OTHER) -> "CodedWarning":
        """Read what is stored; a plain text of an older version gets the code `uncoded`."""
        code, bracket, message = text.removeprefix("[").partition("] ")
        if text.startswith("[") and bracket and code in set(WarningCode):
            return cls(WarningCode(code), message)
        return cls(uncoded, text)


def read_warning(value: Any, uncoded: WarningCode = WarningCode.OTHER) -> Any:
    """Return what can be validated as a warning; a text, and a code not known, get `uncoded`."""
    if isinstance(value, str):
        return CodedWarning.of_text(value, uncoded)
    if isinstance(value, dict) and value.get("code") not in set(WarningCode):
        return {**value, "code": uncoded}
    return value
