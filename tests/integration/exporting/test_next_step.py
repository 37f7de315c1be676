"""The end of an export says what is done next; what it says is run here."""

import shlex
from pathlib import Path

import pytest

from tests.support.sides import Side, Site

NEXT = "On the other side: "
FIRST = "The first time, before that: "


def say(ran_out: str, beginning: str) -> list[str]:
    """Return the words of the command that a line of the output names, without ``airgap``."""
    lines = [line for line in ran_out.splitlines() if line.startswith(beginning)]
    assert len(lines) == 1, ran_out
    program, *words = shlex.split(lines[0].removeprefix(beginning))
    assert program == "airgap"
    return words


@pytest.mark.parametrize("name", ["depot", "shop.airgap", "shop.bento"])
def test_an_export_names_the_import(
    name: str, small: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    ran = small.run("export", "shop", "-o", tmp_path / name, "--key", site.key())

    assert FIRST not in ran.out
    assert isolated.run(*say(ran.out, NEXT)).code == 0


def test_the_first_bundle_also_needs_trust(small: Side, isolated: Side, tmp_path: Path) -> None:
    assert small.run("init", "ward-7", "--no-passphrase").code == 0
    first = small.run("export", "shop", "-o", tmp_path / "depot")
    (isolated.state / "fresh").mkdir()
    fresh = Side(isolated.state / "fresh")
    fingerprint = small.run("init", "ward-7", "--json").json["fingerprint"]

    assert fresh.run(*say(first.out, FIRST), "--fingerprint", fingerprint).code == 0
    assert fresh.run(*say(first.out, NEXT)).code == 0


def test_the_second_bundle_does_not(small: Side, site: Site, tmp_path: Path) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--key", site.key())
    roots = ("--include-root", site.root, "--channel", "c")

    assert FIRST in small.run(*words, *roots).out
    assert FIRST not in small.run(*words, *roots, "--sequence", "2").out


def test_volumes_are_imported_one_by_one(small: Side, site: Site, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "v", "--volume-size", "DVD")

    assert "with each volume: airgap import VOLUME" in (
        small.run("export", "shop", *out, "--key", site.key()).out
    )


def test_a_push_names_the_pull(small: Side, isolated: Side, site: Site, tmp_path: Path) -> None:
    for words in (("shop",), ("ranker", "--model")):
        ran = small.run("push", *words, tmp_path / "depot", "--key", site.key())

        assert isolated.run(*say(ran.out, "To install it: ")).code == 0


def test_quiet_and_json_have_no_next_step(small: Side, site: Site, tmp_path: Path) -> None:
    words = ("export", "shop", "-o", tmp_path / "depot", "--key", site.key())

    assert small.run(*words, "--quiet").out == ""
    assert "other side" not in small.run(*words, "--json").out
