"""Archives for stock BentoML on a server, with what lies beside them (format §10).

The archive itself goes through a local file: its readers and writers are those of local archives.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from airgap.carrier.remote_archive import send_file
from airgap.carrier.stock.archive import NoPacks, SignaturesOnly
from airgap.carrier.stock.form import ArchiveForm
from airgap.carrier.stock.port import Member
from airgap.carrier.stock.tar import TarReader
from airgap.carrier.stock.zip import ZipReader
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConflictError, CorruptError, MissingError, NotTrustedError
from airgap.format import layout, limits
from airgap.format import stock_archive as stock
from airgap.format.envelope import Role, refuse_too_many
from airgap.format.manifest import bundle_id
from airgap.transport.port import Pace, Transport
from airgap.transport.spool import Spool

__all__ = ["RemoteStockReader", "send_stock_archive"]


class RemoteStockReader(SignaturesOnly):
    """Fills ``BundleReader`` with an archive on a server; it is fetched when members are read."""

    is_folder = False

    def __init__(
        self, folder: Transport, name: str, form: ArchiveForm, location: str, spool: Path | None
    ) -> None:
        """Take the folder that the archive is in; ``close`` closes it."""
        self.location = location
        self.packs = NoPacks(location)
        self._folder = folder
        self._name = name
        self._form = form
        self._parent = spool
        self._spool: Spool | None = None
        self._listed: list[str] | None = None

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id, which follows from the manifest, and the manifest's bytes.

        Raises:
            MissingError: the archive is not there.
            NotTrustedError: it has no manifest.
        """
        try:
            raw = self._read(stock.manifest_name(self._name), limits.MANIFEST_BYTES)
        except MissingError:
            if self._folder.size(self._name) is None:
                raise MissingError(f"{self.location} is not there.", "Check the URL.") from None
            raise NotTrustedError(
                f"{self.location} has no signed manifest beside it.",
                f"Copy {stock.manifest_name(self._name)} and its .dsse files there too.",
            ) from None
        return bundle_id(raw), raw

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the envelopes of one role."""
        return [self._read(name, limits.ENVELOPE_BYTES) for name in self._envelope_names(role)]

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return each attestation of one role with its envelope; one alone is ignored."""
        pairs = []
        for envelope in self._envelope_names(role):
            with suppress(MissingError):
                statement = self._read(
                    layout.attestation_beside(envelope), limits.ATTESTATION_BYTES
                )
                pairs.append((statement, self._read(envelope, limits.ENVELOPE_BYTES)))
        return pairs

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Put an envelope, or an attestation and then its envelope, beside the manifest."""
        beside = stock.manifest_name(self._name)
        for name, data in files:
            file = f"{beside}.{name}"
            if self._folder.publish(file, data):
                continue
            if self._read(file, limits.ENVELOPE_BYTES) != data:
                raise ConflictError(
                    f"{self.location} has another signature by this key.",
                    "A key speaks once of a bundle; to take it back, revoke the bundle in the"
                    " site's root.",
                )

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Fetch the archive, and yield each member with its bytes; see ``MemberReader``."""
        file = self._fetch()
        reader = ZipReader(file) if self._form == "zip" else TarReader(file, self._form)
        reader.location = self.location
        return reader.members()

    def close(self) -> None:
        """Remove the local file, and close the connection."""
        if self._spool is not None:
            self._spool.close()
        self._folder.close()

    def _fetch(self) -> Path:
        size = self._folder.size(self._name)
        if size is None:
            raise MissingError(f"{self.location} is not there.", "Check the URL.")
        self._spool = self._spool or Spool(self._parent)
        file = self._spool.folder / "archive"
        with translate_errors(file), file.open("wb") as out:
            count = self._folder.get(self._name, out.write, 0, size + 1)
        if count != size:
            raise CorruptError(
                f"{self.location} has {count:,} bytes where the server promised {size:,}.",
                "Run the same command again; if it stays, copy the archive there again.",
            )
        return file

    def _read(self, name: str, limit: int) -> bytes:
        data = bytearray()

        def take(piece: memoryview) -> None:
            data.extend(piece)
            if len(data) > limit:
                raise CorruptError(
                    f"{name} beside {self.location} is longer than {limit:,} bytes.",
                    "Copy it there again from its source.",
                )

        self._folder.get(name, take, 0, limit + 1)
        return bytes(data)

    def _envelope_names(self, role: Role) -> list[str]:
        """Return the names of one role's envelopes; CorruptError if there are too many."""
        if self._listed is None:
            self._listed = self._folder.list("", limits.FOLDER_NAMES)
        parsed = ((stock.parse_envelope_name(self._name, name), name) for name in self._listed)
        names = [name for parts, name in parsed if parts and parts[0] == role]
        refuse_too_many(names, self.location)
        return names


def send_stock_archive(
    folder: Transport,
    archive: Path,
    beside: Mapping[str, bytes],
    pace: Pace | None = None,
) -> None:
    """Put an archive on a server, then its envelopes and, last, its manifest.

    What lay beside an older archive of this name goes first: at no time does a manifest lie beside
    an archive that it does not describe.

    Args:
        folder: the folder on the server.
        archive: the local file; the archive gets its name.
        beside: envelopes by name, and the manifest.
        pace: see ``Transport.put``.

    Raises:
        TransportError, StorageError: it cannot be sent.
    """
    manifest = stock.manifest_name(archive.name)
    old = [
        name
        for name in folder.list("", limits.FOLDER_NAMES)
        if stock.parse_envelope_name(archive.name, name)
    ]
    for name in (manifest, *old):
        folder.delete(name)
    send_file(folder, archive.name, archive, pace)
    for name in sorted(beside, key=lambda name: name == manifest):
        folder.publish(name, beside[name], replace=True)
