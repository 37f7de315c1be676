"""Which bundles of an archive carry the chunks that others lack (format §35.5, 3).

The manifests of the archive are read once for a whole run, and not for each bundle that builds on
others.
"""

from collections.abc import Collection, Iterable

from airgap.carrier.depot import Depot
from airgap.flow.depot.open_depot import StoredBundle, read_bundles
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest

__all__ = ["Carriers", "find_carriers", "list_lacking"]


class Carriers:
    """For each chunk that is asked for, the first bundle by its id that carries it."""

    def __init__(self, wanted: Iterable[bytes]) -> None:
        """Take the digests of the chunks; nobody carries them yet."""
        self._bundles: dict[bytes, str] = dict.fromkeys(wanted, "")

    def add(self, bundle: str, manifest: Manifest) -> None:
        """Count a bundle among those that others may build on."""
        for chunk in range(manifest.carried if self._bundles else 0):
            digest = manifest.chunks.digest(chunk)
            first = self._bundles.get(digest)
            if first == "" or (first is not None and bundle < first):
                self._bundles[digest] = bundle

    def find(self, wanted: Collection[bytes]) -> tuple[list[str], int]:
        """Return the ids of the bundles that carry chunks, sorted; and how many nobody carries."""
        bundles = [self._bundles.get(digest, "") for digest in wanted]
        return sorted(set(filter(None, bundles))), bundles.count("")


def find_carriers(depot: Depot, kept: Collection[str], wanted: Collection[bytes]) -> Carriers:
    """Look into the manifests of the bundles that an archive keeps, if any chunk is asked for.

    Raises:
        TransportError: the archive cannot be read.
    """
    carriers = Carriers(wanted)
    for stored in read_bundles(depot) if wanted and kept else ():
        if stored.bundle in kept and isinstance(stored, StoredBundle):
            carriers.add(stored.bundle, manifests.decode(stored.raw))
    return carriers


def list_lacking(manifest: Manifest) -> set[bytes]:
    """Return the digests of the chunks that a bundle does not carry (format §4.2)."""
    table = manifest.chunks
    return {table.digest(chunk) for chunk in range(manifest.carried, len(table))}
