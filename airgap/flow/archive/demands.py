"""Until when each file of an archive must stay, by its records (format §35.2, §37.3).

What a bundle consists of, its records and its evidence must stay until its end; a pack, until the
highest end of the bundles that name it; what belongs to the whole archive, until the last end.
"""

import calendar
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import CorruptError, MissingError
from airgap.flow.depot.delete import list_bundle_files
from airgap.flow.retention.guard import read_kept_manifest
from airgap.flow.retention.records import list_record_files
from airgap.flow.retention.standing import BundleStanding
from airgap.format import archive, layout, limits
from airgap.format import manifest as manifests
from airgap.format.check_files import ID_NAME, RENEWALS

__all__ = ["Demands", "find_demands", "parse_end"]

_SHARED: Final = (layout.ROOTS, archive.POLICY, archive.TSA, archive.SOFTWARE, RENEWALS)


@dataclass(frozen=True, slots=True)
class Demands:
    """What an archive's records demand."""

    ends: Mapping[str, int]
    """Seconds since 1970 until which a file must stay, by its depot name."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Why it is not known which packs a bundle needs, by its id."""
    held: tuple[str, ...] = ()
    """The ids of bundles under a hold: what they consist of must stay, and has no end."""


def find_demands(depot: Depot, standings: Mapping[str, BundleStanding]) -> Demands:
    """Find out until when each file must stay. A bundle whose retention has no end yet has none.

    Raises:
        TransportError: the archive cannot be read.
    """
    ends: dict[str, int] = {}
    unknown: dict[str, str] = {}
    records = list_record_files(depot)
    for standing in standings.values():
        if not standing.is_kept or not standing.end:
            continue
        end = parse_end(standing.end)
        files = list(_list_files(depot, standing.bundle, records.get(standing.bundle, [])))
        try:
            files += _list_packs(depot, standing.bundle)
        except CorruptError as error:
            unknown[standing.bundle] = error.message
        for name in files:
            ends[name] = max(ends.get(name, 0), end)
    if ends:
        ends |= dict.fromkeys(_list_shared(depot), max(ends.values()))
    held = (standing.bundle for standing in standings.values() if standing.holds)
    return Demands(ends, unknown, tuple(sorted(held)))


def _list_shared(depot: Depot) -> Iterator[str]:
    """Yield the names of what belongs to the whole archive."""
    if depot.transport.size(ID_NAME) is not None:
        yield ID_NAME
    for folder in _SHARED:
        for file in depot.transport.list(folder, limits.FOLDER_NAMES):
            if not layout.is_part(file):
                yield f"{folder}/{file}"


def parse_end(text: str) -> int:
    """Return the end of a retention in seconds since 1970; ``text`` is that of a record."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def _list_files(depot: Depot, bundle: str, records: list[str]) -> Iterator[str]:
    """Yield the names of what belongs to one bundle alone, whether it is there or not."""
    yield layout.manifest_name(bundle)
    yield from list_bundle_files(depot, bundle)
    for file in records:
        yield f"{archive.RECORDS}/{file}"
    folder = f"{archive.EVIDENCE}/{bundle}"
    for file in depot.transport.list(folder, limits.FOLDER_NAMES):
        yield f"{folder}/{file}"


def _list_packs(depot: Depot, bundle: str) -> list[str]:
    """Return the names of a bundle's packs, by its manifest or by the one in the evidence.

    Raises:
        CorruptError: neither is there and intact.
    """
    try:
        raw = depot.read(layout.manifest_name(bundle), limits.MANIFEST_BYTES)
    except (MissingError, CorruptError):
        raw = b""
    if manifests.bundle_id(raw) != bundle:
        raw = read_kept_manifest(depot, bundle)
    return [layout.pack_name(pack.digest) for pack in manifests.decode(raw).packs]
