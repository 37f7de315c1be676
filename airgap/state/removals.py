"""What was removed from this machine's stores: a file of lines, the newest last (format §21)."""

import errno
import json
import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from airgap.disk import sharing
from airgap.disk.permissions import set_mode
from airgap.disk.reading import read_small
from airgap.state.state_folder import state_folder

__all__ = ["find_user", "list_removals", "record_removal"]

_NAME: Final = "removals.jsonl"
_LINES: Final = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BYTES: Final = 16 * 1024 * 1024
"""A longer file is renamed, in place of the one before, so that it does not fill the disk."""


def record_removal(line: Mapping[str, Any]) -> None:
    """Append what is about to be removed; it is on the disk when this returns.

    Raises:
        OSError: the disk refused, or the file is a link, or not a regular file.
    """
    folder = state_folder()
    sharing.make_own_folder(folder)
    path = folder / _NAME
    descriptor = _open(path)
    try:
        _write(descriptor, json.dumps(line, sort_keys=True).encode() + b"\n")
        os.fsync(descriptor)
        if os.fstat(descriptor).st_size > _BYTES:
            with suppress(PermissionError):  # the sticky bit: its owner, or root, renames it
                path.replace(path.with_name(f"{_NAME}.1"))
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the file for appending; a new one is shared with the group of its folder."""
    try:
        descriptor = os.open(path, _LINES | os.O_CREAT | os.O_EXCL, 0o600)
        mode = sharing.choose_file_mode(path.parent)
        if mode is not None:
            set_mode(descriptor, mode)
    except FileExistsError:
        descriptor = os.open(path, _LINES)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it: a nearly full disk takes a part at first."""
    while data:
        data = data[os.write(descriptor, data) :]


def list_removals() -> Iterator[dict[str, Any]]:
    """Yield what was removed, the oldest first. Lines that airgap did not write are left out."""
    for name in (f"{_NAME}.1", _NAME):
        for text in _read(state_folder() / name).splitlines():
            with suppress(ValueError, RecursionError):
                line = json.loads(text)
                if _is_removal(line):
                    yield line


def find_user() -> str:
    """Return who runs this process: the user's name, and by sudo the one who called it."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    caller = os.environ.get("SUDO_USER", "")
    return f"{caller} as {name}" if caller and os.getuid() == 0 else name


def _read(path: Path) -> bytes:
    try:
        return read_small(path, 2 * _BYTES, os.O_NOFOLLOW)
    except OSError:
        return b""


def _is_removal(line: object) -> bool:
    """Tell whether a line has the fields of the event ``removed`` (format §21)."""
    if not isinstance(line, dict) or line.keys() != {"at", "event", "user", "items"}:
        return False
    items = line["items"]
    return (
        all(type(line[key]) is str for key in ("at", "event", "user"))
        and type(items) is list
        and all(
            type(item) is dict
            and item.keys() == {"kind", "tag", "outcome"}
            and all(type(value) is str for value in item.values())
            for item in items
        )
    )
