"""A depot in a local folder (format §8)."""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

from airgap.carrier.texts import texts
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.digests import has_digest
from airgap.disk.durable import sync_file
from airgap.disk.os_errors import storage_error
from airgap.disk.part_file import drain, remove_abandoned, write_atomically, write_together
from airgap.disk.reading import list_names, open_regular, read_bounded, read_exactly
from airgap.errors import AirgapError, ConflictError, CorruptError, MissingError
from airgap.format import layout, limits, names
from airgap.format.envelope import Role
from airgap.format.manifest import Pack
from airgap.format.root import SignedRoot

__all__ = [
    "DepotReader",
    "DepotWriter",
    "add_files",
    "envelope_names",
    "list_bundles",
    "read_roots",
    "read_together",
    "roots_listed",
]


def list_bundles(depot: Path) -> list[str]:
    """Return the sorted ids of the bundles in a depot; their content is not looked at.

    Raises:
        MissingError: it is no depot, or an empty one.
        StorageError: it cannot be read.
    """
    try:
        listed = list_names(depot, layout.BUNDLES, limits.FOLDER_NAMES)
        found = [name for name in listed if _is_bundle(depot / layout.BUNDLES / name)]
    except MissingError:
        found = []
    except OSError as error:
        raise storage_error(error, depot) from error
    if not found:
        raise MissingError(f"{depot} holds no bundle.", _what_to_give(depot))
    if len(found) > limits.DEPOT_BUNDLES:
        raise CorruptError(f"{depot} holds too many bundles to choose.", "Name one: DEPOT#ID.")
    return found


def _what_to_give(depot: Path) -> str:
    """Say what may have been meant: the folder above a depot, or above volumes, is easily given."""
    below: list[str] = []
    with suppress(AirgapError, OSError):
        listed = list_names(depot, ".", limits.FOLDER_NAMES)
        below = [name for name in listed if (depot / name / layout.BUNDLES).is_dir()]
    if any(name.startswith("volume-") for name in below):
        return f"It holds volumes of one: name them all, as in {depot}/volume-*."
    if below:
        return "A folder in it does: give that one."
    return "Give the folder that has 'bundles' and 'packs' in it, or a .airgap file."


def add_files(depot: Path, bundle: str, files: Sequence[tuple[str, bytes]]) -> None:
    """Put an envelope, or an attestation and then its envelope, beside a bundle's manifest.

    What a crash leaves is an attestation without its envelope, which says nothing (format §14).

    Raises:
        ConflictError: this key has said something else there.
        StorageError: the disk refused.
    """
    folder = f"{layout.BUNDLES}/{bundle}"
    role = files[-1][0].partition(".")[0]
    there = [path.name for path in (depot / folder).glob(f"{role}.*.dsse")]
    if len(there) >= limits.ENVELOPES and files[-1][0] not in there:
        raise ConflictError(
            f"{depot}#{bundle[:12]} has {len(there)} signatures of the role {role}.",
            "No more are read: remove those that are not needed.",
        )
    write_together(depot, [(f"{folder}/{name}", data) for name, data in files])


def read_roots(depot: Path) -> list[SignedRoot]:
    """Return the roots that travel in a depot, in the order of the versions in their names.

    Raises:
        MissingError: there are none.
        CorruptError: too many, or something else than regular files.
        StorageError: they cannot be read.
    """
    try:
        listed = list_names(depot, layout.ROOTS, limits.FOLDER_NAMES)
    except MissingError:
        listed = []
    return roots_listed(listed, str(depot), partial(read_bounded, depot))


def roots_listed(
    listed: Sequence[str], place: str, read: Callable[[str, int], bytes]
) -> list[SignedRoot]:
    """Read the roots among the names in a depot's folder ``roots``, by version.

    ``read`` takes a depot name and the most bytes that it may have.

    Raises:
        MissingError, CorruptError: there are none, or too many.
    """
    parsed = {name: layout.parse_root_file(name) for name in listed}
    versions = sorted(found[0] for found in parsed.values() if found and found[1])
    if not versions:
        raise MissingError(f"{place} holds no roots.", "Give the path of a root file.")
    if len(versions) > limits.TRAVELLING_ROOTS:
        raise CorruptError(f"{place} holds too many roots.", "Give the paths of those you need.")
    envelopes = {
        version: [name for name, one in parsed.items() if one == (version, False)]
        for version in versions
    }
    return [
        SignedRoot(
            read(layout.root_name(version), limits.ROOT_BYTES),
            tuple(
                read(f"{layout.ROOTS}/{name}", limits.ENVELOPE_BYTES)
                for name in envelopes[version][: limits.ENVELOPES]
            ),
        )
        for version in versions
    ]


def envelope_names(folder: str, listed: Sequence[str], role: Role, place: str) -> dict[str, str]:
    """Return the depot names of one role's envelopes in a bundle's folder, by key id.

    Raises:
        CorruptError: there are too many.
    """
    parsed = ((name, layout.parse_envelope_file(name)) for name in listed)
    chosen = {one[1]: f"{folder}/{name}" for name, one in parsed if one and one[0] == role}
    if len(chosen) > limits.ENVELOPES:
        raise CorruptError(
            f"{place} has {len(chosen)} signature files; at most {limits.ENVELOPES} are read.",
            "Remove those that are not needed.",
        )
    return chosen


def read_together(
    folder: str, files: Iterable[str], read: Callable[[str, int], bytes]
) -> dict[str, bytes]:
    """Read signatures of models, up to the limit of all together; what is wrong with one is empty.

    Args:
        folder: the bundle's folder in the depot.
        files: the names in it.
        read: returns the content of a depot's file of at most so many bytes.
    """
    found: dict[str, bytes] = {}
    left = limits.MODEL_SIGNATURES_BYTES
    for name in files:
        found[name] = b""
        with suppress(CorruptError, MissingError):  # whatever it is, nothing depends on it
            found[name] = read(f"{folder}/{name}", min(left, limits.MODEL_SIGNATURE_BYTES))
        left -= len(found[name])
    return found


class DepotReader:
    """Reads one bundle of a depot."""

    def __init__(self, depot: Path, bundle: str) -> None:
        """Take the depot's folder and a bundle id."""
        self.place = f"{depot}#{bundle[:12]}"
        self.folder = depot
        self._depot = depot
        self._bundle = bundle

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id and the manifest's bytes."""
        name = layout.manifest_name(self._bundle)
        return self._bundle, read_bounded(self._depot, name, limits.MANIFEST_BYTES)

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role."""
        return [
            read_bounded(self._depot, name, limits.ENVELOPE_BYTES)
            for name in self._envelope_names(role).values()
        ]

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; one alone is passed over."""
        folder = f"{layout.BUNDLES}/{self._bundle}"
        pairs = []
        for key_id, envelope in self._envelope_names(role).items():
            name = f"{folder}/{layout.attestation_file(role, key_id)}"
            with suppress(MissingError):
                statement = read_bounded(self._depot, name, limits.ATTESTATION_BYTES)
                signed = read_bounded(self._depot, envelope, limits.ENVELOPE_BYTES)
                pairs.append((statement, signed))
        return pairs

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that lie beside the manifest."""
        folder = f"{layout.BUNDLES}/{self._bundle}"
        listed = list_names(self._depot, folder, limits.FOLDER_NAMES)
        there = [name for name in listed if name in files]
        return read_together(folder, there, partial(read_bounded, self._depot))

    def _envelope_names(self, role: Role) -> dict[str, str]:
        """Return the depot names of one role's envelopes by the key id in them."""
        folder = f"{layout.BUNDLES}/{self._bundle}"
        listed = list_names(self._depot, folder, limits.FOLDER_NAMES)
        return envelope_names(folder, listed, role, self.place)

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield index and bytes of each wanted pack; see ``BundleReader``."""
        for index, pack in enumerate(packs):
            if index in wanted:
                yield index, self.read_pack(pack, memory)

    def read_pack(self, pack: Pack, memory: BufferPool | None = None) -> Buffer | AirgapError:
        """Return the bytes under a pack's name, or what is wrong with them."""
        name = layout.pack_name(pack.digest)
        try:
            return read_exactly(self._depot, name, pack.size, memory)
        except AirgapError as error:
            return error

    def read_label(self) -> bytes:
        """Return the label, if the depot is a volume (format §19). Raises as ``read_bounded``."""
        return read_bounded(self._depot, layout.label_name(self._bundle), limits.LABEL_BYTES)

    def read_parity_index(self) -> bytes:
        """Return the parity index, if there is one (format §20). Raises as ``read_bounded``."""
        return read_bounded(
            self._depot, layout.parity_index_name(self._bundle), limits.PARITY_INDEX_BYTES
        )

    def size_of(self, digest: bytes, *, is_parity: bool = False) -> int | None:
        """Return the size of what lies under a pack's or parity pack's name, None for nothing."""
        named = layout.parity_name(self._bundle, digest) if is_parity else layout.pack_name(digest)
        try:
            return (self._depot / named).lstat().st_size
        except OSError:
            return None

    def open_pack(self, digest: bytes) -> AbstractContextManager[int]:
        """Open a pack, whatever it holds. Raises as ``open_regular``."""
        return open_regular(self._depot, layout.pack_name(digest))

    def open_parity(self, digest: bytes) -> AbstractContextManager[int]:
        """Open a parity pack, whatever it holds. Raises as ``open_regular``."""
        return open_regular(self._depot, layout.parity_name(self._bundle, digest))

    def close(self) -> None:
        """Nothing is kept open."""


class DepotWriter:
    """Writes one bundle into a depot, sharing the packs that are there."""

    def __init__(self, depot: Path) -> None:
        """Take the depot's folder; it is made when the first pack is written.

        What exports that were killed have left in it is removed.
        """
        self._depot = depot
        for pattern in (f"{layout.PACKS}/*/*.part", f"{layout.BUNDLES}/**/*.part", "*.part"):
            remove_abandoned(depot.glob(pattern))

    @property
    def folder(self) -> Path:
        """The depot's folder."""
        return self._depot

    def lacks(self, pack: Pack) -> bool:
        """Tell whether a pack is not there with exactly its content."""
        return not self._is_whole(layout.pack_name(pack.digest), pack.digest, pack.size)

    def put_root(self, name: str, data: bytes) -> None:
        """Store a file of a root that travels, unless the same is there."""
        with suppress(MissingError):
            if read_bounded(self._depot, name, limits.ROOT_BYTES) == data:
                return
            raise ConflictError(
                f"{self._depot / name} is there with other content.",
                "Roots of one version differ: find out which is right, and move the other away.",
            )
        write_atomically(self._depot, name, [data])

    def put_pack(self, digest: bytes, parts: list[Buffer]) -> bool:
        """Store a pack unless the right one is there already."""
        name = layout.pack_name(digest)
        if self._is_whole(name, digest, sum(map(len, parts))):
            sync_file(self._depot, name)  # whoever put it there may not have come to that
            return False
        write_atomically(self._depot, name, drain(parts))
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
            if not (self._depot / name).exists():  # it may be somebody else's
                write_atomically(self._depot, name, [data])
        write_atomically(
            self._depot,
            layout.checksums_name(bundle),
            [layout.list_checksums(bundle, packs, parity)],
        )
        for file, envelope in envelopes.items():
            write_atomically(self._depot, f"{folder}/{file}", [envelope])
        write_atomically(self._depot, layout.manifest_name(bundle), [manifest])

    def abort(self) -> None:
        """Packs that are complete stay: the next export reuses them."""

    def _is_whole(self, name: str, digest: bytes, size: int) -> bool:
        """Tell whether the pack is there with exactly its content."""
        try:
            return has_digest(self._depot, name, size, digest)
        except AirgapError:  # missing, cut off, a link: written anew, or refused by the disk
            return False


def _is_bundle(path: Path) -> bool:
    return names.is_bundle_id(path.name) and (path / layout.MANIFEST).exists()
