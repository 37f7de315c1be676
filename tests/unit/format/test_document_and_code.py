"""Rules of docs/format.md that reading it against the code found unkept."""

from dataclasses import replace

import pytest

from airgap.errors import CorruptError
from airgap.format import manifest, root
from airgap.format.inventory import Entry, File, Folder, Link, make_item
from airgap.format.manifest import Block, ChunkTable, Manifest, Pack
from airgap.format.root import Key, RoleKeys, Root


def _file(path: str) -> File:
    return File(path, executable=False, size=0, digest=bytes(32), chunks=())


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((_file("a"), Folder("a/b")), id="below a file"),
        pytest.param((Link("a", "c"), Folder("a/b")), id="below a link"),
        pytest.param((Folder("a"), Folder("a/b")), id="below an empty folder"),
    ],
)
def test_no_empty_folder_lies_below_another_entry(entries: tuple[Entry, ...]) -> None:
    with pytest.raises(CorruptError, match="below it"):
        make_item("model", "m", "v1", entries)


@pytest.mark.parametrize("target", ["d/up/../out", "d/up/.", "d/up/", "D/UP/../out"])
def test_a_link_does_not_go_through_another_link_on_its_way_up(target: str) -> None:
    # d/up is the item's own folder; the system would take `..` from there, and be outside.
    with pytest.raises(CorruptError, match="through another link"):
        make_item("model", "m", "v1", [Link("d/up", ".."), Link("x", target)])


def test_a_link_may_point_to_another_link() -> None:
    make_item("model", "m", "v1", [Link("x", "y"), Link("y", "z")])


def test_only_a_difference_has_a_base() -> None:
    chunks = ChunkTable(bytes(32) + b"\1" * 32, (1, 1))
    based = Block(offset=0, stored_length=1, codec=1, first_chunk=0, chunk_count=1, base=1)
    made = Manifest((), chunks, (Pack(bytes(32), 1, (based,)),), 0, "test")

    with pytest.raises(CorruptError, match="does not use one"):
        manifest.decode(manifest.encode(made))


def test_a_root_revokes_nothing_but_key_ids() -> None:
    key = Key(b"any key", "ed25519")
    role = RoleKeys((key.id,), 1)
    good = Root("ward", 1, (key,), {"root": role, "builder": role}, {})
    assert root.decode(root.encode(good)).site == "ward"

    with pytest.raises(CorruptError, match="not a key id"):
        root.decode(root.encode(replace(good, revoked_keys=("ab",))))


def test_a_root_need_not_tell_when_it_was_drawn_up() -> None:
    key = Key(b"any key", "ed25519")
    role = RoleKeys((key.id,), 1)
    undated = Root("ward", 1, (key,), {"root": role, "builder": role}, {})

    for one in (undated, replace(undated, created_at=0)):
        assert root.decode(root.encode(one)) == one
