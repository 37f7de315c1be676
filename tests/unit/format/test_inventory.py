"""Items and their inventories (format §3)."""

from collections.abc import Sequence
from typing import Any

import pytest

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.inventory import (
    Entry,
    File,
    Folder,
    Item,
    Link,
    ReadChunks,
    item_from_map,
    item_to_map,
    make_item,
)

READ = ReadChunks([3, 5])
FILE = File("b.bin", executable=True, size=8, digest=bytes(32), chunks=(0, 1))
ENTRIES: Sequence[Entry] = (FILE, Link("a", "b.bin"), Folder("c/d"))


def as_map(**fields: object) -> dict[str, Any]:
    """A good item's map, but for these fields."""
    raw = canonical.encode(item_to_map(make_item("model", "m", "v1", ENTRIES)))
    return {**canonical.decode(raw, limit=len(raw), what="item"), **fields}


def with_entry(**fields: object) -> dict[str, Any]:
    """The map of an item whose file entry has these fields."""
    value = as_map()
    value["entries"][1].update(fields)
    return value


def test_an_item_is_read_as_it_was_written() -> None:
    item = make_item("model", "m", "v1", ENTRIES)

    assert item_from_map(as_map(), READ) == item
    assert [entry.path for entry in item.entries] == ["a", "b.bin", "c/d"]
    assert (item.tag, item.size, item.files, str(item)) == ("m:v1", 8, (FILE,), "model m:v1")


def test_the_digest_of_an_item_does_not_depend_on_its_chunks() -> None:
    other = File("b.bin", executable=True, size=8, digest=bytes(32), chunks=(1, 0))

    one = make_item("model", "m", "v1", [FILE])

    assert make_item("model", "m", "v1", [other]).digest == one.digest
    assert make_item("bento", "m", "v1", [FILE]).digest != one.digest
    assert make_item("model", "m", "v2", [FILE]).digest != one.digest


def test_entries_are_sorted_by_their_utf8_bytes() -> None:
    paths = ["\U00010000", "\uff5e", "z", "a"]

    item = make_item("model", "m", "v1", [Link(path, "x") for path in paths])

    assert [entry.path for entry in item.entries] == paths[::-1]


def test_models_come_before_what_needs_them() -> None:
    items = [Item(kind, "m", "v1", (), b"") for kind in ("bento", "hugging-face", "model")]

    ordered = sorted(items, key=lambda item: item.key)

    assert [item.kind for item in ordered] == ["model", "hugging-face", "bento"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no map"),
        pytest.param(as_map(kind="wheel"), id="another kind"),
        pytest.param(as_map(kind=["model"]), id="a kind that is no text"),
        pytest.param(as_map(name="M"), id="a name in upper case"),
        pytest.param(as_map(version="latest"), id="the version latest"),
        pytest.param(as_map(kind="hugging-face"), id="a version that is no commit"),
        pytest.param(as_map(digest=bytes(32)), id="another digest"),
        pytest.param(as_map(digest=b""), id="no digest"),
        pytest.param(as_map(entries={}), id="no list of entries"),
        pytest.param(as_map(entries=[None]), id="an entry that is no map"),
        pytest.param(as_map(entries=as_map()["entries"][::-1]), id="another order"),
        pytest.param(as_map(entries=as_map()["entries"][:1] * 2), id="an entry twice"),
        pytest.param(with_entry(type="device"), id="another type"),
        pytest.param(with_entry(type=["file"]), id="a type that is no text"),
        pytest.param(with_entry(type="link"), id="a link with a file's fields"),
        pytest.param(with_entry(path="../x"), id="a path that goes up"),
        pytest.param(with_entry(executable=1), id="a number for a boolean"),
        pytest.param(with_entry(size=limits.FILE_BYTES + 1), id="too long a file"),
        pytest.param(with_entry(size=9), id="another size than its chunks'"),
        pytest.param(with_entry(chunks=b"\0\0\0\2"), id="a chunk that there is not"),
        pytest.param(with_entry(chunks=b"\0\0\0"), id="half a chunk's number"),
        pytest.param(with_entry(chunks=[0, 1]), id="chunks that are no column"),
    ],
)
def test_an_item_that_breaks_a_rule_is_corrupt(value: object) -> None:
    with pytest.raises(CorruptError):
        item_from_map(value, READ)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([Link("a", "../x")], id="a link that leads out"),
        pytest.param([Link("a", "x"), Folder("A")], id="two paths on each other"),
        pytest.param([Folder("a\u202e")], id="an invisible character"),
        pytest.param([Folder("\ud800")], id="a surrogate"),
    ],
)
def test_a_writer_is_held_to_the_same_rules(entries: list[Entry]) -> None:
    with pytest.raises((CorruptError, UnicodeEncodeError)):
        make_item("model", "m", "v1", entries)


def test_the_digest_is_that_of_the_document_in_the_specification() -> None:
    item = make_item("model", "m", "v1", [Folder("x")])
    document = {
        "entries": [{"path": "x", "type": "folder"}],
        "hash": "sha256",
        "kind": "model",
        "name": "m",
        "version": "v1",
    }
    import hashlib

    assert item.digest == hashlib.sha256(canonical.encode(document)).digest()
