"""Attached reports, compared with the attestations that name their digests (format §24).

A report is for people: one that differs is shown, and refuses nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from airgap.flow.bundle.open_bundle import Opened
from airgap.format import layout

__all__ = ["AttachedReport", "describe_reports", "examine_reports", "report_lines"]

ReportVerdict = Literal["as signed", "differs", "not attached"]
_LINES: Final = {
    "as signed": "report {file}: as signed",
    "differs": "report {file}: NOT the file that was signed: do not rely on it",
    "not attached": "report {file}: not attached",
}


@dataclass(frozen=True, slots=True)
class AttachedReport:
    """The report of an attestation: its file name beside the manifest, and whether it is signed."""

    file: str
    verdict: ReportVerdict


def examine_reports(opened: Opened) -> tuple[AttachedReport, ...]:
    """Compare the reports of the attestations that count; call it before packs are read."""
    digests: dict[str, set[bytes]] = {}
    for key_id, signed in opened.manifest.attestations:
        if signed.findings is not None:
            file = layout.attestation_file(signed.role, key_id, signed.name)
            digests.setdefault(layout.findings_file(file), set()).add(signed.findings)
    if not digests:
        return ()
    attached = opened.reader.read_attachments()
    return tuple(
        AttachedReport(file, _compare(attached.get(file), digests[file])) for file in digests
    )


def describe_reports(reports: Sequence[AttachedReport]) -> list[dict[str, Any]]:
    """Describe them as plain data, for ``--json``."""
    return [{"file": report.file, "verdict": report.verdict} for report in reports]


def report_lines(reports: Sequence[AttachedReport]) -> list[str]:
    """Return a line for each, for people."""
    return [_LINES[report.verdict].format(file=report.file) for report in reports]


def _compare(data: bytes | None, signed: set[bytes]) -> ReportVerdict:
    if data is None:
        return "not attached"
    return "as signed" if hashlib.sha256(data).digest() in signed else "differs"
