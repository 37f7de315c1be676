"""The packs of a depot over any transport, several of them under way at once (format §8).

What arrives is hashed as it comes, lies in a spool file until its turn, and is hashed once more, in
memory, by the caller that decodes it.
"""

import hashlib
import io
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

from airgap.carrier.depot import Depot, DepotBundle
from airgap.carrier.texts import texts
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.os_errors import translate_errors
from airgap.errors import (
    AirgapError,
    ConflictError,
    CorruptError,
    MissingError,
    StorageError,
    TransportError,
)
from airgap.format import layout, limits
from airgap.format.manifest import Pack
from airgap.transport.connections import ConnectionPool
from airgap.transport.object_lock import iterate_versions
from airgap.transport.port import Sink, Transport
from airgap.transport.spool import Spool

__all__ = ["RemoteDepotReader", "RemoteDepotWriter"]

_TRIES: Final = 3
"""How many times a pack is read or written whose bytes turn out wrong."""


class RemoteDepotReader(DepotBundle):
    """Fills ``BundleReader`` with one bundle of a depot over any transport."""

    stock_archive: None = None
    volumes = ()
    is_stream = False

    @property
    def spooled(self) -> tuple[Path, int]:
        """The folder that packs lie in on their way, and how many at a time."""
        return Spool.find_parent(self.depot.work.spool), self.depot.work.jobs

    @property
    def packs(self) -> Self:
        """Itself: the depot has the packs too."""
        return self

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield index and bytes of each wanted pack; see ``PackSource``.

        Raises:
            TransportError: nothing more can be read.
        """
        jobs = self.depot.work.jobs
        spool = Spool(self.depot.work.spool)
        connections: ConnectionPool[BinaryIO | AirgapError] = ConnectionPool(
            self.depot.transport, jobs
        )
        under_way: deque[tuple[Pack, int, Future[BinaryIO | AirgapError]]] = deque()
        try:
            for index, pack in enumerate(packs):
                if index not in wanted:
                    continue
                download = _Download(pack, spool, connections, self.depot.location)
                under_way.append((pack, index, connections.submit(download.run)))
                if len(under_way) >= jobs:
                    yield _load(*under_way.popleft(), memory)
            while under_way:
                yield _load(*under_way.popleft(), memory)
        finally:
            connections.close()
            for _, _, future in under_way:
                _close_file(future)
            spool.close()


def _load(
    pack: Pack,
    index: int,
    future: "Future[BinaryIO | AirgapError]",
    memory: BufferPool | None,
) -> tuple[int, Buffer | AirgapError]:
    """Wait for a pack, and read it from its spool file."""
    file = future.result()
    if isinstance(file, AirgapError):
        return index, file
    with file, translate_errors("The spool file"):
        file.seek(0)
        if memory is None:
            data: Buffer = file.read(pack.size)
        else:
            data = memory.fill(pack.size, cast("io.BufferedReader", file).readinto)
    if len(data) != pack.size:
        return index, CorruptError("A spool file was changed.", "Run the same command again.")
    return index, data


def _close_file(future: "Future[BinaryIO | AirgapError]") -> None:
    """Close the spool file of a pack that will not be read."""
    if future.done() and not future.cancelled() and future.exception() is None:
        file = future.result()
        if not isinstance(file, AirgapError):
            file.close()


class _Download:
    """One pack on its way in: hashed as it arrives, fetched again when it arrives wrong."""

    def __init__(
        self,
        pack: Pack,
        spool: Spool,
        connections: "ConnectionPool[BinaryIO | AirgapError]",
        location: str,
    ) -> None:
        self._pack = pack
        self._spool = spool
        self._connections = connections
        self._name = layout.pack_name(pack.digest)
        self._location = location

    def run(self, transport: Transport) -> BinaryIO | AirgapError:
        """Return the file that holds the pack, or what is wrong with it.

        Raises:
            TransportError, StorageError: nothing more can be read.
        """
        try:
            for _ in range(_TRIES):
                file = self._fetch(
                    lambda sink: transport.get(self._name, sink, 0, self._pack.size + 1)
                )
                if file is not None:
                    return file
        except (MissingError, CorruptError) as error:
            return self._fetch_hidden(transport) or error
        return self._fetch_hidden(transport) or CorruptError(
            f"{self._name} of {self._location} is damaged: its SHA-256 is not the one in its name"
            f" ({_TRIES} tries).",
            "It was changed or damaged there: put this file there again from its source.",
        )

    def _fetch_hidden(self, transport: Transport) -> BinaryIO | None:
        """Fetch the right bytes where the server has kept them below others (format §37.4).

        Who may write to a bucket with object lock can hide a version, and cannot remove it.
        """
        lock = transport.object_lock
        if lock is None:
            return None
        with suppress(TransportError):  # it keeps no versions, or does not show them to everybody
            for version in iterate_versions(lock, self._name):
                if version.name == self._name and version.size == self._pack.size:
                    with suppress(MissingError, CorruptError):
                        file = self._fetch(partial(lock.get_version, version))
                        if file is not None:
                            return file
        return None

    def _fetch(self, get: Callable[[Sink], int]) -> BinaryIO | None:
        """Fetch all of it; None if the digest is wrong."""
        digest = hashlib.sha256()
        file = self._spool.open_unnamed()
        received = 0

        def append(piece: memoryview) -> None:
            nonlocal received
            self._connections.check()
            received += len(piece)
            if received > self._pack.size:
                self._demand_size(received)
            digest.update(piece)
            file.write(piece)

        try:
            with translate_errors(self._spool.folder):
                count = get(append)
            self._connections.check()
            self._demand_size(count)
            if digest.digest() == self._pack.digest:
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def _demand_size(self, count: int) -> None:
        if count != self._pack.size:
            more = "more than " if count > self._pack.size else ""
            raise CorruptError(
                f"{self._name} of {self._location} has {more}{min(count, self._pack.size):,} bytes"
                f" where {self._pack.size:,} are needed.",
                "It is cut off or damaged there: put this file there again from its source.",
            )


class RemoteDepotWriter:
    """Fills ``BundleWriter`` with a depot over any transport, sharing the packs that are there.

    Packs go up side by side while the next one is made; the manifest goes last and alone.
    """

    def __init__(self, depot: Depot) -> None:
        """Take the depot; ``abort`` closes everything but its transport.

        Raises:
            StorageError: spool files cannot be written.
        """
        self.transport = depot.transport
        self._depot = depot
        self._spool = Spool(depot.work.spool)
        self._connections: ConnectionPool[None] = ConnectionPool(depot.transport, depot.work.jobs)
        self._under_way: deque[Future[None]] = deque()
        self._mark = depot.work.mark()

    def lacks(self, pack: Pack) -> bool:
        """Tell whether a pack is not there with its size, or must be checked."""
        if self._depot.work.verify_after_write:
            return True
        return self.transport.size(layout.pack_name(pack.digest)) != pack.size

    def put_root(self, name: str, data: bytes) -> None:
        """Store a file of a root that travels, unless the same is there."""
        if not self.transport.publish(name, data) and (
            self._depot.read(name, limits.ROOT_BYTES) != data
        ):
            raise ConflictError(
                f"{self._depot.location}/{name} exists with different content.",
                "Roots of one version differ: find out which is right, and move the other away.",
            )

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Begin to upload a pack, unless a file of its name and size is there.

        Errors of earlier packs are raised here too.
        """
        name, size = layout.pack_name(digest), sum(map(len, parts))
        is_there = self.transport.size(name) == size
        if is_there and not self._depot.work.verify_after_write:
            return False
        while len(self._under_way) >= self._depot.work.jobs:
            self._connections.result(self._under_way.popleft())
        source = self._spool.write(digest.hex(), parts)
        upload = _Upload(
            f"{name}.{self._mark}.part",
            name,
            source,
            size,
            digest,
            verify=self._depot.work.verify_after_write,
        )
        self._under_way.append(self._connections.submit(partial(upload.run, self._connections)))
        return not is_there

    def publish(
        self, bundle: str, manifest: bytes, envelopes: dict[str, bytes], packs: Sequence[Pack]
    ) -> None:
        """Wait for all packs, then store texts, envelopes and, last, the manifest.

        Raises:
            AirgapError: an upload failed.
        """
        while self._under_way:
            self._connections.result(self._under_way.popleft())
        for name, data in texts().items():
            self.transport.publish(name, data)
        small = {layout.checksums_name(bundle): layout.list_checksums(bundle, packs)}
        small |= {f"{layout.BUNDLES}/{bundle}/{file}": data for file, data in envelopes.items()}
        for name, data in (*small.items(), (layout.manifest_name(bundle), manifest)):
            self._depot.place_file(name, data)
            if self._depot.work.verify_after_write and self._depot.read(name, len(data)) != data:
                raise _differs_from_written(self._depot.location, name)

    def abort(self) -> None:
        """Stop what is under way. Packs that are there stay: the next export finds them."""
        self._connections.close()
        self._spool.close()


@dataclass(frozen=True, slots=True)
class _Upload:
    """One pack on its way out."""

    part: str
    name: str
    source: Path
    size: int
    digest: bytes
    verify: bool

    def run(self, connections: "ConnectionPool[None]", transport: Transport) -> None:
        """Upload it; if it is to be verified, read it back, and upload it again if it differs."""
        for _ in range(_TRIES):
            transport.put(
                self.name, self.source, self.size, self.part, lambda _: connections.check()
            )
            if not self.verify or self._is_stored(connections, transport):
                self.source.unlink()
                return
            with suppress(StorageError):  # it is locked (format §37), and stays as it is
                transport.delete(self.name)
        raise _differs_from_written(transport.location, self.name)

    def _is_stored(self, connections: "ConnectionPool[None]", transport: Transport) -> bool:
        digest = hashlib.sha256()

        def update(piece: memoryview) -> None:
            connections.check()
            digest.update(piece)

        transport.get(self.name, update, 0, self.size + 1)
        return digest.digest() == self.digest


def _differs_from_written(location: str, name: str) -> TransportError:
    return TransportError(
        f"{location}/{name} is not what was written there.",
        "The server or its disk damages files: look at it before you use it again.",
    )
