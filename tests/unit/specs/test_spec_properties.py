"""Properties of every spec: how layers merge, where values are, and that any bytes are handled.

The examples are the same in every run (`derandomize`).
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dropscale.specs.cascade import ImageFacts, cascade, layers_of, parts_for, unmet_elsewhere
from dropscale.specs.faults import Fault, Place, SpecInvalid
from dropscale.specs.merge import Layer, effective_spec, merge, stack_defaults
from dropscale.specs.parse import SpecFile, parse_folder_spec, parse_sidecar, parse_stand_alone
from dropscale.upscaler import Mode

EXAMPLES = settings(derandomize=True, database=None)
LINE_BREAK = re.compile("\r\n|\r|\n")
PARSERS: tuple[Callable[[bytes], object], ...] = (
    lambda content: parse_sidecar(content, "cat.jpg.yaml", "cat.jpg"),
    lambda content: parse_folder_spec(content, "dropscale.yaml"),
    lambda content: parse_stand_alone(content, "job.yaml"),
)

# No characters that a file cannot have, nor such as cannot be seen.
texts = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"], exclude_characters="\ufeff"),
    max_size=12,
) | st.sampled_from(["😀", "é", 'a "b"', "c'd", "e\\f", "g\nh", "\\ud83d", "no", "2x"])
styles = st.fixed_dictionaries(
    {}, optional={"mode": st.sampled_from(Mode), "prompt": st.none() | texts}
) | st.fixed_dictionaries({"enhancement": st.sampled_from(["Resemblance", "Creative"])})
RENDITION: dict[Any, st.SearchStrategy[Any]] = {
    "scale_factor": st.sampled_from([2, 4, 4.0]),
    "style": styles,
    "name": st.none() | texts,
    "download_directory": st.none() | st.sampled_from(["a", "b/c"]),
    "revision": st.none() | texts,
}
specs = st.fixed_dictionaries(
    {},
    optional=RENDITION
    | {
        "wait_for_completion": st.booleans(),
        "max_credits": st.none() | st.integers(0, 400),
        "skip_if": st.none()
        | st.fixed_dictionaries({}, optional={"min_width": st.none() | st.integers(1, 9)}),
        "renditions": st.none()
        | st.lists(st.fixed_dictionaries({}, optional=RENDITION), max_size=3),
    },
)
layers = specs.map(
    lambda spec: parse_folder_spec(json.dumps(spec).encode(), "dropscale.yaml").layer
)


@EXAMPLES
@given(layers, layers, layers)
def test_merging_is_associative_and_idempotent(outer: Layer, middle: Layer, inner: Layer) -> None:
    merged = merge([outer, middle, inner])

    assert merge([merge([outer, middle]), inner]) == merged
    assert merge([outer, merge([middle, inner])]) == merged
    assert merge([merged, merged]) == merged


@EXAMPLES
@given(layers, layers)
def test_of_every_field_the_nearest_value_counts(outer: Layer, inner: Layer) -> None:
    merged = merge([stack_defaults(2, Mode.BALANCED), outer, inner])
    try:
        effective = effective_spec(merged, "cat.jpg")
    except SpecInvalid:  # its renditions clash
        return

    for field in ("scale_factor", "mode", "prompt", "name", "revision", "max_credits"):
        for layer in (inner, outer):
            if field in layer:
                assert getattr(effective, field) == layer[field].value
                break


parts = specs.map(lambda spec: {**spec, "renditions": None})


def parsed(**spec: Any) -> SpecFile:
    return parse_folder_spec(json.dumps(spec).encode(), "dropscale.yaml")


def cascaded(*files: SpecFile) -> list[Layer]:
    return layers_of(parts_for(ImageFacts("cat.jpg"), cascade(files)))


def values_of(layers: Sequence[Layer]) -> dict[str, Any]:
    return {field: it.value for field, it in merge(layers).items() if field != "preset"}


@EXAMPLES
@given(parts, parts, parts, parts)
def test_presets_merge_as_their_fields_would_before_the_fields_of_who_uses_them(
    outer: dict[str, Any], own: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    plain = values_of([parsed(**spec).layer for spec in (outer, first, second, own)])
    both = {"first": first, "second": second}
    folder = parsed(**outer, presets=both)
    nested = parsed(**outer, presets=both | {"both": {"preset": ["first", "second"]}})
    again = parsed(presets={"second": {"preset": ["first", "second"]}})
    user = parsed(**own, preset=["first", "second"])

    assert values_of(cascaded(folder, user)) == plain
    assert values_of(cascaded(nested, parsed(**own, preset="both"))) == plain
    assert values_of(cascaded(folder, again, parsed(**own, preset="second"))) == plain
    assert values_of(cascaded(folder)) == values_of([parsed(**outer).layer])


IMAGE = ImageFacts("cat.jpg", "jpeg", 600, 800, alpha=False, bytes=9)
conditions = st.sampled_from(
    [({"type": "jpeg"}, True), ({"alpha": True}, False), ({"type": "jpeg", "min_bytes": 99}, False)]
)
rule_parts = parts.map(lambda spec: {k: v for k, v in spec.items() if k != "max_credits"})
rules = st.lists(st.tuples(conditions, rule_parts), max_size=3)


@EXAMPLES
@given(parts, rules, parts, rules, parts)
def test_rules_that_apply_merge_in_order_between_their_file_and_a_nearer_one(
    outer: dict[str, Any],
    outer_rules: list[Any],
    inner: dict[str, Any],
    inner_rules: list[Any],
    own: dict[str, Any],
) -> None:
    expected, files = [], []
    for spec, given_rules in ((outer, outer_rules), (inner, inner_rules), (own, [])):
        written = [{"if": condition, **fields} for (condition, _), fields in given_rules]
        files.append(parsed(**spec, rules=written))
        expected.append(parsed(**spec).layer)
        expected += [parsed(**fields).layer for (_, applies), fields in given_rules if applies]
    found = cascade(files)

    assert values_of(layers_of(parts_for(IMAGE, found))) == values_of(expected)
    unknown = layers_of(parts_for(ImageFacts("cat.jpg"), found))
    assert values_of(unknown) == values_of([parsed(**spec).layer for spec in (outer, inner, own)])
    rules_given = len(outer_rules) + len(inner_rules)
    assert len(list(unmet_elsewhere(ImageFacts("cat.jpg"), found))) == rules_given


def offset(text: str, place: Place | None) -> int:
    """Return where in a text a place is."""
    assert place
    starts = [0, *(found.end() for found in LINE_BREAK.finditer(text))]
    return starts[place.line - 1] + place.column - 1


@EXAMPLES
@given(
    specs,
    st.booleans(),
    st.sampled_from([None, 1, "\t"]),
)
def test_provenance_points_at_the_value_in_json(
    spec: dict[str, Any], ascii_only: bool, indent: int | str | None
) -> None:
    text = json.dumps(spec, ensure_ascii=ascii_only, indent=indent)
    layer = parse_folder_spec(text.encode(), "dropscale.yaml").layer

    values = spec | spec.get("style", {}) | {"mode": spec.get("style", {}).get("mode")}
    for field in ("scale_factor", "name", "revision", "max_credits", "prompt", "renditions"):
        if field in values:
            start = offset(text, layer[field].origin.place)
            assert json.JSONDecoder().raw_decode(text, start)[0] == values[field]


written_texts = st.one_of(
    st.sampled_from(["Cat", "no", "2x", "1_000", "😀", "007", "c:d", "plain 'text'", "1.10"]),
    texts.map(json.dumps),
    texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    texts.map(lambda text: "'" + text.replace("'", "''").replace("\n", " ") + "'"),
)
fields = st.fixed_dictionaries(
    {"scale_factor": st.sampled_from(["2", "4.0", "0x4"])},
    optional={"name": written_texts, "revision": written_texts, "max_credits": st.just("0o310")},
)


@EXAMPLES
@given(
    fields,
    written_texts,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "# 😀é\n", "\n\n"]),
    st.sampled_from([": ", ":   ", ":\t"]),
    st.sampled_from(["", " # why", " \t"]),
    st.booleans(),
    st.sampled_from(["", "\ufeff"]),
)
def test_provenance_points_at_the_value_in_yaml(
    written: dict[str, str],
    prompt: str,
    line_end: str,
    before: str,
    colon: str,
    after: str,
    in_braces: bool,
    mark: str,
) -> None:
    if in_braces:
        inner = f"{{mode{colon}creative, prompt{colon}{prompt} }}"
        lines = [f"{field}{colon}{value} ,{after}" for field, value in written.items()]
        lines = ["{", *lines, f"style{colon}{inner}", "}"]
    else:
        lines = [f"{field}{colon}{value}{after}" for field, value in written.items()]
        lines += [f"style:{after}", f"   prompt{colon}{prompt}{after}"]
    text = (before + "\n".join(lines)).replace("\n", line_end)

    layer = parse_folder_spec((mark + text).encode(), "dropscale.yaml").layer

    for field, value in (written | {"prompt": prompt}).items():
        assert text.startswith(value, offset(text, layer[field].origin.place))


def faults_of(parser: Callable[[bytes], object], content: bytes) -> tuple[Fault, ...]:
    try:
        parser(content)
    except SpecInvalid as error:
        return error.faults
    return ()


def assert_answered(content: bytes) -> None:
    lines = LINE_BREAK.split(content.decode("utf-8-sig", "replace"))
    for parser in PARSERS:
        for fault in faults_of(parser, content):
            assert 1 <= fault.line <= len(lines)
            assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1
            assert str(fault).isprintable()


@EXAMPLES
@given(st.binary(max_size=60))
def test_any_bytes_give_a_spec_or_faults_within_the_file(content: bytes) -> None:
    assert_answered(content)


PIECES = (
    *("scale_factor", "style", "mode", "name", "assets", "image_file_path", "renditions", "a"),
    *(": ", ":", "\n", "\r\n", "\n  ", "\n    ", "- ", "? ", ", ", "{", "}", "[", "]", " ", "\t"),
    *("'", '"', "\\", "\\ud83d\\ude00", "\\ud83d", "|", ">", "&b ", "*b", "!c ", "#", "%", "@"),
    *("---\n", "...\n", "<<", "2", "4.0", "0x", "1e9", ".nan", "-", "null", "~", "true", "2x"),
    *("creative", "https://a.example/b.png", "é", "😀", "\ufeff", "\u2028", "\0", "%YAML 1.2\n"),
)


@settings(EXAMPLES, max_examples=5 * settings().max_examples)
@example(["? ", "scale_factor"])  # to libyaml the missing value stands below the last line
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_pieces_of_yaml_give_a_spec_or_faults_within_the_file(pieces: list[str]) -> None:
    assert_answered("".join(pieces).encode())
