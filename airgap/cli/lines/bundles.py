"""Lines for people about a bundle that was opened: admission, volumes, parity."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from airgap.cli.lines.labels import join_words, label_lines
from airgap.cli.terminal import ClaimLine
from airgap.flow.admission.policy import describe_gap
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.media.missing_volumes import MissingVolumes, format_volumes
from airgap.flow.media.parity import ParityStatus
from airgap.printable import series_text
from airgap.times import format_time

__all__ = ["admission_lines", "parity_lines", "volume_lines"]

_SKIPPED_LINES: Final = 5
_CLOCK_SECONDS: Final = 86_400
"""How much later than now a bundle may have been created without a note."""


def admission_lines(opened: Opened) -> list[str]:
    """Say where in its channel an admitted bundle is, and what only a waiver let pass."""
    manifest, admission = opened.manifest.value, opened.admission
    last = opened.policy.state.last_sequence(manifest.channel)
    lines = []
    if manifest.sequence:
        news = f"this site had {last} before" if last else "the first of its channel here"
        standing = "this site has it already" if last == manifest.sequence else news
        lines.append(f"channel {manifest.channel}, number {manifest.sequence}: {standing}")
    else:
        lines.append(f"channel {manifest.channel}, no number: an older one looks the same")
    lines += label_lines(manifest.labels)
    clock = int(time.time())
    if manifest.created_at - clock > _CLOCK_SECONDS:
        lines.append(
            f"NOTE: this machine's clock says {format_time(clock)}, but the bundle was created at"
            f" {format_time(manifest.created_at)}; set the clock that is wrong"
        )
    lines += _gap_lines(opened)
    if admission.waiver:
        lines += [f"WAIVED: {problem}" for problem in admission.lifted]
        lines.append(ClaimLine(f"waiver: {join_words(admission.waiver.value.reason)}"))
        lines += [f"  signed by {key_id}" for key_id in admission.waiver.signers["approver"]]
    return lines + _skipped_lines(opened)


def _gap_lines(opened: Opened) -> list[str]:
    """Say which numbers did not come, and which are in the same depot."""
    here = sorted({bundle.sequence for bundle in opened.earlier})
    lines = [
        f"NOTE: {describe_gap(absent)}; ask the sender if that is meant"
        for absent in _split_gap(opened.admission.gap, here)
    ]
    if here:
        numbers = series_text([str(number) for number in here])
        subject = f"number {numbers} is" if len(here) == 1 else f"numbers {numbers} are"
        verb = "was" if len(here) == 1 else "were"
        lines.append(f"NOTE: {subject} in this depot and {verb} not imported")
    return lines


def _split_gap(gap: range, here: Sequence[int]) -> Iterator[range]:
    """Yield the runs of a gap, which may be very long, without these ascending numbers."""
    start = gap.start
    for number in here:
        if start < number < gap.stop:
            yield range(start, number)
        start = max(start, number + 1)
    if start < gap.stop:
        yield range(start, gap.stop)


def _skipped_lines(opened: Opened) -> list[str]:
    """Name what was passed over; what is older than the last import is not worth a line."""
    lines = [f"passed over: {line}" for line in opened.not_older[:_SKIPPED_LINES]]
    more = len(opened.not_older) - len(lines)
    return [*lines, f"passed over: {more} more"] if more else lines


def volume_lines(volumes: MissingVolumes) -> list[str]:
    """Say for people which volumes are good, and which were not seen."""
    count, good = volumes.labels[0].count, sorted(volumes.seen)
    verb = "is" if len(good) == 1 else "are"
    missing = format_volumes(volumes.unseen)
    line = f"{format_volumes(good)} of {count} {verb} good; missing: {missing}."
    return [line[0].upper() + line[1:]]


def parity_lines(parity: ParityStatus, *, is_partial: bool = False) -> list[str]:
    """Say for people how parity fares; nothing if there is none.

    Of a bundle whose volumes are not all here (``is_partial``), parity packs may be absent, too.
    """
    total = parity.total - parity.missing if is_partial else parity.total
    if not total:
        return []
    lines = [f"Parity packs intact: {parity.intact:,} of {total:,}.", *parity.damaged]
    if parity.missing and not is_partial:
        lines.append(f"Parity packs missing here: {parity.missing:,}.")
    return lines
