"""The results of checks that an archive has: written, and read again with the root (format §36.4).

A result that a recorder of the pinned root has not signed counts for nothing, and so does one of
another archive, or of a copy of this one at another location.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.flow.archive.choose_packs import EarlierChecks
from airgap.flow.archive.side_by_side import read_side_by_side
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.format import check_files, layout, limits
from airgap.format.check_files import CHECKS
from airgap.format.root import Root
from airgap.format.shard import Shard
from airgap.printable import make_printable
from airgap.signing.checks import SignedCheck, verify_check
from airgap.transport.port import Transport

__all__ = [
    "EarlierRequest",
    "StoredResult",
    "list_results",
    "load_earlier",
    "name_location",
    "read_digests",
    "store_result",
]

_TEXT_CHARACTERS: Final = 400


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A verified result of an archive, and the month that it lies in."""

    month: str
    signed: SignedCheck


def name_location(location: DepotLocation, depot: Depot) -> str:
    """Return where an archive is, as results say it: the same from every working folder."""
    local = str(location.path.absolute()) if isinstance(location, LocalDepot) else depot.location
    return make_printable(local)[:_TEXT_CHARACTERS]


def store_result(depot: Depot, month: str, raw: bytes, lists: Iterable[tuple[str, bytes]]) -> str:
    """Store a result and, before it, the lists of bundles and packs that it names; return its name.

    Raises:
        TransportError, StorageError: it cannot be written.
    """
    name = check_files.result_name(month, raw)
    for file, data in (*lists, (name, raw)):
        depot.transport.publish(file, data)
    return name


def list_results(depot: Depot, root: Root, since: str = "") -> Iterator[StoredResult]:
    """Yield the results that a recorder of a root has signed, of the months from ``since`` on.

    Raises:
        TransportError: the archive cannot be read.
    """
    months = filter(check_files.is_month, depot.transport.list(CHECKS, limits.FOLDER_NAMES))
    wanted = [month for month in months if month >= since[:7]]
    files = [
        (month, file)
        for month in wanted
        for file in depot.transport.list(f"{CHECKS}/{month}", limits.FOLDER_NAMES)
        if check_files.parse_result_file(file)
    ]
    tasks = (_make_reading(depot, f"{CHECKS}/{month}/{file}") for month, file in files)
    for (month, file), raw in zip(files, read_side_by_side(depot, tasks), strict=True):
        if hashlib.sha256(raw).digest() != check_files.parse_result_file(file):
            continue
        with suppress(AirgapError):  # a stranger's
            yield StoredResult(month, verify_check(raw, root))


def _make_reading(depot: Depot, name: str) -> Callable[[Transport], bytes]:
    def read(transport: Transport) -> bytes:
        with suppress(MissingError, CorruptError):
            return Depot(transport, depot.work).read(name, limits.CHECK_FILE_BYTES)
        return b""

    return read


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """Of which archive, where, and of which shard earlier results count, and of which time."""

    archive: str
    location: str
    shard: Shard
    since: str
    latest: str
    """A result that began later is from a clock that was wrong."""


def load_earlier(depot: Depot, root: Root | None, asked: EarlierRequest) -> EarlierChecks:
    """Return when packs of a shard were last read, by the archive's own results.

    Without a root nobody can say whose they are, and they count for nothing.

    Raises:
        TransportError: the archive cannot be read.
    """
    earlier = EarlierChecks()
    for stored in list_results(depot, root, asked.since) if root and asked.archive else ():
        check = stored.signed.check
        if (check.archive, check.location) != (asked.archive, asked.location) or check.shards:
            continue
        if check.began > asked.latest:
            continue
        failed = [one.name for one in check.problems if one.test == "packs"]
        earlier.add_failed(map(_read_pack_name, failed), check.began)
        if check.problem_count > len(check.problems):  # which others failed nobody can say
            continue
        with suppress(CorruptError, MissingError):
            _add(earlier, depot, stored, asked.shard)
    return earlier


def _add(earlier: EarlierChecks, depot: Depot, stored: StoredResult, shard: Shard) -> None:
    """Add one result by the list that it names.

    Raises:
        CorruptError, MissingError: the list is not there.
    """
    check, month = stored.signed.check, stored.month
    if check.sampled is None:
        name = check_files.bundles_name(month, check.state)
        bundles = read_digests(depot, name, check.state, limits.DEPOT_BUNDLES)
        unread = {one.name for one in check.problems if one.test == "manifests"}
        read = (one for one in bundles if layout.manifest_name(one.hex()) not in unread)
        earlier.add_whole(read, check.shard, check.began)
        return
    name = check_files.packs_name(month, check.sampled)
    packs = read_digests(depot, name, check.sampled, limits.ARCHIVE_PACKS)
    earlier.add_sample(filter(shard.takes, packs), check.began)


def read_digests(depot: Depot, name: str, digest: bytes, most: int) -> list[bytes]:
    """Read a list that a result names.

    Raises:
        CorruptError, MissingError: it is not there, or another.
    """
    raw = depot.read(name, most * len(digest))
    if hashlib.sha256(raw).digest() != digest:
        raise CorruptError(
            f"{depot.location}/{name} is damaged.", "Copy it from another copy of the archive."
        )
    return check_files.decode_digests(raw, most, f"{depot.location}/{name}")


def _read_pack_name(name: str) -> bytes:
    """Return the digest in the name of a pack; nothing for another name."""
    digits = name.rpartition("/")[2].removesuffix(".pack")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""
