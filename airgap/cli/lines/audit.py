"""A report for auditors, in a few lines for people."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airgap.printable import count_text

__all__ = ["audit_lines"]


def audit_lines(report: Mapping[str, Any], output: Path, evidence: Path | None) -> Iterator[str]:
    """Say what the verdict is, which exceptions there are, and where the report lies."""
    verdict = report["verdict"]
    yield verdict["statement"]
    titles = {one["kind"]: one["title"] for one in report["exceptions"]}
    for kind, count in verdict["kinds"].items():
        yield f"  {count:,}  {titles[kind]}"
    bundles = count_text(verdict["bundles"], "bundle")
    entries = count_text(verdict["entries"], "entry", "entries")
    yield f"{bundles}, {entries} of ledgers: {output}"
    if evidence is None:
        yield "To get the evidence that its commands check: --evidence FOLDER"
    else:
        yield f"To check it without airgap: sh {evidence}/check.sh"
