"""What is attached to a bundle, for people (format §24, §31.4): reports, statements, other files.

Reports are compared with the attestations that name their digests. Nothing relies on any of it: one
that differs is shown, and refuses nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from airgap.flow.bundle.open_bundle import Opened
from airgap.format import layout
from airgap.format.attachment import FINDINGS, STATEMENT, parse_attachment_file
from airgap.format.root import Root
from airgap.printable import size_text
from airgap.signing.statements import Judged, judge_statement

__all__ = [
    "AttachedFile",
    "AttachedReport",
    "Attachments",
    "attachment_lines",
    "describe_files",
    "describe_reports",
    "examine_attachments",
    "judge_files",
    "report_lines",
]

ReportVerdict = Literal["as signed", "differs", "not attached"]
_LINES: Final = {
    "as signed": "report {file}: as signed",
    "differs": "report {file}: NOT the file that was signed: do not rely on it",
    "not attached": "report {file}: not attached",
}
_VERDICTS: Final = {
    "signed": "statement of {role} {key_id}, about this bundle; nothing relies on it",
    "another bundle": "statement of {role} {key_id} about ANOTHER bundle: do not rely on it",
    "does not match": "the signature is NOT that of {role} {key_id}: do not rely on it",
    "not checked": "not checked by airgap",
}
_OTHER_COMMANDS: Final = "not checked by this command"
"""Of time stamps and checkpoints, which ``verify --as-of`` and imports look at."""


@dataclass(frozen=True, slots=True)
class AttachedReport:
    """The report of an attestation: its file name beside the manifest, and whether it is signed."""

    file: str
    verdict: ReportVerdict


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """Any other attachment: its name, size in bytes and SHA-256, and what is known of it."""

    file: str
    size: int
    digest: bytes
    judged: Judged


@dataclass(frozen=True, slots=True)
class Attachments:
    """What is attached to an admitted bundle."""

    reports: tuple[AttachedReport, ...] = ()
    files: tuple[AttachedFile, ...] = ()


def examine_attachments(opened: Opened) -> Attachments:
    """Look at what is attached to an admitted bundle; call it before packs are read."""
    digests: dict[str, set[bytes]] = {}
    for key_id, signed in opened.manifest.attestations:
        if signed.findings is not None:
            file = layout.attestation_file(signed.role, key_id, signed.name)
            digests.setdefault(layout.findings_file(file), set()).add(signed.findings)
    attached = opened.reader.read_attachments()
    reports = tuple(
        AttachedReport(file, _compare(attached.get(file), digests[file])) for file in digests
    )
    others = {file: data for file, data in attached.items() if file not in digests}
    return Attachments(reports, judge_files(others, opened.bundle, opened.root.value))


def judge_files(
    attached: Mapping[str, bytes], bundle: str, root: Root | None
) -> tuple[AttachedFile, ...]:
    """Say what is known of attachments, by a root or without one, sorted by name."""
    return tuple(
        AttachedFile(
            file, len(data), hashlib.sha256(data).digest(), _judge(file, data, bundle, root)
        )
        for file, data in sorted(attached.items())
    )


def describe_reports(reports: Sequence[AttachedReport]) -> list[dict[str, Any]]:
    """Describe reports as plain data, for ``--json``."""
    return [{"file": report.file, "verdict": report.verdict} for report in reports]


def describe_files(files: Sequence[AttachedFile]) -> list[dict[str, Any]]:
    """Describe other attachments as plain data, for ``--json``. Sizes in bytes."""
    return [
        {
            "file": attached.file,
            "size": attached.size,
            "sha256": attached.digest.hex(),
            "verdict": attached.judged.verdict,
            "predicate_type": attached.judged.predicate_type or None,
            "role": attached.judged.role,
            "key_id": attached.judged.key_id or None,
        }
        for attached in files
    ]


def report_lines(reports: Sequence[AttachedReport]) -> list[str]:
    """Return a line for each report, for people."""
    return [_LINES[report.verdict].format(file=report.file) for report in reports]


def attachment_lines(files: Sequence[AttachedFile]) -> list[str]:
    """Return two lines or three for each of the other attachments, for people.

    What a statement claims to be is in them: somebody unknown may have written it.
    """
    lines = []
    for attached in files:
        judged = attached.judged
        verdict = _VERDICTS[judged.verdict].format(role=judged.role, key_id=judged.key_id)
        if parse_attachment_file(attached.file) not in (FINDINGS, STATEMENT):
            verdict = _OTHER_COMMANDS
        lines += [f"attachment {attached.file} ({size_text(attached.size)})", f"  {verdict}"]
        lines += [f"  {judged.predicate_type}"] if judged.predicate_type else []
    return lines


def _judge(file: str, data: bytes, bundle: str, root: Root | None) -> Judged:
    if parse_attachment_file(file) != STATEMENT:
        return Judged("not checked")
    return judge_statement(data, bundle, root)


def _compare(data: bytes | None, signed: set[bytes]) -> ReportVerdict:
    if data is None:
        return "not attached"
    return "as signed" if hashlib.sha256(data).digest() in signed else "differs"
