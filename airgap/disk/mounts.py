"""Which file system a folder is on, and on which device, as Linux says (proc(5))."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Mount", "find_mount", "parse_mounts"]

_SELF: Final = Path("/proc/self")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
_FIELDS, _SOURCE_FIELDS = 6, 2
_LOOKED_UP: Final = getattr(os, "O_PATH", os.O_RDONLY)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    number: int
    """Of the mount."""
    device: str
    """``MAJOR:MINOR`` of the file system: the same for all its mounts, and all its subvolumes."""
    folder: str
    """The mount point."""
    type: str
    """``ext4``, ``fuse.sshfs``."""
    source: str
    """What is mounted: ``/dev/sdb1``, ``server:/export``; a name without meaning for tmpfs."""


def parse_mounts(text: str) -> list[Mount]:
    """Parse ``/proc/self/mountinfo``; lines of another form are passed over."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, source = left.split(" "), right.split(" ")
        if len(fields) >= _FIELDS and len(source) >= _SOURCE_FIELDS and fields[0].isdecimal():
            folder = _unescape(fields[4])
            mounts.append(
                Mount(int(fields[0]), fields[2], folder, _unescape(source[0]), _unescape(source[1]))
            )
    return mounts


def find_mount(folder: Path) -> Mount | None:
    """Return the mount that an existing folder is on; None where the system does not say.

    The kernel gives the number of the mount: its path alone does not tell, where one mount hides
    another. The device of a folder does not either: a btrfs subvolume has one of its own.
    """
    try:
        text = (_SELF / "mountinfo").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None
    mounts = parse_mounts(text)
    number = _read_number(folder)
    if number is not None:
        return next((mount for mount in mounts if mount.number == number), None)
    return _find_by_path(mounts, os.path.realpath(folder))


def _find_by_path(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the last mount of those with the longest mount point above the path."""
    best: Mount | None = None
    for mount in mounts:
        is_above = path == mount.folder or path.startswith(f"{mount.folder.rstrip('/')}/")
        if is_above and (best is None or len(mount.folder) >= len(best.folder)):
            best = mount
    return best


def _read_number(folder: Path) -> int | None:
    """Return the number of the mount that a folder is on (Linux 3.15)."""
    with suppress(OSError):
        descriptor = os.open(folder, _LOOKED_UP | os.O_CLOEXEC)
        try:
            text = (_SELF / "fdinfo" / str(descriptor)).read_text()
        finally:
            os.close(descriptor)
        found = re.search(r"^mnt_id:\s*([0-9]+)$", text, re.MULTILINE)
        return int(found[1]) if found else None
    return None


def _unescape(text: str) -> str:
    r"""Replace ``\040`` and its like, which stand for bytes that separate fields and lines."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
