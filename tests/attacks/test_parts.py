"""A part of a ``.airgap`` file that a stranger has put on the medium gains nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.sides import Side, Site

PART = f"shop.airgap.{'0123456789abcdef'}.part"
PRECIOUS = b"what the sender keeps" * 100_000


def link_hard(part: Path, victim: Path) -> None:
    part.hardlink_to(victim)


def link(part: Path, victim: Path) -> None:
    part.symlink_to(victim)


def allow_others_to_write(part: Path, victim: Path) -> None:
    part.write_bytes(victim.read_bytes())
    part.chmod(0o666)


def make_fifo(part: Path, victim: Path) -> None:
    del victim
    os.mkfifo(part)


def make_folder(part: Path, victim: Path) -> None:
    part.mkdir()
    (part / "x").write_bytes(victim.read_bytes())


def leave_another_bundle(part: Path, victim: Path) -> None:
    del victim
    part.write_bytes((part.parent / "other.airgap").read_bytes())


@pytest.mark.parametrize(
    "make",
    [link_hard, link, allow_others_to_write, make_fifo, make_folder, leave_another_bundle],
)
def test_a_part_of_a_stranger_changes_nothing_of_what_is_written(
    make: Callable[[Path, Path], None], small: Side, site: Site, tmp_path: Path
) -> None:
    medium, victim = tmp_path / "medium", small.top / "precious"
    medium.mkdir()
    victim.write_bytes(PRECIOUS)
    stores.add_model(small, "other:v1", {"weights.bin": stores.noise(900_000, 7)})
    export = ("export", "--key", site.key(), "-o")
    assert small.run(*export, tmp_path / "undisturbed.airgap", "shop:v1").code == 0
    assert small.run(*export, medium / "other.airgap", "--model", "other:v1").code == 0
    make(medium / PART, victim)

    ran = small.run(*export, medium / "shop.airgap", "shop:v1")

    assert ran.code == 0, ran.err
    written = (medium / "shop.airgap").read_bytes()
    assert written == (tmp_path / "undisturbed.airgap").read_bytes()
    assert (medium / "shop.airgap").stat().st_mode & 0o777 == 0o644
    assert victim.read_bytes() == PRECIOUS
    assert ("of something else: it is written anew" in ran.err) is (make is leave_another_bundle)
