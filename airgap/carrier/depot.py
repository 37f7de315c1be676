"""A depot over any transport: its bundles, and the small files beside their packs (format §8).

Names come from the signed manifest; only ``bundles``, the folder of a bundle and ``roots`` are
listed, and strange names there are ignored.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import ConflictError, CorruptError, MissingError, TransportError
from airgap.format import layout, limits, names
from airgap.format.attachment import Allowance, parse_attachment_file
from airgap.format.envelope import Role, refuse_too_many
from airgap.format.root import SignedRoot
from airgap.transport.object_lock import ObjectLock
from airgap.transport.port import TransientError, Transport

__all__ = ["Depot", "DepotBundle", "DepotOptions"]


@dataclass(frozen=True, slots=True)
class DepotOptions:
    """How to work on a remote depot.

    ``mark`` returns 16 hex digits for the names of unfinished uploads: no other writer uses them
    now, and the next run on this machine uses them again. ``spool`` is a folder for packs under
    way (``jobs`` packs at most); None is the system's.
    """

    jobs: int = 4
    spool: Path | None = None
    mark: Callable[[], str] = lambda: "0" * 16
    verify_after_write: bool = False
    caches_manifests: bool = True
    """Whether manifests are kept on this machine; to read those of a folder of it costs no more."""


_DEFAULTS: Final = DepotOptions()


class Depot:
    """A depot that a transport reaches: a local folder, or one on a server."""

    def __init__(self, transport: Transport, work: DepotOptions = _DEFAULTS) -> None:
        """Take a transport that retries by itself; it is closed by ``close``."""
        self.location = transport.location
        self.transport = transport
        self.work = work

    def list_bundles(self, prefix: str = "") -> list[str]:
        """Return the sorted ids of the bundles whose manifest is there.

        ``prefix`` is the beginning of the ids that matter. A whole id is looked up without a
        listing, however many other bundles there are.

        Raises:
            MissingError: there is none, and no ``prefix`` was given.
            CorruptError: there are too many to choose from.
        """
        bundles = self.list_folders(prefix)
        if len(bundles) > limits.DEPOT_BUNDLES:
            raise CorruptError(
                f"{self.location} holds {len(bundles):,} bundles; at most"
                f" {limits.DEPOT_BUNDLES:,} are read.",
                "Name the one you want: DEPOT#ID.",
            )
        bundles = [bundle for bundle in bundles if self._is_published(bundle)]
        if not bundles and not prefix:
            raise MissingError(
                f"{self.location} holds no bundle.",
                "Give the folder that has 'bundles' and 'packs' in it, or a .airgap file.",
            )
        return bundles

    def list_folders(self, prefix: str = "") -> list[str]:
        """Return the bundle ids that begin with ``prefix``, sorted; a manifest may be missing."""
        if names.is_bundle_id(prefix):
            return [prefix]
        listed = self.transport.list(layout.BUNDLES, limits.FOLDER_NAMES)
        return [name for name in listed if names.is_bundle_id(name) and name.startswith(prefix)]

    def read_roots(self) -> list[SignedRoot]:
        """Return the roots that travel in the depot, in the order of the versions in their names.

        Raises:
            MissingError: there are none.
            CorruptError: there are too many, or one is not a regular file.
        """
        files = {
            name: layout.parse_root_file(name)
            for name in self.transport.list(layout.ROOTS, limits.FOLDER_NAMES)
        }
        versions = sorted(parsed[0] for parsed in files.values() if parsed and parsed[1])
        if not versions:
            raise MissingError(f"{self.location} holds no roots.", "Give the path of a root file.")
        if len(versions) > limits.TRAVELLING_ROOTS:
            raise CorruptError(
                f"{self.location} holds {len(versions)} roots; at most"
                f" {limits.TRAVELLING_ROOTS} are read.",
                "Give the paths of the root files you need.",
            )
        envelopes = len(files) - list(files.values()).count(None) - len(versions)
        if envelopes > limits.TRAVELLING_ENVELOPES:
            raise CorruptError(
                f"{self.location}/{layout.ROOTS} holds {envelopes:,} signature files; at most"
                f" {limits.TRAVELLING_ENVELOPES:,} are read.",
                "Remove those by keys that no root has (VERSION.<key id>.dsse).",
            )
        return [
            self._read_root(
                version, [name for name, parsed in files.items() if parsed == (version, False)]
            )
            for version in versions
        ]

    def _read_root(self, version: int, envelopes: Sequence[str]) -> SignedRoot:
        return SignedRoot(
            self.read(layout.root_name(version), limits.ROOT_BYTES),
            tuple(self.read(f"{layout.ROOTS}/{name}", limits.ENVELOPE_BYTES) for name in envelopes),
        )

    def read(self, name: str, limit: int) -> bytes:
        """Read a whole file of at most ``limit`` bytes.

        Raises:
            MissingError: it is not there.
            CorruptError: it is longer.
        """
        data = bytearray()

        def append(piece: memoryview) -> None:
            data.extend(piece)
            if len(data) > limit:
                raise CorruptError(
                    f"{self.location}/{name} is longer than {limit:,} bytes, the most it may have.",
                    "Copy it from its source again.",
                )

        self.transport.get(name, append, 0, limit + 1)
        return bytes(data)

    def place_file(self, name: str, data: bytes) -> None:
        """Store a small file, unless exactly this is there already."""
        if self.transport.publish(name, data):
            return
        with suppress(CorruptError, MissingError):  # or it is being removed right now
            if self.read(name, len(data)) == data:
                return
        self.transport.publish(name, data, replace=True)

    def add_files(self, bundle: str, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and then its envelope, beside a bundle's manifest.

        What a crash leaves is an attestation without its envelope, which says nothing (format §14).

        Raises:
            ConflictError: this key has signed something else there, or no room is left.
            StorageError, TransportError: it cannot be written.
        """
        folder = f"{layout.BUNDLES}/{bundle}"
        listed = self.demand_room(bundle, files[-1][0])
        if len(files) > 1 and all(name in listed for name, _ in files):
            self._demand_same(folder, files)
        else:
            for name, data in files:
                self.transport.publish(f"{folder}/{name}", data, replace=True)
        self.lock_with_manifest(bundle, [name for name, _ in files])

    def demand_room(self, bundle: str, envelope: str) -> list[str]:
        """Return the names in a bundle's folder, where one more envelope of this name is read.

        Raises:
            ConflictError: as many of its role are there as a reader takes.
        """
        listed = self.transport.list(f"{layout.BUNDLES}/{bundle}", limits.FOLDER_NAMES)
        role = envelope.partition(".")[0]
        signed = [name for name in listed if name.startswith(f"{role}.") and name.endswith(".dsse")]
        if len(signed) >= limits.ENVELOPES and envelope not in listed:
            raise ConflictError(
                f"{self.location}#{bundle} has {len(signed)} signatures of the role {role}.",
                "No more are read: remove those that are not needed.",
            )
        return listed

    def add_attachment(self, bundle: str, file: str, data: bytes) -> None:
        """Put an attachment beside a bundle's manifest; see ``SignedManifest``."""
        folder = f"{layout.BUNDLES}/{bundle}"
        listed = self.transport.list(folder, limits.FOLDER_NAMES)
        if file in listed:
            self._demand_same_attachment(f"{folder}/{file}", data)
            self.lock_with_manifest(bundle, [file])
            return
        allowance = Allowance()
        for other in filter(parse_attachment_file, listed):
            allowance.take(other, self.transport.size(f"{folder}/{other}") or 0)
        if len(data) > allowance.limit(file):
            raise ConflictError(
                f"{self.location}#{bundle} has no room for an attachment of {len(data):,} bytes.",
                "No more are read: remove those that are not needed.",
            )
        if not self.transport.publish(f"{folder}/{file}", data):  # it was added just now
            self._demand_same_attachment(f"{folder}/{file}", data)
        self.lock_with_manifest(bundle, [file])

    def find_lock(self) -> ObjectLock | None:
        """Return the locks of a depot in a bucket with object lock; None for every other depot.

        A server that does not know the question, or may not tell these credentials, has none
        (format §37.5): what it locks it keeps all the same.

        Raises:
            TransientError: the server failed to answer, which says nothing.
        """
        lock = self.transport.object_lock
        try:
            return lock if lock is not None and lock.read_settings().enabled else None
        except TransientError:
            raise
        except TransportError:
            return None

    def lock_with_manifest(self, bundle: str, files: Iterable[str]) -> None:
        """Lock files beside a manifest at least as long as that is locked (format §37.3).

        Raises:
            StorageError: the server confirmed, and does not lock one.
            TransportError: it cannot be reached, or refuses.
        """
        lock = self.find_lock()
        if lock is None:
            return
        with suppress(MissingError):  # it is being removed right now
            retention = lock.read_retention(layout.manifest_name(bundle))
            if retention is None:
                return
            for file in files:
                name = f"{layout.BUNDLES}/{bundle}/{file}"
                present = lock.read_retention(name)
                if present is None or present.until < retention.until:
                    lock.retain(name, retention.until, retention.mode)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self.transport.close()

    def _is_published(self, bundle: str) -> bool:
        return self.transport.size(layout.manifest_name(bundle)) is not None

    def _demand_same_attachment(self, name: str, data: bytes) -> None:
        with suppress(CorruptError, MissingError):
            if self.read(name, len(data)) == data:
                return
        raise ConflictError(
            f"{self.location}/{name} exists with different content.",
            "Remove it if no attestation needs it, or move it away.",
        )

    def _demand_same(self, folder: str, files: Sequence[tuple[str, bytes]]) -> None:
        for name, data in files:
            if self.read(f"{folder}/{name}", limits.ENVELOPE_BYTES) != data:
                raise ConflictError(
                    f"{self.location} has another signature by this key.",
                    "A key speaks once of a bundle; to take it back, revoke the bundle in the"
                    " site's root.",
                )


class DepotBundle:
    """Fills ``SignedManifest`` with the folder of one bundle in a depot."""

    def __init__(self, depot: Depot, bundle: str) -> None:
        """Take the depot and a bundle id."""
        self.location = f"{depot.location}#{bundle}"
        self.depot = depot
        self.bundle = bundle
        self._folder = f"{layout.BUNDLES}/{bundle}"
        self._listed: list[str] | None = None

    def list_files(self) -> list[str]:
        """Return the sorted names in the bundle's folder, listed once."""
        if self._listed is None:
            self._listed = self.depot.transport.list(self._folder, limits.FOLDER_NAMES)
        return self._listed

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id and the manifest's bytes."""
        name = layout.manifest_name(self.bundle)
        return self.bundle, self.depot.read(name, limits.MANIFEST_BYTES)

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role."""
        return [self.depot.read(name, limits.ENVELOPE_BYTES) for name in self._envelope_names(role)]

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; one alone is ignored."""
        pairs = []
        for envelope in self._envelope_names(role):
            with suppress(MissingError):
                statement = self.depot.read(
                    layout.attestation_beside(envelope), limits.ATTESTATION_BYTES
                )
                pairs.append((statement, self.depot.read(envelope, limits.ENVELOPE_BYTES)))
        return pairs

    def read_roots(self) -> list[SignedRoot]:
        """Return the roots that travel in the depot, by version; see ``SignedManifest``."""
        return self.depot.read_roots()

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that lie beside the manifest; see ``PackSource``."""
        signatures: dict[str, bytes] = {}
        left = limits.MODEL_SIGNATURES_BYTES
        for name in self.list_files():
            if name not in files:
                continue
            limit = min(left, limits.MODEL_SIGNATURE_BYTES)
            signatures[name] = b""
            with suppress(CorruptError, MissingError):  # nothing depends on it
                signatures[name] = self.depot.read(f"{self._folder}/{name}", limit)
            left -= len(signatures[name])
        return signatures

    def read_attachments(self) -> dict[str, bytes]:
        """Return the attachments beside the manifest; see ``SignedManifest``."""
        attachments: dict[str, bytes] = {}
        allowance = Allowance()
        for file in self.list_files():
            limit = allowance.limit(file)
            data = b""
            with suppress(CorruptError, MissingError):  # nothing depends on it
                data = self.depot.read(f"{self._folder}/{file}", limit) if limit else b""
            if data:
                attachments[file] = data
                allowance.take(file, len(data))
        return attachments

    def add_attachment(self, file: str, data: bytes) -> None:
        """Put an attachment beside the manifest; see ``SignedManifest``."""
        self.depot.add_attachment(self.bundle, file, data)

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and its envelope, beside the manifest."""
        self.depot.add_files(self.bundle, files)

    def close(self) -> None:
        """Close the depot's connection."""
        self.depot.close()

    def _envelope_names(self, role: Role) -> list[str]:
        """Return the depot names of one role's envelopes.

        Raises:
            CorruptError: there are too many.
        """
        files = ((name, layout.parse_envelope_file(name)) for name in self.list_files())
        envelopes = [
            f"{self._folder}/{name}" for name, parsed in files if parsed and parsed[0] == role
        ]
        refuse_too_many(envelopes, self.location)
        return envelopes
