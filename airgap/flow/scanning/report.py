"""The report of a scan, which is signed as findings (format §32.5)."""

import json
from pathlib import Path
from typing import Any, Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.flow.scanning.scan_staged import Scan, ScannedFile
from airgap.format import limits
from airgap.version import __version__

__all__ = ["describe_scan", "encode_report", "write_report"]

_FORMAT: Final = 1


def encode_report(scan: Scan) -> bytes:
    """Return the report: equal bundles, policies and scanners give equal bytes."""
    report = _encode(describe_scan(scan))
    if len(report) > limits.FINDINGS_BYTES:
        report = _encode(describe_scan(scan, with_inert=False))
    return report


def _encode(report: dict[str, Any]) -> bytes:
    text = json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True)
    return f"{text}\n".encode()


def describe_scan(scan: Scan, *, with_inert: bool = True) -> dict[str, Any]:
    """Describe a scan for JSON; without files that are inert and accepted if so asked."""
    items = [
        {
            "item": item.name,
            "files": [
                _describe_file(file)
                for file in item.files
                if with_inert or file.judgment.verdict != "inert"
            ],
        }
        for item in scan.items
    ]
    listed = sum(len(item["files"]) for item in items)
    return {
        "format": _FORMAT,
        "type": "airgap.scan",
        "airgap": __version__,
        "bundle": scan.bundle or None,
        "accepted": not scan.refused,
        "statement": scan.statement,
        "policy": scan.policy.sha256 or None,
        "scanners": [
            {
                "name": scanner.name,
                "command": list(scanner.command),
                "version": scan.versions[scanner.name],
            }
            for scanner in scan.policy.scanners
        ],
        "verdicts": dict(sorted(scan.verdicts.items())),
        "left_out": scan.verdicts.total() - listed,
        "items": items,
    }


def _describe_file(file: ScannedFile) -> dict[str, Any]:
    described: dict[str, Any] = {
        "path": file.path,
        "sha256": file.sha256,
        "size": file.size,
        "form": file.judgment.form,
        "verdict": file.judgment.verdict,
        "accepted": file.is_accepted,
        "reasons": list(file.judgment.reasons),
    }
    if file.permission is not None:
        described["permitted"] = file.permission.reason
    if file.scanners:
        described["scanners"] = dict(file.scanners)
    return described


def write_report(path: Path, scan: Scan) -> None:
    """Write the report; an older one is replaced. Raises StorageError."""
    with translate_errors(path):
        write_atomically(path.parent, path.name, [encode_report(scan)])
