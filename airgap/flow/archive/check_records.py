"""Checks records, evidence and programs of an archive (format §35, §36.3)."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, MissingError
from airgap.flow.archive.side_by_side import read_side_by_side
from airgap.flow.retention.records import ArchiveRecords, read_records
from airgap.flow.retention.standing import BundleStanding, find_standings
from airgap.format import archive, layout, limits, names, stamp_files
from airgap.format.check_result import CheckProblem, ProblemKind
from airgap.format.root import Root
from airgap.format.shard import Shard
from airgap.printable import make_printable
from airgap.signing import time_stamps
from airgap.times import format_time
from airgap.transport.port import Transport

__all__ = ["check_programs", "check_records"]

_NAMED: Final = re.compile(r"([0-9a-f]{16})\.[-._A-Za-z0-9]{1,200}")
_TEXT_CHARACTERS: Final = 400
_CLOCKS_DIFFER: Final = 86_400
"""How many seconds a release may be from the future (format §35.2, rule 2)."""


def check_records(
    depot: Depot, shard: Shard, root: Root | None, present: Iterable[str], now: int
) -> list[CheckProblem]:
    """Check the records and the evidence of the bundles in a shard.

    Args:
        depot: the archive.
        shard: the part of it.
        root: the site's, without which no release counts.
        present: the ids of the bundles whose manifest is there.
        now: seconds since 1970.

    Raises:
        CorruptError: there are too many.
        TransportError: the archive cannot be read.
    """

    def takes(bundle: str) -> bool:
        return shard.takes(bytes.fromhex(bundle))

    records = read_records(depot)  # all: a bundle may be kept by what builds on it elsewhere
    every = find_standings(records, root, format_time(now + _CLOCKS_DIFFER))
    standings = {bundle: every[bundle] for bundle in every if takes(bundle)}
    problems = list(_find_damaged(records, takes))
    there = frozenset(present)
    for bundle, standing in standings.items():
        is_unknown = root is None and _has_release(standing)
        problems += _check_standing(bundle, standing, is_there=bundle in there or is_unknown)
    problems += _find_orphans(depot, takes, records)
    tasks = (_make_task(bundle, standing) for bundle, standing in standings.items())
    for found in read_side_by_side(depot, tasks):
        problems += found
    return problems


def check_programs(depot: Depot) -> list[CheckProblem]:
    """Check programs and certificates, whose names are digests of their content.

    Raises:
        TransportError: the archive cannot be read.
    """
    problems = []
    for file in depot.transport.list(archive.SOFTWARE, limits.FOLDER_NAMES):
        name, match = f"{archive.SOFTWARE}/{file}", _NAMED.fullmatch(file)
        if match and not layout.is_part(file):
            digest = _digest(depot.transport, name)
            if not digest.startswith(match[1]):
                problems.append(_report(name, "corrupt", "its SHA-256 is not that in its name"))
    for file in depot.transport.list(archive.TSA, limits.FOLDER_NAMES):
        digits = stamp_files.parse_certificate_file(file)
        if digits is not None:
            name = f"{archive.TSA}/{file}"
            try:
                raw = depot.read(name, limits.CERTIFICATE_BYTES)
                is_right = time_stamps.encode_certificate(raw, name)[0] == digits
            except AirgapError:
                is_right = False
            if not is_right:
                problems.append(_report(name, "corrupt", "it is not the certificate in its name"))
    return problems


def _has_release(standing: BundleStanding) -> bool:
    return any(stored.record.event == "released" for stored in standing.records)


def _find_damaged(records: ArchiveRecords, takes: Callable[[str], bool]) -> Iterator[CheckProblem]:
    for file, why in records.damaged.items():
        if takes(file.partition(".")[0]):
            yield _report(f"{archive.RECORDS}/{file}", "corrupt", why)


def _check_standing(
    bundle: str, standing: BundleStanding, *, is_there: bool
) -> Iterator[CheckProblem]:
    """Find records that others name, and a bundle that is kept, which are not there."""
    for identity in standing.missing:
        name = f"{archive.RECORDS} of bundle {bundle}"
        yield _report(name, "missing", f"record {identity}, which another one names, is not there")
    if standing.is_kept and not is_there:
        text = "the bundle is kept, and its manifest is not there"
        yield _report(layout.manifest_name(bundle), "missing", text)


def _find_orphans(
    depot: Depot, takes: Callable[[str], bool], records: ArchiveRecords
) -> Iterator[CheckProblem]:
    """Find evidence of bundles without any record: one may have been removed (format §35.6)."""
    damaged = {file.partition(".")[0] for file in records.damaged}
    for bundle in depot.transport.list(archive.EVIDENCE, limits.FOLDER_NAMES):
        if not (names.is_bundle_id(bundle) and takes(bundle)):
            continue
        if bundle not in damaged and not records.find(bundle):
            text = "there is evidence of a bundle that no record names"
            yield _report(f"{archive.EVIDENCE}/{bundle}", "missing", text)


def _make_task(bundle: str, standing: BundleStanding) -> Callable[[Transport], list[CheckProblem]]:
    """Compare the evidence and the policies that the records of a bundle name."""

    def read(transport: Transport) -> list[CheckProblem]:
        terms = [stored.record.terms for stored in standing.archived if stored.record.terms]
        files = {one for term in terms for one in term.evidence}
        wanted = {archive.evidence_name(bundle, one): (one.sha256, one.size) for one in files}
        wanted |= {archive.policy_name(term.policy): (term.policy, -1) for term in terms}
        return [
            problem
            for name, (sha256, size) in sorted(wanted.items())
            for problem in _compare(transport, name, sha256, size)
        ]

    return read


def _compare(transport: Transport, name: str, sha256: str, size: int) -> Iterator[CheckProblem]:
    try:
        if size >= 0 and transport.size(name) not in (None, size):
            yield _report(name, "corrupt", "it does not have the size that a record says")
        elif _digest(transport, name) != sha256:
            yield _report(name, "corrupt", "it is not the file that a record names")
    except MissingError:
        yield _report(name, "missing", "a record names it, and it is not there")


def _digest(transport: Transport, name: str) -> str:
    """Return the SHA-256 of a file in hex. Raises as ``Transport.get``."""
    state = hashlib.sha256()
    transport.get(name, state.update)
    return state.hexdigest()


def _report(name: str, kind: ProblemKind, text: str) -> CheckProblem:
    return CheckProblem("failed", "records", name, kind, make_printable(text)[:_TEXT_CHARACTERS])
