"""All checks of ``airgap archive doctor``, in the order in which to fix problems."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, MissingError
from airgap.flow.archive.demands import Demands, find_demands
from airgap.flow.archive.doctor import contents
from airgap.flow.archive.doctor.folder import check_folder
from airgap.flow.archive.doctor.locks import check_locks
from airgap.flow.archive.lock import lock_demanded
from airgap.flow.archive.results import name_location
from airgap.flow.depot.open_depot import open_depot
from airgap.flow.doctor.finding import Finding, note, problem
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.flow.retention.guard import load_root, read_standings
from airgap.flow.retention.lost_records import find_lost_records
from airgap.sealing.identity_files import read_identities

__all__ = ["ArchiveDiagnosis", "DoctorRequest", "diagnose_archive"]

WHOLE = 1_000_000
"""A sample of all files, in parts of a million."""


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """What to look at."""

    location: DepotLocation
    identities: tuple[str, ...] = ()
    """Files of identities that must open each seal."""
    sample: int = WHOLE
    """How many files of a million a server is asked about."""
    lock: bool = False
    """Whether to lock first what the records demand, and what is not locked so long."""


@dataclass(frozen=True, slots=True)
class ArchiveDiagnosis:
    """What was found, and how many files were locked by ``DoctorRequest.lock``."""

    findings: tuple[Finding, ...]
    locked: int = 0


def diagnose_archive(request: DoctorRequest, connector: Connector) -> ArchiveDiagnosis:
    """Look at what protects an archive. Changes nothing but locks, if that is asked for.

    Raises:
        MissingError: there is no bundle and no record.
        CorruptError: there are too many records.
        ConfigurationError: an identity cannot be read; a lock was demanded that cannot be had.
        PolicyError: this machine's ledger is not consistent.
        TransportError: it cannot be read.
    """
    identities = read_identities(request.identities)
    now = int(time.time())
    with open_depot(replace(request.location, bundle=""), connector) as depot:
        records, standings = read_standings(depot)
        published = _list_published(depot)
        damaged = {file.partition(".")[0] for file in records.damaged}  # told by themselves
        lost = {
            identity: bundle
            for identity, bundle in find_lost_records(depot, records).items()
            if bundle not in damaged
        }
        if not (published or records.bundles or records.damaged or lost):
            raise MissingError(
                f"{depot.location} holds no bundle and no record.",
                "Give an archive: a depot that bundles were added to with `airgap archive add`.",
            )
        demands = find_demands(depot, standings)
        where = name_location(request.location, depot)
        locked = lock_demanded(depot, demands) if request.lock else 0
        unknown = [
            problem(
                "records",
                f"It is not known which packs bundle {bundle} needs: {why}",
                "Bring its manifest back: the findings about versions say how, or another copy of"
                " the archive has it.",
            )
            for bundle, why in demands.unknown.items()
        ]
        checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
            ("records", partial(contents.check_lost_records, lost)),
            ("records", partial(contents.check_records, records, standings, published, now)),
            ("records", partial(iter, unknown)),
            ("locks", partial(_check_protection, request, depot, demands, now)),
            ("escrow", partial(contents.check_escrow, depot, published, identities)),
            ("parity", partial(contents.check_parity, depot, published)),
            ("stamps", partial(contents.check_stamps, depot, published, now)),
            ("checks", partial(contents.check_checks, depot, where, standings, load_root(), now)),
            ("software", partial(contents.check_software, depot)),
        )
        findings = tuple(
            finding for subject, check in checks for finding in _finish(subject, check)
        )
    return ArchiveDiagnosis(findings, locked)


def _finish(subject: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check; one that cannot go on is a finding, and the next one runs."""
    try:
        yield from check()
    except AirgapError as error:
        yield problem(subject, error.message, error.hint)


def _check_protection(
    request: DoctorRequest, depot: Depot, demands: Demands, now: int
) -> Iterator[Finding]:
    if depot.transport.object_lock is not None:
        yield from check_locks(depot, demands, request.sample, now, str(request.location))
    elif isinstance(request.location, LocalDepot):
        yield from check_folder(request.location.path)
    else:
        yield note(
            "locks",
            f"{depot.location} is on a server that keeps no locks: its account can delete"
            " everything.",
            "For a copy that nobody can delete, use a bucket with object lock.",
        )


def _list_published(depot: Depot) -> list[str]:
    try:
        return depot.list_bundles()
    except MissingError:
        return []
