"""SELinux: what is renamed into a folder gets the type that it would have if it were made there.

A rename keeps the label that a file was created with. As ``restorecon`` does by default, only the
type is replaced: user, role and level stay (docs/adr/0051).
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from airgap.errors import StorageError

__all__ = ["adopt_type", "adopt_types", "read_selinux", "read_type"]

_SELINUX: Final = Path("/sys/fs/selinux/enforce")
_ATTRIBUTE: Final = "security.selinux"
_UNLABELLED: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS})
"""What files without a label, and file systems without labels answer."""
_TYPE: Final = 2  # user:role:type:level


def read_selinux() -> Literal["enforcing", "permissive"] | None:
    """Return the mode of SELinux; None if this kernel does not use it."""
    with suppress(OSError):
        return "enforcing" if _SELINUX.read_bytes().strip() == b"1" else "permissive"
    return None


def read_type(path: Path) -> str:
    """Return the type in a file's label; empty if it has none, or is not there."""
    with suppress(OSError):
        return [*_read(path).split(":"), "", "", ""][_TYPE]
    return ""


def adopt_types(top: Path, folder: Path) -> None:
    """Give everything from ``top`` on the type of a folder that it will be renamed into.

    ``folder`` need not exist: then the nearest one above counts, whose type it will inherit.

    Raises:
        StorageError: SELinux does not permit it.
        OSError: the disk refused.
    """
    if read_selinux() is None:
        return
    label = _read_nearest(folder)
    if not label:
        return
    _adopt(top, label)
    for parent, folders, files in os.walk(top):
        for name in (*folders, *files):
            _adopt(Path(parent, name), label)


def adopt_type(path: Path, folder: Path) -> None:
    """Give one file the type of a folder that it will be renamed into.

    Raises:
        StorageError, OSError: as ``adopt_types``.
    """
    if read_selinux() is not None and (label := _read_nearest(folder)):
        _adopt(path, label)


def _adopt(path: Path, label: str) -> None:
    """Replace the type of a file's label by that of another label; without one, take all of it.

    Raises:
        StorageError: SELinux does not permit it.
    """
    old, new = _read(path), label
    if old.count(":") >= _TYPE and label.count(":") >= _TYPE:
        fields = old.split(":")
        fields[_TYPE] = label.split(":")[_TYPE]
        new = ":".join(fields)
    if new == old:
        return
    try:
        os.setxattr(path, _ATTRIBUTE, f"{new}\0".encode(), follow_symlinks=False)
    except PermissionError as error:
        raise StorageError(
            f"SELinux does not permit to label {path} as {new}.",
            "Nothing was installed. Run the import in a domain that may (an unconfined login), or"
            " give both folders the same type: see docs/hardened-hosts.md.",
        ) from error


def _read_nearest(folder: Path) -> str:
    """Return the label of a folder, or of the nearest one above that exists; empty without one."""
    return _read(next(above for above in (folder, *folder.parents) if above.is_dir()))


def _read(path: Path) -> str:
    """Return a file's label; empty if it has none.

    Raises:
        OSError: the disk refused.
    """
    try:
        raw = os.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    except OSError as error:
        if error.errno in _UNLABELLED:
            return ""
        raise
    return raw.rstrip(b"\0").decode("utf-8", "replace")
