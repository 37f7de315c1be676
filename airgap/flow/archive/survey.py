"""What the manifests of an archive name: its bundles and, shard by shard, its packs."""

from collections.abc import Callable
from dataclasses import dataclass

from airgap.carrier.depot import Depot, DepotBundle
from airgap.errors import AirgapError, CorruptError, MissingError, UsageError
from airgap.flow.archive.side_by_side import read_side_by_side
from airgap.flow.location.location import DepotLocation
from airgap.format import check_files, limits
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from airgap.format.shard import find_number
from airgap.transport.port import Transport

__all__ = [
    "ArchiveSize",
    "list_archive",
    "measure_archive",
    "read_stored_manifest",
    "refuse_bundle",
]


@dataclass(frozen=True, slots=True)
class ArchiveSize:
    """The state of an archive, and the digests of the packs in each shard of a count."""

    state: bytes
    packs: tuple[frozenset[bytes], ...]


def refuse_bundle(location: DepotLocation) -> None:
    """Refuse a location that names one bundle: an archive is meant as a whole.

    Raises:
        UsageError: it does.
    """
    if location.bundle:
        raise UsageError(
            f"{location} names a bundle, and an archive is read as a whole.",
            "Leave out # and what follows it; `airgap verify` reads one bundle.",
        )


def list_archive(depot: Depot) -> list[str]:
    """Return the ids of the bundles that an archive may have; a manifest may be missing.

    Raises:
        CorruptError: there are too many.
        TransportError: the archive cannot be read.
    """
    ids = depot.list_folders()
    if len(ids) > limits.DEPOT_BUNDLES:
        raise CorruptError(
            f"{depot.location} has {len(ids):,} bundles; at most {limits.DEPOT_BUNDLES:,} are"
            " read.",
            "Divide it into several archives.",
        )
    return ids


def measure_archive(depot: Depot, shards: int) -> ArchiveSize:
    """Read all manifests of an archive; those that are damaged name no packs.

    Raises:
        CorruptError: there are too many.
        TransportError: the archive cannot be read.
    """

    def make_task(bundle: str) -> Callable[[Transport], tuple[str, set[bytes]] | None]:
        def read(transport: Transport) -> tuple[str, set[bytes]] | None:
            reader = DepotBundle(Depot(transport, depot.work), bundle)
            try:
                return bundle, {pack.digest for pack in read_stored_manifest(reader)[1].packs}
            except MissingError:
                return None
            except CorruptError:
                return bundle, set()

        return read

    bundles: list[bytes] = []
    packs: list[set[bytes]] = [set() for _ in range(shards)]
    for found in read_side_by_side(depot, map(make_task, list_archive(depot))):
        if found is None:
            continue
        bundles.append(bytes.fromhex(found[0]))
        for pack in found[1]:
            packs[find_number(pack, shards) - 1].add(pack)
    return ArchiveSize(check_files.compute_state(bundles), tuple(map(frozenset, packs)))


def read_stored_manifest(reader: DepotBundle) -> tuple[bytes, Manifest]:
    """Read a manifest from the archive itself, and not from a cache.

    Raises:
        MissingError: the bundle is not published.
        CorruptError: its SHA-256 is not the bundle id, or it cannot be decoded.
    """
    bundle, raw = reader.read_manifest()
    if manifests.bundle_id(raw) != bundle:
        raise CorruptError("its SHA-256 is not the bundle id")
    try:
        return raw, manifests.decode(raw)
    except AirgapError as error:  # signed by nobody, or by a newer airgap
        raise CorruptError(error.message) from error
