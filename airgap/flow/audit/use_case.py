"""``airgap audit``: from what was named to a report and its evidence (format §38)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.disk.part_folder import make_part_folder
from airgap.errors import ConflictError, UsageError
from airgap.flow.audit.citations import Citations
from airgap.flow.audit.evidence_files import EvidenceFiles
from airgap.flow.audit.evidence_texts import write_texts
from airgap.flow.audit.material import (
    AuditedBundle,
    AuditedLedger,
    AuditedRoots,
    AuditFilter,
    AuditMaterial,
)
from airgap.flow.audit.page import render_page
from airgap.flow.audit.read_bundles import BundleReading, LoadCounted, SealedReading, read_bundles
from airgap.flow.audit.read_ledgers import (
    read_own_ledgers,
    read_shown_ledgers,
)
from airgap.flow.audit.read_receipts import (
    count_forks,
    list_named_receipts,
    list_own_receipts,
    read_receipts,
)
from airgap.flow.audit.read_roots import choose_root, judge_roots, read_root_file, write_roots
from airgap.flow.audit.report import make_report
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import Location, StandardInput
from airgap.format import intoto, limits
from airgap.sealing.identity_files import read_identities
from airgap.state.counted_files import load_counted
from airgap.times import format_time
from airgap.version import __version__

__all__ = ["AuditRequest", "AuditResult", "read_clock", "run_audit"]


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What to read, and where the report goes.

    Without ``ledgers`` and ``receipts``, those of this machine are read. ``roots`` are files; with
    ``fingerprints``, no root needs to be pinned here. ``now`` is in seconds since 1970.
    """

    output: Path
    now: int
    sources: Sequence[Location] = ()
    ledgers: Sequence[Path] = ()
    receipts: Sequence[Path] = ()
    roots: Sequence[Path] = ()
    fingerprints: Sequence[str] = ()
    wanted: AuditFilter = field(default_factory=AuditFilter)
    evidence: Path | None = None
    identities: Sequence[str] = ()
    """Files, or descriptors as ``fd:N``, that open sealed bundles."""
    include_sealed: bool = False
    """Whether the evidence has what is inside sealed bundles, in plain text."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The report as plain data (format §38.3), and how many files of evidence were written."""

    report: dict[str, Any]
    files: int


def read_clock() -> int:
    """Return the time of a report that names none, in seconds since 1970."""
    return int(time.time())


def run_audit(request: AuditRequest, connector: Connector = LOCAL) -> AuditResult:
    """Read and verify everything, and write the report and its evidence.

    Raises:
        ConfigurationError: no root says whom to trust.
        UsageError: there is too much to read, standard input was named, or the time is to come.
        NotTrustedError, CorruptError, MissingError: a ledger or a root is not what it should be.
        ConflictError: the folder for evidence is not empty.
        StorageError, TransportError: something cannot be read or written.
    """
    if any(isinstance(source, StandardInput) for source in request.sources):
        raise UsageError("Standard input cannot be audited.", "Give a depot or a .airgap file.")
    if request.now > read_clock():
        raise UsageError(
            f"The time {format_time(request.now)} is in the future: what happens until then is not"
            " known.",
            "Give a time that has passed. If this machine's clock is wrong, set it.",
        )
    with _open_evidence(request.evidence) as files:
        material, commands = _read_material(request, connector, files)
        citations = Citations(files, limits.AUDIT_PROOFS)
        for ledger in material.ledgers:
            citations.write_ledger(ledger, material.roots)
        report = make_report(material, citations, commands)
        page = render_page(report).encode()
        if files.is_written:
            files.add("report.json", intoto.encode_json(report) + b"\n")
            files.add("report.html", page)
            write_texts(report, files)
    write_atomically(request.output.parent, request.output.name, [page], mode=0o644)
    return AuditResult(report, len(files.digests) if request.evidence else 0)


def _read_material(
    request: AuditRequest, connector: Connector, files: EvidenceFiles
) -> tuple[AuditMaterial, Mapping[str, Sequence[str]]]:
    """Read everything; return it with the commands that check the roots, by fingerprint."""
    named = list(map(read_root_file, request.roots))
    today, own = choose_root(named, request.fingerprints)
    sealed = SealedReading(read_identities(request.identities), request.include_sealed)
    counted: LoadCounted = (lambda _: {}) if request.ledgers else load_counted
    reading = BundleReading(today, request.now, files, sealed, counted)
    bundles = read_bundles(reading, request.sources, connector)
    roots = judge_roots(today, [own, *named, *reading.roots], request.fingerprints)
    commands = write_roots(roots, files)
    ledgers = _read_ledgers(request, roots, files)
    hidden = frozenset() if request.include_sealed else _find_sealed(bundles, ledgers)
    receipts = read_receipts(_list_receipts(request, roots), roots.root, files, hidden)
    site = roots.root.site
    material = AuditMaterial(
        request.now,
        __version__,
        request.wanted,
        roots,
        ledgers,
        bundles,
        receipts,
        unreadable=reading.unreadable,
        forks=0 if request.ledgers else count_forks(site),
        sources=_list_sources(bundles),
        hidden=hidden,
    )
    return material, commands


def _read_ledgers(
    request: AuditRequest, roots: AuditedRoots, files: EvidenceFiles
) -> list[AuditedLedger]:
    if not request.ledgers:
        return read_own_ledgers(roots.root, request.now, files)
    return read_shown_ledgers(request.ledgers, roots.root, request.now, files)


def _find_sealed(
    bundles: Sequence[AuditedBundle], ledgers: Sequence[AuditedLedger]
) -> frozenset[str]:
    """Return the bundles that were sealed, as far as a ledger or an opened location says so."""
    recorded = (one.entry for ledger in ledgers for one in ledger.entries)
    return frozenset(
        [
            *(entry.bundle.hex() for entry in recorded if entry.event == "sealed" and entry.bundle),
            *(bundle.bundle for bundle in bundles if bundle.index),
        ]
    )


def _list_receipts(request: AuditRequest, roots: AuditedRoots) -> Iterator[bytes]:
    """Return the receipts that were named; else this machine's, if its ledgers are read, too."""
    if request.receipts:
        return list_named_receipts(request.receipts)
    return iter(()) if request.ledgers else list_own_receipts(roots.root.site)


def _list_sources(bundles: Sequence[AuditedBundle]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(bundle.source for bundle in bundles))


@contextmanager
def _open_evidence(path: Path | None) -> Iterator[EvidenceFiles]:
    """Give a folder that appears whole at the end of the block, or not at all."""
    if path is None:
        yield EvidenceFiles(None)
        return
    with translate_errors(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConflictError(f"{path} exists.", "Give the name of a new folder.")
        with make_part_folder(path) as part:
            yield EvidenceFiles(part)
            durable.sync_file_system(part)
            part.replace(path)
            durable.sync_folder(path.parent)
