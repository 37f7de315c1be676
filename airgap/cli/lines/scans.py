"""Lines about a scan: each item, what is not accepted and why, and one sentence on all."""

from collections.abc import Iterator
from typing import Final

from airgap.cli.terminal import ClaimLine
from airgap.flow.scanning.scan_staged import Scan, ScannedFile, ScannedItem
from airgap.printable import count_text

__all__ = ["scan_lines"]

_SHOWN: Final = 20
"""Files of one item; `--json` has all of them."""


def scan_lines(scan: Scan) -> Iterator[str]:
    """Yield each item with its verdicts, what is not accepted, and what that amounts to."""
    for item in scan.items:
        refused = [file for file in item.files if not file.is_accepted]
        yield ClaimLine(f"{item.name}: {_summarize(item)}")
        for file in refused[:_SHOWN]:
            yield from _file_lines(file)
        if len(refused) > _SHOWN:
            yield f"  and {len(refused) - _SHOWN:,} more"
    yield scan.statement
    if scan.refused:
        yield "To permit a file that you have reviewed, name it in a policy: --policy FILE"


def _summarize(item: ScannedItem) -> str:
    verdicts = [file.judgment.verdict for file in item.files]
    counts = [
        f"{verdicts.count(verdict):,} {verdict}"
        for verdict in ("inert", "code", "refused")
        if verdict in verdicts
    ]
    return f"{count_text(len(item.files), 'file')}: {', '.join(counts)}" if counts else "no files"


def _file_lines(file: ScannedFile) -> Iterator[str]:
    yield ClaimLine(f"  {file.judgment.verdict.upper()}: {file.path} ({file.judgment.form})")
    for reason in file.judgment.reasons:
        yield ClaimLine(f"    {reason}")
    yield f"    SHA-256 {file.sha256}"
