"""Warnings about a drop that is delivered all the same: one list, with stable codes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class WarningCode(StrEnum):
    """The stable codes of warnings. Codes do not change; new ones may be added."""

    # specs and charges
    SPEC = "Spec"
    EARLIER_CHARGE = "EarlierCharge"
    EARLIER_PROJECT = "EarlierProject"
    FORGOTTEN = "Forgotten"
    # the result's pixels
    WRONG_SIZE = "WrongSize"
    NOT_VERIFIED = "NotVerified"
    NOT_DECODED = "NotDecoded"
    BLANK = "Blank"
    COLOURS_DIFFER = "ColoursDiffer"
    # what the original has, and its result does not
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
    # the dropped object
    NOT_TAGGED = "NotTagged"
    # this list itself
    MORE = "More"
    OTHER = "Other"


@dataclass(frozen=True)
class CodedWarning:
    """A stable code for programs, and a message for people."""

    code: WarningCode
    message: str

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def as_text(self) -> str:
        """Return it as stored: as text, which versions without codes can read, too."""
        return f"[{self.code}] {self.message}"

    @classmethod
    def of_text(cls, text: str, uncoded: WarningCode = WarningCode.OTHER) -> "CodedWarning":
        """Read a stored warning; a plain text of an older version gets the code `uncoded`."""
        code, bracket, message = text.removeprefix("[").partition("] ")
        if text.startswith("[") and bracket and code in set(WarningCode):
            return cls(WarningCode(code), message)
        return cls(uncoded, text)


def read_warning(value: Any, uncoded: WarningCode = WarningCode.OTHER) -> Any:
    """Return a value ready to validate; plain texts and unknown codes get the code `uncoded`."""
    if isinstance(value, str):
        return CodedWarning.of_text(value, uncoded)
    if isinstance(value, dict) and value.get("code") not in set(WarningCode):
        return {**value, "code": uncoded}
    return value
