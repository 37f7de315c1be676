"""What the items of a bundle say of themselves, read from its packs (format §30.3).

Only the packs are read that hold a part of a document. Each pack and each chunk is compared with
its digest before it is used, as an import does it.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain

from airgap.bom.documents import DOCUMENTS_BYTES, Document, list_documents
from airgap.bom.facts import Facts, FactsBuilder
from airgap.carrier.port import BundleReader
from airgap.codec.buffer import Buffer
from airgap.flow.chunks.chunk_sources import ChunkSources
from airgap.flow.chunks.missing_chunks import MissingChunks
from airgap.flow.importing.stock_archive import read_members
from airgap.flow.importing.unpack import ChunkConsumer, WantedPacks, plain_chunks
from airgap.flow.media.missing_volumes import MissingVolumes, refusal
from airgap.flow.media.volumes import read_labels
from airgap.flow.progress import Progress
from airgap.format.inventory import File, Item
from airgap.format.manifest import Manifest
from airgap.format.stock_archive import StockFile

__all__ = ["DocumentCollector", "read_item_facts"]


def read_item_facts(  # noqa: PLR0913  (a bundle, and how to read it)
    reader: BundleReader,
    bundle: str,
    manifest: Manifest,
    *,
    sources: ChunkSources | None = None,
    jobs: int,
    progress: Progress,
) -> list[Facts]:
    """Read what each item says of itself, in the order of the items.

    A document of which a chunk is in another bundle, and not installed here, is not read: the facts
    name it.

    Raises:
        MissingError, CorruptError: a pack is missing or damaged.
        StorageError, TransportError: it cannot be read.
    """
    collector = DocumentCollector(manifest.items)
    archive = reader.stock_archive
    if archive:
        read_members(archive, manifest.items, collector.add_member, progress, "reading")
    else:
        base = MissingChunks(manifest, sources or ChunkSources())
        _read_packs(collector, reader, bundle, base, jobs, progress)
    return collector.finish()


@dataclass(slots=True)
class _Pending:
    """A document of which some bytes have come."""

    document: Document
    data: bytearray
    missing: int


@dataclass(slots=True)
class DocumentCollector:
    """Assembles documents from pieces of files, and hands each to its item when it is whole."""

    items: Sequence[Item]
    builders: list[FactsBuilder] = field(init=False)
    wanted: dict[tuple[int, str], Document] = field(init=False)
    pending: dict[tuple[int, str], _Pending] = field(default_factory=dict)
    size: int = 0
    """Bytes in memory."""

    def __post_init__(self) -> None:
        """Find what is wanted."""
        self.builders = [FactsBuilder(item.kind) for item in self.items]
        self.wanted = {
            (number, document.path): document
            for number, item in enumerate(self.items)
            for document in list_documents(item.kind, item.files)
        }

    def add(self, number: int, file: File, offset: int, data: Buffer) -> None:
        """Take bytes of a file of item ``number``, each once; those of other files are ignored."""
        key = number, file.path
        document = self.wanted.get(key)
        if document is None:
            return
        begin = max(offset, document.offset)
        end = min(offset + len(data), document.offset + document.length)
        if begin >= end:
            return
        pending = self.pending.get(key) or self._begin(key, document)
        if pending is None:
            return
        piece = memoryview(data)[begin - offset : end - offset]
        pending.data[begin - document.offset : end - document.offset] = piece
        pending.missing -= end - begin
        if not pending.missing:
            self._drop(key)
            self.builders[number].take(document, bytes(pending.data))

    def add_member(self, stored: StockFile, offset: int, data: bytes) -> None:
        """Take bytes of a file of an archive for stock BentoML."""
        for number, file in stored.targets:
            self.add(number, file, offset, data)

    def skip(self, number: int, path: str, reason: str) -> None:
        """Note that a document is not read."""
        document = self.wanted.pop((number, path), None)
        if document:
            self.builders[number].skip(document, reason)

    def finish(self) -> list[Facts]:
        """Return what each item says of itself."""
        for number, path in list(self.wanted):
            self.skip(number, path, "a part of it did not come")
        return [
            builder.finish(item.files, {file.path: file.digest for file in item.files})
            for builder, item in zip(self.builders, self.items, strict=True)
        ]

    def _begin(self, key: tuple[int, str], document: Document) -> _Pending | None:
        if self.size + document.length > DOCUMENTS_BYTES:
            self.skip(*key, "too much lies before it in the bundle")
            return None
        self.size += document.length
        pending = _Pending(document, bytearray(document.length), document.length)
        self.pending[key] = pending
        return pending

    def _drop(self, key: tuple[int, str]) -> None:
        del self.pending[key]
        self.size -= self.wanted.pop(key).length


@dataclass(frozen=True, slots=True)
class _Use:
    """Where a chunk goes: a file of an item, and the offset in it."""

    number: int
    file: File
    offset: int


def _read_packs(  # noqa: PLR0913, PLR0917  (called once)
    collector: DocumentCollector,
    reader: BundleReader,
    bundle: str,
    base: MissingChunks,
    jobs: int,
    progress: Progress,
) -> None:
    manifest = base.manifest
    uses = _find_uses(collector, manifest)
    for chunk in base.find(uses):
        for use in uses.pop(chunk):
            collector.skip(use.number, use.file.path, "a part of it is in another bundle")
    for chunk in sorted(chunk for chunk in uses if chunk >= manifest.carried):
        _feed(collector, uses[chunk], base.read(chunk))
    work = ChunkConsumer(
        "reading",
        wanted=uses.__contains__,
        covered=lambda _: False,
        write=None,
        after=_call,
        base=base.read,
        whole=base.read_whole,
    )
    wanted = WantedPacks(reader.packs, manifest, _find_packs(manifest, uses))
    for chunk, data in chain.from_iterable(plain_chunks(wanted, work, jobs, progress)):
        _feed(collector, uses.get(chunk, ()), data)
    if work.failed:
        count = len(manifest.packs)
        labels = read_labels(reader.packs, bundle, count)
        raise refusal(MissingVolumes(work.failed, count, labels))


def _feed(collector: DocumentCollector, uses: Iterable[_Use], data: Buffer) -> None:
    for use in uses:
        collector.add(use.number, use.file, use.offset, data)


def _find_packs(manifest: Manifest, chunks: Container[int]) -> list[int]:
    return [
        index
        for index, pack in enumerate(manifest.packs)
        if any(chunk in chunks for chunk in pack.chunk_range)
    ]


def _call(function: Callable[[], None]) -> None:
    """Call back at once: what was yielded is processed already."""
    function()


def _find_uses(collector: DocumentCollector, manifest: Manifest) -> dict[int, list[_Use]]:
    """Return where each chunk goes that a document has a part of."""
    uses: dict[int, list[_Use]] = {}
    for number, item in enumerate(manifest.items):
        for file in item.files:
            document = collector.wanted.get((number, file.path))
            if document is None:
                continue
            lengths = [manifest.chunks.lengths[chunk] for chunk in file.chunks]
            starts = accumulate(lengths, initial=0)
            for chunk, start, length in zip(file.chunks, starts, lengths, strict=False):
                end = document.offset + document.length
                if start < end and start + length > document.offset:
                    uses.setdefault(chunk, []).append(_Use(number, file, start))
    return uses
