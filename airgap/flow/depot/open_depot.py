"""Depots as a whole: opened here or elsewhere alike, and all their bundles read side by side."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass

from airgap.carrier.depot import Depot, DepotBundle, DepotOptions
from airgap.errors import AirgapError, CorruptError, MissingError, UsageError
from airgap.flow.bundle.open_bundle import read_evidence, split_place
from airgap.flow.location import remote
from airgap.flow.location.credentials import ANYBODY, Access
from airgap.flow.location.remote import SUFFIX
from airgap.flow.redaction import redact
from airgap.format import layout, limits, names
from airgap.format import manifest as manifests
from airgap.signing.thresholds import Evidence
from airgap.state import manifest_cache, upload_marks
from airgap.transport.connections import ConnectionPool
from airgap.transport.folder import FolderTransport
from airgap.transport.port import Transport

__all__ = [
    "DamagedBundle",
    "StoredBundle",
    "bundle_of",
    "depot_not_found",
    "open_depot",
    "place_of_bundle",
    "read_bundles",
]

_JOBS = 4


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle of a depot: its manifest's bytes have its id, and nothing else is proven."""

    bundle: str
    raw: bytes
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class DamagedBundle:
    """A bundle of a depot whose manifest or envelopes are not what they should be."""

    bundle: str
    error: AirgapError


@contextmanager
def open_depot(place: str, access: Access = ANYBODY) -> Iterator[Depot]:
    """Open a depot, whether a folder of this machine or a place elsewhere.

    Raises:
        UsageError: it is a file.
        TransportError: it cannot be reached.
    """
    with closing(_opened(place, access)) as depot:
        yield depot


def bundle_of(place: str) -> str:
    """Return the bundle id, or its beginning, in ``DEPOT#ID``; empty if there is none."""
    if remote.is_remote(place):
        return remote.look(place, ANYBODY).place.bundle
    return split_place(remote.local_path(place))[1]


def place_of_bundle(place: str, bundle: str) -> str:
    """Write ``DEPOT#ID`` for a bundle of a depot that may be written with an id already."""
    wanted = bundle_of(place)
    return f"{place[: -len(wanted) - 1] if wanted else place}#{bundle}"


def read_bundles(depot: Depot, wanted: str = "") -> Iterator[StoredBundle | DamagedBundle]:
    """Read the manifests of a depot and what lies beside them, sorted by bundle id.

    ``wanted`` is the beginning of the ids that matter. A bundle that goes while this is under way
    is passed over.

    Raises:
        CorruptError: there are too many.
        TransportError: the depot cannot be read.
    """
    listed = depot.transport.list(layout.BUNDLES, limits.FOLDER_NAMES)
    ids = [one for one in listed if names.is_bundle_id(one) and one.startswith(wanted)]
    if len(ids) > limits.DEPOT_BUNDLES:
        raise CorruptError(f"{depot.place} holds too many bundles.", "Name one: DEPOT#ID.")
    lanes: ConnectionPool[StoredBundle | DamagedBundle | None] = ConnectionPool(
        depot.transport, depot.work.jobs
    )
    under_way: deque[Future[StoredBundle | DamagedBundle | None]] = deque()
    try:
        for bundle in ids:
            under_way.append(lanes.submit(_Reading(depot.work, bundle).run))
            if len(under_way) > 2 * depot.work.jobs:
                yield from _there(under_way.popleft())
        while under_way:
            yield from _there(under_way.popleft())
    finally:
        lanes.close()
        manifest_cache.trim()


def _there(
    future: "Future[StoredBundle | DamagedBundle | None]",
) -> Iterator[StoredBundle | DamagedBundle]:
    found = future.result()
    if found is not None:
        yield found


@dataclass(frozen=True, slots=True)
class _Reading:
    """One bundle, read over one connection."""

    work: DepotOptions
    bundle: str

    def run(self, transport: Transport) -> StoredBundle | DamagedBundle | None:
        """Return the bundle, or None if it is not there (any more)."""
        reader = DepotBundle(Depot(transport, self.work), self.bundle)
        try:
            if layout.MANIFEST not in reader.list_files():
                return None
            raw = manifest_cache.load(self.bundle)
            if raw is None:
                raw = self._fetched(reader)
            return StoredBundle(self.bundle, raw, read_evidence(reader))
        except MissingError:
            return None
        except CorruptError as error:
            return DamagedBundle(self.bundle, error)

    def _fetched(self, reader: DepotBundle) -> bytes:
        _, raw = reader.read_manifest()
        if manifests.bundle_id(raw) != self.bundle:
            raise CorruptError(
                f"The manifest of {reader.place} was changed or damaged.",
                "Put it there again from its source, or delete the bundle.",
            )
        manifest_cache.save_manifest(self.bundle, raw)
        return raw


def _opened(place: str, access: Access) -> Depot:
    if remote.is_remote(place):
        found = remote.look(place, access)
        if found.is_file:
            raise _no_depot(place)
        return found.open_depot()
    path, _ = split_place(remote.local_path(place))
    if path.is_file() or path.name.endswith(SUFFIX):
        raise _no_depot(str(path))
    work = DepotOptions(jobs=access.jobs or _JOBS, mark=upload_marks.hold_mark)
    return Depot(FolderTransport(path), work)


def depot_not_found(place: str, what: str) -> MissingError:
    """Say that no bundle has it; or that there is no such folder, which is more often mistyped."""
    shown = redact(place)
    if not remote.is_remote(place):
        path, _ = split_place(remote.local_path(place))
        if not path.exists():
            return MissingError(
                f"{path} is not there.", "Check the path, and that the medium is mounted."
            )
    return MissingError(
        f"No bundle of {shown} has the {what}.", f"See `airgap list {shown}` for what is there."
    )


def _no_depot(place: str) -> UsageError:
    return UsageError(
        f"{place} is a single file, and no depot.", "Give a folder, a URL of one, or @REMOTE."
    )
