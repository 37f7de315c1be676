"""A mirror of a depot: finds what is served, opens it, and keeps up with depot, root and time."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, MissingError
from airgap.flow.admission import policy
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle, open_depot, read_bundle
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import DepotLocation
from airgap.flow.serving.block_reader import BlockReader, DamagedPackError
from airgap.flow.serving.content import ServedContent, make_file, make_tar
from airgap.flow.serving.examine import Examiner, read_manifest
from airgap.flow.serving.index import BundleRow, ItemRow, ServingIndex, Withheld
from airgap.flow.serving.readable import ReadableBundle, make_readable
from airgap.format.inventory import File, Item
from airgap.format.manifest import Manifest
from airgap.state import pinned_root
from airgap.state.state_folder import state_folder
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport

__all__ = ["Mirror", "NotReadyError", "index_path", "open_mirror"]

T = TypeVar("T")
_OPEN_BUNDLES: Final = 16
_LOOK_AGAIN: Final = 60.0  # seconds: someone may have rejected a bundle, or the ledger has grown
_ROOT_SECONDS: Final = 0.5  # between looks at the root while packs are verified
_REST: Final = 20  # times as long as the last examination took


class NotReadyError(MissingError):
    """Nothing is served yet."""


def index_path(location: DepotLocation) -> Path:
    """Return where the index of a depot is kept on this machine."""
    name = hashlib.sha256(str(location).encode()).hexdigest()[:32]
    return state_folder() / "mirrors" / f"{name}.sqlite"


@contextmanager
def open_mirror(
    location: DepotLocation, connector: Connector = LOCAL, clock: Callable[[], float] = time.time
) -> Iterator["Mirror"]:
    """Open a mirror of a depot; it serves what its index has until ``keep_up`` is called.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        StorageError: the index cannot be written.
        TransportError: the depot cannot be reached.
    """
    policy.require_root()
    with open_depot(location, connector) as depot:
        index = ServingIndex(index_path(location))
        pool: ConnectionPool[Any] = ConnectionPool(depot.transport, depot.work.jobs)
        try:
            yield Mirror(depot, index, pool, clock)
        finally:
            pool.close()
            index.close()


class Mirror:
    """Serves one depot. Threads may ask at once; ``keep_up`` is called by one of them."""

    def __init__(
        self,
        depot: Depot,
        index: ServingIndex,
        pool: "ConnectionPool[Any]",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what ``open_mirror`` opens; ``clock`` returns seconds since 1970."""
        self.location = depot.location
        self.index = index
        self.note: Callable[[str], object] = lambda _: None
        """Takes lines for people, such as that a download was broken off."""
        self._depot = depot
        self._pool = pool
        self._clock = clock
        self._reader = BlockReader(depot.location, pool)
        self._opened: OrderedDict[str, ReadableBundle] = OrderedDict()
        self._lock = Lock()
        self._floor = 0
        self._ends: int | None = None
        self._is_current = False
        self._stopping = False
        self._seen: tuple[object, ...] = ()
        self._next_look = 0.0

    def stop(self) -> None:
        """Let ``keep_up`` return soon."""
        self._stopping = True

    def keep_up(self) -> bool:
        """Examine the depot if it, the root or the time asks for it; tell whether it did.

        Call it every second. Nothing is served without a root that holds, or after an error: what
        this site has revoked meanwhile would not be known.

        Raises:
            StorageError: the index cannot be written.
            TransportError: the depot cannot be read.
        """
        try:
            seen = self._look()
            if seen == self._seen and time.monotonic() < self._next_look:
                return False
            begin = time.monotonic()
            self._examine(seen[0])
        except BaseException:
            self._is_current, self._seen = False, ()
            raise
        self._seen = seen
        took = time.monotonic() - begin
        self._next_look = time.monotonic() + max(_LOOK_AGAIN, _REST * took)
        return True

    def find(self, kind: str, name: str, version: str) -> ItemRow:
        """Return a served item.

        Raises:
            MissingError: it is not served, or nothing is; the message says why, if that is known.
        """
        item = self.index.find_item(kind, name, version, self._now())
        if item is None:
            reason = self.index.explain(kind, name, version)
            raise MissingError(
                f"The {kind} {name}:{version} is not served." + (f" {reason}" if reason else ""),
                f"`airgap list {self.location}` shows what the depot holds.",
            )
        return item

    def list_items(self, kind: str, name: str | None = None) -> list[ItemRow]:
        """Return the served items of a kind, or of one name, the newest first.

        Raises:
            MissingError: nothing is served at present.
        """
        return self.index.list_items(kind, self._now(), name)

    def read_bundle(self, bundle: str) -> StoredBundle | DamagedBundle:
        """Read the manifest of a bundle, served or not, and the signatures beside it.

        Raises:
            MissingError: it is not there any more.
            TransportError: the depot cannot be read.
        """
        read: StoredBundle | DamagedBundle = self._pool.result(
            self._pool.submit(partial(_read_bundle, self._depot, bundle))
        )
        return read

    def demand_current(self) -> None:
        """Demand that something may be served now. Raises MissingError: nothing is."""
        self._now()

    def list_carried(self) -> list[str]:
        """Return the sorted ids of the bundles that this site does not refuse.

        Beside those that are served, these wait for an attestation, are sealed or complete others.

        Raises:
            MissingError: nothing is served at present.
        """
        now = self._now()
        return [row.bundle for row in self.index.list_bundles() if not _refuses(row, now)]

    def demand_carried(self, bundle: str) -> None:
        """Demand that a bundle is one of ``list_carried``. Raises MissingError: it is not."""
        now = self._now()
        rows = self.index.find_bundles(bundle)
        reason = _refuses(rows[0], now) if rows else "It is not in the depot."
        if reason:
            raise MissingError(f"The bundle {bundle} is not given. {reason}", "Ask the site.")

    def run(self, work: Callable[[Depot], T]) -> T:
        """Do something with the depot over a connection of its own; return what it returns."""
        task = self._pool.submit(lambda transport: work(Depot(transport, self._depot.work)))
        result: T = self._pool.result(task)
        return result

    def tell_time(self) -> int:
        """Return the time, in seconds since 1970, that what is served is judged by."""
        return max(int(self._clock()), self._floor)

    def open_tar(self, item: ItemRow) -> ServedContent:
        """Open an item as a tar; raises as ``open_item``."""
        return make_tar(*self.open_item(item))

    def open_item(self, row: ItemRow) -> tuple[ReadableBundle, Item]:
        """Open the bundle of an item that is served.

        Raises:
            MissingError: it is not there any more.
            CorruptError: its manifest was changed.
            TransportError: the depot cannot be read.
        """
        readable = self._open(row.bundle)
        wanted = (row.kind, row.name, row.version)
        for item in readable.manifest.items:
            if (item.kind, item.name, item.version) == wanted:
                return readable, item
        raise MissingError(f"{row.kind} {row.tag} is not there any more.", "Look again.")

    def open_file(self, row: ItemRow, path: str) -> ServedContent | None:
        """Open one file of an item; None if the item has none of this path."""
        readable, item = self.open_item(row)
        for entry in item.entries:
            if isinstance(entry, File) and entry.path == path:
                return make_file(readable, entry)
        return None

    def read(self, content: ServedContent, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """Yield a range of bytes, each chunk compared with its digest.

        Raises:
            MissingError, CorruptError, TransportError: what was yielded before is right; what
                follows is not sent. A bundle that is damaged is served no more.
        """
        try:
            yield from content.read(self._reader, start, stop)
        except DamagedPackError as error:
            self._withhold_damaged(content, error)
            raise

    def _withhold_damaged(self, content: ServedContent, error: DamagedPackError) -> None:
        """Serve nothing of a bundle before the pack is verified again."""
        with self._lock:
            bundles = [key for key, opened in self._opened.items() if opened is content.bundle]
        self.index.doubt_pack(error.pack.hex())
        self.index.withhold(dict.fromkeys(bundles, Withheld("refused", error.message)))
        self._seen = ()

    def _now(self) -> int:
        """Return the time, if anything may be served at it.

        Raises:
            NotReadyError: the depot was not examined yet.
            MissingError: the root has expired.
        """
        now = self.tell_time()
        if not self._is_current:
            raise NotReadyError("The depot has not been examined yet.", "Ask again in a moment.")
        if self._ends is not None and now > self._ends:
            raise MissingError("The root of this site has expired.", "Bring a newer root.")
        return now

    def _look(self) -> tuple[object, ...]:
        """Return what changes when the depot has other bundles, or this machine another root."""
        return _read_root(), tuple(self._depot.list_folders())

    def _examine(self, root: object) -> None:
        try:
            admission = policy.load()
        except AirgapError as error:
            rows = self.index.list_bundles()
            self.index.withhold({row.bundle: Withheld("refused", error.message) for row in rows})
            return
        self._floor = admission.now
        next_look = time.monotonic() + _ROOT_SECONDS

        def is_interrupted() -> bool:
            """Tell whether to leave packs for later: to verify all may take hours."""
            nonlocal next_look
            if self._stopping or time.monotonic() < next_look:
                return self._stopping
            next_look = time.monotonic() + _ROOT_SECONDS
            return _read_root() != root

        examiner = Examiner(self._depot, self.index, self._reader, is_interrupted)
        standing = examiner.admit(admission)
        self._ends, self._is_current = admission.root.value.not_after, True
        examiner.verify(standing)

    def _open(self, bundle: str) -> ReadableBundle:
        with self._lock:
            opened = self._opened.get(bundle)
            if opened is not None:
                self._opened.move_to_end(bundle)
                return opened
        manifest, *others = [
            self._pool.result(self._pool.submit(partial(_read_manifest, self._depot, one)))
            for one in (bundle, *self.index.list_bases(bundle))
        ]
        opened = make_readable(manifest, others)
        with self._lock:
            self._opened[bundle] = opened
            if len(self._opened) > _OPEN_BUNDLES:
                self._opened.popitem(last=False)
        return opened


def _refuses(row: BundleRow, now: int) -> str:
    """Return why a bundle is refused; empty if it is not."""
    if row.status == "refused":
        return row.reason
    is_over = row.expires_at is not None and now > row.expires_at
    return "It has expired." if is_over else ""


def _read_root() -> object:
    """Return the pinned root, or why it cannot be used: something that changes when it does."""
    try:
        return pinned_root.load_root()
    except AirgapError as error:
        return error.message


def _read_bundle(depot: Depot, bundle: str, transport: Transport) -> StoredBundle | DamagedBundle:
    return read_bundle(Depot(transport, depot.work), bundle)


def _read_manifest(depot: Depot, bundle: str, transport: Transport) -> Manifest:
    return read_manifest(Depot(transport, depot.work), bundle)
