"""The page of a folder of results, parsed as a browser does."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.drops import Download, Reason, TimelineEntry
from dropscale.ledger.jobs import Parameters
from dropscale.ledger.states import DropState
from dropscale.results.manifest import Manifest, manifest_key
from dropscale.specs.effective import EffectiveRendition
from dropscale.upscaler import Mode
from dropscale_cli.errors import NoResults, PageUnwritable
from dropscale_cli.files.state_folder import StateFolder
from dropscale_cli.page.gallery import LivePage, drops_in, make_gallery, write_page
from dropscale_cli.tracking.round_trip import FollowedDrop
from tests.fakes import png
from tests.unit.cli.samples import manifest

Write = Callable[..., Path]

DELIVERED, FAILED, REJECTED = DropState.DELIVERED, DropState.FAILED, DropState.REJECTED
REASON = Reason(code="SpecInvalid", message="b.jpg.yaml: is bad", fix="Correct it.")
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>&lt;.jpg"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class ParsedPage(HTMLParser):
    """A page's elements; for each card its own, with the text in it."""

    html: str
    elements: list[Element] = field(default_factory=list)
    cards: list[list[Element]] = field(default_factory=list)
    is_in_cards: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if "data-state" in element.attributes:
            self.cards.append([])
            self.is_in_cards = True
        if self.is_in_cards:
            self.cards[-1].append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag == "ul":
            self.is_in_cards = False

    def handle_data(self, data: str) -> None:
        if self.elements:
            self.elements[-1].text += data

    def text(self, card: int = 0) -> str:
        return " ".join(" ".join(element.text for element in self.cards[card]).split())

    @property
    def states(self) -> list[str | None]:
        return [card[0].attributes["data-state"] for card in self.cards]

    @property
    def title(self) -> str:
        return self.all("h1")[0].text.strip()

    def all(self, tag: str, card: int | None = None) -> list[Element]:
        elements = self.elements if card is None else self.cards[card]
        return [element for element in elements if element.tag == tag]

    def addresses(self) -> set[str]:
        named = ("src", "href", "data-before", "data-after")
        found = {element.attributes.get(name) for element in self.elements for name in named}
        return {unquote(address) for address in found if address}


@dataclass
class Results:
    """A folder of results that the test fills."""

    write: Write
    out: Path

    def add(self, manifest: Manifest, place: str | None = None) -> None:
        """Put a manifest and its outputs into the folder."""
        for job in manifest.jobs:
            if job.output:
                self.write(f"out/{job.output.key}", png(16, 12))
        name = place or manifest_key(manifest.source.key)
        self.write(f"out/{name}", manifest.model_dump_json())

    def state(self, bound_to: str | None = None) -> StateFolder:
        """Make the state folder that a run leaves, bound to a vendor."""
        state = StateFolder(self.out)
        state.make()
        if bound_to:
            state.bind(bound_to)
        return state

    def page(self, *originals: Path) -> ParsedPage:
        return ParsedPage(write_page(self.out, list(drops_in(self.out)), originals).read_text())


@pytest.fixture
def results(write: Write, tmp_path: Path) -> Results:
    (tmp_path / "out").mkdir()
    return Results(write, tmp_path / "out")


def test_a_result_is_shown_beside_its_original(results: Results, write: Write) -> None:
    key = "été 2026/a b#?.jpg"
    original = write(f"photos/{key}", png())
    results.add(manifest(key, DELIVERED, output=f"{key}@2x.png"))

    page = results.page(original.parents[1])

    assert {
        f"../photos/{key}", f"{key}@2x.png", f"{key}.dropscale.json"
    } < page.addresses()  # fmt: skip
    text = page.text()
    sizes = "8 \N{MULTIPLICATION SIGN} 6 → 16 \N{MULTIPLICATION SIGN} 12"
    for fact in ("a b#?.jpg", "été 2026", "delivered", sizes, "balanced", "50 credits"):
        assert fact in text
    (slider,) = [one for one in page.all("input", 0) if one.attributes["type"] == "range"]
    assert slider.attributes["aria-label"] == "Original and result of a b#?.jpg"
    thumbnails = [image.attributes["src"] for image in page.all("img", 0)]
    assert len(set(thumbnails)) == 2
    for thumbnail in thumbnails:
        assert (results.out / str(thumbnail)).is_file()


def test_a_result_without_its_original_stands_alone(results: Results, write: Write) -> None:
    told = manifest("a.jpg", DELIVERED, output="a.png")
    source = told.source.model_copy(update={"bytes": len(png()), "sha256": "0" * 64})
    results.add(told.model_copy(update={"source": source}))
    photo = write("photos/a.jpg", png(9))  # of another size
    for folders in ([], [photo.parent]):
        page = results.page(*folders)
        assert "no original here" in page.text()
        assert len(page.all("img", 0)) == 1
        assert page.all("input", 0) == []
    photo.write_bytes(png())  # with other bytes
    assert len(results.page(photo.parent).all("img", 0)) == 1


def test_a_run_remembers_where_the_originals_lie(results: Results, write: Write) -> None:
    results.add(manifest("a.jpg", DELIVERED, output="a.png"))
    results.add(manifest("b.jpg", DELIVERED, output="b.png"))
    state = results.state()
    for key in ("a.jpg", "b.jpg"):
        state.remember_originals(write(f"of {key}/{key}", png()).parent)
    assert {"../of a.jpg/a.jpg", "../of b.jpg/b.jpg"} < results.page().addresses()


def test_a_rendition_shows_what_the_spec_says_of_it(results: Results) -> None:
    wanted = [
        EffectiveRendition(
            scale_factor=2, mode=Mode.CREATIVE, prompt=prompt, provenance={"prompt": "x.yaml"}
        )
        for prompt in ("crisp fur", "soft fur")
    ]
    told = manifest("a.jpg", DELIVERED, renditions=tuple(wanted))
    jobs = [
        told.jobs[0].model_copy(
            update={"mode": Mode.CREATIVE, "fingerprint": Parameters.of(one).fingerprint("s")}
        )
        for one in (wanted[1], wanted[0])
    ]
    source = told.source.model_copy(update={"sha256": "s"})
    results.add(told.model_copy(update={"jobs": (*jobs, told.jobs[0]), "source": source}))
    page = results.page()
    prompts = [("“soft fur”" in page.text(card), "crisp" in page.text(card)) for card in range(3)]
    assert prompts == [(True, False), (False, True), (False, False)]
    assert "prompt soft fur (x.yaml)" in page.text(0)


def test_a_spec_that_stands_alone_links_to_itself_and_names_its_image(
    results: Results, write: Write
) -> None:
    told = manifest("moon.yaml", DELIVERED, output="moon.yaml@2x.png")
    source = told.source.model_copy(update={"image_path": "https://far/away.png"})
    results.add(told.model_copy(update={"source": source}))
    page = results.page(write("specs/moon.yaml", "assets: {}").parent)
    assert {"../specs/moon.yaml", "moon.yaml@2x.png"} < page.addresses()
    assert "no original here" in page.text()
    assert "https://far/away.png" in page.text()
    assert "https://far/away.png" not in page.addresses()


def test_each_rendition_has_its_card_and_the_reason_is_that_of_the_failed_one(
    results: Results,
) -> None:
    told = manifest("a.jpg", FAILED, reason=REASON)
    done = manifest("a.jpg", DELIVERED, output="a.jpg@4x.png", fingerprint="g").jobs
    results.add(told.model_copy(update={"jobs": (*told.jobs, *done)}))
    page = results.page()
    assert page.states == ["failed", "delivered"]
    assert ["Correct it." in page.text(card) for card in (0, 1)] == [True, False]
    (results.out / "a.jpg@4x.png").unlink()
    page = results.page()
    assert page.states == ["failed", "missing"]
    assert ["Correct it." in page.text(card) for card in (0, 1)] == [True, False]
    assert "Sync the results bucket" in page.text(1)


def test_a_decision_on_the_whole_image_has_a_card_beside_those_of_its_renditions(
    results: Results,
) -> None:
    old = manifest("a.jpg", DELIVERED, output="a.png")
    results.add(old.model_copy(update={"state": REJECTED, "reason": REASON}))
    skipped = manifest("b.jpg", DropState.SKIPPED, reason=REASON)
    results.add(skipped.model_copy(update={"jobs": ()}))
    page = results.page()
    assert page.states == ["delivered", "rejected", "skipped"]
    assert ["Correct it." in page.text(card) for card in range(3)] == [False, True, True]
    assert page.title == "1 of 2 done", "a skipped image is done"


def test_a_missing_result_is_reported_with_how_to_get_it(results: Results) -> None:
    results.add(manifest("a b.jpg", DELIVERED, output="a b.png"))
    (results.out / "a b.png").unlink()
    assert "Sync the results bucket again." in results.page().text()
    results.state("https://vendor")
    page = results.page()
    assert f"dropscale retry 'a b.jpg' --out {results.out}" in page.text()
    assert page.title == "0 of 1 done"
    forgotten = CodedWarning(WarningCode.FORGOTTEN, "p was deleted")
    told = manifest("a b.jpg", DELIVERED, output="a b.png")
    results.add(told.model_copy(update={"warnings": (forgotten,)}))
    (results.out / "a b.png").unlink()
    assert "deleted at Magic Hour; made from another file" in results.page().text()


def test_totals_count_a_shared_job_once_and_say_whether_it_was_charged(results: Results) -> None:
    for key in ("a.jpg", "b.jpg"):
        told = manifest(key, DELIVERED, output=f"{key}.png")
        second = manifest(key, DELIVERED, output=f"{key}-web.jpg").jobs[0]
        second = second.model_copy(update={"credits_charged": None})
        results.add(told.model_copy(update={"jobs": (*told.jobs, second)}))
    results.add(manifest("c.jpg", FAILED, reason=REASON, fingerprint="g"))
    text = " ".join(results.page().html.split())
    files = [results.page().text(card) for card in range(4)]
    assert [name.partition("File ")[2].split()[0] for name in files] == [
        *("a.jpg.png", "a.jpg-web.jpg"),
        *("b.jpg.png", "b.jpg-web.jpg"),
    ]
    assert "2 of 3 done" in text
    assert "<b>100</b> credits" in text
    assert "charged)" not in text
    results.state("the embedded API, engine stub")
    assert "(not charged: embedded API)" in results.page().html


def test_an_image_is_done_when_each_of_its_renditions_is(results: Results) -> None:
    for key, states in {"a.jpg": [DELIVERED, DELIVERED], "b.jpg": [DELIVERED, FAILED]}.items():
        told = manifest(key, states[-1], reason=REASON)
        jobs = [told.jobs[0].model_copy(update={"state": state}) for state in states]
        results.add(told.model_copy(update={"jobs": tuple(jobs)}))
    page = results.page()
    assert (page.title, len(page.cards)) == ("1 of 2 done", 4)


def test_what_did_not_come_out_says_why_and_can_be_filtered_by_state_and_folder(
    results: Results,
) -> None:
    for key in ("a.jpg", "x/b.jpg", "x/y/c.jpg"):
        results.add(manifest(key, REJECTED, reason=REASON))
    page = results.page()
    assert page.states == ["rejected"] * 3
    for said in ("b.jpg.yaml: is bad", "Correct it."):
        assert said in page.text()
    assert page.all("button", 0) == []
    radios = [one.attributes for one in page.all("input") if one.attributes["type"] == "radio"]
    states = [radio["value"] for radio in radios]
    assert states == ["", "rejected"]
    options = [(one.attributes["value"], one.text.strip()) for one in page.all("option")]
    assert options[:3] == [("", "all folders"), ("x", "x (2)"), ("x/y", "x/y (1)")]
    assert options[3:] == [("", "by name"), ("failed", "failed first")]  # nothing is warned of


def test_seconds_are_those_of_the_last_passage(results: Results) -> None:
    start = datetime(2026, 11, 26, tzinfo=UTC)
    passage = {0: "waiting", 5: "delivered", 60: "waiting", 62: "rendering", 67: "delivered"}
    timeline = tuple(
        TimelineEntry(state=DropState(state), at=start + timedelta(seconds=second))
        for second, state in passage.items()
    )
    told = manifest("a.jpg", DELIVERED, output="a.png")
    results.add(told.model_copy(update={"timeline": timeline}))
    assert "7.0 s" in results.page().text()


def test_nothing_in_a_manifest_is_taken_for_markup(results: Results, write: Write) -> None:
    folder = write(f"photos/{HOSTILE}", png()).parents[len(Path(HOSTILE).parts) - 1]
    told = manifest(HOSTILE, DELIVERED, output=f"{HOSTILE}.png", warnings=(HOSTILE,))
    results.add(told)
    reason = Reason(code="X", message=HOSTILE, fix=HOSTILE)
    results.add(manifest(f"{HOSTILE}2", FAILED, reason=reason))

    page = results.page(folder)

    assert len(page.all("script")) == 1
    names = {name for element in page.elements for name in element.attributes}
    assert not any(name.startswith("on") for name in names)
    assert page.cards[0][0].attributes["data-key"] == HOSTILE
    assert f"Warning: {HOSTILE}" in page.text(0)
    assert {f"../photos/{HOSTILE}", f"{HOSTILE}.png"} < page.addresses()
    assert page.text(1).count(HOSTILE) == 2


@pytest.mark.parametrize(
    "key", ["../secret.png", "/etc/hostname", "a/../../secret.png", "javascript:alert(1)", "\0"]
)
def test_no_key_leads_out_of_the_folder(key: str, results: Results, write: Write) -> None:
    write("secret.png", png())
    results.add(told := manifest("a.jpg", DELIVERED, output="a.png"))
    document = told.model_dump_json().replace('"a.png"', json.dumps(key))
    results.write("out/a.jpg.dropscale.json", document)
    page = results.page()
    assert "is not in this folder" in page.text()
    outside = {each for each in page.addresses() if not each.startswith("data:image/svg")}
    assert outside == {"a.jpg.dropscale.json"}


def test_only_https_downloads_become_links(results: Results) -> None:
    told = manifest("a.jpg", DropState.COMPLETE)
    (job,) = told.jobs
    urls = ["https://vendor/a.png", "javascript:alert(1)", "http://vendor/b.png"]
    downloads = tuple(Download(url=url) for url in urls)
    results.add(
        told.model_copy(update={"jobs": (job.model_copy(update={"downloads": downloads}),)})
    )
    links = [link.attributes["href"] for link in results.page().all("a", 0)]
    assert links == ["a.jpg.dropscale.json", "https://vendor/a.png"]


def test_the_policy_lets_nothing_run_but_what_is_in_the_page(results: Results) -> None:
    results.add(manifest("a.jpg", REJECTED, reason=REASON))
    page = results.page()
    (policy,) = [
        str(meta.attributes["content"])
        for meta in page.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page.html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "http://" not in page.html.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("place", ["photos/a.jpg", "a.jpg", "copies/photos/a.jpg"])
def test_a_bucket_may_be_synced_whole_or_below_a_prefix_or_into_a_folder(
    place: str, results: Results
) -> None:
    told = manifest("photos/a.jpg", DELIVERED, output="photos/a.jpg@2x.png")
    results.add(told, f"{place}.dropscale.json")
    results.write(f"out/{place}@2x.png", png())
    assert {f"{place}@2x.png", f"{place}.dropscale.json"} < results.page().addresses()


def test_an_unreadable_manifest_is_left_out_and_reported(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    results.add(manifest("a.jpg", REJECTED, reason=REASON))
    results.write("out/b.jpg.dropscale.json", "{")
    assert len(results.page().cards) == 1
    assert "b.jpg.dropscale.json: is not a readable manifest" in capsys.readouterr().err


def test_no_page_is_written_of_nothing_nor_over_one_that_is_not_ours(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoResults, match="contains no results"):
        make_gallery(results.out, ())
    results.add(manifest("a.jpg", REJECTED, reason=REASON))
    page = results.write("out/index.html", "<h1>Mine</h1>")
    with pytest.raises(PageUnwritable, match="not written by dropscale"):
        make_gallery(results.out, ())
    with LivePage.kept_up(results.out) as live:
        pass
    assert live.path is None
    assert "Warning: " in capsys.readouterr().err
    assert page.read_text() == "<h1>Mine</h1>"


def test_a_live_page_keeps_up_and_knows_more_than_the_manifests(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropscale_cli.page.gallery._PAUSE_SECONDS", 0.05)
    results.add(manifest("a.jpg", DELIVERED, output="a.png"))
    file = results.out / "index.html"
    with LivePage.kept_up(results.out) as live:
        eventually(file.is_file)
        assert "data-live" in file.read_text()
        live.update(
            FollowedDrop("a.jpg", "1", 0, manifest=manifest("a.jpg", FAILED, reason=REASON))
        )
        live.update(FollowedDrop("silent.jpg", "1", 0))
        eventually(lambda: "silent.jpg" in file.read_text())
    assert live.path == file
    page = ParsedPage(file.read_text())
    assert "data-live" not in page.all("body")[0].attributes
    assert "Correct it." in page.text(0)
    assert "The stack reported nothing about it." in page.text(1)
    assert page.states[1] == "dropped"


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
