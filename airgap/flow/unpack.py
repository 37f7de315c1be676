"""From packs to plain chunks: read once, authenticated, decoded, compared (format §11)."""

import hashlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from airgap.codec import table
from airgap.errors import AirgapError, CorruptError
from airgap.flow.bundles import Opened
from airgap.flow.pipeline import ahead, in_order, workers
from airgap.flow.progress import Progress
from airgap.format import layout
from airgap.format.manifest import Manifest, Pack

__all__ = ["plain_chunks"]

PACKS_AHEAD: Final = 2


def plain_chunks(
    opened: Opened, wanted: Collection[int], jobs: int, progress: Progress, what: str
) -> Iterator[tuple[int, bytes]]:
    """Yield index and plain bytes of every chunk of the wanted packs, in order, verified.

    Raises:
        CorruptError, MissingError, StorageError: packs are damaged or missing. It is raised after
            all the others have been yielded, and names every one.
    """
    manifest = opened.manifest.value
    problems: list[AirgapError] = []
    progress.begin(what, sum(manifest.packs[index].size for index in wanted))
    try:
        with workers(1) as hasher, workers(jobs) as pool:
            packs = opened.reader.read_packs(manifest.packs, wanted)
            authentic = in_order(hasher, partial(_authenticate, manifest), packs, PACKS_AHEAD)
            for pack, data in authentic:
                if isinstance(data, AirgapError):
                    problems.append(data)
                    continue
                yield from _unpack(manifest, pack, data, pool, jobs)
                progress.advance(pack.size)
                del data  # before the next pack is read: two are in memory, not three
    finally:
        progress.end()
    if problems:
        raise _joined(problems, len(wanted))


def _authenticate(
    manifest: Manifest, one: tuple[int, bytes | AirgapError]
) -> tuple[Pack, bytes | AirgapError]:
    """Compare a pack's digest with the manifest's before any of it is decoded."""
    index, data = one
    pack = manifest.packs[index]
    if isinstance(data, AirgapError):
        return pack, data
    found = hashlib.sha256(data).digest()
    if found == pack.digest:
        return pack, data
    return pack, CorruptError(
        f"{layout.pack_name(pack.digest)} reads as {found.hex()[:12]}….",
        "It was changed or damaged on the way: copy this file from its source again.",
    )


def _joined(problems: list[AirgapError], total: int) -> AirgapError:
    """Make one error of all packs' problems: its kind is theirs, or corrupt if they differ."""
    first, *more = problems
    if not more:
        return first
    kind = type(first) if len({type(one) for one in problems}) == 1 else CorruptError
    return kind(
        f"{len(problems)} of {total} packs are damaged or missing.",
        "Copy these files from their source again and run the same command again.",
        [one.message for one in problems],
    )


def _unpack(
    manifest: Manifest, pack: Pack, data: bytes, pool: ThreadPoolExecutor, jobs: int
) -> Iterator[tuple[int, bytes]]:
    """Decode the blocks of an authentic pack and compare each chunk's digest."""
    lengths = manifest.chunks.lengths
    view = memoryview(data)

    def work(number: int) -> list[tuple[int, bytes]]:
        block = pack.blocks[number]
        chunks = range(block.first_chunk, block.first_chunk + block.chunk_count)
        stored = bytes(view[block.offset : block.offset + block.stored_length])
        plain = table.decode(block.codec, stored, sum(lengths[chunk] for chunk in chunks))
        made, start = [], 0
        for chunk in chunks:
            piece = plain[start : start + lengths[chunk]]
            start += lengths[chunk]
            if hashlib.sha256(piece).digest() != manifest.chunks.digest(chunk):
                raise CorruptError(
                    f"A chunk of pack {pack.digest.hex()[:12]}… does not have the digest that"
                    " its own signed manifest gives it.",
                    "The bundle was made wrongly: ask the sender to export it again.",
                )
            made.append((chunk, piece))
        return made

    for made in in_order(pool, work, range(len(pack.blocks)), ahead(jobs)):
        yield from made
