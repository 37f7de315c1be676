"""What is stamped, and where its stamps lie: a bundle with its attachments, or a checkpoint."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from airgap.carrier.port import PackSource
from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import ConflictError, CorruptError, UsageError
from airgap.flow.bundle.open_to_sign import BundleToSign, name_bundle, open_to_sign
from airgap.flow.bundle.signature_files import read_signature_files
from airgap.flow.ledger.record import EventRecord, record_for_audience
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import parse_location
from airgap.flow.publishing.attach import attach
from airgap.format import checkpoint, limits
from airgap.format.stamp_files import (
    StampedFile,
    find_chain,
    find_stamped,
    parse_certificate_file,
    stamp_file,
)
from airgap.printable import quote

__all__ = [
    "Stampable",
    "StampedBundle",
    "StampedCheckpoint",
    "open_stampable",
    "open_stamped_bundle",
]


class Stampable(Protocol):
    """Something with files that are stamped, the stamps, and the authorities' certificates."""

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        ...

    @property
    def bundle(self) -> str:
        """The bundle id; empty for a checkpoint."""
        ...

    def find_stamped(self) -> list[StampedFile]:
        """Return what stamps can be over, each with its stamps."""
        ...

    def list_certificates(self) -> list[tuple[bytes, bytes]]:
        """Return the certificates that lie there, with the digests in their names."""
        ...

    def add(self, file: str, data: bytes) -> None:
        """Put a stamp or a certificate there, unless exactly this one is there.

        Raises:
            ConflictError: another one of this name is there, or no room is left.
            AirgapError: it cannot be written.
        """
        ...

    def record(self, file: str, stamp: bytes) -> None:
        """Note in the ledger that a stamp was added."""
        ...


@dataclass
class StampedBundle:
    """A bundle: envelopes and indexes are stamped, and all lies there as attachments."""

    candidate: BundleToSign
    connector: Connector
    signed: Mapping[str, bytes]
    attached: dict[str, bytes]
    volumes: Sequence[PackSource] = ()
    """Where further packs of it are, if it comes on several volumes."""

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        return self.candidate.reader.location

    @property
    def bundle(self) -> str:
        """The bundle id."""
        return self.candidate.bundle

    def find_stamped(self) -> list[StampedFile]:
        """Return envelopes and indexes, each with its stamps."""
        return find_stamped(self.signed, self.attached)

    def list_certificates(self) -> list[tuple[bytes, bytes]]:
        """Return the certificates that are attached; see ``Stampable``."""
        files = ((parse_certificate_file(file), data) for file, data in self.attached.items())
        return [(digest, data) for digest, data in files if digest is not None]

    def add(self, file: str, data: bytes) -> None:
        """Attach a file; see ``Stampable``."""
        if self.candidate.reader.stock_archive:
            raise UsageError(
                f"{self.location} cannot have time stamps: it is an archive for stock BentoML.",
                "Stamp the bundle in a depot or a .airgap file.",
            )
        attach(self.candidate.reader, file, data, self.connector.progress)
        self.attached[file] = data

    def record(self, file: str, stamp: bytes) -> None:
        """Append an entry to the ledger of exports."""
        manifest = self.candidate.manifest
        entry = EventRecord(
            "timestamped",
            bytes.fromhex(self.bundle),
            manifest.channel,
            manifest.sequence,
            documents={"tsr": hashlib.sha256(stamp).digest()},
            note=file,
        )
        record_for_audience(manifest.audience, entry, self.connector.progress)


@dataclass
class StampedCheckpoint:
    """A checkpoint of a ledger: a file, with its stamps and the certificates beside it."""

    path: Path
    data: bytes
    bundle: str = ""

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        return str(self.path)

    def find_stamped(self) -> list[StampedFile]:
        """Return the checkpoint with its stamps."""
        name = self.path.name
        names = (stamp_file(name, number) for number in range(1, limits.STAMPS + 1))
        files = {file: self._read(file, limits.TIME_STAMP_BYTES) for file in names}
        there = {file: data for file, data in files.items() if data is not None}
        return [find_chain(name, self.data, there)]

    def list_certificates(self) -> list[tuple[bytes, bytes]]:
        """Return the certificates beside it; see ``Stampable``."""
        files = [path.name for path in sorted(self.path.parent.glob("tsa.*.pem"))]
        certificates = []
        for file in files[: limits.ATTACHMENTS]:
            digest, data = parse_certificate_file(file), self._read(file, limits.CERTIFICATE_BYTES)
            if digest is not None and data is not None:
                certificates.append((digest, data))
        return certificates

    def add(self, file: str, data: bytes) -> None:
        """Write a file beside the checkpoint; see ``Stampable``."""
        path = self.path.parent / file
        present = self._read(file, len(data))
        if present not in (None, data):
            raise ConflictError(
                f"{path} exists with different content.", "Move it away, or stamp a copy."
            )
        if present is None:
            with translate_errors(path):
                durable.replace_file(path, data)

    def record(self, file: str, stamp: bytes) -> None:
        """Do nothing: an entry about a checkpoint would be behind it."""

    def _read(self, file: str, limit: int) -> bytes | None:
        try:
            return read_small(self.path.parent / file, limit)[: limit + 1]
        except OSError:
            return None


@contextmanager
def open_stampable(source: str, bundle: str | None, connector: Connector) -> Iterator[Stampable]:
    """Open a checkpoint, or the one bundle of a location.

    Raises:
        UsageError: a checkpoint has no bundle id, or a stock archive is given.
        AirgapError: as ``open_to_sign``.
    """
    data = _read_checkpoint(Path(source))
    if data is not None:
        if bundle is not None:
            raise UsageError(f"{quote(source)} is a checkpoint.", "Leave out --bundle.")
        yield StampedCheckpoint(Path(source), data)
        return
    with open_to_sign(name_bundle(parse_location(source), bundle), connector) as candidate:
        yield open_stamped_bundle(candidate, connector)


def open_stamped_bundle(candidate: BundleToSign, connector: Connector) -> StampedBundle:
    """Read what lies beside a manifest that was read."""
    reader = candidate.reader
    signed = read_signature_files(reader)
    return StampedBundle(candidate, connector, signed, reader.read_attachments())


def _read_checkpoint(path: Path) -> bytes | None:
    """Return the bytes of a file if it is a checkpoint (format §28.3)."""
    try:
        if not path.is_file():
            return None
        data = read_small(path, limits.NOTE_BYTES)
        checkpoint.parse_checkpoint(checkpoint.parse_note(data, "it").text, "it")
    except (OSError, ValueError, CorruptError):
        return None
    return data
