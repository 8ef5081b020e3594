"""Translates libyaml's syntax errors for people who do not know YAML well."""

BAD_ESCAPE = "invalid Unicode character escape"
LEAVE_OUT = "leave it out, or put text in quotes"

_SYNTAX = (
    ("tab", "a tab indents this line", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a ':' is not expected here",
        "put text that contains ': ' in quotes; line fields up, with ': ' after each name",
    ),
    (
        "could not find expected ':'",
        "no ': ' follows this name",
        "write 'field: value', with a space after the ':'",
    ),
    (
        "did not find expected '-' indicator",
        "this does not line up with the items above",
        "begin each item with '- ', all in one column",
    ),
    (
        "block sequence entries are not allowed",
        "a list cannot begin here",
        "begin each item with '- ' on a line of its own, or put text in quotes",
    ),
    (
        "comment or line break",
        "text cannot follow a | or > on its line",
        "begin it on the next line, or put all of it in quotes",
    ),
    (BAD_ESCAPE, "this \\u escape is not a character", "write the character itself"),
    (
        "found unknown escape character",
        "this escape is unknown",
        "write a backslash as \\\\, or use single quotes",
    ),
    (
        "hexdecimal number",
        "this escape is not complete",
        "write a backslash as \\\\, or use single quotes",
    ),
    ("alphabetic or numeric", "a value cannot begin with & or *", "put it in quotes"),
    ("directive", "this line with a % is not understood", "delete it"),
    ("incompatible YAML", "this line with a % is not understood", "delete it"),
    ("<document start>", "this is outside of the spec", "keep one mapping of fields"),
    ("tag", "tags (!name) are not allowed", LEAVE_OUT),
)


def in_plain_words(problem: str, line_before: str, character: str) -> tuple[str, str]:
    """Return what is wrong, and what to do.

    Args:
        problem: libyaml's message, with its context.
        line_before: the text before the place, on its line.
        character: the character at the place; empty at the end of the file.
    """
    if "cannot start any token" in problem and character != "\t":
        return f"a value cannot begin with {character}", "put it in quotes"
    if "expected node content" in problem and character:
        return f"a value is expected before this '{character}'", "check that the brackets match"
    if "did not find expected key" in problem:
        if line_before.strip():
            hint = "put all of the value in quotes, and write a ' within '…' as ''"
            return "this is after the end of the value", hint
        if character == ":":
            return "there is no name before this ':'", "write 'field: value'"
        return "this does not line up with the fields above", "line fields up under each other"
    for part, message, hint in _SYNTAX:
        if part in problem or (part == "tab" and character == "\t"):
            return message, hint
    message = f"this is neither YAML nor JSON ({problem.strip()})"
    return message, "check that quotes and brackets match"
