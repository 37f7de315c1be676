"""Lines about a scan: what is refused and why, then how much of what there is."""

from collections.abc import Iterator
from typing import Final

from airgap.cli.terminal import ClaimLine
from airgap.flow.scanning.scan_items import Scan, ScannedFile, ScannedItem
from airgap.printable import count_text

__all__ = ["scan_lines"]

_SHOWN: Final = 20
"""Files of one item; `--json` has all of them."""
_WORDS: Final = {
    "inert": "hold only data",
    "listed": "ask for listed names only",
    "program": "are programs",
    "refused": "are refused",
}


def scan_lines(scan: Scan) -> Iterator[str]:
    """Yield each item with its verdict, and what is not accepted."""
    for item in scan.items:
        refused = [file for file in item.files if not file.is_accepted]
        yield ClaimLine(f"{item.name}: {_summarize(item)}")
        for file in refused[:_SHOWN]:
            yield from _file_lines(file)
        if len(refused) > _SHOWN:
            yield f"  and {len(refused) - _SHOWN:,} more"
    if not scan.is_accepted:
        yield "To permit a file that you have reviewed, name it in a policy: --policy FILE"


def _summarize(item: ScannedItem) -> str:
    verdicts = [file.assessment.verdict for file in item.files]
    counts = [
        f"{verdicts.count(verdict):,} {words}"
        for verdict, words in _WORDS.items()
        if verdict in verdicts
    ]
    return f"{count_text(len(item.files), 'file')}; {', '.join(counts)}" if counts else "no files"


def _file_lines(file: ScannedFile) -> Iterator[str]:
    word = "REFUSED" if file.assessment.verdict == "refused" else "PROGRAM"
    yield ClaimLine(f"  {word}: {file.path} ({file.assessment.form})")
    for reason in file.assessment.reasons:
        yield ClaimLine(f"    {reason}")
    yield f"    SHA-256 {file.sha256}"
