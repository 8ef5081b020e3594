import pytest

from dropscale.ledger.records import Parameters
from dropscale.results.output_key import output_key
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
