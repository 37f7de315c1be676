"""A depot that is elsewhere, over any transport (format §8).

Names come from the signed manifest; only ``bundles``, the folder of a bundle and ``roots`` are
listed, and strange names there are ignored. What arrives is hashed as it comes, lies in a spool
file until its turn, and is hashed once more, in memory, by whoever decodes it.
"""

import hashlib
import io
from collections import deque
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from airgap.carrier import local_depot
from airgap.carrier.texts import texts
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, ConflictError, CorruptError, MissingError, TransportError
from airgap.format import layout, limits, names
from airgap.format.envelope import Role
from airgap.format.manifest import Pack
from airgap.format.root import SignedRoot
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport
from airgap.transport.spool import Spool

__all__ = ["Depot", "DepotOptions", "RemoteDepotReader", "RemoteDepotWriter"]

_TRIES: Final = 3  # to get or put a pack whose bytes turn out wrong


@dataclass(frozen=True, slots=True)
class DepotOptions:
    """How to work on a remote depot.

    ``mark`` returns 16 hex digits for the names of unfinished uploads: nobody else who writes now
    has them, and the next run on this machine has them again. ``spool`` is a folder for packs
    under way (``jobs`` packs at most); None is the system's.
    """

    jobs: int = 4
    spool: Path | None = None
    mark: Callable[[], str] = lambda: "0" * 16
    verify_after_write: bool = False


class Depot:
    """A depot at a place that a transport reaches."""

    def __init__(self, transport: Transport, work: DepotOptions) -> None:
        """Take a transport that retries by itself; it is closed by ``close``."""
        self.place = transport.place
        self.transport = transport
        self.work = work

    def list_bundles(self) -> list[str]:
        """Return the sorted ids of the bundles whose manifest is there.

        Raises:
            MissingError: there is none.
            CorruptError: there are too many to choose.
        """
        listed = self.transport.list(layout.BUNDLES, limits.FOLDER_NAMES)
        found = [name for name in listed if names.is_bundle_id(name)]
        if len(found) > limits.DEPOT_BUNDLES:
            raise CorruptError(
                f"{self.place} holds too many bundles to choose.", "Name one: DEPOT#ID."
            )
        found = [one for one in found if self.transport.size(layout.manifest_name(one)) is not None]
        if not found:
            raise MissingError(
                f"{self.place} holds no bundle.",
                "Give the folder that has 'bundles' and 'packs' in it, or a .airgap file.",
            )
        return found

    def read_roots(self) -> list[SignedRoot]:
        """Return the roots that travel in the depot, by version; raises as ``depot.read_roots``."""
        listed = self.transport.list(layout.ROOTS, limits.FOLDER_NAMES)
        return local_depot.roots_listed(listed, self.place, self.read)

    def read(self, name: str, limit: int) -> bytes:
        """Read a whole file of at most ``limit`` bytes.

        Raises:
            MissingError: it is not there.
            CorruptError: it is longer.
        """
        found = bytearray()

        def take(piece: memoryview) -> None:
            found.extend(piece)
            if len(found) > limit:
                raise _too_long(self.place, name, limit)

        self.transport.get(name, take, 0, limit + 1)
        return bytes(found)

    def place_file(self, name: str, data: bytes) -> None:
        """Store a small file, unless exactly this is there already."""
        if self.transport.publish(name, data):
            return
        with suppress(CorruptError, MissingError):  # or somebody removes it now
            if self.read(name, len(data)) == data:
                return
        self.transport.publish(name, data, replace=True)

    def add_files(self, bundle: str, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and then its envelope, beside a bundle's manifest.

        Raises:
            ConflictError: this key has said something else there, or no room is left.
        """
        folder = f"{layout.BUNDLES}/{bundle}"
        there = self.transport.list(folder, limits.FOLDER_NAMES)
        role = files[-1][0].partition(".")[0]
        signed = [one for one in there if one.startswith(f"{role}.") and one.endswith(".dsse")]
        if len(signed) >= limits.ENVELOPES and files[-1][0] not in there:
            raise ConflictError(
                f"{self.place}#{bundle[:12]} has {len(signed)} signatures of the role {role}.",
                "No more are read: remove those that are not needed.",
            )
        if len(files) > 1 and all(name in there for name, _ in files):
            self._demand_same(folder, files)
            return
        for name, data in files:
            self.transport.publish(f"{folder}/{name}", data, replace=True)

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def _demand_same(self, folder: str, files: Sequence[tuple[str, bytes]]) -> None:
        for name, data in files:
            if self.read(f"{folder}/{name}", limits.ENVELOPE_BYTES) != data:
                raise ConflictError(
                    f"{self.place} has another signature by this key.",
                    "A key speaks once of a bundle; to take it back, revoke the bundle in the"
                    " site's root.",
                )


class RemoteDepotReader:
    """Fills ``BundleReader`` with one bundle of a remote depot."""

    def __init__(self, remote: Depot, bundle: str) -> None:
        """Take the depot and a bundle id."""
        self.place = f"{remote.place}#{bundle[:12]}"
        self.remote = remote
        self._bundle = bundle
        self._folder = f"{layout.BUNDLES}/{bundle}"
        self._listed: list[str] | None = None

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id and the manifest's bytes."""
        name = layout.manifest_name(self._bundle)
        return self._bundle, self.remote.read(name, limits.MANIFEST_BYTES)

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role."""
        return [
            self.remote.read(name, limits.ENVELOPE_BYTES)
            for name in self._envelope_names(role).values()
        ]

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; one alone is passed over."""
        pairs = []
        for key_id, envelope in self._envelope_names(role).items():
            name = f"{self._folder}/{layout.attestation_file(role, key_id)}"
            with suppress(MissingError):
                statement = self.remote.read(name, limits.ATTESTATION_BYTES)
                pairs.append((statement, self.remote.read(envelope, limits.ENVELOPE_BYTES)))
        return pairs

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield index and bytes of each wanted pack; see ``BundleReader``.

        Raises:
            TransportError: nothing moves any more.
        """
        jobs = self.remote.work.jobs
        spool = Spool(self.remote.work.spool)
        lanes: ConnectionPool[BinaryIO | AirgapError] = ConnectionPool(self.remote.transport, jobs)
        under_way: deque[tuple[Pack, int, Future[BinaryIO | AirgapError]]] = deque()
        try:
            for index, pack in enumerate(packs):
                if index not in wanted:
                    continue
                work = partial(_Fetch(pack, spool, lanes, self.remote.place).run)
                under_way.append((pack, index, lanes.submit(work)))
                if len(under_way) >= jobs:
                    yield _taken(*under_way.popleft(), memory)
            while under_way:
                yield _taken(*under_way.popleft(), memory)
        finally:
            lanes.close()
            for _, _, future in under_way:
                _let_go(future)
            spool.close()

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that lie beside the manifest."""
        there = [name for name in self.list_files() if name in files]
        return local_depot.read_together(self._folder, there, self.remote.read)

    def list_files(self) -> list[str]:
        """List the bundle's folder, once."""
        if self._listed is None:
            self._listed = self.remote.transport.list(self._folder, limits.FOLDER_NAMES)
        return self._listed

    def close(self) -> None:
        """Close the connection."""
        self.remote.close()

    def _envelope_names(self, role: Role) -> dict[str, str]:
        return local_depot.envelope_names(self._folder, self.list_files(), role, self.place)


def _taken(
    pack: Pack,
    index: int,
    future: "Future[BinaryIO | AirgapError]",
    memory: BufferPool | None,
) -> tuple[int, Buffer | AirgapError]:
    """Wait for a pack, and take it out of its spool file."""
    found = future.result()
    if isinstance(found, AirgapError):
        return index, found
    with found, translate_errors("The spool file"):
        found.seek(0)
        if memory is None:
            data: Buffer = found.read(pack.size)
        else:
            data = memory.fill(pack.size, cast("io.BufferedReader", found).readinto)
    if len(data) != pack.size:
        return index, CorruptError("A spool file was changed.", "Run the same command again.")
    return index, data


def _let_go(future: "Future[BinaryIO | AirgapError]") -> None:
    """Close the file of a pack that nobody will take."""
    if future.done() and not future.cancelled() and future.exception() is None:
        found = future.result()
        if not isinstance(found, AirgapError):
            found.close()


class _Fetch:
    """One pack on its way in: hashed as it arrives, fetched anew when it arrives wrong."""

    def __init__(
        self, pack: Pack, spool: Spool, lanes: "ConnectionPool[BinaryIO | AirgapError]", place: str
    ) -> None:
        self._pack = pack
        self._spool = spool
        self._lanes = lanes
        self._name = layout.pack_name(pack.digest)
        self._place = place

    def run(self, transport: Transport) -> BinaryIO | AirgapError:
        """Return the file that holds the pack, or what is wrong with it.

        Raises:
            TransportError, StorageError: nothing more can be read.
        """
        try:
            for _ in range(_TRIES):
                found = self._fetch(transport)
                if found is not None:
                    return found
        except (MissingError, CorruptError) as error:
            return error
        return CorruptError(
            f"{self._name} of {self._place} has not the bytes that its name says, {_TRIES} times.",
            "It was changed or damaged there: put this file there again from its source.",
        )

    def _fetch(self, transport: Transport) -> BinaryIO | None:
        """Fetch all of it; None if the digest is wrong."""
        digest = hashlib.sha256()
        file = self._spool.nameless()

        def take(piece: memoryview) -> None:
            self._lanes.check()
            digest.update(piece)
            file.write(piece)

        try:
            with translate_errors(self._spool.folder):
                count = transport.get(self._name, take, 0, self._pack.size + 1)
            self._lanes.check()
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
                f"{self._name} of {self._place} has {more}{min(count, self._pack.size):,} bytes"
                f" where {self._pack.size:,} are needed.",
                "It is cut off or damaged there: put this file there again from its source.",
            )


class RemoteDepotWriter:
    """Fills ``BundleWriter`` with a remote depot, sharing the packs that are there.

    Packs go up side by side while the next one is made; the manifest goes last and alone.
    """

    def __init__(self, remote: Depot) -> None:
        """Take the depot; ``abort`` lets go of everything but its transport.

        Raises:
            StorageError: there is no place for spool files.
        """
        self._remote = remote
        self._transport = remote.transport
        self._spool = Spool(remote.work.spool)
        self._lanes: ConnectionPool[None] = ConnectionPool(remote.transport, remote.work.jobs)
        self._under_way: deque[Future[None]] = deque()
        self._mark = remote.work.mark()

    @property
    def depot(self) -> Depot:
        """The depot that is written to."""
        return self._remote

    def lacks(self, pack: Pack) -> bool:
        """Tell whether a pack is not there with its size, or must be looked at."""
        if self._remote.work.verify_after_write:
            return True
        return self._transport.size(layout.pack_name(pack.digest)) != pack.size

    def put_root(self, name: str, data: bytes) -> None:
        """Store a file of a root that travels, unless the same is there."""
        if not self._transport.publish(name, data) and (
            self._remote.read(name, limits.ROOT_BYTES) != data
        ):
            raise ConflictError(
                f"{self._remote.place}/{name} is there with other content.",
                "Roots of one version differ: find out which is right, and move the other away.",
            )

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Let a pack be uploaded, unless a file of its name and size is there.

        Errors of earlier packs are raised here too.
        """
        name, size = layout.pack_name(digest), sum(map(len, parts))
        there = self._transport.size(name) == size
        if there and not self._remote.work.verify_after_write:
            return False
        while len(self._under_way) >= self._remote.work.jobs:
            self._lanes.result(self._under_way.popleft())
        source = self._spool.write(digest.hex(), parts)
        upload = _Upload(
            f"{name}.{self._mark}.part",
            name,
            source,
            size,
            digest,
            verify=self._remote.work.verify_after_write,
        )
        self._under_way.append(self._lanes.submit(partial(upload.run, self._lanes)))
        return not there

    def publish(
        self, bundle: str, manifest: bytes, envelopes: dict[str, bytes], packs: Sequence[Pack]
    ) -> None:
        """Wait for all packs, then store texts, envelopes and, last, the manifest.

        Raises:
            AirgapError: an upload failed.
        """
        while self._under_way:
            self._lanes.result(self._under_way.popleft())
        for name, data in texts().items():
            self._transport.publish(name, data)
        small = {layout.checksums_name(bundle): layout.list_checksums(bundle, packs)}
        small |= {f"{layout.BUNDLES}/{bundle}/{file}": data for file, data in envelopes.items()}
        for name, data in (*small.items(), (layout.manifest_name(bundle), manifest)):
            self._remote.place_file(name, data)
            if self._remote.work.verify_after_write and self._remote.read(name, len(data)) != data:
                raise _reads_wrong(self._remote.place, name)

    def abort(self) -> None:
        """Stop what is under way. Packs that are there stay: the next export finds them."""
        self._lanes.close()
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

    def run(self, lanes: "ConnectionPool[None]", transport: Transport) -> None:
        """Put it there; read it back if that is wanted, and put it anew while it reads wrong."""
        for _ in range(_TRIES):
            transport.put(self.name, self.source, self.size, self.part, lambda _: lanes.check())
            if not self.verify or self._reads_right(lanes, transport):
                self.source.unlink()
                return
            transport.delete(self.name)
        raise _reads_wrong(transport.place, self.name)

    def _reads_right(self, lanes: "ConnectionPool[None]", transport: Transport) -> bool:
        digest = hashlib.sha256()

        def take(piece: memoryview) -> None:
            lanes.check()
            digest.update(piece)

        transport.get(self.name, take, 0, self.size + 1)
        return digest.digest() == self.digest


def _too_long(place: str, name: str, limit: int) -> CorruptError:
    return CorruptError(
        f"{place}/{name} is longer than the {limit:,} bytes it may have.", "Put it there again."
    )


def _reads_wrong(place: str, name: str) -> TransportError:
    return TransportError(
        f"{place}/{name} reads otherwise than it was written.",
        "The server or its disk damages files: look at it before you use it again.",
    )
