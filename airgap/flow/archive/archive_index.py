"""An index of the stronger digests of every file of an archive, and its stamps (format §36.7)."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from airgap.carrier.depot import Depot
from airgap.errors import ConflictError, CorruptError, MissingError
from airgap.flow.archive.side_by_side import read_side_by_side
from airgap.flow.ledger.record import ANY_SITE, EventRecord, record_event
from airgap.flow.progress import Progress
from airgap.flow.site import load_pinned
from airgap.format import check_files, layout, limits, names, stamp_files
from airgap.format.archive import parse_record_name
from airgap.format.check_files import ARCHIVE, CHECKS, ID_NAME, RENEWALS
from airgap.format.stamp_files import IndexLine, StampedFile
from airgap.transport.port import Transport

__all__ = ["StampedArchive", "add_archive_index", "is_index_due", "list_archive_files"]

_TSA = f"{ARCHIVE}/tsa"
_FLAT = ("records", "policy", "tsa", "software", "renewals")
"""Folders below ``archive`` that have files and no folders."""
_DEEP = ("evidence", "checks")
"""Those that have folders with files."""

_BY_CONTENT = tuple(f"{ARCHIVE}/{name}/" for name in ("policy", "software", "evidence", "checks"))
"""Folders whose files have names that begin with digits of their SHA-256."""
_NAMED = re.compile(r"([0-9a-f]{64}|[0-9a-f]{16})\.")


@dataclass
class StampedArchive:
    """The indexes of an archive, with their stamps: fills ``Stampable``."""

    depot: Depot
    progress: Progress
    bundle: str = field(default="", init=False)

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        return self.depot.location

    def find_stamped(self) -> list[StampedFile]:
        """Return the indexes, each with its stamps."""
        listed = self.depot.transport.list(RENEWALS, limits.FOLDER_NAMES)
        found = []
        for file in filter(check_files.is_renewal_file, listed):
            stamps = (stamp_files.stamp_file(file, n) for n in range(1, limits.STAMPS + 1))
            chain = {name: self._read(name) for name in stamps if name in listed}
            data = self.depot.read(f"{RENEWALS}/{file}", limits.ARCHIVE_INDEX_BYTES)
            found.append(stamp_files.find_chain(file, data, chain))
        return found

    def list_certificates(self) -> list[tuple[bytes, bytes]]:
        """Return the certificates of the archive, with the digests in their names."""
        certificates = []
        for file in self.depot.transport.list(_TSA, limits.FOLDER_NAMES)[: limits.ATTACHMENTS]:
            digest = stamp_files.parse_certificate_file(file)
            if digest is not None:
                data = self.depot.read(f"{_TSA}/{file}", limits.CERTIFICATE_BYTES)
                certificates.append((digest, data))
        return certificates

    def add(self, file: str, data: bytes) -> None:
        """Put a stamp or a certificate into the archive; see ``Stampable``."""
        folder = RENEWALS if stamp_files.parse_certificate_file(file) is None else _TSA
        name = f"{folder}/{file}"
        if self.depot.transport.publish(name, data):
            return
        try:
            is_same = self.depot.read(name, len(data)) == data
        except (CorruptError, MissingError):
            is_same = False
        if not is_same:
            raise ConflictError(
                f"{self.location}/{name} exists with different content.",
                "Find out which is right, and move the other away.",
            )

    def record(self, file: str, stamp: bytes) -> None:
        """Append an entry to the ledger of exports."""
        pinned = load_pinned()
        site = pinned.value.site if pinned else ANY_SITE
        documents = {"tsr": hashlib.sha256(stamp).digest()}
        entry = EventRecord("timestamped", documents=documents, note=file)
        record_event(site, "exporting", entry, self.progress)

    def _read(self, file: str) -> bytes:
        return self.depot.read(f"{RENEWALS}/{file}", limits.TIME_STAMP_BYTES)


def list_archive_files(depot: Depot) -> list[str]:
    """Return the sorted names of all files that an index has: without what is not whole.

    Raises:
        CorruptError: a folder has too many.
        TransportError: the archive cannot be read.
    """
    found = filter(stamp_files.is_archive_name, _list_files(depot.transport))
    return sorted(name for name in found if not layout.is_part(name))


def _list_files(transport: Transport) -> Iterator[str]:
    yield from _list_folder(transport, layout.ROOTS)
    for folder in _list_folder(transport, layout.PACKS):
        yield from _list_folder(transport, folder)
    for bundle in transport.list(layout.BUNDLES, limits.FOLDER_NAMES):
        if names.is_bundle_id(bundle):
            yield from _list_bundle_files(transport, bundle)
    if transport.size(ID_NAME) is not None:
        yield ID_NAME
    for name in _FLAT:
        yield from filter(_is_indexed, _list_folder(transport, f"{ARCHIVE}/{name}"))
    for name in _DEEP:
        for folder in _list_folder(transport, f"{ARCHIVE}/{name}"):
            yield from _list_folder(transport, folder)


def _list_bundle_files(transport: Transport, bundle: str) -> Iterator[str]:
    parity = layout.parity_folder(bundle)
    for name in _list_folder(transport, f"{layout.BUNDLES}/{bundle}"):
        if name != parity:
            yield name
    yield from _list_folder(transport, parity)


def _list_folder(transport: Transport, folder: str) -> list[str]:
    return [f"{folder}/{file}" for file in transport.list(folder, limits.FOLDER_NAMES)]


def _is_indexed(name: str) -> bool:
    """Tell whether a file is not itself an index of the archive."""
    return not check_files.is_renewal_file(name.rpartition("/")[2])


def is_index_due(depot: Depot) -> bool:
    """Tell whether a file is not in the newest index; results of checks alone make none due.

    Raises:
        CorruptError: the newest index is damaged.
        TransportError: the archive cannot be read.
    """
    newest = _find_newest(depot)
    if newest is None:
        return True
    raw = depot.read(f"{RENEWALS}/{newest}", limits.ARCHIVE_INDEX_BYTES)
    listed = {line.name for line in stamp_files.parse_archive_index(raw, newest)}
    return any(
        name not in listed and not name.startswith((f"{CHECKS}/", f"{RENEWALS}/", f"{_TSA}/"))
        for name in list_archive_files(depot)
    )


def _find_newest(depot: Depot) -> str | None:
    listed = depot.transport.list(RENEWALS, limits.FOLDER_NAMES)
    indexes = list(filter(check_files.is_renewal_file, listed))
    return max(indexes, key=_rank, default=None)


def _rank(file: str) -> tuple[str, int]:
    date, _, number = file.removesuffix(".sha512").partition("-")
    return date, int(number)


def add_archive_index(depot: Depot, date: str, progress: Progress) -> str:
    """Read every file of an archive, and store their digests; return the name of the index.

    Raises:
        ConflictError: the archive has too many files for an index, or too many indexes of one day.
        AirgapError: a file cannot be read, or a pack is damaged, or the index not be written.
    """
    files = list_archive_files(depot)
    lines = []
    progress.begin("reading", len(files))
    try:
        for line in read_side_by_side(depot, map(_make_task, files)):
            lines.append(line)
            progress.advance(1)
    finally:
        progress.end()
    data = stamp_files.encode_index(iter(lines))
    if len(data) > limits.ARCHIVE_INDEX_BYTES:
        raise ConflictError(
            f"An index of {depot.location} would have {len(data):,} bytes; at most"
            f" {limits.ARCHIVE_INDEX_BYTES:,} are read.",
            "Divide the archive into several.",
        )
    for number in range(1, limits.RENEWALS + 1):
        name = check_files.renewal_name(date, number)
        if depot.transport.publish(name, data):
            return name
    raise ConflictError(
        f"{depot.location} has {limits.RENEWALS} indexes of this day.", "Go on tomorrow."
    )


def _make_task(name: str) -> Callable[[Transport], IndexLine]:
    """Digest a file; a pack must be the one that its name says."""

    def read(transport: Transport) -> IndexLine:
        stronger, digest, size = hashlib.sha512(), hashlib.sha256(), 0

        def update(piece: memoryview) -> None:
            nonlocal size
            stronger.update(piece)
            digest.update(piece)
            size += len(piece)

        transport.get(name, update)
        if not digest.hexdigest().startswith(_find_digits(name)):
            raise CorruptError(
                f"{transport.location}/{name} is damaged: an index would vouch for it.",
                "Have it written again first: `airgap archive check --mend`, or `--from COPY`."
                if name.startswith(f"{layout.PACKS}/")
                else "Restore it from another copy of the archive.",
            )
        return IndexLine(name, stronger.digest(), digest.digest(), size)

    return read


def _find_digits(name: str) -> str:
    """Return the first digits of the SHA-256 that a file must have by its name; empty: any."""
    folder, _, file = name.rpartition("/")
    if file == layout.MANIFEST:
        return folder.rpartition("/")[2]
    if name.startswith(f"{layout.PACKS}/"):
        return file.removesuffix(".pack")
    parsed = parse_record_name(file)
    if parsed:
        return parsed[1]
    named = _NAMED.match(file) if name.startswith(_BY_CONTENT) else None
    return named[1] if named else ""
