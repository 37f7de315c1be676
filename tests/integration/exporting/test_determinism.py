"""The same items give the same bytes: whatever the path, the times, the order and the threads."""

import os
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.sides import Side, Site

BLOCK = 64 * 1024
COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"


@pytest.fixture
def rich(small: Side) -> Side:
    """A store with a Bento, a model of several packs' worth of chunks, and a snapshot."""
    weights = stores.noise(6_000_000, 1) + bytes(9_000_000) + stores.noise(3_000_000, 2)
    stores.add_model(small, "big:v1", {"weights.bin": weights, "again.bin": weights[:5_000_000]})
    stores.add_snapshot(
        small, "Org/Mini", COMMIT, {"config.json": b"{}", "sub/w": stores.noise(500_000)}
    )
    entry = stores.hugging_face_entry("Org/Mini", COMMIT)
    stores.add_bento(small, "desk:v1", {"src/desk.py": b"1"}, models=["big:v1", "ranker:v1", entry])
    return small


def copy_with_holes(source: Path, target: Path) -> None:
    """Copy a file, and leave out blocks of zeros."""
    with source.open("rb") as data, target.open("wb") as file:
        while block := data.read(BLOCK):
            if block == bytes(len(block)):
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
        file.truncate()


@pytest.fixture
def moved(rich: Side, tmp_path: Path) -> Side:
    """A copy of the store elsewhere: made in another order, at other times, other modes, sparse."""
    copy = Side(tmp_path / "elsewhere" / "deep" / "er")
    for path in sorted(rich.top.rglob("*"), reverse=True):
        target = copy.top / path.relative_to(rich.top)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            copy_with_holes(path, target)
            target.chmod(0o700 if path.stat().st_mode & 0o100 else 0o600)
            os.utime(target, (1_000_000_000, 1_000_000_000))
    return copy


def exported(side: Side, site: Site, target: Path, jobs: int) -> Path:
    tags = ("desk", "shop")
    options = ("--key", site.key(), "--jobs", str(jobs))
    ran = side.run("export", *tags, "-o", target, *options)
    assert ran.code == 0, ran.err
    return target


def contents(depot: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(depot)): path.read_bytes()
        for path in depot.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_copy_of_the_store_gives_the_same_depot(
    jobs: int, rich: Side, moved: Side, site: Site, tmp_path: Path
) -> None:
    one = exported(rich, site, tmp_path / "one", 2)

    other = exported(moved, site, tmp_path / "other", jobs)

    assert contents(one) == contents(other)
    assert len(contents(one)) > 5


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_copy_of_the_store_gives_the_same_file(
    jobs: int, rich: Side, moved: Side, site: Site, tmp_path: Path
) -> None:
    one = exported(rich, site, tmp_path / "one.airgap", 2)

    other = exported(moved, site, tmp_path / "other.airgap", jobs)

    assert one.read_bytes() == other.read_bytes()


def test_a_file_on_standard_output_is_the_same_file(rich: Side, site: Site, tmp_path: Path) -> None:
    one = exported(rich, site, tmp_path / "one.airgap", 2)

    ran = rich.process("export", "desk", "shop", "-o", "-", "--key", site.key())

    assert ran.returncode == 0
    assert ran.stdout == one.read_bytes()
    assert b"Spooling to" in ran.stderr


def test_file_and_depot_hold_the_same_packs_and_manifest(
    rich: Side, site: Site, tmp_path: Path
) -> None:
    depot = exported(rich, site, tmp_path / "one", 1)
    file = exported(rich, site, tmp_path / "one.airgap", 4).read_bytes()

    assert all(content in file for content in contents(depot).values())


def test_the_order_of_tags_changes_nothing(rich: Side, site: Site, tmp_path: Path) -> None:
    one = exported(rich, site, tmp_path / "one", 2)

    ran = rich.run("export", "shop", "desk", "-o", tmp_path / "two", "--key", site.key())

    assert ran.code == 0
    assert contents(one) == contents(tmp_path / "two")


def test_an_item_has_the_same_packs_in_every_bundle(rich: Side, site: Site, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    options = ("-o", alone, "--key", site.key())
    assert rich.run("export", "--model", "big:v1", *options).code == 0
    depot = exported(rich, site, tmp_path / "one", 2)

    packs = {name for name in contents(alone) if name.startswith("packs/")}

    assert packs <= contents(depot).keys()
