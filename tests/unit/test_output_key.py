import pytest

from dropscale.ledger.jobs import Parameters
from dropscale.results.manifest import manifest_key
from dropscale.results.output_key import MOST_PREFIX_BYTES, output_key
from dropscale.upscaler import Mode


@pytest.mark.parametrize(
    ("scale_factor", "mode", "directory", "expected"),
    [
        (2, Mode.BALANCED, None, "photos/cat.jpg@2x.png"),
        (4, Mode.PRESERVE, None, "photos/cat.jpg@4x-preserve.png"),
        (4, Mode.CREATIVE, "best", "best/photos/cat.jpg@4x-creative.png"),
    ],
)
def test_an_output_lies_beside_its_input_and_says_what_it_is(
    scale_factor: int, mode: Mode, directory: str | None, expected: str
) -> None:
    parameters = Parameters.model_validate({"scale_factor": scale_factor, "mode": mode})

    assert output_key("photos/cat.jpg", parameters, "png", directory) == expected


def test_two_sources_never_meet() -> None:
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)

    assert output_key("a.jpg", parameters, "png") != output_key("a.png", parameters, "png")


def test_keys_as_long_as_s3_allows_have_results_of_their_own() -> None:
    longest = ["é" * 500 + f"/cat-{number:03}" + "x" * 12 + ".png" for number in range(2)]
    assert [len(key.encode()) for key in longest] == [1024, 1024]
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)

    keys = [output_key(key, parameters, "png") for key in longest] + [*map(manifest_key, longest)]

    assert len(set(keys)) == 4
    # The prefix of all results comes before them.
    most = 1024 - MOST_PREFIX_BYTES
    assert all(len(key.encode()) <= most and key.startswith("é" * 380) for key in keys)
    assert all(key.endswith((".png", ".dropscale.json")) for key in keys)
