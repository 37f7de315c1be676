"""A depot in a local folder (format §8)."""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.format import layout, limits, names
from airgap.format.envelope import Role
from airgap.format.manifest import Pack
from airgap.transport import local

__all__ = ["DepotReader", "DepotWriter", "add_envelope", "list_bundles"]


def list_bundles(depot: Path) -> list[str]:
    """Return the sorted ids of the bundles in a depot; their content is not looked at.

    Raises:
        MissingError: it is no depot, or an empty one.
        StorageError: it cannot be read.
    """
    try:
        listed = local.list_names(depot, layout.BUNDLES, limits.FOLDER_NAMES)
        found = [name for name in listed if _is_bundle(depot / layout.BUNDLES / name)]
    except MissingError:
        found = []
    except OSError as error:
        raise local.storage_error(error, depot) from error
    if not found:
        raise MissingError(
            f"{depot} holds no bundle.",
            "Give the folder that has 'bundles' and 'packs' in it, or a .airgap file.",
        )
    if len(found) > limits.DEPOT_BUNDLES:
        raise CorruptError(f"{depot} holds too many bundles to choose.", "Name one: DEPOT#ID.")
    return found


def add_envelope(depot: Path, bundle: str, file: str, envelope: bytes) -> None:
    """Put one more envelope beside a bundle's manifest."""
    local.write_atomically(depot, f"{layout.BUNDLES}/{bundle}/{file}", [envelope])


class DepotReader:
    """Reads one bundle of a depot."""

    def __init__(self, depot: Path, bundle: str) -> None:
        """Take the depot's folder and a bundle id."""
        self.place = f"{depot}#{bundle[:12]}"
        self._depot = depot
        self._bundle = bundle

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id and the manifest's bytes."""
        name = layout.manifest_name(self._bundle)
        return self._bundle, local.read_bounded(self._depot, name, limits.MANIFEST_BYTES)

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role."""
        folder = f"{layout.BUNDLES}/{self._bundle}"
        listed = local.list_names(self._depot, folder, limits.FOLDER_NAMES)
        chosen = [name for name in listed if (layout.parse_envelope_file(name) or ("",))[0] == role]
        if len(chosen) > limits.ENVELOPES:
            raise CorruptError(
                f"{self.place} has {len(chosen)} signature files; at most {limits.ENVELOPES}"
                " are read.",
                "Remove those that are not needed.",
            )
        return [
            local.read_bounded(self._depot, f"{folder}/{name}", limits.ENVELOPE_BYTES)
            for name in chosen
        ]

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int]
    ) -> Iterator[tuple[int, bytes | AirgapError]]:
        """Yield index and bytes of each wanted pack; see ``BundleReader``."""
        for index, pack in enumerate(packs):
            if index in wanted:
                yield index, self._read_pack(pack)

    def _read_pack(self, pack: Pack) -> bytes | AirgapError:
        try:
            return local.read_exactly(self._depot, layout.pack_name(pack.digest), pack.size)
        except AirgapError as error:
            return error

    def close(self) -> None:
        """Nothing is kept open."""


class DepotWriter:
    """Writes one bundle into a depot, sharing the packs that are there."""

    def __init__(self, depot: Path) -> None:
        """Take the depot's folder; it is made when the first pack is written.

        What exports that were killed have left in it is removed.
        """
        self._depot = depot
        for pattern in (f"{layout.PACKS}/*/*.part", f"{layout.BUNDLES}/*/*.part", "*.part"):
            local.remove_abandoned(depot.glob(pattern))

    def put_pack(self, digest: bytes, parts: Sequence[bytes]) -> bool:
        """Store a pack unless the right one is there already."""
        name = layout.pack_name(digest)
        if self._is_whole(name, digest, sum(map(len, parts))):
            local.sync(self._depot, name)  # whoever put it there may not have come to that
            return False
        local.write_atomically(self._depot, name, parts)
        return True

    def publish(
        self, bundle: str, manifest: bytes, envelopes: dict[str, bytes], packs: Sequence[Pack]
    ) -> None:
        """Store the texts, the envelopes and, last, the manifest."""
        folder = f"{layout.BUNDLES}/{bundle}"
        if not (self._depot / layout.README_NAME).exists():  # it may be somebody else's
            local.write_atomically(self._depot, layout.README_NAME, [layout.README])
        local.write_atomically(
            self._depot, layout.checksums_name(bundle), [layout.checksums(bundle, packs)]
        )
        for file, envelope in envelopes.items():
            local.write_atomically(self._depot, f"{folder}/{file}", [envelope])
        local.write_atomically(self._depot, layout.manifest_name(bundle), [manifest])

    def abort(self) -> None:
        """Packs that are complete stay: the next export reuses them."""

    def _is_whole(self, name: str, digest: bytes, size: int) -> bool:
        """Tell whether the pack is there with exactly its content."""
        try:
            return local.has_digest(self._depot, name, size, digest)
        except AirgapError:  # missing, cut off, a link: written anew, or refused by the disk
            return False


def _is_bundle(path: Path) -> bool:
    return names.is_bundle_id(path.name) and (path / layout.MANIFEST).exists()
