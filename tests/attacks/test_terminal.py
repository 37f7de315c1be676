"""Names that a medium has chosen reach an operator's terminal as text, and do nothing there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.sides import Side, Site

EVIL = "\x1b]0;owned\x07\x1b[2J\u202ex\n"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\u202ex\x0a"


def _junk(medium: Path) -> Path:
    path = medium / f"{EVIL}.airgap"
    path.write_bytes(b"junk")
    return path


def _empty_depot(medium: Path) -> Path:
    path = medium / f"{EVIL}d"
    (path / "bundles").mkdir(parents=True)
    return path


@pytest.mark.parametrize("command", ["import", "verify", "inspect", "list"])
@pytest.mark.parametrize("lay", [_junk, _empty_depot])
def test_the_name_of_a_file_or_folder_is_only_text(
    command: str, lay: Callable[[Path], Path], isolated: Side, tmp_path: Path
) -> None:
    ran = isolated.run(command, lay(tmp_path))

    printed = ran.out + ran.err
    assert printed.replace("\n", "").isprintable()
    assert ran.code == 0 or SHOWN in printed


def test_a_depot_with_such_a_name_is_only_text_when_all_is_well(
    small: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    depot = tmp_path / EVIL
    assert small.run("export", "shop:v1", "-o", depot, "--key", site.key()).code == 0

    for command in ("inspect", "verify", "list", "import"):
        ran = isolated.run(command, depot)
        assert (ran.code, (ran.out + ran.err).replace("\n", "").isprintable()) == (0, True)


def test_a_conflict_with_such_a_file_is_only_text(
    small: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    assert small.run("export", "shop:v1", "-o", tmp_path / "d", "--key", site.key()).code == 0
    stores.add_bento(isolated, "shop:v1", {EVIL: b"x"})

    ran = isolated.run("import", tmp_path / "d")

    assert ran.code == 14
    assert SHOWN in ran.err
    assert ran.err.replace("\n", "").isprintable()
