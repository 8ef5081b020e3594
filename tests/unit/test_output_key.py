"""Keys of outputs: two that are not one claim are never one key, whatever type is delivered."""

import json
from itertools import combinations, product

import jsonschema
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dropscale.ledger.drops import Rendition, Source
from dropscale.ledger.jobs import Parameters
from dropscale.pipeline.parts.plan import plan_renditions
from dropscale.results.manifest import manifest_key
from dropscale.results.output_key import (
    MOST_PREFIX_BYTES,
    claimed_name,
    name_claimed_for,
    output_key,
)
from dropscale.specs.effective import EffectiveSpec, OutputSettings
from dropscale.specs.faults import SpecInvalid
from dropscale.specs.keys import MANIFEST_SUFFIX
from dropscale.specs.merge import effective_spec, merge, stack_defaults
from dropscale.specs.model import json_schema
from dropscale.specs.output_name import PLACEHOLDERS
from dropscale.specs.parse import parse_sidecar
from dropscale.upscaler import Mode

EXAMPLES = settings(derandomize=True, database=None, max_examples=300)
TYPES = ("png", "jpeg", "webp", "heic")
MOST = 1024 - MOST_PREFIX_BYTES
SCHEMA = jsonschema.Draft202012Validator(json_schema())

stems = st.sampled_from(["cat", "Cat", "cat_2x", "icon@2x", "cat.jpg@2x", "{mode}", "ﬀ", "x" * 900])
keys = st.builds("{}{}.{}".format, st.sampled_from(["", "a/", "a/b/", "A/"]), stems, st.just("jpg"))
keys |= keys.map(lambda key: f"{key[:-4]}.png")
pieces = st.sampled_from(
    [f"{{{name}}}" for name in PLACEHOLDERS[:-1]] + ["cat", ".jpg", "@2x", "_"]
)
templates = st.lists(pieces, min_size=1, max_size=3).map(lambda parts: "".join(parts) + "{ext}")
outputs = st.fixed_dictionaries(
    {"format": st.sampled_from(["keep", "png", "jpeg"])}, optional={"name": templates}
)
renditions = st.fixed_dictionaries(
    {"output": outputs},
    optional={"scale_factor": st.just(4), "download_directory": st.just("a")},
)
_AS_JPEG: dict[str, object] = {"output": {"format": "jpeg"}}
_ENDED: dict[str, object] = {"output": {"format": "jpeg", "name": "{stem}{ext}"}}
_TWICE: dict[str, object] = {"output": {"format": "png", "name": "{stem}.jpg{ext}"}}


def planned(key: str, wanted: list[dict[str, object]]) -> dict[str, Rendition]:
    """Return what the drop at a key gets for a spec; nothing, if the spec is refused."""
    text = json.dumps({"renditions": wanted}).encode()
    layer = parse_sidecar(text, f"{key}.yaml", key).layer
    try:
        spec: EffectiveSpec = effective_spec(merge([stack_defaults(2, Mode.BALANCED), layer]), key)
    except SpecInvalid:
        return {}
    found = plan_renditions(Source(bucket="in", key=key, etag="", sha256=key), spec)
    assert len(found) == len(wanted)
    return found


def keys_of(key: str, rendition: Rendition) -> set[str]:
    """Return all keys that an output may get."""
    return {output_key(key, rendition, each) for each in TYPES}


@EXAMPLES
@given(keys, st.lists(renditions, min_size=1, max_size=3), keys, renditions)
@example("cat.jpg", [{"download_directory": "a"}], "a/cat.jpg", {})
@example("b.jpg", [{"output": {"name": "Cat.jpg@{scale}x{ext}"}}], "Cat.jpg", {})
@example(
    "cat.jpg",
    [
        {"output": {"name": "{stem}{ext}"}},
        {"output": {"name": "cat{ext}"}, "download_directory": "web"},
    ],
    "a.jpg",
    {},
)
@example("cat.jpg", [_TWICE, _ENDED], "cat.jpg", {})
@example("cat.jpg", [_TWICE], "cat.png", _ENDED)
@example("b.jpg", [{"output": {"name": "cat.jpg@2x.jpg{ext}"}}], "cat.jpg", _AS_JPEG)
def test_outputs_of_one_key_are_refused_in_one_drop_and_claimed_by_one_of_two(
    key: str, wanted: list[dict[str, object]], other: str, others: dict[str, object]
) -> None:
    own, theirs = planned(key, wanted), planned(other, [others])
    for one, two in combinations(own.values(), 2):
        assert keys_of(key, one).isdisjoint(keys_of(key, two))
    assume(key != other)
    for one, two in product(own.values(), theirs.values()):
        if claimed_name(key, one) != claimed_name(other, two):
            assert keys_of(key, one).isdisjoint(keys_of(other, two))


@EXAMPLES
@given(keys, st.lists(renditions, min_size=1, max_size=1))
def test_a_key_is_in_the_folder_of_its_image_and_shows_what_is_claimed(
    key: str, wanted: list[dict[str, object]]
) -> None:
    for rendition in planned(key, wanted).values():
        folder = (f"{rendition.directory}/" if rendition.directory else "") + key[
            : key.rfind("/") + 1
        ]
        for found in keys_of(key, rendition):
            assert found.startswith(folder)
            assert "/" not in found.removeprefix(folder)
            assert not found.endswith(MANIFEST_SUFFIX)
            assert len(found.encode()) <= MOST
            if len(key) < 900:
                assert claimed_name(key, rendition) == name_claimed_for(found)


@EXAMPLES
@given(
    st.lists(pieces | st.sampled_from(["{ext}", "{", "}", "/", "..", " ", "{stam}"]), max_size=4)
)
def test_the_schema_takes_the_names_that_the_parser_takes(parts: list[str]) -> None:
    data = {"output": {"name": "".join(parts)}}
    try:
        parse_sidecar(json.dumps(data).encode(), "cat.jpg.yaml", "cat.jpg")
    except SpecInvalid:
        assert not SCHEMA.is_valid(data)
    else:
        SCHEMA.validate(data)


def test_ids_from_before_there_were_names_stay() -> None:
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    rendition = Rendition.planned("f" * 64, parameters, None, OutputSettings())

    assert rendition.id == "2d84cd91e02af464c7da2b6a49399050"
    named = Rendition.planned("f" * 64, parameters, None, OutputSettings(name="cat"))
    assert named.id != rendition.id


def test_keys_as_long_as_s3_allows_have_results_of_their_own() -> None:
    longest = ["é" * 500 + f"/cat-{number:03}" + "x" * 12 + ".png" for number in range(2)]
    assert [len(key.encode()) for key in longest] == [1024, 1024]
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    rendition = Rendition.planned("f" * 64, parameters, None, OutputSettings())

    keys = [output_key(key, rendition, "png") for key in longest] + [*map(manifest_key, longest)]

    assert len(set(keys)) == 4
    # The prefix of all results comes before them.
    assert all(len(key.encode()) <= MOST and key.startswith("é" * 380) for key in keys)
    assert all(key.endswith((".png", ".dropscale.json")) for key in keys)
