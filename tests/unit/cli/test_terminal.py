"""Whatever foreign text holds, a terminal gets nothing to obey, and no line that is not ours."""

import ast
import io
import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import dropscale_cli
from dropscale_cli import main, terminal
from dropscale_cli.terminal import Commands, Table, Terminal, on_one_line, say, say_json

PACKAGE = Path(dropscale_cli.__file__).parent
THE_ONE_PLACE = "terminal.py"
NASTY = "\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202egnp.exe\u2066\x85\u2028\x00\x7f\udc80\ufeff\u200b"
TEXTS = st.one_of(
    st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu", "So"])),
    st.text().map(lambda text: NASTY + text),
)
OBEYED = {"Cc", "Cs", "Zl", "Zp"}
TURNS_AROUND = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def harmful(text: str) -> set[str]:
    """Return what no terminal should be sent, line breaks aside."""
    return {
        one
        for one in text
        if (unicodedata.category(one) in OBEYED and one != "\n") or one in TURNS_AROUND
    }


def written(write: Callable[[Terminal], None]) -> str:
    file = io.StringIO()
    write(Terminal(file=file, is_wide=True))
    return file.getvalue()


@given(text=TEXTS)
def test_a_text_is_one_harmless_line(text: str) -> None:
    table = Table([text, "b"], [(text, "b"), ("a", text)], caption=f"c{text}")
    for told, count in (
        (written(lambda shown: shown.say(text)), 1),
        (written(lambda shown: shown.say([(text, "bold"), text], "b")), 2),
        (written(lambda shown: shown.show(table)), 4),
        (on_one_line(text), 0),
    ):
        assert not harmful(told)
        assert told.count("\n") == count


@given(text=TEXTS)
def test_json_is_the_same_document_and_harmless(text: str) -> None:
    document = {"key": text, text: [text, "é → 🏴"]}
    file = io.StringIO()
    before, sys.stdout = sys.stdout, file
    try:
        say_json(document)
    finally:
        sys.stdout = before

    assert not harmful(file.getvalue())
    assert file.getvalue().count("\n") == json.dumps(document, indent=2).count("\n") + 1
    assert json.loads(file.getvalue()) == json.loads(json.dumps(document))
    assert "é → 🏴" in file.getvalue()


@click.group(cls=Commands)
def commands() -> None:
    """Of this test."""


@commands.command()
@click.argument("path", type=click.Path(exists=True))
@click.option("--mode", type=click.Choice(["a"]))
def look(path: str, mode: str) -> None:
    raise click.ClickException(path + mode)


@commands.command()
def fail() -> None:
    raise click.ClickException(f"{NASTY}\nError: all is well")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([NASTY], 2),
        ([f"--{NASTY}"], 2),
        (["look", "none" + NASTY.replace("\0", "")], 2),
        (["look", ".", "--mode", NASTY], 2),
        (["look", ".", NASTY], 2),
        (["fail"], 1),
    ],
)
def test_an_error_is_harmless_and_has_its_exit_code(arguments: list[str], code: int) -> None:
    done = CliRunner().invoke(commands, arguments)

    assert done.exit_code == code
    assert "Error: " in done.stderr
    assert not harmful(done.output)
    assert sum(line.startswith("Error: ") for line in done.stderr.split("\n")) == 1


def test_a_command_ends_as_click_would_end_it() -> None:
    assert CliRunner().invoke(commands, ["--help"]).exit_code == 0
    assert CliRunner().invoke(commands, ["look", "--help"]).exit_code == 0
    assert CliRunner().invoke(commands, []).exit_code == 2


def test_a_group_without_a_command_shows_all_of_its_commands() -> None:
    done = CliRunner().invoke(commands, [])

    listed = [line.split()[0] for line in done.stderr.partition("Commands:\n")[2].splitlines()]
    assert listed == ["fail", "look"]


def test_an_error_names_what_was_given_with_its_escapes_written_out() -> None:
    done = CliRunner().invoke(commands, ["fail"])

    assert terminal.printable(NASTY.split("\n", maxsplit=1)[0]) in done.stderr


def test_a_traceback_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RuntimeError(NASTY)
    except RuntimeError as error:
        terminal._say_exception(type(error), error, error.__traceback__)

    told = capsys.readouterr().err
    assert "RuntimeError" in told
    assert not harmful(told)


def test_a_prompt_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("confirm", "prompt"):
        monkeypatch.setattr(click, name, lambda question, **_: asked.append(question))
    terminal.confirm(NASTY)
    terminal.choose(NASTY, ["a"], "a")
    terminal.ask_unseen(NASTY)

    assert len(asked) == 3
    assert not any(map(harmful, asked))
    assert "\n" not in "".join(asked)


def test_standard_error_is_the_other_stream(capsys: pytest.CaptureFixture[str]) -> None:
    say("a", to_stderr=True)
    say("b")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("b\n", "a\n")


def printing(tree: ast.Module) -> list[str]:
    """Return what in a module prints, or could."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = [module or "", *(alias.name for alias in node.names)]
            found += [name for name in names if name.split(".")[0] in {"logging", "warnings"}]
            found += [
                name for name in names if name.split(".")[0] == "rich" and ".cells" not in name
            ]
            if module == "click":
                found += [name for name in names if name in CLICK_PRINTS]
        elif isinstance(node, ast.Name) and node.id in {"print", "input", "breakpoint"}:
            found.append(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in {"sys.stdout", "sys.stderr", "os.write", "traceback.print_exc"} or (
                node.value.id == "click" and node.attr in CLICK_PRINTS
            ):
                found.append(name)
    return found


CLICK_PRINTS = {"echo", "secho", "prompt", "confirm", "style", "get_text_stream", "pager"} | {
    "echo_via_pager", "get_binary_stream", "progressbar", "getchar", "pause", "edit", "clear",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_nothing_else_prints(path: Path) -> None:
    found = printing(ast.parse(path.read_text(encoding="utf-8")))

    assert bool(found) is (path.name == THE_ONE_PLACE), found


def test_all_commands_are_of_the_kind_that_tells_errors_so() -> None:
    assert isinstance(main.main, Commands)
    assert "'forget'" in CliRunner().invoke(main.main, ["frget"]).stderr


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_table_fits_a_terminal_and_leaves_out_what_can_be_spared_first(is_wide: bool) -> None:
    file = io.StringIO()
    row = ["photos/" + "a" * 30 + ".jpg", "4000x3000 → 8000x6000", "out/" + "b" * 40, "paid before"]
    table = Table(["Image", "Size", "Result", ""], [row], spare=("Result", "Size"))

    Terminal(file=file, width=80, force_terminal=True, is_wide=is_wide).show(table)
    wide = written(lambda shown: shown.show(table))

    lines = click.unstyle(file.getvalue()).splitlines()
    assert lines[0].split() == ["Image", "Size"]
    assert row[0] in lines[1]
    assert max(map(len, lines)) <= 80
    assert all(cell in wide.splitlines()[1] for cell in row)
