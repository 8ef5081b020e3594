"""What is needed of ICC profiles (ICC.1:2022, section 7.2)."""

from types import MappingProxyType

_CHANNELS_BY_SPACE = MappingProxyType({b"GRAY": 1, b"RGB ": 3, b"CMYK": 4})


def channels_of(profile: bytes) -> int | None:
    """Return how many channels a profile describes; None: it is no profile, or another kind."""
    if profile[36:40] != b"acsp":
        return None
    return _CHANNELS_BY_SPACE.get(profile[16:20])
