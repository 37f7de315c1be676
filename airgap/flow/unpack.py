"""From packs to plain chunks: read once, authenticated, decoded, compared (format §11)."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from airgap.codec import table
from airgap.errors import CorruptError
from airgap.flow.bundles import Opened
from airgap.flow.pipeline import in_order, workers
from airgap.flow.progress import Progress
from airgap.format.manifest import Manifest, Pack

__all__ = ["plain_chunks"]

PACKS_AHEAD: Final = 2


def plain_chunks(
    opened: Opened, wanted: Collection[int], jobs: int, progress: Progress, what: str
) -> Iterator[tuple[int, bytes]]:
    """Yield index and plain bytes of every chunk of the wanted packs, in order, verified."""
    manifest = opened.manifest.value
    progress.begin(what, sum(manifest.packs[index].size for index in wanted))
    try:
        with workers(1) as hasher, workers(jobs) as pool:
            packs = opened.reader.read_packs(manifest.packs, wanted)
            authentic = in_order(hasher, _authenticate(manifest), packs, PACKS_AHEAD)
            for pack, data in authentic:
                yield from _unpack(manifest, pack, data, pool, jobs)
                progress.advance(pack.size)
                del data  # before the next pack is read: two are in memory, not three
    finally:
        progress.end()


def _authenticate(manifest: Manifest) -> Callable[[tuple[int, bytes]], tuple[Pack, bytes]]:
    def work(one: tuple[int, bytes]) -> tuple[Pack, bytes]:
        """Compare a pack's digest with the manifest's before any of it is decoded."""
        index, data = one
        pack = manifest.packs[index]
        found = hashlib.sha256(data).hexdigest()
        if found != pack.digest.hex():
            raise CorruptError(
                f"Pack {pack.digest.hex()[:12]}… reads as {found[:12]}….",
                "It was changed or damaged on the way: copy this file from its source again.",
                [f"pack {pack.digest.hex()}"],
            )
        return pack, data

    return work


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

    for made in in_order(pool, work, range(len(pack.blocks)), 2 * jobs):
        yield from made
