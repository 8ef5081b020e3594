"""Finds syntax of other formats and keyboards in a spec that cannot be read.

It looks right to its author, so the message names the exact character.
"""

import re
import unicodedata
from collections.abc import Iterable

_FENCE = re.compile(r"\s*(```|~~~)")
_JSON_BEGINNING = re.compile(r"\s*[\[{/]")
_JSON_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|\'[^\'\n]*+\'?|#[^\n]*+|(?<![\w:])(?://|/\*)')
_NAME_AND_COLON = re.compile(
    r"^[ \t]*+(?:- )?[\"']?([$\w]++)[\"']?(:?)([^\x00-\x7f])", re.MULTILINE | re.ASCII
)
_COLONS = "\uff1a\ufe55\ua789\u2236"
"""Characters that look like a colon."""

ALLOWED_BLANKS = " \u3000"
"""Spaces that people type visibly: U+3000 is that of Japanese keyboards."""


def find_foreign_syntax(text: str, fields: Iterable[str]) -> tuple[int, str, str] | None:
    """Return the index of the foreign syntax, what it is, and what to do; None: there is none."""
    if fence := _FENCE.match(text):
        return fence.start(1), "a Markdown fence is here", "delete it, and the one at the end"
    if _JSON_BEGINNING.match(text):
        for token in _JSON_TOKEN.finditer(text):
            if token[0] in {"//", "/*"}:
                return token.start(), "JSON has no such comments", "delete it, or begin it with #"
    names = set(fields)
    for found in _NAME_AND_COLON.finditer(text):
        name, colon, odd = found.groups()
        if name in names and not colon and odd in _COLONS:
            message = f"a character like a colon, {code_point(odd)}, follows {name}"
            return found.start(3), message, "write ': '"
        if name in names and colon and odd.isspace():
            message = f"a space that YAML does not allow, {code_point(odd)}, follows the ':'"
            return found.start(3), message, "write a plain space"
    return None


def odd_character(text: str) -> tuple[str, str] | None:
    """Return the first character that is invisible or has a plain form; and what to do."""
    for character in text:
        plain = unicodedata.normalize("NFKC", character)
        if not character.isprintable() and character not in "\n\t\u3000":
            hint = "write a plain space" if plain == " " else "delete it"
            return f"has an invisible character, {code_point(character)}", hint
        if plain != character and plain.isascii():
            return f"has the character {code_point(character)}", f"write '{plain}'"
    return None


def code_point(character: str) -> str:
    """Return a character's code point in Unicode's notation: U+00A0."""
    return f"U+{ord(character):04X}"
