"""How a file looks from outside, and whether a change of its content would show in that.

Linux sets a file's change time whenever its content or anything about it changes, and no program
can set it to a time of its choice. That holds only on file systems that keep it exactly, on disks
that nobody changes on another machine, and up to the grain of the clock.
"""

import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from airgap.disk.mounts import Mount, find_mount

__all__ = ["Disks", "FileState", "is_fixed_disk"]

_PACKED: Final = struct.Struct("<QQQqq")
_SECOND: Final = 1_000_000_000
_FINE_GRAIN: Final = 20_000_000
"""In ns: twice the longest tick of a Linux kernel, by which file times advance."""
_COARSE_GRAIN: Final = 2 * _SECOND
"""Of a file system that keeps whole seconds: all that can be told from one time."""
_TYPES: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
_NAMES: Final = re.compile(r"dm-[0-9]+|md[0-9]+")
"""Disks that are made of others, which are named below ``slaves``."""
_CARRIED: Final = re.compile(r"/(usb[0-9]*|mmc_host|pcmcia[^/]*|memstick_host)/")
_DEVICES: Final = Path("/sys/dev/block")


class FileState(NamedTuple):
    """Which file it is, its size in bytes, and its times in ns since 1970."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileState":
        """Take what the system says of a file."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )

    def encode(self) -> bytes:
        """Return it as bytes of a constant length."""
        return _PACKED.pack(*self)

    def is_settled(self, now: int) -> bool:
        """Tell whether each change after ``now`` (in ns) would give the file another change time.

        A file that is younger than the grain of the clock could change once more within it, as in
        git's index; so could one from the future, when the clock was set back.
        """
        grain = _FINE_GRAIN if self.changed % _SECOND else _COARSE_GRAIN
        return self.changed + grain < now


class Disks:
    """Remembers for each device whether its file times can be relied on. Threads may ask."""

    def __init__(self) -> None:
        """Ask the system nothing yet."""
        self._answers: dict[int, bool] = {}

    def keeps_times(self, file: str | Path, state: FileState) -> bool:
        """Tell whether a file is on a local disk that stays in this machine."""
        answer = self._answers.get(state.device)
        if answer is None:
            mount = find_mount(Path(file).parent)
            answer = mount is not None and is_fixed_disk(mount)
            self._answers[state.device] = answer
        return answer


def is_fixed_disk(mount: Mount, devices: Path = _DEVICES) -> bool:
    """Tell whether a file system with exact times is on a disk that stays in this machine.

    Memory (``tmpfs``) is none: Linux does not note there what is written to a mapped file. Nor are
    loop devices, whose files somebody can prepare with any times, and whatever cannot be asked.
    """
    if mount.type not in _TYPES:
        return False
    device = mount.device
    if device.startswith("0:"):  # btrfs numbers its file systems by itself
        try:
            number = os.stat(mount.source).st_rdev  # noqa: PTH116
        except OSError:
            return False
        device = f"{os.major(number)}:{os.minor(number)}"
    return _is_fixed(devices / device)


def _is_fixed(device: Path) -> bool:
    try:
        folder = device.resolve(strict=True)
    except OSError:
        return False
    disk = folder if not (folder / "partition").exists() else folder.parent
    if "/virtual/" in str(disk):
        parts = list(_list_parts(disk)) if _NAMES.fullmatch(disk.name) else []
        return bool(parts) and all(map(_is_fixed, parts))
    return not _CARRIED.search(str(disk)) and not any(
        _read(above / "removable") in ("1", "removable") for above in (disk, *disk.parents)
    )


def _list_parts(disk: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (disk / "slaves").iterdir()


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text().strip()
    return ""
