"""Items and their inventories (format §3): what travels, before anything is stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, NamedTuple

from airgap.errors import CorruptError
from airgap.format import canonical, limits, names
from airgap.format.canonical import Records
from airgap.format.fields import HASH, Fields, encode_u32
from airgap.format.kinds import Kind, KindRules, find_rules

__all__ = [
    "Entry",
    "File",
    "Folder",
    "Item",
    "Link",
    "ReadChunks",
    "check_item",
    "draft_item",
    "entry_identity",
    "item_digest",
    "item_from_map",
    "item_to_map",
    "make_item",
    "tag_problem",
]


class File(NamedTuple):
    """A regular file: ``size`` in bytes, SHA-256 ``digest``, ``chunks`` as table indexes."""

    path: str
    executable: bool
    size: int
    digest: bytes
    chunks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A relative symbolic link that stays inside its item."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds nothing."""

    path: str


Entry = File | Link | Folder


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that travels. ``digest`` covers kind, tag and entries without chunks (§3.2)."""

    kind: Kind
    name: str
    version: str
    entries: tuple[Entry, ...]
    digest: bytes

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def key(self) -> tuple[int, str, str]:
        """What items are sorted by and unique in (format §3.2)."""
        return self.rules.rank, self.name, self.version

    @property
    def rules(self) -> KindRules:
        """What the format says of the item's kind."""
        return find_rules(self.kind)

    @property
    def files(self) -> tuple[File, ...]:
        """The regular files among the entries."""
        return tuple([entry for entry in self.entries if isinstance(entry, File)])

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum([entry.size for entry in self.entries if isinstance(entry, File)])

    def __str__(self) -> str:
        """Name kind and tag, as people are told."""
        return f"{self.kind} {self.tag}"


def make_item(kind: Kind, name: str, version: str, entries: Sequence[Entry]) -> Item:
    """Sort and check entries and compute the item's digest.

    Raises:
        CorruptError: a tag, path or link that may not travel (format §2.4 to §2.6).
    """
    item = draft_item(kind, name, version, entries)
    return replace(item, digest=item_digest(kind, name, version, item.entries))


def draft_item(kind: Kind, name: str, version: str, entries: Sequence[Entry]) -> Item:
    """Do so without a digest, which takes the longest: its place is filled with zeros."""
    item = Item(kind, name, version, tuple(sorted(entries, key=_PATH)), bytes(32))
    check_item(item)
    return item


def item_digest(kind: str, name: str, version: str, entries: Sequence[Entry]) -> bytes:
    """Compute the digest of an item (format §3.2)."""
    document = {
        "entries": Records([entry_identity(entry) for entry in entries]),
        "hash": HASH,
        "kind": kind,
        "name": name,
        "version": version,
    }
    return hashlib.sha256(canonical.encode(document)).digest()


def check_item(item: Item) -> None:
    """Check tag, paths, order, links and collisions (format §2.4 to §2.6, §3.1).

    Raises:
        CorruptError: one of them is not allowed.
    """
    problem = tag_problem(item.kind, item.name, item.version)
    if problem:
        raise CorruptError(f"The {item.kind} {item.tag!r} {problem}.", "Build it under a new tag.")
    previous = ""
    links = frozenset(names.fold(entry.path) for entry in item.entries if isinstance(entry, Link))
    for entry in item.entries:
        if entry.path <= previous:  # by code point, which is the order of UTF-8 bytes
            raise CorruptError(f"The entries of {item} are not sorted at {entry.path!r}.", _AGAIN)
        previous = entry.path
        problem = names.path_problem(entry.path)
        hint = item.rules.path_hint(entry.path) if problem else _PUT_FILE
        if problem is None and isinstance(entry, Link):
            problem = names.target_problem(entry.path, entry.target, links)
        if problem:
            raise CorruptError(f"The path {entry.path!r} of {item} {problem}.", hint)
    paths = (entry.path for entry in item.entries)
    names.refuse_collisions(paths, str(item), item.rules.path_hint)


def tag_problem(kind: str, name: str, version: str) -> str | None:
    """Say why a tag may not travel, or None (format §2.4)."""
    if find_rules(kind).is_tag(name, version):
        return None
    return "has a name or version that is not allowed"


def item_to_map(item: Item) -> dict[str, Any]:
    """Make the map of format §3.2."""
    return {
        "digest": item.digest,
        "entries": Records([_entry_to_map(entry) for entry in item.entries]),
        "kind": item.kind,
        "name": item.name,
        "version": item.version,
    }


class ReadChunks:
    """Checks a file's chunk column against the chunk table (format §3.1)."""

    def __init__(self, lengths: Sequence[int]) -> None:
        """Take the lengths of all chunks."""
        self._lengths = lengths
        self._left = limits.CHUNK_USES

    def __call__(self, fields: Fields, size: int) -> tuple[int, ...]:
        """Decode the column; CorruptError unless the chunks exist and add up to ``size``."""
        chunks = fields.u32("chunks", self._left)
        self._left -= len(chunks)
        try:
            total = sum(map(self._lengths.__getitem__, chunks))
        except IndexError:
            raise fields.error("names a chunk that is not in the table") from None
        if total != size:
            raise fields.error(f"has {size} bytes but chunks of {total}")
        return tuple(chunks)


def item_from_map(value: Any, read_chunks: ReadChunks) -> Item:  # noqa: ANN401
    """Read and check the map of format §3.2; ``read_chunks`` checks and decodes a chunk column.

    Raises:
        CorruptError: it breaks a rule of format §2.4 to §2.6 or §3.
        PolicyError: its kind is reserved for a later version of the format (§3.2).
    """
    fields = Fields(value, _ITEM_KEYS, "item")
    kind = find_rules(fields.text("kind")).name
    entries = tuple(
        _entry_from_map(entry, read_chunks) for entry in fields.array("entries", limits.ENTRIES)
    )
    name, version = fields.text("name"), fields.text("version")
    item = Item(kind, name, version, entries, fields.digest("digest"))
    check_item(item)
    if item_digest(kind, name, version, entries) != item.digest:
        raise CorruptError(f"The digest of {item} is not that of its entries.", _AGAIN)
    return item


_PUT_FILE = "Put the file there in place of the link, and build again."
_PATH = attrgetter("path")
_AGAIN = "Ask the sender to export it again."
_ITEM_KEYS = frozenset({"digest", "entries", "kind", "name", "version"})
_FILE_KEYS = frozenset({"chunks", "digest", "executable", "path", "size", "type"})
_LINK_KEYS = frozenset({"path", "target", "type"})
_FOLDER_KEYS = frozenset({"path", "type"})


def entry_identity(entry: Entry) -> dict[str, Any]:
    """Make the entry's map without its chunks, in key order."""
    if isinstance(entry, File):
        return {
            "digest": entry.digest,
            "executable": entry.executable,
            "path": entry.path,
            "size": entry.size,
            "type": "file",
        }
    if isinstance(entry, Link):
        return {"path": entry.path, "target": entry.target, "type": "link"}
    return {"path": entry.path, "type": "folder"}


def _entry_to_map(entry: Entry) -> dict[str, Any]:
    value = entry_identity(entry)
    if isinstance(entry, File):
        return {"chunks": encode_u32(entry.chunks), **value}
    return value


def _entry_from_map(value: Any, read_chunks: ReadChunks) -> Entry:  # noqa: ANN401
    kind = value.get("type") if type(value) is dict else None
    if kind == "file":
        fields = Fields(value, _FILE_KEYS, "file entry")
        size = fields.integer("size", high=limits.FILE_BYTES)
        return File(
            fields.text("path"),
            fields.boolean("executable"),
            size,
            fields.digest("digest"),
            read_chunks(fields, size),
        )
    if kind == "link":
        fields = Fields(value, _LINK_KEYS, "link entry")
        return Link(fields.text("path"), fields.text("target"))
    fields = Fields(value, _FOLDER_KEYS, "folder entry")
    fields.expect("type", "folder")
    return Folder(fields.text("path"))
