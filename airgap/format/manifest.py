"""The manifest: the one signed document of a bundle (format §4)."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from operator import add, ge, le, sub
from typing import Any, Final, overload

from airgap.errors import CorruptError, PolicyError
from airgap.format import canonical, labels, limits, names, sealed
from airgap.format.fields import DIGEST_BYTES, HASH, Fields, encode_u32
from airgap.format.inventory import Item, ReadChunks, item_from_map, item_to_map
from airgap.format.kinds import highest_reader, required_reader
from airgap.format.sealed import SealedIndex

__all__ = ["NO_BASE", "Block", "ChunkTable", "Manifest", "Pack", "bundle_id", "decode", "encode"]

FORMAT: Final = 1
_READER: Final = 3  # the highest that is known here, format §4.1
NO_BASE: Final = 0xFFFF_FFFF
_DIFFERENCE: Final = 3  # the codec that has a base, format §5.2


@dataclass(frozen=True, slots=True)
class Block:
    """``chunk_count`` chunks from ``first_chunk`` on, stored together (format §4.3).

    ``offset`` and ``stored_length`` are in bytes.
    """

    offset: int
    stored_length: int
    codec: int
    first_chunk: int
    chunk_count: int
    base: int = NO_BASE


@dataclass(frozen=True, slots=True)
class _BlockColumns:
    """All blocks of a manifest as columns. ``chunk_ends`` begins with 0."""

    offsets: "array[int]"
    stored_lengths: "array[int]"
    codecs: bytes
    chunk_ends: "array[int]"
    bases: "array[int]"


class _PackBlocks(Sequence[Block]):
    """The blocks of one pack; the objects are made on access."""

    __slots__ = ("_columns", "_span")

    def __init__(self, columns: _BlockColumns, span: range) -> None:
        self._columns = columns
        self._span = span

    def __len__(self) -> int:
        return len(self._span)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Block]: ...
    def __getitem__(self, index: int | slice) -> Block | Sequence[Block]:
        if isinstance(index, slice):
            return _PackBlocks(self._columns, self._span[index])
        at, columns = self._span[index], self._columns
        first = columns.chunk_ends[at]
        return Block(
            columns.offsets[at],
            columns.stored_lengths[at],
            columns.codecs[at],
            first,
            columns.chunk_ends[at + 1] - first,
            columns.bases[at],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack: SHA-256, size in bytes, and where its blocks are (format §4.3)."""

    digest: bytes
    size: int
    blocks: Sequence[Block]

    @property
    def chunk_range(self) -> range:
        """Indexes of the chunks that it carries."""
        last = self.blocks[-1]
        return range(self.blocks[0].first_chunk, last.first_chunk + last.chunk_count)


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """Digests (32 bytes each, in one byte string) and lengths of all chunks (format §4.2)."""

    digests: bytes
    lengths: Sequence[int]

    def __len__(self) -> int:
        """Return the number of chunks."""
        return len(self.lengths)

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of one chunk's plain bytes."""
        return self.digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a bundle (format §4.1). Times are in seconds since 1970."""

    items: tuple[Item, ...]
    chunks: ChunkTable
    packs: tuple[Pack, ...]
    created_at: int
    tool: str
    channel: str = "default"
    sequence: int = 0
    audience: tuple[str, ...] = ()
    expires_at: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    completes: bytes | None = None
    """The id of the bundle to which this one brings missing chunks (format §22)."""
    sealed: SealedIndex | None = None
    """If this is the index of a sealed bundle: what it says of it (format §34)."""
    carried: int = field(init=False)

    def __post_init__(self) -> None:
        """Count the carried chunks: those in packs (format §4.2)."""
        carried = self.packs[-1].chunk_range.stop if self.packs else 0
        object.__setattr__(self, "carried", carried)

    @property
    def reader(self) -> int:
        """The lowest format version that a reader must know (format §4.1).

        Raises PolicyError for an item of a kind that this version does not know.
        """
        if self.sealed is not None:
            return _READER
        has_news = bool(self.labels) or self.completes is not None
        return max(2 if has_news else 1, required_reader({item.kind for item in self.items}))

    @property
    def size(self) -> int:
        """Plain bytes of all files of all items."""
        return sum(item.size for item in self.items)

    @property
    def stored_size(self) -> int:
        """Bytes of all packs."""
        return sum(pack.size for pack in self.packs)


def bundle_id(raw: bytes) -> str:
    """Return the bundle id: the SHA-256 of the manifest's bytes in hex (format §1)."""
    return hashlib.sha256(raw).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """Encode a manifest (format §4).

    Raises:
        CorruptError: it is larger than a reader accepts.
    """
    blocks = [block for pack in manifest.packs for block in pack.blocks]
    raw = canonical.encode(
        {
            "audience": manifest.audience,
            "blocks": {
                "bases": encode_u32([block.base for block in blocks]),
                "chunk_counts": encode_u32([block.chunk_count for block in blocks]),
                "codecs": bytes(block.codec for block in blocks),
                "offsets": encode_u32([block.offset for block in blocks]),
                "stored_lengths": encode_u32([block.stored_length for block in blocks]),
            },
            "channel": manifest.channel,
            "chunks": {
                "digests": manifest.chunks.digests,
                "lengths": encode_u32(manifest.chunks.lengths),
            },
            **({} if manifest.completes is None else {"completes": manifest.completes}),
            "created_at": manifest.created_at,
            "expires_at": manifest.expires_at,
            "format": FORMAT,
            "hash": HASH,
            "items": [item_to_map(item) for item in manifest.items],
            **({"labels": manifest.labels} if manifest.labels else {}),
            "packs": {
                "block_counts": encode_u32([len(pack.blocks) for pack in manifest.packs]),
                "digests": b"".join(pack.digest for pack in manifest.packs),
                "sizes": encode_u32([pack.size for pack in manifest.packs]),
            },
            "reader": manifest.reader,
            **({} if manifest.sealed is None else {"sealed": _index_to_map(manifest.sealed)}),
            "sequence": manifest.sequence,
            "tool": manifest.tool,
        }
    )
    if len(raw) > limits.MANIFEST_BYTES:
        raise CorruptError(
            f"The manifest would have {len(raw):,} bytes (at most {limits.MANIFEST_BYTES:,} are"
            " allowed).",
            "Export fewer items into one bundle.",
        )
    return raw


def decode(raw: bytes) -> Manifest:
    """Decode and check a manifest; call this only with bytes that are already authenticated.

    Raises:
        CorruptError: it breaks a rule of format §2 to §4.
        PolicyError: it needs a newer reader (format §4.1).
    """
    value = canonical.decode(raw, limit=limits.MANIFEST_BYTES, what="manifest")
    _refuse_newer(value)
    optional = _OPTIONAL_KEYS.intersection(value if type(value) is dict else ())
    fields = Fields(value, _KEYS | optional, "manifest")
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)
    chunks = _decode_chunks(fields)
    most = limits.SEALED_PACK_BYTES if "sealed" in optional else limits.PACK_BYTES
    packs = _decode_packs(fields, chunks, most)
    read_chunks = ReadChunks(chunks.lengths)
    items = tuple(
        item_from_map(value, read_chunks) for value in fields.array("items", limits.ITEMS)
    )
    manifest = Manifest(
        items=items,
        chunks=chunks,
        packs=packs,
        created_at=fields.time("created_at"),
        tool=fields.text("tool", limits.TOOL_CHARACTERS),
        channel=fields.text("channel"),
        sequence=fields.integer("sequence"),
        audience=fields.sorted_texts("audience", limits.SITES),
        expires_at=fields.time_or_none("expires_at"),
        labels=labels.decode(fields, "labels") if "labels" in optional else {},
        completes=fields.digest("completes") if "completes" in optional else None,
        sealed=sealed.decode_index(fields) if "sealed" in optional else None,
    )
    _check_reader(manifest, fields)
    _check_sealed(manifest, fields)
    _check_names(manifest, fields)
    return manifest


_KEYS = frozenset(
    {
        "audience",
        "blocks",
        "channel",
        "chunks",
        "created_at",
        "expires_at",
        "format",
        "hash",
        "items",
        "packs",
        "reader",
        "sequence",
        "tool",
    }
)
_OPTIONAL_KEYS = frozenset({"completes", "labels", "sealed"})
_BLOCK_KEYS = frozenset({"bases", "chunk_counts", "codecs", "offsets", "stored_lengths"})


def _refuse_newer(value: Any) -> None:  # noqa: ANN401
    """Refuse what only a newer reader understands, before its fields are checked (§4.1)."""
    if type(value) is not dict:
        return
    supported = {"format": FORMAT, "reader": max(_READER, highest_reader())}
    newer = [
        value[key]
        for key, highest in supported.items()
        if type(value.get(key)) is int and value[key] > highest
    ]
    if newer:
        raise PolicyError(
            f"The bundle needs format version {max(newer)}; this airgap reads version"
            f" {supported['reader']}.",
            "Install a newer airgap on this side.",
        )


def _check_reader(manifest: Manifest, fields: Fields) -> None:
    """Refuse a ``reader`` that does not follow from the content (format §4.1)."""
    reader, needed = fields.integer("reader"), manifest.reader
    if reader > needed:
        raise PolicyError(
            f"The bundle needs format version {reader} for something that this airgap does not"
            " know.",
            "Install a newer airgap on this side.",
        )
    if reader < needed:
        raise fields.error(f"has {reader} in 'reader' (expected {needed})")
    if manifest.completes is not None and manifest.sequence:
        raise fields.error("completes another bundle and has a number of its own")


def _check_sealed(manifest: Manifest, fields: Fields) -> None:
    """Refuse an index that says more than format §34.3 permits: it would tell a finder."""
    if manifest.sealed is None:
        return
    says_more = (
        manifest.items
        or manifest.labels
        or manifest.completes is not None
        or manifest.sequence
        or manifest.expires_at is not None
        or manifest.channel != sealed.CHANNEL
    )
    if says_more:
        raise fields.error("is sealed and has items, labels, a channel, a number or an end")
    sealed.check_packs(manifest.packs, manifest.chunks.lengths, fields)


def _index_to_map(index: SealedIndex) -> dict[str, Any]:
    return {"commitment": index.commitment, "recipients": index.recipients, "seal": index.seal}


def _decode_chunks(fields: Fields) -> ChunkTable:
    table = Fields(
        fields.table("chunks", 2), frozenset({"digests", "lengths"}), "manifest's chunk table"
    )
    digests = table.column("digests", DIGEST_BYTES, limits.CHUNKS)
    lengths = table.u32("lengths", limits.CHUNKS)
    if len(digests) != DIGEST_BYTES * len(lengths):
        raise table.error("has columns of different lengths")
    if lengths and not 1 <= min(lengths) <= max(lengths) <= limits.CHUNK_BYTES:
        raise table.error("has an empty chunk, or one that is too long")
    if len(set(_slices(digests))) != len(lengths):
        raise table.error("has a chunk twice")
    return ChunkTable(digests, lengths)


def _decode_packs(fields: Fields, chunks: ChunkTable, most: int) -> tuple[Pack, ...]:
    packs = Fields(
        fields.table("packs", 3),
        frozenset({"block_counts", "digests", "sizes"}),
        "manifest's pack table",
    )
    counts = packs.u32("block_counts", limits.PACKS)
    sizes = packs.u32("sizes", limits.PACKS)
    digests = _slices(packs.column("digests", DIGEST_BYTES, limits.PACKS))
    blocks = _decode_blocks(fields, chunks)
    if not len(counts) == len(sizes) == len(digests) or sum(counts) != len(blocks.offsets):
        raise packs.error("has columns of different lengths")
    if len(set(digests)) != len(digests):
        raise packs.error("has a pack twice")
    if len(counts) and (min(counts) < 1 or max(sizes) > most):
        raise packs.error("has a pack without blocks, or one that is too long")
    spans = pairwise(accumulate(counts, initial=0))
    return tuple(
        Pack(digest, size, _PackBlocks(blocks, _check_span(blocks, span, size, packs)))
        for digest, size, span in zip(digests, list(sizes), spans, strict=True)
    )


def _decode_blocks(fields: Fields, chunks: ChunkTable) -> _BlockColumns:
    """Check the columns as a whole: an object for each of a million blocks would take too long."""
    table = Fields(fields.table("blocks", 5), _BLOCK_KEYS, "manifest's block table")
    counts = table.u32("chunk_counts", limits.CHUNKS)
    ends = array("Q", accumulate(counts, initial=0))
    blocks = _BlockColumns(
        offsets=table.u32("offsets", limits.CHUNKS),
        stored_lengths=table.u32("stored_lengths", limits.CHUNKS),
        codecs=table.column("codecs", 1, limits.CHUNKS),
        chunk_ends=ends,
        bases=table.u32("bases", limits.CHUNKS),
    )
    columns = (blocks.offsets, blocks.stored_lengths, blocks.codecs, counts, blocks.bases)
    if len({len(column) for column in columns}) != 1:
        raise table.error("has columns of different lengths")
    if (len(counts) and min(counts) < 1) or ends[-1] > len(chunks):
        raise table.error("has a block without chunks, or with chunks that do not exist")
    chunk_offsets = array("Q", accumulate(chunks.lengths, initial=0))
    block_offsets = [chunk_offsets[end] for end in ends]
    plain = array("Q", map(sub, block_offsets[1:], block_offsets))
    stored = blocks.stored_lengths
    if len(plain) and (max(plain) > limits.CHUNK_BYTES or not all(map(le, stored, plain))):
        raise table.error("has a block that is too long")
    if len(stored) and min(stored) < 1:
        raise table.error("has an empty block")
    _check_bases(blocks, counts, chunks, table)
    return blocks


def _check_bases(
    blocks: _BlockColumns, counts: Sequence[int], chunks: ChunkTable, table: Fields
) -> None:
    """Check that only differences have a base: a needed chunk of the same length (format §4.3)."""
    if blocks.bases.count(NO_BASE) == len(blocks.bases) and _DIFFERENCE not in blocks.codecs:
        return
    carried, lengths = blocks.chunk_ends[-1], chunks.lengths
    rows = zip(blocks.codecs, counts, blocks.chunk_ends, blocks.bases, strict=False)
    for codec, count, chunk, base in rows:
        if codec != _DIFFERENCE:
            if base != NO_BASE:
                raise table.error("has a base for a codec that does not use one")
            continue
        if count != 1 or not carried <= base < len(chunks) or lengths[chunk] != lengths[base]:
            raise table.error("has a difference with an unsuitable base")


def _check_span(blocks: _BlockColumns, span: tuple[int, int], size: int, packs: Fields) -> range:
    """Check that a pack's blocks ascend, do not overlap and end inside it (format §4.3)."""
    start, end = span
    offsets = blocks.offsets[start:end]
    ends = array("Q", map(add, offsets, blocks.stored_lengths[start:end]))
    if not all(map(ge, offsets[1:], ends)):
        raise packs.error("has blocks that overlap or do not ascend")
    if ends[-1] > size:
        raise packs.error("has a block that ends beyond its pack")
    return range(start, end)


def _check_names(manifest: Manifest, fields: Fields) -> None:
    if names.has_invisible(manifest.tool):  # `inspect` prints it even unverified
        raise fields.error("has invisible or control characters in 'tool'")
    if not all(map(names.is_tag_part, (manifest.channel, *manifest.audience))):
        raise fields.error("has an invalid channel name or site id")
    keys = [item.key for item in manifest.items]
    if keys != sorted(set(keys)):
        raise fields.error("has items that are not sorted, or not unique")
    if sum(len(item.entries) for item in manifest.items) > limits.ENTRIES:
        raise fields.error(f"has more than {limits.ENTRIES:,} entries")


def _slices(digests: bytes) -> list[bytes]:
    return [digests[i : i + DIGEST_BYTES] for i in range(0, len(digests), DIGEST_BYTES)]
