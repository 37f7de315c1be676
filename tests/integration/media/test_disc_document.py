"""The terminal sessions of docs/carry-by-disc.md, run as they stand; only ids are their own."""

import re
import shlex
from pathlib import Path

from tests.support import sides, volumes
from tests.support.sides import Side, Site

PAGE = sides.REPOSITORY / "docs" / "carry-by-disc.md"
MODELS = volumes.MODELS + 1


def sessions() -> list[tuple[str, list[str]]]:
    """Every command of the page's consoles, with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(lines: list[str]) -> str:
    """A line that is ``…`` stands for any number of lines, ``…`` within one for any text."""
    made = [
        r"(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in lines
    ]
    return "".join(made)


def test_the_page_shows_what_is_printed(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    volumes.fill(connected, MODELS)
    out, drive = tmp_path / "out", tmp_path / "disc"
    places = {
        "out": out,
        "builder.key": site.key(),
        "/media/disc": drive,
        "DVD": Path(volumes.SEVEN_WITH_PARITY),
    }
    number = 0
    for command, expected in sessions():
        words, _, disc = command.partition("  # ")
        if disc:
            number = int(disc.split(",")[0].removeprefix("volume "))
            drive.unlink(missing_ok=True)
            drive.symlink_to(out / f"volume-{number}of7")
        if disc.endswith("scratched"):
            volumes.scratch(volumes.found(out).packs(number)[1])
        side = connected if "export" in words else isolated

        ran = side.run(*[places.get(word, word) for word in shlex.split(words)[1:]])

        printed = (ran.err + ran.out).replace(f"{tmp_path}/", "")
        assert re.fullmatch(pattern(expected), printed), f"{command} prints:\n{printed}"
    assert volumes.installed(isolated) == volumes.everything(MODELS)
