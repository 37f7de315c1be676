"""At a terminal there are bars and colours; elsewhere there are plain lines."""

import ast
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from airgap.cli import main, output, progress, terminal
from airgap.cli.progress import BarProgress, LineProgress
from airgap.cli.terminal import Line, Styled
from airgap.errors import AirgapError, CommandLine
from tests.support import stores
from tests.support.sides import REPOSITORY, Side, Site
from tests.support.terminal import run_at_terminal

ESCAPE = "\x1b["
RED = "31m"
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\r\n"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\u202e\x0d\x0a"


def test_a_terminal_shows_a_bar(depot: Path, isolated: Side) -> None:
    ran = run_at_terminal(isolated, "verify", depot)

    assert ran.code == 0
    assert "verifying" in ran.err
    assert ESCAPE in ran.err


def test_a_bar_leaves_nothing_on_standard_output(depot: Path, isolated: Side) -> None:
    ran = run_at_terminal(isolated, "verify", depot, "--json")

    assert ran.json["verified"]


def test_a_bar_fits_into_forty_columns(depot: Path, isolated: Side) -> None:
    ran = run_at_terminal(isolated, "verify", depot, columns=40)

    assert ran.code == 0
    assert "verifying" in ran.err


def test_quiet_shows_no_bar(depot: Path, isolated: Side) -> None:
    assert run_at_terminal(isolated, "verify", depot, "--quiet").err == ""


def test_notes_of_a_bar_are_printed_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = BarProgress()
    bar.note("before [bold]")
    bar.advance(1)
    bar.begin("importing", 10)
    bar.advance(10)
    bar.note("within [bold] 12")
    bar.end()
    bar.end()

    told = capsys.readouterr().err
    assert "before [bold]" in told
    assert "within [bold] 12" in told


def test_nothing_but_the_result_is_told_elsewhere(depot: Path, isolated: Side) -> None:
    assert isolated.run("verify", depot).err == ""


def test_plain_lines_come_after_longer_and_longer_pauses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = itertools.chain([0.0, 1.0, 6.0, 15.0, 16.0])
    lines = LineProgress(lambda: next(clock))

    lines.begin("exporting", 4_000_000_000)
    for _ in range(4):
        lines.name_item("model ranker:v1")
        lines.advance(1_000_000_000)
    lines.end()
    lines.note("done")

    assert capsys.readouterr().err.splitlines() == [
        "exporting model ranker:v1: 2.0 GB of 4.0 GB, 333.3 MB/s, 6 s left",
        "exporting model ranker:v1: 4.0 GB of 4.0 GB, 250.0 MB/s, 0 s left",
        "done",
    ]


def test_ten_hours_in_a_log_are_some_hundred_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = LineProgress(iter(range(0, 10 * 3600, 2)).__next__)

    lines.begin("pushing", 10**12)
    for _ in range(5 * 3600 - 1):
        lines.advance(10**7)

    printed = capsys.readouterr().err.splitlines()
    assert 100 < len(printed) < 150
    assert "h" in printed[0].split()


class Recorder:
    """Progress that keeps the items that were named, with their stage."""

    named: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self._what = ""

    def begin(self, what: str, total: int) -> None:
        del total
        self._what = what

    def name_item(self, name: str) -> None:
        self.named.append(f"{self._what} {name}")

    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The items that commands name from now on."""
    monkeypatch.setattr(progress, "LineProgress", Recorder)
    monkeypatch.setattr(Recorder, "named", [])
    return Recorder.named


def test_each_command_names_the_item_it_is_at(
    small: Side, isolated: Side, site: Site, depot: Path, tmp_path: Path, named: list[str]
) -> None:
    key = ("--key", site.key())
    runs: list[tuple[Side, tuple[str | Path, ...], str]] = [
        (small, ("export", "shop", "-o", tmp_path / "new", *key), "exporting bento shop:v1"),
        (small, ("export", "shop", "-o", tmp_path / "s.bento", *key), "exporting bento shop:v1"),
        (small, ("push", "shop", depot, *key), "comparing bento shop:v1"),
        (small, ("copy", depot, tmp_path / "copy"), "copying model ranker:v1"),
        (small, ("split", depot, "--volumes", tmp_path), "writing volumes 1 of 1"),
        (isolated, ("verify", depot), "verifying model ranker:v1"),
        (isolated, ("verify", tmp_path / "s.bento"), "verifying bento shop:v1"),
        (isolated, ("import", depot), "importing model ranker:v1"),
        (isolated, ("check",), "checking model ranker:v1"),
    ]
    for side, words, item in runs:
        named.clear()
        ran = side.run(*words)
        assert ran.code == 0, ran.err
        assert item in named, words


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3.2e9, "3.2 GB"), (5e16, "50000.0 TB")],
)
def test_sizes_are_told_in_decimal_units(count: float, text: str) -> None:
    assert output.size_text(count) == text


def test_errors_are_red_at_a_terminal(connected: Side) -> None:
    assert RED in run_at_terminal(connected, "inspect", "nothing").err


def test_no_color_means_no_colour(connected: Side) -> None:
    ran = run_at_terminal(connected, "inspect", "nothing", variables={"NO_COLOR": "1"})

    assert ESCAPE not in ran.err
    assert "airgap: nothing is not there." in ran.err


@pytest.mark.parametrize(
    ("words", "variables", "is_coloured"),
    [
        (("--color", "never"), {}, False),
        ((), {"TERM": "dumb"}, False),
        ((), {"AIRGAP_COLOR": "never"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
    ids=["never", "dumb", "variable", "always"],
)
def test_colour_is_chosen(
    words: tuple[str, ...], variables: dict[str, str], *, is_coloured: bool, connected: Side
) -> None:
    ran = run_at_terminal(connected, *words, "inspect", "nothing", variables=variables)

    assert (ESCAPE in ran.err) == is_coloured
    assert "nothing is not there." in ran.err


def test_a_dumb_terminal_gets_lines_and_no_bar(depot: Path, isolated: Side) -> None:
    ran = run_at_terminal(isolated, "verify", depot, variables={"TERM": "dumb"})

    assert ran.code == 0
    assert ESCAPE not in ran.err
    assert "\r" not in ran.err.replace("\r\n", "")


def test_no_color_means_a_bar_without_colour(depot: Path, isolated: Side) -> None:
    ran = run_at_terminal(isolated, "verify", depot, variables={"NO_COLOR": "1"})

    assert "verifying" in ran.err
    assert f"{ESCAPE}3" not in ran.err


def test_help_fits_into_sixty_columns(connected: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    ran = connected.run("export", "--help")

    assert max(map(len, ran.out.splitlines())) <= 60


def test_a_bundle_is_not_written_to_a_terminal(small: Side, site: Site) -> None:
    screen, terminal = os.openpty()
    ran = subprocess.run(
        [sys.executable, "-m", "airgap", "export", "shop", "-o", "-", "--key", site.key()],
        env={**os.environ, **small.environment},
        stdout=terminal,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(terminal)
    os.close(screen)

    assert ran.returncode == 2
    assert b"A bundle is not for a terminal." in ran.stderr


def test_a_bundle_is_not_read_from_a_terminal(connected: Side) -> None:
    ran = run_at_terminal(connected, "inspect", "-")

    assert ran.code == 2
    assert "Standard input is a terminal." in ran.err


def test_a_reader_that_has_enough_is_no_bug(depot: Path, connected: Side) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "airgap", "inspect", depot, "--files"],
        env={**os.environ, **connected.environment},
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (15, b"")


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_result_that_the_disk_does_not_take_is_told(
    option: tuple[str, ...], depot: Path, connected: Side
) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "airgap", "inspect", depot, *option],
            env={**os.environ, **connected.environment},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )

    assert ran.returncode == 15
    assert b"standard output cannot be written: No space left on device" in ran.stderr
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_name_that_the_terminal_cannot_spell_ends_no_command(
    encoding: str, connected: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.add_bento(connected, "shop:v1", {"src/日本.txt": b"x"})
    assert connected.run("export", "shop", "-o", tmp_path / "d", "--key", site.key()).code == 0
    monkeypatch.setenv("PYTHONIOENCODING", encoding)

    ran = connected.process("inspect", tmp_path / "d", "--files")

    assert ran.returncode == 0, ran.stderr
    assert b"src/" in ran.stdout


def test_without_a_command_help_is_shown(connected: Side) -> None:
    ran = connected.run()

    assert ran.code == 2
    assert ran.err.startswith("Usage: airgap ")


def test_a_misspelt_command_is_answered_with_the_right_one(connected: Side) -> None:
    ran = connected.run("veryfy", "x")

    assert ran.code == 2
    assert "Did you mean `airgap verify`?" in ran.err


def test_help_and_version_have_the_usual_words(connected: Side) -> None:
    assert connected.run("help").out == connected.run("--help").out
    assert connected.run("help", "import").out == connected.run("import", "--help").out
    assert connected.run("-V").out == connected.run("--version").out


def test_a_misspelt_tag_is_answered_with_the_right_one(small: Side, site: Site) -> None:
    ran = small.run("export", "shpo:v1", "-o", "x", "--key", site.key())

    assert ran.code == 13
    assert "there is shop:v1" in ran.err


def test_a_word_like_no_command_is_answered_with_help(connected: Side) -> None:
    assert "See `airgap --help`." in connected.run("zzz").err


def test_a_long_list_of_what_is_wrong_is_cut(small: Side, site: Site, tmp_path: Path) -> None:
    stores.add_bento(small, "shop:v2", {}, models=[f"gone-{number}:v1" for number in range(25)])

    ran = small.run("export", "shop:v2", "-o", tmp_path / "d", "--key", site.key())

    assert ran.code == 13
    assert "… and 5 more" in ran.err


def _say_error() -> None:
    main._print_error(AirgapError(EVIL, EVIL, [EVIL]))


@pytest.mark.parametrize(
    "say",
    [
        lambda: terminal.print_line(EVIL),
        lambda: terminal.print_line((Styled(EVIL, "red"), EVIL), err=True),
        lambda: terminal.print_text(EVIL, err=True),
        lambda: terminal.print_json({"name": EVIL}),
        lambda: LineProgress().note(EVIL),
        lambda: BarProgress().note(EVIL),
        _say_error,
    ],
)
def test_what_others_have_named_does_not_reach_the_terminal_raw(
    say: Callable[[], object], capfd: pytest.CaptureFixture[str]
) -> None:
    say()

    printed = "".join(capfd.readouterr()).replace(" → ", "")
    assert printed.replace("\n", "").isprintable()
    assert "[2J" in printed


def test_a_bar_shows_nothing_raw(capsys: pytest.CaptureFixture[str]) -> None:
    bar = BarProgress()
    bar.begin(EVIL + "[red]", 10)
    bar.note(EVIL + ":smile: [red]")
    bar.end()

    printed = capsys.readouterr().err
    assert "\x1b]0;owned" not in printed
    assert f"{SHOWN}:smile: [red]" in printed


def test_a_question_shows_nothing_raw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getpass", sys.stdout.write)
    terminal.ask_hidden(EVIL)

    assert capsys.readouterr().out == SHOWN


WRITES_INTO_A_PIPE = ("bentoml_reader.py", "check_installed.py", "describe_python.py")
RUNS_ALONE = ("install.py",)  # of a kit: tests/attacks/test_kits.py


def test_commands_print_and_ask_nowhere_else() -> None:
    """Only ``terminal`` makes text printable, so nothing may go past it."""
    calls = ("click.echo", "click.secho", "click.prompt", "click.confirm", "click.style", "print")
    raw = ("getpass.getpass", "sys.stdout.write", "sys.stderr.write")
    found = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in sorted((REPOSITORY / "airgap").rglob("*.py"))
        if path.name not in ("terminal.py", *WRITES_INTO_A_PIPE, *RUNS_ALONE)
        and "demo/project" not in str(path)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (*calls, *raw)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("verify DEPOT 2>&-", 0),
        ("verify DEPOT --json 2>&-", 0),
        ("verify DEPOT >&- 2>&- <&-", 0),
        ("verify DEPOT >&-", 0),
        ("verify DEPOT 2>/dev/full", 0),
        ("verify nothing 2>&-", 13),
        ("verify nothing 2>/dev/full", 13),
        ("verify nothing --json 2>&- >&-", 13),
        ("serve hash-password <&-", 2),
        ("delete DEPOT#ID <&- 2>&-", 2),
    ],
)
def test_a_stream_that_is_closed_or_full_changes_no_exit_code(
    arguments: str, code: int, depot: Path, isolated: Side
) -> None:
    bundle = next((depot / "bundles").iterdir()).name
    line = arguments.replace("DEPOT", str(depot)).replace("ID", bundle)
    ran = subprocess.run(
        ["sh", "-c", f'exec "$0" -m airgap {line}', sys.executable],
        env={**os.environ, **isolated.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (ran.returncode, b"Traceback" in ran.stderr) == (code, False), ran.stderr


def test_no_file_gets_the_number_of_a_closed_stream() -> None:
    script = (
        "import os; from airgap.cli import terminal; terminal.open_standard_descriptors();"
        " os._exit(os.open('/dev/null', os.O_RDONLY))"
    )
    line = f'exec "$0" -c "{script}" <&- >&- 2>&-'
    ran = subprocess.run(["sh", "-c", line, sys.executable], check=False, timeout=60)

    assert ran.returncode > 2


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (f"  signed for bundle {'a' * 64} here", ["  signed for bundle", f"      {'a' * 64} here"]),
        (
            f"Without a terminal: airgap trust reset-state --yes {'b' * 64}",
            ["Without a terminal: airgap trust reset-state --yes \\", f"    {'b' * 64}"],
        ),
        (
            (Styled("ok", "green"), f"  the digest is {'c' * 64}"),
            ["ok  the digest is", "    " + 64 * "c"],
        ),
        (CommandLine(f"  hf download org/mini --revision {'d' * 64}"), None),
        (
            "Writing to /media/usb/depot (ext4, /dev/sdb1, 71.9 GB free). Peak disk use is 1.1 MB.",
            [
                "Writing to /media/usb/depot (ext4, /dev/sdb1, 71.9 GB free). Peak disk use is",
                "    1.1 MB.",
            ],
        ),
        (f"a/very/long/path/to/packs/{'e' * 64}.pack", None),
    ],
)
def test_a_line_that_is_too_long_breaks_at_spaces(
    line: Line,
    rows: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(terminal, "measure_columns", lambda **_: 80)

    terminal.print_line(line)

    assert capsys.readouterr().out.splitlines() == (rows or [str(line)])
