"""What becomes of an image beside files of all sorts of names: on S3, and on one machine."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dropscale.pipeline.submit import SubmitOutcome
from dropscale.results.manifest import manifest_key
from dropscale.specs.faults import SpecInvalid
from dropscale.upscaler import Mode, price
from dropscale_cli.files.drops import drops_by_folder
from dropscale_cli.specs.bill import Bill, PlannedDrop, planned_drops
from dropscale_cli.specs.trees import SpecTree
from tests.fakes import png
from tests.names import events
from tests.world import World

TABLE = Path(__file__).parents[2] / "docs" / "names.md"
_HEADING = """\
# Names and their effect

The table shows an image and a file beside it that says `scale_factor: 4`, and the effect on the
image: on a stack, and with `run`, `plan`, `validate` and `explain` alike.

- **used**: upscaled 4x, as the file says.
- **held**: rejected, free; the manifest names the file and the right name for it.
- **not used**: upscaled 2x, the default. With **a warning**, the image's manifest says so; **told
  in its own** means that the file has its own manifest, which says why.
- **left alone**: not a drop.

A sidecar that arrives after its image was paid for makes a job of its own, so there are two
results. A folder spec that arrives so late applies when the image is next evaluated
(`dropscale apply`).

<!-- made by `python -m tests.names` -->
| Image | File beside it | When the image is evaluated | When it was paid before |
|---|---|---|---|
"""

TAKEOUT = """{
  "title": "cat.jpg", "description": "", "imageViews": "3",
  "creationTime": {"timestamp": "1700000000", "formatted": "14.11.2023, 22:13:20 UTC"},
  "photoTakenTime": {"timestamp": "1690000000", "formatted": "22.07.2023, 04:26:40 UTC"},
  "geoData": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0},
  "url": "https://photos.google.com/photo/AF1Qip", "googlePhotosOrigin": {"mobileUpload": {}}
}"""
"""As Google Takeout writes it beside each photo; what it says of content is another tool's."""
_MESSAGES_HEADING = """
## Messages

What `submit` does with each message in its queue. Warnings give the names and types of the fields.

| Message | Effect |
|---|---|
"""

_YAML = "scale_factor: 4\n"
_JSON = '{"scale_factor": 4}'


@dataclass(frozen=True)
class Case:
    """An image and the files beside it; the image's own content is the same in all."""

    image: str
    files: Mapping[str, str]


def _case(image: str, *names: str, text: str | None = None) -> Case:
    def content(name: str) -> str:
        return text or (_JSON if ".json" in name.casefold() else _YAML)

    return Case(image, {name: content(name) for name in names})


def _decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


CASES = (
    _case("cat.jpg", "cat.jpg.yaml"),
    _case("cat.jpg", "cat.jpg.YAML"),
    _case("cat.jpg", "cat.jpg.Json"),
    _case("dog.jpg", "dog.JPG.yaml"),
    _case("bird.JPG", "bird.jpg.yaml"),
    _case("Fish.jpg", "fish.jpg.yaml"),
    _case("fish.jpg", "FISH.JPG.yml"),
    _case("dog.jpg", "dog.jpg.yaml "),
    _case("dog.jpg", "dog.jpg .yaml"),
    _case("dog.jpg", " dog.jpg.yaml"),
    _case("fox.jpg", "fox.jpg.yaml.txt"),
    _case("fox.jpg", "fox.jpg.json.TXT"),
    _case("été.jpg", _decomposed("été.jpg.yaml")),
    _case(_decomposed("été.jpg"), "été.jpg.yaml"),
    _case("cat.jpg", "cat.yaml"),
    _case("cat.jpg", "cat.yaml.txt"),
    _case("cat.jpg", "cat.yaml "),
    _case("cat.jpg", "cat.yaml", text="scaleFactor: 4\n"),
    _case("cat.jpg", "cat.yaml", text="scale_factor: 4\nstyle: [\n"),
    _case("cat.jpg", "cat.json", text='{"scale_factor": 4,,}'),
    _case("cat.jpg", "cat.jpg.yaml", "cat.jpg.json"),
    _case("cat.jpg", "cat.jpg.yaml", "cat.jpg.yaml.txt"),
    _case("a/cat.jpg", "a/dropscale.yaml"),
    _case("a/cat.jpg", "a/dropscale.yml"),
    _case("a/cat.jpg", "dropscale.json"),
    _case("a/cat.jpg", "a/dropscale.YAML"),
    _case("a/cat.jpg", "a/Dropscale.yaml"),
    _case("a/cat.jpg", "a/.dropscale.yaml"),
    _case("a/cat.jpg", ".dropscale.json"),
    _case("a/cat.jpg", "dropscale.yaml.txt"),
    _case("a/cat.jpg", "a/dropscale.yaml", "a/dropscale.yml"),
    _case("cat.jpg", "b/cat.jpg.yaml"),
    _case("cat.jpg", "cat.jpg.txt"),
    _case("cat.jpg", "cat.jpg.json", text=TAKEOUT),
    _case("cat.jpg", "cat.JPG.json", text=TAKEOUT),
    _case("cat.jpg", "cat.json", text=TAKEOUT),
    _case("cat.jpg", "cat.jpg.json", text='{"scaleFactor": 4}'),
    _case("cat.jpg", "._cat.jpg.yaml"),
    _case("cat.jpg", ".cat.jpg.yaml"),
    _case("a/cat.jpg", "a/._dropscale.yaml"),
    _case("a/cat.jpg", "__MACOSX/a/cat.jpg.yaml"),
    _case("cat.jpg", "~$cat.jpg.yaml"),
    _case("cat.jpg", "notes.yaml", text="- milk\n- bread\n"),
)

NO_DROPS = (
    ".cat.jpg",
    "._cat.jpg",
    ".trash/cat.jpg",
    "__MACOSX/._cat.jpg",
    "__MACOSX/cat.jpg",
    "~$cat.jpg",
    "@eaDir/cat.jpg/SYNOPHOTO_THUMB_M.jpg",
    "Thumbs.db",
)
"""What is never upscaled."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of an image, in words, and the credits that are spent."""

    words: str
    credits: int


def on_s3(case: Case) -> Outcome:
    """Put all files there, and send their events, before the image's."""
    world = World()
    for name, text in case.files.items():
        world.put(name, text)
    world.put(case.image, png())
    for name in (*case.files, case.image):
        world.submit(name)
    return _outcome(world, case)


def on_s3_afterwards(case: Case) -> Outcome:
    """Let the image be paid and delivered before the files come."""
    world = World()
    world.drop(case.image, png())
    world.finish_all()
    for name, text in case.files.items():
        world.drop(name, text)
    return _outcome(world, case)


def locally(case: Case, folder: Path) -> Outcome:
    """Put all files into a folder; return their outcome in `plan`."""
    folder.mkdir()
    texts = {name: text.encode() for name, text in case.files.items()}
    for name, body in {case.image: png(), **texts}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(body)
    key = unicodedata.normalize("NFC", case.image)
    with Bill.after([]) as bill:
        drops = list(planned_drops(drops_by_folder(folder, folder / "out"), bill.names))
        for drop in drops:
            bill.add(drop)
    (image,) = [drop for drop in drops if drop.source.key == key]
    return Outcome(_planned(image), bill.credits)


def explained(case: Case, folder: Path) -> str:
    """Return what `explain` and `validate` make of the image in a folder."""
    tree = SpecTree.around(folder, folder)
    try:
        resolved = tree.resolve(tree.key_of(folder / case.image))
    except SpecInvalid:
        return "held"
    assert resolved is not None
    return _by_scale(resolved.effective.scale_factor, [str(one) for one in resolved.warnings])


def table() -> str:
    """Return the document with all cases."""
    rows = []
    for case in CASES:
        files = "; ".join(_shown(name) + _content(text) for name, text in case.files.items())
        before, after = on_s3(case).words, on_s3_afterwards(case).words
        rows.append(f"| {_shown(case.image)} | {files} | {before} | {after} |\n")
    return _HEADING + "".join([*rows, *_own_rows(), _MESSAGES_HEADING, *events.rows()])


def _outcome(world: World, case: Case) -> Outcome:
    manifest = world.manifest(case.image)
    created = [parameters for _, parameters, _ in world.upscaler.creates]
    spent = sum(price(one["scale_factor"], Mode.BALANCED) for one in created)
    scales = sorted({job["scale_factor"] for job in manifest["jobs"]})
    warnings = manifest["warnings"]
    if manifest["state"] == "rejected":
        assert all(Path(name).name.strip() in manifest["reason"]["message"] for name in case.files)
        return Outcome("held", spent)
    words = " and ".join(_by_scale(scale, []) for scale in scales)
    told = [name for name in case.files if manifest_key(name) in world.results.manifests]
    return Outcome(words + ", a warning" * bool(warnings) + ", told in its own" * bool(told), spent)


def _planned(image: PlannedDrop) -> str:
    if image.refusal is not None:
        return "held"
    (rendition,) = image.renditions
    warnings = [str(one) for one in image.warnings]
    return _by_scale(rendition.parameters.scale_factor, warnings)


def _by_scale(scale: int, warnings: list[str]) -> str:
    return ("used" if scale == 4 else "not used") + ", a warning" * bool(warnings)


def _shown(name: str) -> str:
    is_composed = name == unicodedata.normalize("NFC", name)
    blank = name.replace(" ", "␣")
    return f"`{blank}`" + ("" if is_composed else " (NFD)")


def _content(text: str) -> str:
    return {_YAML: "", _JSON: "", TAKEOUT: ", from Google Takeout"}.get(text, f": `{text!r:.40}`")


def _own_rows() -> Iterator[str]:
    for key in NO_DROPS:
        world = World()
        assert world.drop(key, png()).outcome is SubmitOutcome.IGNORED
        yield f"| `{key}` | | left alone | |\n"
