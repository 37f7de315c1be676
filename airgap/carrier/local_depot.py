"""A depot in a local folder (format §8): packs are read in place, and written by renaming."""

import os
from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final, Self

from airgap.carrier.depot import Depot, DepotBundle
from airgap.carrier.texts import texts
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.digests import has_digest
from airgap.disk.durable import sync_file
from airgap.disk.file_state import FileState
from airgap.disk.os_errors import storage_error
from airgap.disk.part_file import drain, remove_abandoned, write_atomically, write_together
from airgap.disk.reading import list_names, open_regular, read_bounded, read_exactly
from airgap.errors import AirgapError, ConflictError, MissingError
from airgap.format import layout, limits
from airgap.format.manifest import Pack
from airgap.printable import list_some
from airgap.state.digest_cache import NO_CACHE, DigestCache
from airgap.transport.folder import FolderTransport

__all__ = ["DepotReader", "DepotWriter", "list_bundles", "open_folder", "suggest_folder"]

_SHOWN_BUNDLES: Final = 3
_SEARCHED_FOLDERS: Final = 100
"""Of a folder without a bundle: those in it that are looked into for one."""
_SEARCHED_ABOVE: Final = 3
"""Of a folder without a bundle: those above it; a bundle's folder is two below its depot."""


def open_folder(folder: Path) -> Depot:
    """Return the depot in a local folder; nothing of it needs to be closed."""
    return _LocalDepot(folder)


class _LocalDepot(Depot):
    """Lists its bundles without opening a file: each is opened exactly once, to be read.

    A medium that changes between two openings would otherwise pass the one check and fail another.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(FolderTransport(folder))
        self._folder = folder

    def _is_published(self, bundle: str) -> bool:
        path = self._folder / layout.manifest_name(bundle)
        try:
            return path.exists()
        except OSError as error:
            raise storage_error(error, path) from error


def list_bundles(folder: Path, prefix: str = "") -> list[str]:
    """Return the sorted ids of the bundles in a local depot; their content is not looked at.

    ``prefix`` as in ``Depot.list_bundles``.

    Raises:
        MissingError: it is not a depot, or an empty one, and no ``prefix`` was given.
        CorruptError: there are too many to choose from.
        StorageError: it cannot be read.
    """
    try:
        return open_folder(folder).list_bundles(prefix)
    except MissingError as error:
        raise MissingError(error.message, suggest_folder(folder, error.hint)) from error


def suggest_folder(folder: Path, hint: str) -> str:
    """Say what may have been meant by a folder without bundles; ``hint`` if nothing is near.

    The folder above a depot or above volumes is easily given, and one in a depot.
    """
    bundles = _list_inside(folder)
    if any(path.name.startswith("volume-") for path in bundles):
        return f"It holds volumes of one: name them all, as in {folder}/volume-*."
    if not bundles:
        folders = [folder / name for name in _list_names(folder)[:_SEARCHED_FOLDERS]]
        bundles = [path for inner in folders for path in _list_inside(inner)]
    if bundles:
        paths = ", ".join(list_some(list(map(str, bundles)), _SHOWN_BUNDLES))
        return f"Give a depot or an archive in it: {paths}."
    for above in folder.absolute().parents[:_SEARCHED_ABOVE]:
        if _is_folder(above / layout.BUNDLES) and _is_folder(above / layout.PACKS):
            return f"Give the depot that it lies in: {above}."
    return hint


def _is_folder(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir()
    return False


def _list_inside(folder: Path) -> list[Path]:
    """Return the depots and .airgap files in a folder, by name."""
    paths = [folder / name for name in _list_names(folder)]
    with suppress(OSError):
        return [
            path
            for path in paths
            if (path / layout.BUNDLES).is_dir() or (path.suffix == ".airgap" and path.is_file())
        ]
    return []


def _list_names(folder: Path) -> list[str]:
    with suppress(AirgapError, OSError):
        return sorted(list_names(folder, ".", limits.FOLDER_NAMES))
    return []


class DepotReader(DepotBundle):
    """Fills ``BundleReader``, and ``Volume``, with one bundle of a local depot."""

    stock_archive: None = None
    is_stream = False
    spooled = None

    def __init__(self, folder: Path, bundle: str) -> None:
        """Take the depot's folder and a bundle id."""
        super().__init__(open_folder(folder), bundle)
        self.folder = folder

    @property
    def packs(self) -> Self:
        """Itself: the depot has the packs too."""
        return self

    @property
    def volumes(self) -> tuple[Self]:
        """Itself: the only volume, or one of several."""
        return (self,)

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield index and bytes of each wanted pack; see ``PackSource``."""
        for index, pack in enumerate(packs):
            if index in wanted:
                yield index, self.read_pack(pack, memory)

    def read_pack(self, pack: Pack, memory: BufferPool | None = None) -> Buffer | AirgapError:
        """Return the bytes under a pack's name, or what is wrong with them."""
        name = layout.pack_name(pack.digest)
        try:
            return read_exactly(self.folder, name, pack.size, memory)
        except AirgapError as error:
            return error

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and its envelope, beside the manifest.

        Unlike over a transport, what a killed process left of an earlier try is removed.
        """
        self.depot.demand_room(self.bundle, files[-1][0])
        folder = f"{layout.BUNDLES}/{self.bundle}"
        write_together(self.folder, [(f"{folder}/{name}", data) for name, data in files])

    def read_label(self) -> bytes:
        """Return the label, if the depot is a volume; see ``Volume``."""
        return self.depot.read(layout.label_name(self.bundle), limits.VOLUME_LABEL_BYTES)

    def read_parity_index(self) -> bytes:
        """Return the parity index, if there is one; see ``Volume``."""
        return self.depot.read(layout.parity_index_name(self.bundle), limits.PARITY_INDEX_BYTES)

    def size_of(self, digest: bytes, *, is_parity: bool = False) -> int | None:
        """Return the size of what lies under a pack's or parity pack's name, None for nothing."""
        name = layout.parity_name(self.bundle, digest) if is_parity else layout.pack_name(digest)
        try:
            return (self.folder / name).lstat().st_size
        except OSError:
            return None

    def open_pack(self, digest: bytes) -> AbstractContextManager[int]:
        """Open a pack, whatever it holds; see ``Volume``."""
        return open_regular(self.folder, layout.pack_name(digest))

    def open_parity(self, digest: bytes) -> AbstractContextManager[int]:
        """Open a parity pack, whatever it holds; see ``Volume``."""
        return open_regular(self.folder, layout.parity_name(self.bundle, digest))


class DepotWriter:
    """Writes one bundle into a depot, sharing the packs that are there."""

    def __init__(self, depot: Path, cache: DigestCache = NO_CACHE) -> None:
        """Take the depot's folder; it is made when the first pack is written.

        What exports that were killed have left in it is removed. ``cache`` tells of packs that have
        not changed since they were written, or compared with their digests.
        """
        self._cache = cache
        self._written: dict[str, tuple[bytes, FileState]] = {}
        self.transport = FolderTransport(depot)
        self._depot = depot
        for pattern in (f"{layout.PACKS}/*/*.part", f"{layout.BUNDLES}/**/*.part", "*.part"):
            remove_abandoned(depot.glob(pattern))

    def lacks(self, pack: Pack) -> bool:
        """Tell whether a pack is not there with exactly its content."""
        return not self._is_whole(layout.pack_name(pack.digest), pack.digest, pack.size)

    def put_root(self, name: str, data: bytes) -> None:
        """Store a file of a root that travels, unless the same is there."""
        with suppress(MissingError):
            if read_bounded(self._depot, name, limits.ROOT_BYTES) == data:
                return
            raise ConflictError(
                f"{self._depot / name} exists with different content.",
                "Roots of one version differ: find out which is right, and move the other away.",
            )
        write_atomically(self._depot, name, [data])

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Store a pack unless the right one is there already."""
        name = layout.pack_name(digest)
        if self._is_whole(name, digest, sum(map(len, parts))):
            return False
        write_atomically(self._depot, name, drain(parts))
        state = self._look(name)
        if state:
            self._written[name] = digest, state
        return True

    def publish(
        self,
        bundle: str,
        manifest: bytes,
        envelopes: dict[str, bytes],
        packs: Sequence[Pack],
        parity: Sequence[bytes] = (),
    ) -> None:
        """Store the texts, the envelopes and, last, the manifest.

        The checksums list these packs, and parity packs by their digests.
        """
        folder = f"{layout.BUNDLES}/{bundle}"
        for name, data in texts().items():
            if not (self._depot / name).exists():  # it may be a file of another program
                write_atomically(self._depot, name, [data])
        write_atomically(
            self._depot,
            layout.checksums_name(bundle),
            [layout.list_checksums(bundle, packs, parity)],
        )
        for file, envelope in envelopes.items():
            write_atomically(self._depot, f"{folder}/{file}", [envelope])
        write_atomically(self._depot, layout.manifest_name(bundle), [manifest])
        now = self._cache.clock()
        for pack, (digest, state) in self._written.items():
            if self._look(pack) == state:
                self._cache.add_for("stored", self._depot / pack, state, now, digest)
        self._cache.save()

    def abort(self) -> None:
        """Packs that are complete stay: the next export reuses them."""

    def _is_whole(self, name: str, digest: bytes, size: int) -> bool:
        """Tell whether the pack is there with exactly its content (format §8)."""
        state, path, now = self._look(name), self._depot / name, self._cache.clock()
        if state is None or state.size != size:
            return False
        if self._cache.load_for("stored", path, state) == digest:
            return True
        try:
            is_whole = has_digest(self._depot, name, size, digest)
        except AirgapError:  # cut off just now: written anew, or refused by the disk
            return False
        if is_whole:
            sync_file(self._depot, name)  # its writer may have been killed before that
            self._cache.add_for("stored", path, state, now, digest)
        return is_whole

    def _look(self, name: str) -> FileState | None:
        """Return how a pack looks; None if it is missing, or a link (format §8)."""
        try:
            with open_regular(self._depot, name) as descriptor:
                return FileState.of(os.fstat(descriptor))
        except AirgapError:
            return None
