"""How much room a command takes on each file system, told before anything is written.

A command has steps. What a step has on the disk at a time, beyond what is there before the command,
is its use; the peak of a file system is the largest sum of the uses of one step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.mounts import Mount, find_mount
from airgap.disk.os_errors import translate_errors
from airgap.disk.space import make_shortage, measure_free
from airgap.flow.progress import Progress
from airgap.flow.redaction import redact
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
    "sum_by_file_system",
    "written_text",
]

_MEDIA: Final = (Path("/media"), Path("/run/media"), Path("/mnt"))
"""Where systems mount media, each in a folder of its own."""


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
    mount: Mount | None = None
    """The file system and its device; None if the system does not say."""

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
    folders: dict[str | int, tuple[Path, Mount | None]] = {}
    steps: dict[str | int, dict[str, tuple[int, int]]] = {}
    for use in uses:
        device, mount = _find_device(use.folder)
        folders.setdefault(device, (use.folder.absolute(), mount))
        sums = steps.setdefault(device, {})
        size, most = sums.get(use.step, (0, 0))
        sums[use.step] = size + use.size, most + use.limit
    return tuple(
        Peak(folder, measure_free(find_existing(folder)), steps[device], mount)
        for device, (folder, mount) in folders.items()
    )


def sum_by_file_system(sizes: Iterable[tuple[Path, int]]) -> dict[Path, int]:
    """Sum bytes by the first of the folders that are on one file system.

    Raises:
        StorageError: a folder cannot be looked at.
    """
    first: dict[str | int, Path] = {}
    sums: dict[Path, int] = {}
    for folder, size in sizes:
        with translate_errors(folder):
            device, _ = _find_device(folder)
        named = first.setdefault(device, folder)
        sums[named] = sums.get(named, 0) + size
    return sums


def _find_device(folder: Path) -> tuple[str | int, Mount | None]:
    """Return what a file system is known by, and its mount. Raises OSError."""
    existing = find_existing(folder.absolute())
    mount = find_mount(existing)
    return (mount.device if mount else existing.stat().st_dev), mount


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
    """Say beforehand where a command writes, and what it needs there."""
    for peak in peaks:
        place = _name_file_system(peak.folder, peak.mount, peak.free)
        progress.note(f"Writing to {place}. Peak disk use: {_size_text(peak)}.")
        if _is_unmounted(peak):
            progress.note(
                f"NOTE: no medium is mounted at {peak.folder}; it lies on the file system of"
                f" {peak.mount.folder if peak.mount else '/'}."
            )


def _is_unmounted(peak: Peak) -> bool:
    """Tell whether a folder is where media are mounted, and none is: a stick was forgotten."""
    return peak.mount is not None and any(
        peak.folder.is_relative_to(top) and not Path(peak.mount.folder).is_relative_to(top)
        for top in _MEDIA
    )


def peak_text(peak: Peak) -> str:
    """Say for people what a command needs on a file system, and what is free there."""
    place = _name_file_system(peak.folder, peak.mount, peak.free)
    return f"Peak disk use at {place}: {_size_text(peak)}."


def written_text(size: int, folder: Path) -> str:
    """Say for people how many bytes were written into a folder, and what is free now.

    Raises:
        StorageError: the folder cannot be looked at any more.
    """
    with translate_errors(folder):
        existing = find_existing(folder.absolute())
        place = _name_file_system(folder, find_mount(existing), measure_free(existing))
    return f"{size_text(size)} written to {place}."


def _size_text(peak: Peak) -> str:
    most = f" (at most {size_text(peak.most)})" if peak.most > peak.size else ""
    return f"{size_text(peak.size)}{most}"


def _name_file_system(folder: Path, mount: Mount | None, free: int | None) -> str:
    """Return ``/media/usb (exfat, /dev/sdb1, 57.2 GB free)``, or as much as is known."""
    words = list(dict.fromkeys((mount.type, redact(mount.source)))) if mount else []
    words += [] if free is None else [f"{size_text(free)} free"]
    return f"{folder} ({', '.join(words)})" if words else str(folder)


def describe_peak(peak: Peak) -> dict[str, Any]:
    """Return a peak for JSON. Sizes are in bytes."""
    return {
        "folder": str(peak.folder),
        "file_system": peak.mount and peak.mount.type,
        "device": peak.mount and redact(peak.mount.source),
        "mount_point": peak.mount and peak.mount.folder,
        "free": peak.free,
        "peak": peak.size,
        "at_most": peak.most,
        "steps": [
            {"step": step, "bytes": size, "at_most": most}
            for step, (size, most) in peak.steps.items()
        ],
    }
