"""The manifest (format §4). Most of what is refused: tests/vectors and tests/attacks."""

from dataclasses import replace
from typing import Any

import pytest

from airgap.errors import CorruptError, PolicyError
from airgap.format import limits, manifest
from airgap.format.manifest import NO_BASE, Block, ChunkTable, Manifest, Pack
from tests.support import forge
from tests.support.forge import u32

TWO = (b"\1" * 32, b"\2" * 32)


def table(**changes: object) -> dict[str, Any]:
    """A manifest's map of two packs, three blocks and five chunks, the last of them needed."""
    made: dict[str, Any] = forge.draft().manifest
    made["chunks"] = {
        "digests": b"".join(bytes([number]) * 32 for number in range(5)),
        "lengths": u32(10, 20, 30, 40, 50),
    }
    made["blocks"] = {
        "bases": u32(NO_BASE, NO_BASE, NO_BASE),
        "chunk_counts": u32(2, 1, 1),
        "codecs": b"\0\1\0",
        "offsets": u32(0, 35, 5),
        "stored_lengths": u32(30, 30, 40),
    }
    made["packs"] = {"block_counts": u32(2, 1), "digests": b"".join(TWO), "sizes": u32(65, 45)}
    for path, value in changes.items():
        section, _, key = path.partition("__")
        if key:
            made[section][key] = value
        else:
            made[section] = value
    return made


def test_packs_blocks_and_chunks_are_read_in_their_order() -> None:
    decoded = manifest.decode(forge.pack(table()))

    first, second = decoded.packs
    assert [*first.blocks] == [Block(0, 30, 0, 0, 2), Block(35, 30, 1, 2, 1)]
    assert [*second.blocks] == [Block(5, 40, 0, 3, 1)]
    assert (first.chunk_range, second.chunk_range) == (range(3), range(3, 4))
    assert (first.digest, first.size, decoded.carried, len(decoded.chunks)) == (TWO[0], 65, 4, 5)
    assert decoded.chunks.digest(3) == b"\3" * 32
    assert (decoded.size, decoded.stored_size) == (0, 110)


def test_a_manifest_is_written_as_it_was_read() -> None:
    raw = forge.pack(table())

    assert manifest.encode(manifest.decode(raw)) == raw


def test_blocks_of_a_pack_are_a_sequence_like_any_other() -> None:
    blocks = manifest.decode(forge.pack(table())).packs[0].blocks

    assert blocks == tuple(blocks)
    assert blocks[:1] == (blocks[0],)
    assert blocks[-1] == blocks[1]
    assert hash(blocks) == hash(tuple(blocks))
    assert blocks != object()


def test_a_manifest_of_nothing_is_a_manifest() -> None:
    decoded = manifest.decode(forge.draft().raw())

    assert (decoded.items, decoded.packs, decoded.carried, decoded.size) == ((), (), 0, 0)


def test_a_bundle_is_named_by_the_sha256_of_its_manifest() -> None:
    assert manifest.bundle_id(b"") == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_a_writer_makes_nothing_that_is_too_long_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANIFEST_BYTES", 100)
    with pytest.raises(CorruptError, match="at most 100 are allowed"):
        manifest.encode(Manifest((), ChunkTable(b"", ()), (), 0, "test"))


def difference(base: int, *, chunks: int = 1, length: int = 30, codec: int = 3) -> dict[str, Any]:
    """Make the second block a difference."""
    return table(
        blocks__bases=u32(NO_BASE, base, NO_BASE),
        blocks__codecs=bytes([0, codec, 0]),
        blocks__chunk_counts=u32(2, chunks, 1),
        chunks__lengths=u32(10, 20, 30, 40, length),
    )


def test_a_base_is_a_needed_chunk_of_the_same_length() -> None:
    packs = manifest.decode(forge.pack(difference(4))).packs

    assert [block.base for pack in packs for block in pack.blocks] == [NO_BASE, 4, NO_BASE]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(difference(2), id="a base that is itself"),
        pytest.param(difference(3), id="a base that is carried"),
        pytest.param(difference(5), id="a base that there is not"),
        pytest.param(difference(NO_BASE), id="a difference without a base"),
        pytest.param(difference(4, length=31), id="a base of another length"),
        pytest.param(difference(4, chunks=2), id="a difference of two chunks"),
        pytest.param(difference(4, codec=1), id="a base for zstd"),
        pytest.param(table(chunks=[]), id="no chunk table"),
        pytest.param(table(chunks__digests=bytes(160)), id="a chunk twice"),
        pytest.param(table(chunks__lengths=u32(10, 20, 30, 40)), id="a length too few"),
        pytest.param(table(chunks__lengths=u32(0, 20, 30, 40, 50)), id="an empty chunk"),
        pytest.param(table(chunks__lengths=u32(2**22 + 1, 2, 3, 4, 5)), id="too long a chunk"),
        pytest.param(
            table(chunks__lengths=u32(2**22, 1, 30, 40, 50)), id="a block of too long chunks"
        ),
        pytest.param(table(blocks__codecs=b"\0\0"), id="a codec too few"),
        pytest.param(table(blocks__chunk_counts=u32(2, 0, 1)), id="a block of no chunks"),
        pytest.param(table(blocks__chunk_counts=u32(2, 1, 3)), id="chunks that there are not"),
        pytest.param(table(blocks__stored_lengths=u32(30, 0, 40)), id="an empty block"),
        pytest.param(table(blocks__stored_lengths=u32(31, 30, 40)), id="longer than plain"),
        pytest.param(table(blocks__offsets=u32(6, 35, 5)), id="blocks that overlap"),
        pytest.param(table(blocks__offsets=u32(35, 0, 5)), id="blocks in another order"),
        pytest.param(table(blocks__offsets=u32(0, 36, 5)), id="a block beyond its pack"),
        pytest.param(table(blocks__offsets=u32(0, 35, 2**32 - 1)), id="far beyond its pack"),
        pytest.param(table(packs__sizes=u32(65)), id="a size too few"),
        pytest.param(table(packs__sizes=u32(65, 68 * 2**20 + 1)), id="too large a pack"),
        pytest.param(table(packs__block_counts=u32(2, 2)), id="blocks that there are not"),
        pytest.param(table(packs__block_counts=u32(3, 0)), id="a pack of no blocks"),
        pytest.param(table(packs__digests=TWO[0] * 2), id="a pack twice"),
        pytest.param(table(channel="Weekly"), id="a channel in upper case"),
        pytest.param(table(audience=["a b"]), id="an audience that is no name"),
        pytest.param(table(tool="x\n"), id="a tool of two lines"),
        pytest.param(table(format=0), id="an older format"),
        pytest.param(table(reader=0), id="an older reader"),
        pytest.param(table(hash="sha512"), id="another digest"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_corrupt(value: dict[str, Any]) -> None:
    with pytest.raises(CorruptError):
        manifest.decode(forge.pack(value))


def test_items_are_sorted() -> None:
    made = forge.draft(forge.model({}, "b:v1"), forge.model({}, "a:v1"))

    with pytest.raises(CorruptError, match="not sorted"):
        manifest.decode(made.raw())


@pytest.mark.parametrize("value", [b"\xc0", b"\x90", b"\x80"])
def test_what_is_no_map_of_the_fields_is_corrupt(value: bytes) -> None:
    with pytest.raises(CorruptError):
        manifest.decode(value)


@pytest.mark.parametrize("field", ["format", "reader"])
def test_a_newer_version_is_told_before_any_other_field_is_looked_at(field: str) -> None:
    with pytest.raises(PolicyError, match="version 7"):
        manifest.decode(forge.pack({field: 7, "whatever": None}))


def test_a_version_that_is_no_number_is_corrupt() -> None:
    with pytest.raises(CorruptError):
        manifest.decode(forge.pack(table(format="7", reader=True)))


def test_entries_of_all_items_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = forge.draft(forge.model({"a": b"", "b": b""}), forge.bento({"a": b""}))
    assert len(manifest.decode(made.raw()).items) == 2

    monkeypatch.setattr(limits, "ENTRIES", 4)
    with pytest.raises(CorruptError, match="more than 4 entries"):
        manifest.decode(made.raw())


def test_a_pack_made_by_hand_is_the_same_as_one_that_was_read() -> None:
    decoded = manifest.decode(forge.pack(table()))
    made = replace(
        decoded, packs=tuple(Pack(one.digest, one.size, (*one.blocks,)) for one in decoded.packs)
    )

    assert manifest.encode(made) == manifest.encode(decoded)
