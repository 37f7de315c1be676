"""Export: store -> inventory -> chunks -> blocks -> packs -> manifest -> envelope -> carrier.

Everything is read once, in the order of format §12. The calling thread reads and cuts; worker
threads hash and encode; one more thread hashes packs and writes them. What is under way is
bounded, so memory does not grow with the size of a model.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final, Self

from airgap import __version__
from airgap.chunking.cutters import cut, most_pieces
from airgap.codec import table
from airgap.errors import StorageError
from airgap.flow.pipeline import ahead, in_order, workers
from airgap.flow.progress import Progress
from airgap.flow.selection import Source
from airgap.format import envelope as dsse
from airgap.format import layout, limits
from airgap.format import manifest as manifests
from airgap.format.inventory import Entry, File, Folder, Item, Link, make_item
from airgap.format.manifest import Block, ChunkTable, Manifest, Pack
from airgap.signing.private_keys import Signer
from airgap.store.tree import SourceFile, read_stable
from airgap.transport.port import BundleWriter

__all__ = ["Exported", "Settings", "draft_item", "export_items", "inventory_only", "manifest_room"]

TOOL: Final = f"airgap {__version__}"
BLOCK_TARGET: Final = limits.MIB


@dataclass(frozen=True, slots=True)
class Settings:
    """What an exporter may choose. Times are seconds since 1970."""

    jobs: int
    created_at: int | None = None
    channel: str = "default"
    sequence: int = 0
    audience: tuple[str, ...] = ()
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export made. ``path`` is the archive for stock BentoML, if it made one."""

    bundle: str
    manifest: Manifest
    packs_written: int
    packs_shared: int
    path: str = ""


def export_items(
    sources: Sequence[Source],
    writer: BundleWriter,
    signers: Sequence[Signer],
    settings: Settings,
    progress: Progress,
) -> Exported:
    """Write one signed bundle with these items.

    Raises:
        StorageError: a file changed while it was read, or the disk refused.
        CorruptError: a path or link may not travel (format §2.5, §2.6).
    """
    try:
        for source in sources:
            draft_item(source)  # a path that may not travel is told before gigabytes are read
        progress.begin("exporting", sum(source.tree.size for source in sources))
        with _Threads(settings.jobs) as threads:
            run = _Export(writer, threads, settings, progress)
            manifest = run.pack(sources)
        refuse_changes(sources)
        raw = manifests.encode(manifest)
        envelopes = sign_manifest(raw, signers)
        bundle = manifests.bundle_id(raw)
        writer.publish(bundle, raw, envelopes, manifest.packs)
    finally:
        writer.abort()
        progress.end()
    return Exported(bundle, manifest, run.packs_written, len(manifest.packs) - run.packs_written)


def sign_manifest(raw: bytes, signers: Sequence[Signer]) -> dict[str, bytes]:
    """Sign a manifest as builders; return the envelopes by file name (format §6.2)."""
    return {
        layout.envelope_file("builder", signer.key.id): dsse.encode(signer.sign("builder", raw))
        for signer in signers
    }


def refuse_changes(sources: Sequence[Source]) -> None:
    """Demand that the items are as they were when the export began.

    Raises:
        StorageError: something was added, removed or changed.
    """
    for source in sources:
        if source.has_changed():
            raise StorageError(
                f"The {source.kind} {source.name}:{source.version} changed during the export.",
                "Wait until whatever writes it is done, and run the same command again.",
            )


def draft_item(source: Source) -> Item:
    """Make the item without digests and chunks: checks its paths, and bounds its manifest."""
    files = [File(one.path, one.executable, one.size, bytes(32), ()) for one in source.tree.files]
    return make_item(source.kind, source.name, source.version, [*files, *_plain_entries(source)])


def manifest_room(sources: Sequence[Source], settings: Settings) -> int:
    """Return a number of bytes that the manifest of these items cannot exceed.

    It follows from names and sizes alone, so that the same items leave the same room.
    """
    items = tuple(draft_item(source) for source in sources)
    draft = _manifest(items, ChunkTable(b"", ()), (), settings, 0)
    files = [file for source in sources for file in source.tree.files]
    chunks = sum(most_pieces(file.size) for file in files)
    packs = len(sources) + sum(file.size for file in files) // limits.PACK_TARGET_BYTES
    # 57 bytes per chunk: digest 32, length 4, place in its file 4, block of its own 17;
    # 40 per pack; headers that grow from 1 to 5 bytes, per file and in all.
    return len(manifests.encode(draft)) + 57 * chunks + 40 * packs + 8 * len(files) + 1024


def inventory_only(
    sources: Sequence[Source],
    settings: Settings,
    carry: Callable[[Source, SourceFile, Iterator[bytes]], None],
    progress: Progress,
) -> Manifest:
    """Read all files once, hand their bytes to ``carry``, and describe them without packs (§10)."""
    names = _ChunkNames()
    items = []
    for source in sources:
        entries: list[Entry] = _plain_entries(source)
        for file in source.tree.files:
            run = _FileRun(file, hashlib.sha256())
            carry(source, file, _named(run, names, progress))
            entries.append(run.entry())
        items.append(make_item(source.kind, source.name, source.version, entries))
    refuse_changes(sources)
    created = max(source.created_at for source in sources)
    return _manifest(tuple(items), names.table(), (), settings, created)


class _Threads:
    """The threads of one run: a pool for chunks and blocks, and one each for files and packs.

    A file's digest and a pack's are made in order, so each of them has one thread.
    """

    def __init__(self, jobs: int) -> None:
        self._stack = ExitStack()
        self._jobs = jobs

    def __enter__(self) -> Self:
        self.pool = self._stack.enter_context(workers(self._jobs))
        self.digester = self._stack.enter_context(workers(1))
        self.packer = self._stack.enter_context(workers(1))
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()


@dataclass(slots=True)
class _FileRun:
    """A file being read: its digest so far, and the chunks it turned out to have."""

    source: SourceFile
    digest: "hashlib._Hash"
    chunks: list[int] = field(default_factory=list)

    def entry(self) -> File:
        """Describe the file; call it when all its chunks are known."""
        one = self.source
        digest = self.digest.digest()
        return File(one.path, one.executable, one.size, digest, tuple(self.chunks))


class _ChunkNames:
    """The chunk table being built: every chunk once, in order of first appearance."""

    def __init__(self) -> None:
        self._index: dict[bytes, int] = {}
        self._lengths: list[int] = []

    def add(self, digest: bytes, length: int) -> tuple[int, bool]:
        """Return the chunk's index, and whether it is new."""
        index = self._index.setdefault(digest, len(self._lengths))
        new = index == len(self._lengths)
        if new:
            self._lengths.append(length)
        return index, new

    def table(self) -> ChunkTable:
        return ChunkTable(b"".join(self._index), tuple(self._lengths))


@dataclass(frozen=True, slots=True)
class _Cut:
    """A chunk of a file, or (with ``file`` None) the end of an item."""

    file: _FileRun | None
    plain: bytes = b""
    width: int = 0
    digest: bytes = b""
    digested: Future[None] | None = None


@dataclass(frozen=True, slots=True)
class _Plain:
    """A block before encoding, or (with no chunks) the end of an item."""

    chunks: range
    data: bytes
    width: int = 0


@dataclass(frozen=True, slots=True)
class _Stored:
    """A block after encoding, or (with no chunks) the end of an item."""

    chunks: range
    codec: int
    data: bytes


class _Export:
    """One run: the stages from cut to pack, and what they leave for the manifest."""

    def __init__(
        self, writer: BundleWriter, threads: _Threads, settings: Settings, progress: Progress
    ) -> None:
        self._writer = writer
        self._threads = threads
        self._settings = settings
        self._progress = progress
        self._names = _ChunkNames()
        self._runs: list[list[_FileRun]] = []
        self._packs: list[Future[Pack]] = []
        self.packs_written = 0

    def pack(self, sources: Sequence[Source]) -> Manifest:
        """Read, cut, hash, encode and pack all items; return the manifest."""
        most = ahead(self._settings.jobs)
        cuts = in_order(self._threads.pool, _hash, self._cut(sources), most)
        stored = in_order(self._threads.pool, _encode, self._blocks(cuts), most)
        self._fill_packs(stored)
        packs = tuple(future.result() for future in self._packs)
        items = tuple(
            make_item(
                source.kind,
                source.name,
                source.version,
                [*(run.entry() for run in runs), *_plain_entries(source)],
            )
            for source, runs in zip(sources, self._runs, strict=True)
        )
        created = max(source.created_at for source in sources)
        return _manifest(items, self._names.table(), packs, self._settings, created)

    def _cut(self, sources: Sequence[Source]) -> Iterator[_Cut]:
        """Read every file and cut it; an item ends with a cut without a file."""
        for source in sources:
            runs: list[_FileRun] = []
            self._runs.append(runs)
            for file in source.tree.files:
                run = _FileRun(file, hashlib.sha256())
                runs.append(run)
                for plain, width in cut(read_stable(file), file.size):
                    digested = self._threads.digester.submit(run.digest.update, plain)
                    yield _Cut(run, plain, width, digested=digested)
                    self._progress.advance(len(plain))
            yield _Cut(None)

    def _blocks(self, cuts: Iterator[_Cut]) -> Iterator[_Plain]:
        """Drop chunks that are known, and join small neighbours into blocks (format §4.3)."""
        parts: list[bytes] = []
        first = size = width = 0
        for one in cuts:
            full = size + len(one.plain) > BLOCK_TARGET or one.width != width
            if parts and (full or one.file is None):
                yield _Plain(range(first, first + len(parts)), b"".join(parts), width)
                parts, size = [], 0
            if one.file is None:
                yield _Plain(range(0), b"")
                continue
            if one.digested is not None:
                one.digested.result()  # keeps the digester from falling behind without bound
            index, new = self._names.add(one.digest, len(one.plain))
            one.file.chunks.append(index)
            if new:
                first = first if parts else index
                width = one.width
                parts.append(one.plain)
                size += len(one.plain)

    def _fill_packs(self, stored: Iterator[_Stored]) -> None:
        """Gather blocks into packs of 64 MiB; an item ends its pack (format §12)."""
        blocks: list[Block] = []
        parts: list[bytes] = []
        offset = 0
        for one in stored:
            if one.chunks:
                blocks.append(
                    Block(offset, len(one.data), one.codec, one.chunks.start, len(one.chunks))
                )
                parts.append(one.data)
                offset += len(one.data)
            if blocks and (offset >= limits.PACK_TARGET_BYTES or not one.chunks):
                self._hand_over(tuple(blocks), parts, offset)
                blocks, parts, offset = [], [], 0

    def _hand_over(self, blocks: tuple[Block, ...], parts: list[bytes], size: int) -> None:
        """Let the packer hash and write a pack; wait first if it still has one to write."""
        if self._packs:
            self._packs[-1].result()
        self._packs.append(self._threads.packer.submit(self._write, blocks, parts, size))

    def _write(self, blocks: tuple[Block, ...], parts: list[bytes], size: int) -> Pack:
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        pack = Pack(digest.digest(), size, blocks)
        if self._writer.put_pack(pack.digest, parts):
            self.packs_written += 1
        return pack


def _hash(one: _Cut) -> _Cut:
    if one.file is None:
        return one
    return replace(one, digest=hashlib.sha256(one.plain).digest())


def _encode(block: _Plain) -> _Stored:
    if not block.chunks:
        return _Stored(block.chunks, table.RAW, b"")
    return _Stored(block.chunks, *table.encode(block.data, block.width))


def _digested(run: _FileRun) -> Iterator[bytes]:
    """Read a file and digest it on the way."""
    for piece in read_stable(run.source):
        run.digest.update(piece)
        yield piece


def _named(run: _FileRun, names: _ChunkNames, progress: Progress) -> Iterator[bytes]:
    """Cut a file, name its chunks, and pass them on."""
    for plain, _ in cut(_digested(run), run.source.size):
        index, _ = names.add(hashlib.sha256(plain).digest(), len(plain))
        run.chunks.append(index)
        progress.advance(len(plain))
        yield plain


def _plain_entries(source: Source) -> list[Entry]:
    """Return the entries that have no content: links and empty folders."""
    links = [Link(path, target) for path, target in source.tree.links.items()]
    return [*links, *map(Folder, source.tree.empty_folders)]


def _manifest(
    items: tuple[Item, ...],
    chunks: ChunkTable,
    packs: tuple[Pack, ...],
    settings: Settings,
    created_at: int,
) -> Manifest:
    return Manifest(
        items=items,
        chunks=chunks,
        packs=packs,
        created_at=created_at if settings.created_at is None else settings.created_at,
        tool=TOOL,
        channel=settings.channel,
        sequence=settings.sequence,
        audience=tuple(sorted(set(settings.audience))),
        expires_at=settings.expires_at,
    )
