"""What one bundle has that another has not: items, files, tensors, and what that costs."""

from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate
from typing import Any

from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.flow.chunks.tensor_parts import find_parts
from airgap.format.inventory import File, Item
from airgap.format.manifest import Manifest

__all__ = ["describe_difference"]


def describe_difference(old: BaseBundle, new: BaseBundle) -> dict[str, Any]:
    """Compare two bundles. Items are the same if kind and name are; their versions may differ.

    ``bytes_to_ship`` are the plain bytes of chunks that the old bundle does not name,
    ``bytes_stored`` what those take up in the packs of the new one.
    """
    sides = _Side(old), _Side(new)
    pairs = list(_pair_items(old.manifest, new.manifest))
    old_digests = sides[0].digests
    return {
        "bytes_to_ship": sum(
            length
            for at, length in enumerate(new.manifest.chunks.lengths)
            if new.manifest.chunks.digest(at) not in old_digests
        ),
        "bytes_stored": sum(
            size for digest, size in sides[1].stored.items() if digest not in old_digests
        ),
        "added": [str(item) for before, item in pairs if before is None and item],
        "removed": [str(before) for before, item in pairs if before and item is None],
        "changed": [
            {
                "item": str(item),
                "before": str(before),
                "entries": _entry_changes(before, item, *sides),
            }
            for before, item in pairs
            if before and item and not _is_same(before, item)
        ],
        "same": [str(item) for before, item in pairs if before and item and _is_same(before, item)],
    }


class _Side:
    """One of the two bundles, and what its chunks are."""

    def __init__(self, bundle: BaseBundle) -> None:
        self._table = bundle.manifest.chunks
        self._sources = ChunkSources([bundle])
        self.digests = {self._table.digest(at) for at in range(len(self._table))}
        self.stored = dict(_measure_stored(bundle.manifest))

    def parts(self, file: File) -> dict[str, list[bytes]]:
        """Return the digests of the chunks of each part of a file, as far as it is known."""
        parts: dict[str, list[bytes]] = {}
        if len(file.chunks) > 1:
            for (name, _, _), digest in find_parts(file, self._table, self._sources).items():
                parts.setdefault(name, []).append(digest)
        return parts

    def cost(self, file: File, have: Collection[bytes]) -> int:
        """Return what a file's chunks take up in the packs, but for those that are known."""
        digests = {self._table.digest(chunk) for chunk in file.chunks}
        return sum(self.stored.get(digest, 0) for digest in digests.difference(have))


def _measure_stored(manifest: Manifest) -> Iterator[tuple[bytes, int]]:
    """Yield what each carried chunk takes up; a block is shared by its chunks in proportion."""
    lengths = manifest.chunks.lengths
    for pack in manifest.packs:
        for block in pack.blocks:
            chunks = range(block.first_chunk, block.first_chunk + block.chunk_count)
            ends = [*accumulate(lengths[chunk] for chunk in chunks)]
            shares = [block.stored_length * end // ends[-1] for end in ends]  # add up to the block
            for chunk, start, end in zip(chunks, [0, *shares], shares, strict=False):
                yield manifest.chunks.digest(chunk), end - start


def _pair_items(old: Manifest, new: Manifest) -> Iterator[tuple[Item | None, Item | None]]:
    """Yield items with their namesakes: of the same version, else of the last other one."""
    before = {item.key: item for item in old.items}
    by_name = {(item.kind, item.name): item for item in old.items}
    met = set()
    for item in new.items:
        namesake = before.get(item.key) or by_name.get((item.kind, item.name))
        if namesake:
            met.add(namesake.key)
        yield namesake, item
    for item in old.items:
        if item.key not in met:
            yield item, None


def _is_same(before: Item, item: Item) -> bool:
    return before.digest == item.digest


def _entry_changes(old: Item, new: Item, before: _Side, after: _Side) -> list[dict[str, Any]]:
    """Say what became of each entry that is not the same, by path."""
    had = {entry.path: entry for entry in old.entries}
    has = {entry.path: entry for entry in new.entries}
    changes: list[dict[str, Any]] = []
    for path in sorted(had.keys() | has.keys()):
        was, now = had.get(path), has.get(path)
        if _identity(was) == _identity(now):
            continue
        change = "changed" if was and now else "added" if now else "removed"
        described: dict[str, Any] = {"path": path, "change": change}
        if isinstance(now, File):
            described["bytes_stored"] = after.cost(now, before.digests)
            if isinstance(was, File):
                described |= _part_changes(before.parts(was), after.parts(now))
        changes.append(described)
    return changes


def _part_changes(
    before: Mapping[str, list[bytes]], after: Mapping[str, list[bytes]]
) -> dict[str, list[str]]:
    """Say which tensors or members were changed, added and removed; nothing if none are known."""
    if not before or not after:
        return {}
    return {
        "parts_changed": [name for name in after if name in before and before[name] != after[name]],
        "parts_added": [name for name in after if name not in before],
        "parts_removed": [name for name in before if name not in after],
    }


def _identity(entry: object) -> object:
    """Return what makes an entry the same, whatever bundle it is in: not its chunk indexes."""
    if isinstance(entry, File):
        return entry.digest, entry.executable
    return entry
