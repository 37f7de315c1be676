"""Large files are read side by side, into packs of their own (format §12)."""

from pathlib import Path

import pytest

from airgap.flow.exporting import turns
from airgap.format import layout
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from tests.support import stores
from tests.support.sides import Side, Site

MIB = 1024 * 1024
SHARED = stores.noise(6 * MIB, 9)
LARGE = {f"part-{number}.bin": stores.noise(3 * MIB + number, number) for number in range(1, 6)}
LARGE["part-2.bin"] = SHARED + LARGE["part-2.bin"]
LARGE["part-3.bin"] = SHARED + LARGE["part-3.bin"]
LARGE["part-6.bin"] = LARGE["part-1.bin"]
SMALL = {"a.txt": b"first\n", "sub/note.txt": b"text\n" * 9000, "z.bin": stores.noise(MIB // 2)}


@pytest.fixture
def stocked(connected: Side, monkeypatch: pytest.MonkeyPatch) -> Side:
    """A model of six large files, two of which are equal and two share a part, and small ones."""
    monkeypatch.setattr(turns, "_LARGE_BYTES", 2 * MIB)
    stores.add_model(connected, "shards:v1", {**LARGE, **SMALL})
    return connected


def export(side: Side, site: Site, target: Path, *options: str) -> Path:
    ran = side.run("export", "-o", target, "--key", site.key(), *options)
    assert ran.code == 0, ran.err
    return target


def contents(depot: Path) -> dict[str, bytes]:
    files = (path for path in depot.rglob("*") if path.is_file())
    return {str(path.relative_to(depot)): path.read_bytes() for path in files}


def read_manifest(depot: Path) -> Manifest:
    (bundle,) = (depot / layout.BUNDLES).iterdir()
    return manifests.decode((bundle / "manifest.msgpack").read_bytes())


def list_packs(manifest: Manifest, path: str) -> list[bytes]:
    """Return the digests of the packs that hold a file's chunks."""
    (file,) = (file for item in manifest.items for file in item.files if file.path == path)
    packs = (pack for pack in manifest.packs if not set(file.chunks).isdisjoint(pack.chunk_range))
    return [pack.digest for pack in packs]


@pytest.mark.parametrize("jobs", ["2", "7", "16"])
def test_the_number_of_threads_changes_no_byte(
    jobs: str, stocked: Side, site: Site, tmp_path: Path
) -> None:
    one = export(stocked, site, tmp_path / "one", "--model", "shards:v1", "--jobs", "1")

    other = export(stocked, site, tmp_path / "other", "--model", "shards:v1", "--jobs", jobs)

    assert contents(one) == contents(other)


@pytest.mark.parametrize("jobs", ["1", "2", "16"])
def test_what_was_read_side_by_side_is_imported_as_it_was(
    jobs: str, stocked: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = export(stocked, site, tmp_path / "depot", "--model", "shards:v1")

    ran = isolated.run("import", depot, "--jobs", jobs)

    assert ran.code == 0, ran.err
    model = isolated.bentoml / "models" / "shards" / "v1"
    for path, content in {**LARGE, **SMALL}.items():
        assert (model / path).read_bytes() == content


def test_any_pack_that_is_damaged_is_refused_whatever_is_digested_beside_it(
    stocked: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = export(stocked, site, tmp_path / "depot", "--model", "shards:v1")
    packs = [depot / layout.pack_name(pack.digest) for pack in read_manifest(depot).packs]
    assert len(packs) > 5

    for pack in packs:
        whole = pack.read_bytes()
        pack.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        ran = isolated.run("verify", depot, "--jobs", "16")
        assert ran.code == 10, ran.err
        assert f"{pack} is damaged" in ran.err
        pack.write_bytes(whole)

    packs[0].write_bytes(packs[0].read_bytes()[:-1])
    assert isolated.run("import", depot, "--jobs", "16").code == 10
    assert not (isolated.bentoml / "models" / "shards").exists()


def test_each_large_file_has_packs_of_its_own(stocked: Side, site: Site, tmp_path: Path) -> None:
    manifest = read_manifest(export(stocked, site, tmp_path / "d", "--model", "shards:v1"))

    packs = [set(list_packs(manifest, f"part-{number}.bin")) for number in (1, 2, 4, 5)]

    assert list(map(len, packs)) == [1, 1, 1, 1]
    assert len(set.union(*packs)) == 4
    assert list_packs(manifest, "a.txt") == list_packs(manifest, "z.bin")
    assert len(manifest.packs) == 6


def test_a_chunk_of_two_files_is_stored_once(stocked: Side, site: Site, tmp_path: Path) -> None:
    manifest = read_manifest(export(stocked, site, tmp_path / "d", "--model", "shards:v1"))

    chunks = {file.path: file.chunks for item in manifest.items for file in item.files}

    assert chunks["part-2.bin"][0] == chunks["part-3.bin"][0]
    assert chunks["part-1.bin"] == chunks["part-6.bin"]
    packs = list_packs(manifest, "part-2.bin"), list_packs(manifest, "part-3.bin")
    assert packs[0][0] in packs[1]
    assert len(packs[0]) == 1
    assert len(packs[1]) == 2


def test_a_large_file_keeps_its_packs_when_others_change(
    stocked: Side, site: Site, tmp_path: Path
) -> None:
    depot = export(stocked, site, tmp_path / "depot", "--model", "shards:v1")
    before = read_manifest(depot)
    changed = {"a.txt": b"second\n", "part-0.bin": stores.noise(4 * MIB, 7)}
    stores.add_model(stocked, "shards:v2", {**LARGE, **SMALL, **changed})

    after = read_manifest(export(stocked, site, tmp_path / "two", "--model", "shards:v2"))

    for number in (1, 4, 5, 6):
        path = f"part-{number}.bin"
        assert list_packs(before, path) == list_packs(after, path)


def test_a_pipe_brings_packs_in_the_order_of_the_manifest(
    stocked: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    file = export(stocked, site, tmp_path / "shards.airgap", "--model", "shards:v1", "--jobs", "4")

    ran = isolated.process("import", "-", stdin=file.read_bytes())

    assert ran.returncode == 0, ran.stderr
