"""How much room a command takes on each file system, told before anything is written.

A command has steps. What a step has on the disk at a time, beyond what is there before the command,
is its use; the peak of a file system is the largest sum of the uses of one step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.space import make_shortage, measure_free
from airgap.flow.progress import Progress
from airgap.printable import size_text
from airgap.store.health import find_existing

__all__ = [
    "DiskUse",
    "Peak",
    "demand_peaks",
    "describe_peak",
    "find_peaks",
    "note_peaks",
    "peak_text",
]

_MUCH: Final = 1024**3


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The bytes that one step has in a folder at a time; the folder need not exist yet."""

    step: str
    """For people: "writing packs"."""
    folder: Path
    size: int
    most: int | None = None
    """What ``size`` cannot exceed, if it is an estimate; None: ``size`` is exact or a bound."""

    @property
    def limit(self) -> int:
        """The bytes that cannot be exceeded."""
        return self.size if self.most is None else max(self.size, self.most)


@dataclass(frozen=True, slots=True)
class Peak:
    """The most bytes that a command has on one file system at a time."""

    folder: Path
    """The first folder there that the command writes to; it need not exist yet."""
    free: int | None
    """Bytes; None if the file system does not say."""
    steps: Mapping[str, tuple[int, int]]
    """The bytes of each step, and what they cannot exceed."""

    @property
    def size(self) -> int:
        """The bytes of the largest step."""
        return max(0, *(size for size, _ in self.steps.values()))

    @property
    def most(self) -> int:
        """What ``size`` cannot exceed."""
        return max(0, *(most for _, most in self.steps.values()))


def find_peaks(uses: Iterable[DiskUse]) -> tuple[Peak, ...]:
    """Sum the uses of each step on each file system.

    Raises:
        OSError: a folder cannot be looked at.
    """
    folders: dict[int, Path] = {}
    steps: dict[int, dict[str, tuple[int, int]]] = {}
    for use in uses:
        device = find_existing(use.folder.absolute()).stat().st_dev
        folders.setdefault(device, use.folder.absolute())
        sums = steps.setdefault(device, {})
        size, most = sums.get(use.step, (0, 0))
        sums[use.step] = size + use.size, most + use.limit
    return tuple(
        Peak(folder, measure_free(find_existing(folder)), steps[device])
        for device, folder in folders.items()
    )


def demand_peaks(peaks: Sequence[Peak], hint: str = "") -> None:
    """Refuse, before anything is written, what does not fit on a file system.

    ``hint`` says what else helps than to free space.

    Raises:
        StorageError: the free space is smaller than the peak.
    """
    for peak in peaks:
        if peak.free is not None and peak.size > peak.free:
            raise make_shortage(peak.folder, peak.size, peak.free, " more", hint)


def note_peaks(peaks: Sequence[Peak], progress: Progress) -> None:
    """Say beforehand what will be needed, where that is much, or most of what is free."""
    for peak in peaks:
        if peak.most >= _MUCH or (peak.free is not None and 2 * peak.most > peak.free):
            progress.note(peak_text(peak))


def peak_text(peak: Peak) -> str:
    """Say for people what a command needs on a file system, and what is free there."""
    most = f" (at most {size_text(peak.most)})" if peak.most > peak.size else ""
    free = "" if peak.free is None else f"; {size_text(peak.free)} are free"
    return f"Peak disk use at {peak.folder}: {size_text(peak.size)}{most}{free}."


def describe_peak(peak: Peak) -> dict[str, Any]:
    """Return a peak for JSON. Sizes are in bytes."""
    return {
        "folder": str(peak.folder),
        "free": peak.free,
        "peak": peak.size,
        "at_most": peak.most,
        "steps": [
            {"step": step, "bytes": size, "at_most": most}
            for step, (size, most) in peak.steps.items()
        ],
    }
