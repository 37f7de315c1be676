"""Reads the records of an archive, and writes files that are named by their content (§35.1)."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from airgap.carrier.depot import Depot
from airgap.errors import ConflictError, CorruptError, MissingError
from airgap.format import archive, intoto, limits
from airgap.format.archive import ArchiveRecord, decode_record, parse_record_name, record_id
from airgap.format.intoto import StatementEnvelope
from airgap.signing.records import read_record_envelope
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport

__all__ = [
    "ArchiveRecords",
    "StoredRecord",
    "is_archive",
    "list_record_files",
    "merge_records",
    "place_named",
    "place_record",
    "read_record_files",
    "read_records",
]


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record that lies in an archive. Its signatures are not verified."""

    id: str
    record: ArchiveRecord
    envelopes: tuple[StatementEnvelope, ...]
    """The same statement, once for each file; their signatures count together."""


@dataclass(frozen=True, slots=True)
class ArchiveRecords:
    """The records of an archive by bundle id, sorted by time, and the names of damaged files."""

    bundles: Mapping[str, tuple[StoredRecord, ...]] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)
    """By file name, why it cannot be read."""

    def find(self, bundle: str) -> tuple[StoredRecord, ...]:
        """Return the records of a bundle."""
        return self.bundles.get(bundle, ())

    def require_intact(self, location: str) -> None:
        """Demand that every record can be read.

        Raises:
            CorruptError: one cannot.
        """
        for file, why in sorted(self.damaged.items()):
            raise CorruptError(
                f"{location}/{archive.RECORDS}/{file} is damaged, so what must be kept is unknown:"
                f" {why.rstrip('.')}.",
                "Restore the file from another copy of the archive. Nothing was changed.",
                sorted(self.damaged)[1:10],
            )


def is_archive(depot: Depot) -> bool:
    """Tell whether a depot has anything of an archive."""
    return bool(depot.transport.list(archive.ARCHIVE, limits.FOLDER_NAMES))


def list_record_files(depot: Depot) -> dict[str, list[str]]:
    """Return the file names of records by bundle id, sorted; nothing is read.

    Raises:
        CorruptError: there are too many.
        TransportError: the depot cannot be read.
    """
    files: dict[str, list[str]] = {}
    for file in depot.transport.list(archive.RECORDS, limits.FOLDER_NAMES):
        parsed = parse_record_name(file)
        if parsed:
            files.setdefault(parsed[0], []).append(file)
    for bundle, listed in files.items():
        if len(listed) > limits.RECORDS:
            raise CorruptError(
                f"{depot.location} has {len(listed):,} records of bundle {bundle}; at most"
                f" {limits.RECORDS:,} are read.",
                "Move those away that nobody of the site has signed.",
            )
    return files


def read_records(depot: Depot) -> ArchiveRecords:
    """Read all records of an archive, over several connections.

    Raises:
        CorruptError: there are too many.
        TransportError: the depot cannot be read.
    """
    listed = list_record_files(depot)
    return read_record_files(depot, [file for bundle in listed for file in listed[bundle]])


def read_record_files(depot: Depot, files: Sequence[str]) -> ArchiveRecords:
    """Read some records of an archive, by their file names, over several connections.

    Raises:
        TransportError: the depot cannot be read.
    """
    found: dict[str, list[StoredRecord]] = {}
    damaged: dict[str, str] = {}
    for file, read in _read_all(depot, files):
        if isinstance(read, CorruptError):
            damaged[file] = read.message
            continue
        found.setdefault(read.record.bundle, []).append(read)
    bundles = {bundle: merge_records(records) for bundle, records in found.items()}
    return ArchiveRecords(bundles, damaged)


def merge_records(records: Iterable[StoredRecord]) -> tuple[StoredRecord, ...]:
    """Return records of one bundle, each once with all of its envelopes, sorted by time."""
    merged: dict[str, StoredRecord] = {}
    for one in records:
        twin = merged.get(one.id, StoredRecord(one.id, one.record, ()))
        new = tuple(envelope for envelope in one.envelopes if envelope not in twin.envelopes)
        merged[one.id] = StoredRecord(one.id, one.record, twin.envelopes + new)
    return tuple(sorted(merged.values(), key=lambda stored: (stored.record.time, stored.id)))


def place_named(depot: Depot, name: str, data: bytes) -> bool:
    """Store a file that is named by its content; return False if it was there.

    Raises:
        ConflictError: other bytes lie under that name.
        StorageError, TransportError: it cannot be written.
    """
    if depot.transport.size(name) is None and depot.transport.publish(name, data):
        return True
    with suppress(CorruptError, MissingError):
        if depot.read(name, len(data)) == data:
            return False
    raise ConflictError(
        f"{depot.location}/{name} exists with different content.",
        "Find out who wrote it, and move it away. Nothing was changed.",
    )


def place_record(depot: Depot, envelope: StatementEnvelope) -> bool:
    """Store a signed record; return False if exactly this file was there.

    Raises:
        ConflictError, StorageError, TransportError: as ``place_named``.
    """
    raw = intoto.encode_envelope(envelope)
    bundle = decode_record(envelope.payload).bundle
    return place_named(depot, archive.record_name(bundle, raw), raw)


def _read_all(
    depot: Depot, files: Sequence[str]
) -> Iterator[tuple[str, StoredRecord | CorruptError]]:
    if not files:
        return
    pool: ConnectionPool[StoredRecord | CorruptError | None] = ConnectionPool(
        depot.transport, depot.work.jobs
    )
    try:
        reads: list[tuple[str, Future[StoredRecord | CorruptError | None]]] = [
            (file, pool.submit(_make_read(depot, file))) for file in files
        ]
        for file, future in reads:
            read = future.result()
            if read is not None:
                yield file, read
    finally:
        pool.close()


def _make_read(
    depot: Depot, file: str
) -> Callable[[Transport], StoredRecord | CorruptError | None]:
    def read(transport: Transport) -> StoredRecord | CorruptError | None:
        try:
            raw = Depot(transport, depot.work).read(
                f"{archive.RECORDS}/{file}", limits.RECORD_FILE_BYTES
            )
            return _read_file(file, raw)
        except CorruptError as error:
            return error
        except MissingError:  # removed just now
            return CorruptError(f"{file} was removed while it was read.", "Run the command again.")

    return read


def _read_file(file: str, raw: bytes) -> StoredRecord:
    """Read a record; its file's name must be that of its content (format §35.1)."""
    bundle, sha256 = parse_record_name(file) or ("", "")
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise CorruptError(f"The SHA-256 of {file} is not that in its name.", "Restore it.")
    envelope = read_record_envelope(raw)
    record = decode_record(envelope.payload)
    if record.bundle != bundle:
        raise CorruptError(f"{file} is the record of bundle {record.bundle}.", "Move it away.")
    return StoredRecord(record_id(envelope.payload), record, (envelope,))
