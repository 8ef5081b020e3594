"""What `validate` finds in files and folders, each fault at its place."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from dropscale_cli.specs.validate import tell_faults

Write = Callable[..., Path]
Validated = tuple[int, list[str]]
Validate = Callable[..., Validated]

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def lines(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Validate:
    """Write files, validate paths relative to them, and return exit code and output."""
    monkeypatch.chdir(tmp_path)

    def run(
        files: Mapping[str, bytes | str],
        *paths: str,
        root: Path | None = None,
        output_format: str = "text",
    ) -> Validated:
        for name, content in files.items():
            write(name, content)
        code = tell_faults([Path(path) for path in paths or (".",)], root, output_format)
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"cat.jpg": "", "cat.jpg.yaml": "scale_facter: 4\nstyle: {mode: creativ}\n"},
            [
                "cat.jpg.yaml:1:1: scale_facter: there is no such field; did you mean scale_factor",
                "cat.jpg.yaml:2:15: style.mode: 'creativ' is not a mode; did you mean creative",
            ],
        ),
        (
            {"a/cat.jpg": "", "a/cat.jpg.yaml": "{}", "a/cat.jpg.json": "scale_factor: 3"},
            [
                "a/cat.jpg.json:1:1: a/cat.jpg has another sidecar, a/cat.jpg.yaml; keep one",
                "a/cat.jpg.json:1:15: scale_factor: 3 is not a scale factor",
                "a/cat.jpg.yaml:1:1: a/cat.jpg has another sidecar, a/cat.jpg.json; keep one",
            ],
        ),
        (
            {"a/cat.jpg": "", "a/cat.yaml": "scale_factor: 4"},
            [
                "a/cat.yaml:1:1: belongs to no image; the spec of a/cat.jpg must have its full "
                "name: a/c"
            ],
        ),
        (
            {
                "dropscale.yaml": "renditions:\n- {style: {mode: preserve}}\n"
                "- {scale_factor: 4, style: {mode: preserve}}\n",
                "a/dropscale.yaml": "scale_factor: 4\n",
                "a/cat.jpg": "",
                "b/cat.jpg": "",
            },
            [
                "dropscale.yaml:3:3: renditions[1]: is the same upscale as the one at dropsca",
            ],
        ),
        (
            {"dropscale.yaml": "renditions: [{revision: 1}, {revision: 1}]"},
            ["dropscale.yaml:1:29: renditions[1]: is the same upscale as the one at dropscale.yam"],
        ),
    ],
    ids=["faults", "two", "short", "clash", "no image yet"],
)
def test_every_fault_is_reported_at_its_place(
    files: dict[str, str], expected: list[str], lines: Validate
) -> None:
    code, found = lines(files)
    assert code == 1
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"cat.jpg.yaml": "scale_factor: 4"},
            "cat.jpg.yaml:1:1: warning: there is no image cat.jpg beside this spec; ",
        ),
        (
            {"cat.jpg": "", "cat.jpg.yaml": "style: {mode: preserve, prompt: fur}"},
            "cat.jpg.yaml:1:33: warning: style.prompt: is not used: the mode is preserve; ",
        ),
    ],
)
def test_warnings_alone_exit_with_0(files: dict[str, str], expected: str, lines: Validate) -> None:
    code, (line,) = lines(files)
    assert (code, line[: len(expected)]) == (0, expected)


def test_good_specs_and_files_of_other_tools_are_not_mentioned(
    lines: Validate,
) -> None:
    good = {
        "cat.jpg": "",
        "cat.jpg.yaml": "style: {mode: creative}",
        "dropscale.yaml": "skip_if: {min_width: 3000}",
        "job.yml": "assets: {image_file_path: https://example.com/a.png}",
        "package.json": '{"name": "x"}',
        "notes.yaml": ": : :",
        ".hidden/dropscale.yaml": "scale_factor: 3",
        "cat.jpg.dropscale.json": '{"scale_factor": 3}',
    }
    assert lines(good) == (0, [])


def test_a_prompt_that_any_image_below_uses_is_no_warning_for_that_image(
    lines: Validate,
) -> None:
    files = {
        "dropscale.yaml": "style: {prompt: crisp}",
        "cat.jpg": "",
        "cat.jpg.yaml": "style: {mode: creative}",
    }
    assert lines(files) == (0, [])
    _, (line,) = lines({"dog.jpg": ""})
    assert line.startswith("dropscale.yaml:1:17: warning: style.prompt: is not used")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("package.json", '{"nam": 1}', "package.json:1:2: nam: there is no such field; "),
        ("notes.yaml", "name: x", "notes.yaml:1:1: names no image; "),
        ("notes.txt", "scale_factor: 4", "notes.txt:1:1: has a name that is not a spec's; "),
        ("job.yaml", b"\xff\xfea", "job.yaml:1:1: the file is UTF-16"),
        ("dropscale.yaml", "scale_factor: 3", "dropscale.yaml:1:15: scale_factor: "),
    ],
)
def test_a_file_that_is_named_is_taken_for_a_spec(
    name: str, content: str | bytes, expected: str, lines: Validate
) -> None:
    code, (line,) = lines({name: content}, name)
    assert (code, line[: len(expected)]) == (1, expected)


def test_a_named_sidecar_is_checked_with_the_files_around_it(
    lines: Validate,
) -> None:
    files = {
        "dropscale.yaml": "scale_factor: 3",
        "a/cat.jpg": "",
        "a/cat.jpg.yaml": "{}",
        "a/dog.jpg.yaml": "scale_factor: 5",
    }
    _, (line,) = lines(files, "a/cat.jpg.yaml")
    assert line.startswith("dropscale.yaml:1:15: scale_factor: 3 is not")


def test_the_cascade_begins_where_one_says(lines: Validate) -> None:
    files = {"dropscale.yaml": "scale_factor: 3", "a/cat.jpg": "", "a/cat.jpg.yaml": "{}"}
    assert lines(files, "a", root=Path("a")) == (0, [])
    assert lines({}, "a")[0] == 1
    with pytest.raises(click.UsageError, match=r"is not inside 'a'"):
        lines({}, ".", root=Path("a"))


def test_a_path_elsewhere_begins_its_own_cascade(
    lines: Validate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines({"dropscale.yaml": "scale_factor: 3", "a/cat.jpg.yaml": "{nam: x}", "b/x": ""}, "a")
    monkeypatch.chdir(tmp_path / "b")
    found = [lines({}, "../a"), lines({}, str(tmp_path / "a"))]
    assert [code for code, _ in found] == [1, 1]
    assert all("dropscale.yaml" not in "".join(shown) for _, shown in found)
    assert found[0][1][-1].startswith("../a/cat.jpg.yaml:1:2: nam: ")
    assert found[1][1][-1].startswith(f"{tmp_path}/a/cat.jpg.yaml:1:2: nam: ")
    assert lines({}, "../a/cat.jpg.yaml", root=Path(".."))[1][-1].startswith("../dropscale.yaml:1:")


def test_a_file_that_cannot_be_read_is_a_fault(
    lines: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dropscale_cli.specs.trees.open", refuse, raising=False)
    code, (line,) = lines({"cat.jpg": "", "cat.jpg.yaml": "{}"})
    assert (code, line.split(";")[0]) == (
        1,
        "cat.jpg.yaml:1:1: cannot be read: Permission denied",
    )


def test_a_name_that_is_no_printable_text_is_a_fault(lines: Validate, tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/a\x1b[2J.jpg.yaml")).touch()
    code, (line,) = lines({})
    assert code == 1
    assert line.startswith(r"a\x1b[2J.jpg.yaml:1:1: the name is not printable UTF-8; ")


def test_json_is_a_list_of_faults(lines: Validate) -> None:
    files = {"é.jpg": "", "é.jpg.yaml": "scale_factor: 2x"}
    code, printed = lines(files, output_format="json")
    (fault,) = json.loads("\n".join(printed))
    assert code == 1
    assert fault == {
        "path": "é.jpg.yaml",
        "line": 1,
        "column": 15,
        "field": "scale_factor",
        "message": fault["message"],
        "hint": "write 2",
        "severity": "error",
    }
    assert lines({"é.jpg.yaml": ""}, output_format="json") == (0, ["[]"])


def test_github_makes_annotations_of_faults_whatever_is_in_them(
    lines: Validate,
) -> None:
    files = {"a,b:100%.jpg": "", "a,b:100%.jpg.yaml": '"odd\\n::name": 1', "x.jpg.yaml": ""}
    code, (error, warning) = lines(files, output_format="github")
    assert code == 1
    assert error.startswith(
        "::error file=a%2Cb%3A100%25.jpg.yaml,line=1,col=1,"
        "title=dropscale%3A 'odd\\n%3A%3Aname'::there is no such field; "
    )
    assert warning.startswith("::warning file=x.jpg.yaml,line=1,col=1,title=dropscale::there is")


@pytest.fixture
def terminal(lines: Validate, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Validate one sidecar on a terminal; return the lines without colours."""

    def run(sidecar: str | bytes, columns: int = 80) -> list[str]:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(columns))
        _, shown = lines({"cat.jpg": "", "cat.jpg.yaml": sidecar})
        assert any(line != ANSI.sub("", line) for line in shown)
        return [ANSI.sub("", line) for line in shown]

    return run


def test_a_terminal_shows_the_line_and_a_caret(terminal: Callable[..., list[str]]) -> None:
    assert terminal("name: Cat\nstyle: {mode: creativ}\n")[1:] == [
        "2 | style: {mode: creativ}",
        "  |               ^",
        "",
    ]


@pytest.mark.parametrize(
    "line",
    [
        '{name: "猫の写真", scale_factor: three}',
        '{name: "e\u0301\u200b", scale_factor: three}',
        "{name: a,\t\tscale_factor: three}",
        f'{{style: {{prompt: "{"long " * 60}"}}, scale_factor: three}}',
        f'{{style: {{prompt: "{"長い" * 60}"}}, scale_factor: three, name: "{"長い" * 30}"}}',
        f'{{scale_factor: three, style: {{prompt: "{"long " * 60}"}}}}',
    ],
    ids=["wide", "narrow", "tabs", "long before", "wide before and after", "long after"],
)
@pytest.mark.parametrize("columns", [30, 60, 61])
def test_the_caret_stands_under_the_place(
    line: str, columns: int, terminal: Callable[..., list[str]]
) -> None:
    _, excerpt, caret, _ = terminal(line, columns)
    assert cell_len(excerpt) <= columns
    assert cell_len(excerpt.partition("three")[0]) == caret.index("^")


def test_what_a_terminal_would_obey_is_written_out(terminal: Callable[..., list[str]]) -> None:
    shown = terminal('"\\e[2J\\n": 1')
    assert shown[0].startswith("cat.jpg.yaml:1:1: '\\x1b[2J\\n': there is no such field")
    shown = terminal(b"name: \x1b[31mred")
    assert shown[1] == "1 | name: \N{REPLACEMENT CHARACTER}[31mred"
