"""What a proof has on the disk: each step is said, and refused if need be, before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from airgap.disk.space import measure_block
from airgap.flow.disk_use import DiskUse, Peak, demand_peaks, find_peaks, peak_text
from airgap.flow.progress import Progress

__all__ = ["HOME_BLOCKS", "ProofUse"]

_HINT = ", or name a folder on another disk (--tmpdir)"

HOME_BLOCKS: Final = 24
"""The folders of a home and of a service in it, and what the sandbox writes."""


@dataclass(slots=True)
class ProofUse:
    """The steps of a proof in its private folder. What a step makes stays until the end."""

    folder: Path
    total: int = 0
    """The bytes that the steps so far have made."""
    peaks: Sequence[Peak] = field(default_factory=tuple)

    @property
    def block(self) -> int:
        """The unit of the file system, in bytes. Raises OSError."""
        return measure_block(self.folder)

    def add(self, step: str, size: int, progress: Progress) -> None:
        """Say what a step makes, beside what is there.

        Raises:
            StorageError: the file system is too small.
            OSError: the folder cannot be looked at.
        """
        (now,) = find_peaks([DiskUse(step, self.folder, size)])
        demand_peaks([now], _HINT)
        progress.note(peak_text(now))
        self.total += size
        before = self.peaks[0] if self.peaks else replace(now, steps={})
        first = replace(before, steps={**before.steps, step: (self.total, self.total)})
        self.peaks = (first, *self.peaks[1:])

    def take(self, peaks: Sequence[Peak], progress: Progress) -> None:
        """Take the steps of an import into the folder, which come first, and say what they make."""
        for peak in peaks:
            progress.note(peak_text(peak))
        self.peaks = tuple(peaks)
        self.total = HOME_BLOCKS * self.block + (peaks[0].size if peaks else 0)
