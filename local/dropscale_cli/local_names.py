"""The names that results have on this machine, where a key's own will not do.

S3 takes any name. File systems take 255 bytes of one; some do not tell case or Unicode forms apart,
and Windows keeps some names for itself, which counts because people sync their folders. The name
is then marked with a hash of the key; the manifest, whose name is marked alike, has the key itself.
"""

import hashlib
import os
import re
from pathlib import Path

from dropscale.specs.keys import MANIFEST_SUFFIX
from dropscale_cli import state_folder

MOST_BYTES = 255
_LONGEST_ENDING = 30
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.I | re.S)
"""Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file."""


def names_below(folder: Path, key: str) -> list[str]:
    """Return the names of a key's folders and file below an output folder, as they are there."""
    parts, names, at = key.split("/"), list[str](), folder
    is_blind = _ignores_case(folder)
    for index, part in enumerate(parts, 1):
        name = fitting_name(part, "/".join(parts[:index]))
        if is_blind and _is_anothers(at, name):
            name = _marked(part, "/".join(parts[:index]))
        names.append(name)
        at /= name
    return names


def fitting_name(name: str, key: str) -> str:
    """Return a part of a key as a name that file systems take; `key` is the key as far as that."""
    is_fit = (
        len(name.encode()) <= MOST_BYTES
        and not _RESERVED.fullmatch(name)
        and not name.endswith((".", " "))
    )
    return name if is_fit else _marked(name, key)


def _marked(name: str, key: str) -> str:
    """Return a name with a hash of its key, shortened, but with its ending."""
    mark = "~" + hashlib.sha256(key.encode()).hexdigest()[:16]
    stem, ending = _without_ending(name)
    if not stem.strip() or _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    room = MOST_BYTES - len((mark + ending).encode())
    return stem.encode()[:room].decode(errors="ignore") + mark + ending


def _without_ending(name: str) -> tuple[str, str]:
    if name.endswith(MANIFEST_SUFFIX):
        return name.removesuffix(MANIFEST_SUFFIX), MANIFEST_SUFFIX
    at = max(name.rfind("@"), name.rfind(".") if "@" not in name else -1)
    ending = name[at:] if at > 0 else ""
    if len(ending.encode()) > _LONGEST_ENDING or ending.endswith((".", " ")):
        ending = ""
    return name.removesuffix(ending), ending


def _ignores_case(folder: Path) -> bool:
    """Tell whether the file system takes both cases for one, by what runs keep in the folder."""
    other_case = folder / state_folder.NAME.upper()
    return (folder / state_folder.NAME).exists() and other_case.exists()


def _is_anothers(folder: Path, name: str) -> bool:
    """Tell whether what is found by a name bears another: in case, or in its Unicode form."""
    return os.path.lexists(folder / name) and name not in os.listdir(folder)
