"""An export reads only what may have changed since it was read; what it writes is the same."""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap.disk import file_state
from airgap.flow.exporting import pack, turns, unread
from airgap.format import limits
from airgap.store.item_kind import Source
from airgap.store.source_tree import SourceFile, scan
from tests.support import stores
from tests.support.sides import Ran, Side, Site, trust
from tests.support.steady_files import make_steady, watch_reads

BLOCK, PACK = 256 * 1024, 500_000
PARTS = 6


@dataclass(frozen=True)
class Shop:
    """A side whose model has several packs, the files that were opened, and an export's result."""

    side: Side
    site: Site
    depot: Path
    model: Path
    opened: list[str]

    def export(self, *options: str | Path, depot: Path | None = None) -> Ran:
        self.opened.clear()
        words = ("desk:v1", "-o", depot or self.depot, "--key", self.site.key(), "--json")
        ran = self.side.run("export", *words, *options)
        assert ran.code == 0, ran.err
        return ran

    @property
    def weights(self) -> set[str]:
        return {path for path in self.opened if path.startswith("part-")}

    @property
    def cache(self) -> Path:
        return self.side.state / "cache" / "digests.sqlite"


@pytest.fixture
def shop(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(limits, "PACK_TARGET_BYTES", PACK)
    monkeypatch.setattr(pack, "BLOCK_TARGET", BLOCK)
    make_steady(monkeypatch)
    side = Side(tmp_path / "connected")
    trust(side, site)
    files = {f"part-{at}.bin": stores.noise(300_000, at) for at in range(PARTS)}
    model = stores.add_model(side, "big:v1", {"config.json": b"{}", **files})
    stores.add_bento(side, "desk:v1", {"src/desk.py": b"1"}, models=["big:v1"])
    shop = Shop(side, site, tmp_path / "depot", model, watch_reads(monkeypatch))
    shop.export()
    return shop


def test_nothing_is_opened_that_did_not_change(shop: Shop) -> None:
    first = shop.export("--reread").json
    assert len(shop.weights) == PARTS

    again = shop.export().json

    assert shop.weights == set()
    assert again["bundle"] == first["bundle"]
    assert again["packs_written"] == 0


def test_another_depot_gets_the_same_packs(shop: Shop, tmp_path: Path) -> None:
    shop.export(depot=tmp_path / "other")

    packs = stores.snapshot(shop.depot / "packs"), stores.snapshot(tmp_path / "other" / "packs")
    assert list(packs[0].values()) == list(packs[1].values())


def test_a_file_is_read_whose_status_changed(shop: Shop) -> None:
    part = shop.model / "part-3.bin"
    before = part.stat()
    part.chmod(0o640)
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))

    shop.export()

    assert shop.weights == {"part-2.bin", "part-3.bin"}  # which are in one pack


def change(path: Path) -> None:
    """Change a byte, and let the file have its old time."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def insert(path: Path) -> None:
    path.write_bytes(stores.noise(170_000, 77) + path.read_bytes())


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def copy_from_neighbour(path: Path) -> None:
    path.write_bytes((path.parent / "part-5.bin").read_bytes())


@pytest.mark.parametrize("edit", [change, insert, shorten, copy_from_neighbour, Path.unlink])
@pytest.mark.parametrize("name", ["config.json", "part-0.bin"])
def test_after_any_change_the_bundle_is_that_of_a_first_export(
    shop: Shop, tmp_path: Path, edit: Callable[[Path], object], name: str
) -> None:
    edit(shop.model / name)

    warm = shop.export().json
    cold = shop.export("--reread", depot=tmp_path / "cold").json

    assert warm["bundle"] == cold["bundle"]
    assert shop.side.run("verify", f"{shop.depot}#{warm['bundle']}", "--json").code == 0


def test_packs_that_begin_in_other_places_are_made_anew(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(shop.model / "part-0.bin")
    foreseen: list[unread.Unread] = []
    find_file = unread.Unread.find_file

    def note(this: unread.Unread, file: SourceFile) -> unread.CachedFile | None:
        foreseen.extend([this] if not foreseen or foreseen[-1] is not this else [])
        return find_file(this, file)

    monkeypatch.setattr(unread.Unread, "find_file", note)
    shop.export()

    assert foreseen[-1] is unread.NOTHING_UNREAD
    assert foreseen[-2].packs


def test_of_a_large_item_only_the_changed_file_and_its_pack_are_read(shop: Shop) -> None:
    change(shop.model / "part-3.bin")

    done = shop.export().json

    assert shop.weights <= {"part-2.bin", "part-3.bin"}
    assert done["packs_written"] == 1


def test_a_pack_that_is_gone_is_written_again(shop: Shop) -> None:
    stored = next(shop.depot.glob("packs/*/*.pack"))
    data = stored.read_bytes()
    stored.unlink()

    shop.export()

    assert stored.read_bytes() == data


def test_a_pack_that_was_changed_is_written_again(shop: Shop) -> None:
    stored = max(shop.depot.glob("packs/*/*.pack"), key=lambda path: path.stat().st_size)
    data = stored.read_bytes()
    change(stored)

    shop.export()

    assert stored.read_bytes() == data


def test_on_a_disk_that_may_leave_all_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_state, "is_fixed_disk", lambda _: False)

    shop.export()

    assert len(shop.weights) == PARTS


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "other schema", "gone"])
def test_a_damaged_cache_is_made_anew(shop: Shop, damage: str) -> None:
    data = shop.cache.read_bytes()
    if damage == "gone":
        shop.cache.unlink()
    elif damage == "cut off":
        shop.cache.write_bytes(data[: len(data) // 2])
    elif damage == "overwritten":
        shop.cache.write_bytes(b"?" * len(data))
    else:
        with sqlite3.connect(shop.cache) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()

    shop.export()
    assert shop.weights
    shop.export()
    assert shop.weights == set()


def test_a_change_that_left_no_trace_is_refused_where_the_file_is_read(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = shop.model / "part-1.bin"
    state = file_state.FileState.of(part.stat())
    change(part)
    look = unread._look
    monkeypatch.setattr(
        unread, "_look", lambda file: state if file.path == "part-1.bin" else look(file)
    )

    words = ("desk:v1", "-o", tmp_path / "other", "--key", shop.site.key())
    ran = shop.side.run("export", *words)

    assert "part-1.bin was changed without a trace" in ran.err
    assert "--reread" in ran.err


def test_a_dry_run_makes_no_cache(shop: Shop) -> None:
    shutil.rmtree(shop.cache.parent)

    shop.export("--dry-run")

    assert not shop.cache.exists()


def test_with_a_base_nothing_is_opened_that_the_other_side_has(shop: Shop, tmp_path: Path) -> None:
    done = shop.export("--base", shop.depot, depot=tmp_path / "next").json

    assert shop.weights == set()
    assert done["packs_written"] == 0


def test_a_push_of_the_same_opens_nothing(shop: Shop, tmp_path: Path) -> None:
    words = ("push", "big:v1", tmp_path / "shared", "--model", "--key", shop.site.key(), "--json")
    assert shop.side.run(*words).code == 0
    shop.opened.clear()

    assert shop.side.run(*words).json["was_there"]

    assert shop.weights == set()


def test_a_forced_push_compares_what_is_in_the_depot(shop: Shop, tmp_path: Path) -> None:
    words = ("push", "big:v1", tmp_path / "shared", "--model", "--key", shop.site.key(), "--json")
    assert shop.side.run(*words).code == 0
    shop.opened.clear()

    assert shop.side.run(*words, "--force").code == 0

    assert len(shop.weights) == PARTS


def test_a_plan_for_another_destination_knows_the_size_without_reading(
    shop: Shop, tmp_path: Path
) -> None:
    first = shop.export("--reread", depot=tmp_path / "first").json

    planned = shop.export("--dry-run", depot=tmp_path / "one.airgap").json

    assert shop.weights == set()
    assert not planned["estimated"]
    assert planned["stored_size"] == first["bytes_written"]


def test_many_small_files_are_read_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_MANY", PARTS)
    monkeypatch.setattr(turns, "_QUICKLY_READ_BYTES", 400_000)
    first = shop.export("--reread").json

    again = shop.export().json

    assert len(shop.weights) == PARTS
    assert again["bundle"] == first["bundle"]
    assert again["packs_written"] == 0


def test_cuts_and_packs_are_those_of_their_numbers(tmp_path: Path) -> None:
    """If it fails, raise ``CUTS`` or ``CODING``: what was kept before does not hold any more."""
    header = b'{"w":{"dtype":"BF16","shape":[700000],"data_offsets":[0,1400000]}}'
    tensor = len(header).to_bytes(8, "little") + header + stores.noise(1_400_000, 3)
    files = {"a.txt": b"text " * 1000, "b.bin": stores.noise(3_000_000), "c.safetensors": tensor}
    stores.write_files(tmp_path, files)
    source = Source("model", "any", "v1", 0, scan(tmp_path))

    packed = pack.measure_packs([source], pack.PackOptions(1, "none"))

    assert packed is not None
    lengths = repr([packed.chunks.lengths, [each.blocks for each in packed.packs]])
    numbers = unread.CUTS, unread.CODING
    assert (*numbers, hashlib.sha256(lengths.encode()).hexdigest()[:16]) == (
        1,
        1,
        "f77d923912ae2dcd",
    )
