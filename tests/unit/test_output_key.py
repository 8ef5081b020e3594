from dropscale.ledger.drops import Rendition
from dropscale.ledger.jobs import Parameters
from dropscale.results.manifest import manifest_key
from dropscale.results.output_key import MOST_PREFIX_BYTES, output_key
from dropscale.specs.effective import OutputSettings
from dropscale.upscaler import Mode


def test_keys_as_long_as_s3_allows_have_results_of_their_own() -> None:
    longest = ["é" * 500 + f"/cat-{number:03}" + "x" * 12 + ".png" for number in range(2)]
    assert [len(key.encode()) for key in longest] == [1024, 1024]
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    rendition = Rendition.planned("f" * 64, parameters, None, OutputSettings())

    keys = [output_key(key, rendition, "png") for key in longest] + [*map(manifest_key, longest)]

    assert len(set(keys)) == 4
    # The prefix of all results comes before them.
    most = 1024 - MOST_PREFIX_BYTES
    assert all(len(key.encode()) <= most and key.startswith("é" * 380) for key in keys)
    assert all(key.endswith((".png", ".dropscale.json")) for key in keys)
