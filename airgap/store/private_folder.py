"""The folder for airgap's own work in a store, ``.airgap``: lock, staging and witness.

It belongs to those who import into the store. What is staged becomes what a service runs, so nobody
else may put anything there: a link would be written through, and installed.
"""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Self

from airgap.disk import durable
from airgap.disk.sharing import make_new_folder
from airgap.errors import StorageError
from airgap.store.install_paths import private_folder

__all__ = [
    "give_to_owner",
    "inspect_private_folder",
    "make_private_folder",
    "make_store",
    "refuse_private",
]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_STAGED_DEPTH: Final = 4
"""Folders above a staged item: staging, the bundle, the kind, the name."""


def make_private_folder(store: Path, *names: str) -> Path:
    """Make the folder for airgap's own work in a store, and folders in it; return the last one.

    Whatever the umask is, they get the mode 0700; if the store's group may write into the store,
    and others may not, 2770 and that group. Those that root has made are given to the store's
    owner, who could not enter them otherwise. No link is followed.

    Raises:
        StorageError: one of them is a link or another user's.
        OSError: the disk refused, or another process has removed one of them meanwhile.
    """
    make_store(store)
    descriptor, path = os.open(store, _FOLDER), private_folder(store)
    try:
        importers = _Importers.read(descriptor)
        descriptor = _descend(descriptor, path, importers, make=True)
        importers.close_to_others(descriptor, path)
        for name in names:
            path = path / name
            descriptor = _descend(descriptor, path, importers, make=True)
    finally:
        os.close(descriptor)
    return path


def make_store(store: Path) -> None:
    """Make a store's own folder and those above it by the umask; in a shared folder, it is shared.

    Raises:
        OSError: the disk refused.
    """
    if store.is_dir():
        return
    if not store.parent.is_dir():
        make_store(store.parent)
    try:
        make_new_folder(store, 0o777)
    except FileExistsError:
        if not store.is_dir():
            raise
    durable.sync_folder(store.parent)


def refuse_private(path: Path) -> NoReturn:
    """Say that airgap's own folder in a store is another user's. Raises StorageError."""
    raise StorageError(
        f"This user (uid {os.geteuid()}) may not enter {path}, which belongs to another one who"
        " imports into this store.",
        "Import as that user, or let a group share the store: let its owner run"
        f" `chmod g+ws,o-w {path.parent}` and `chmod 2770 {path}`.",
    )


def inspect_private_folder(store: Path) -> None:
    """Refuse what does not belong in the folder for airgap's own work, down to staged items.

    Called with the store's lock held, and before anything in that folder is used.

    Raises:
        StorageError: a folder above a staged item is a link, or something is another user's.
        OSError: it cannot be read.
    """
    descriptor, path = os.open(store, _FOLDER), private_folder(store)
    try:
        importers = _Importers.read(descriptor)
        descriptor = _descend(descriptor, path, importers)
        _inspect(descriptor, path, importers, _STAGED_DEPTH)
    finally:
        os.close(descriptor)


def give_to_owner(store: Path) -> None:
    """Give the folders that root has made in the private folder to the store's owner.

    Folders of staged items too: an interrupted import leaves them. Files stay root's: the owner of
    a folder can remove them, and a hard link would give away any file of root's.
    """
    with suppress(OSError):
        descriptor = os.open(store, _FOLDER)
        try:
            importers = _Importers.read(descriptor)
        finally:
            os.close(descriptor)
        if importers.new_owner is not None:
            for *_, folder in os.fwalk(private_folder(store)):
                importers.give(folder)


@dataclass(frozen=True, slots=True)
class _Importers:
    """Who imports into a store: its owner; if its group may write into it, the whole group."""

    owners: frozenset[int]
    group: int | None
    is_open: bool
    """Whether everybody may write into the store, as on a file system without permissions."""
    new_owner: int | None
    """Whom root gives its folders to: the store's owner."""

    @classmethod
    def read(cls, store: int) -> Self:
        """Read it from the store's folder."""
        status = os.fstat(store)
        is_open = bool(status.st_mode & stat.S_IWOTH)
        is_shared = status.st_mode & stat.S_IWGRP and not is_open
        owners = frozenset({os.geteuid(), status.st_uid, 0})
        new_owner = status.st_uid if os.geteuid() == 0 and status.st_uid else None
        return cls(owners, status.st_gid if is_shared else None, is_open, new_owner)

    def refuse_other_owner(self, path: Path, status: os.stat_result) -> None:
        """Refuse what another user made in a store that is not shared. Raises StorageError."""
        if self.group is None and status.st_uid not in self.owners:
            raise StorageError(
                f"{path} belongs to another user (uid {status.st_uid}).",
                "Only those who import into a store may have files there: remove it.",
            )

    def refuse_mapped_owner(self, path: Path, status: os.stat_result, above: int) -> None:
        """Refuse a server that gives this user's files to another one. Raises StorageError.

        The new folder is removed again from the open one ``above``.
        """
        if self.group is None and status.st_uid not in self.owners:
            with suppress(OSError):
                os.rmdir(path.name, dir_fd=above)
            raise StorageError(
                f"The server of {path.parent} gives what this user makes to uid {status.st_uid}.",
                "It maps users (root_squash, all_squash of NFS): import as the store's owner.",
            )

    def give(self, descriptor: int) -> None:
        """Give a folder of root's to the store's owner, where the file system has owners."""
        if self.new_owner is not None and os.fstat(descriptor).st_uid == 0:
            with suppress(OSError):
                os.fchown(descriptor, self.new_owner, -1)

    def restrict(self, descriptor: int) -> None:
        """Give a folder its group and mode, where the file system has them."""
        with suppress(OSError):
            if self.group is not None and os.fstat(descriptor).st_gid != self.group:
                os.fchown(descriptor, -1, self.group)
        with suppress(OSError):
            os.fchmod(descriptor, 0o700 if self.group is None else 0o2770)

    def close_to_others(self, descriptor: int, path: Path) -> None:
        """Take away rights that an older version, or somebody else, gave. Raises StorageError."""
        allowed = stat.S_IRWXU if self.group is None else stat.S_IRWXU | stat.S_IRWXG
        if os.fstat(descriptor).st_mode & 0o777 & ~allowed:
            self.restrict(descriptor)
        if os.fstat(descriptor).st_mode & stat.S_IWOTH and not self.is_open:
            raise StorageError(
                f"Every user may write into {path}.",
                f"Let its owner run `chmod o-rwx {path}`, and check what is in it.",
            )


def _inspect(folder: int, path: Path, importers: _Importers, depth: int) -> None:
    """Look at the entries of an open folder, and of the folders in it down to ``depth``."""
    with os.scandir(folder) as listing:
        entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in listing]
    for name, status in entries:
        importers.refuse_other_owner(path / name, status)
        if depth and stat.S_ISLNK(status.st_mode):
            _refuse_link(path / name)
        if depth and stat.S_ISDIR(status.st_mode):
            descriptor = _enter(folder, path / name, importers)
            try:
                _inspect(descriptor, path / name, importers, depth - 1)
            finally:
                os.close(descriptor)


def _descend(above: int, path: Path, importers: _Importers, *, make: bool = False) -> int:
    """Open as ``_enter``, and close the folder above."""
    descriptor = _enter(above, path, importers, make=make)
    os.close(above)
    return descriptor


def _enter(above: int, path: Path, importers: _Importers, *, make: bool = False) -> int:
    """Open a folder that lies in an open one; ``make`` makes it, if need be."""
    flags = _FOLDER | os.O_NOFOLLOW
    try:
        try:
            descriptor, is_new = os.open(path.name, flags, dir_fd=above), False
        except FileNotFoundError:
            if not make:
                raise
            is_new = _make(path.name, above)
            descriptor = os.open(path.name, flags, dir_fd=above)
    except OSError as error:
        _explain_refusal(error, path)
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        if is_new:
            importers.refuse_mapped_owner(path, os.fstat(descriptor), above)
        importers.refuse_other_owner(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    importers.give(descriptor)
    if is_new:
        importers.restrict(descriptor)
    return descriptor


def _explain_refusal(error: OSError, path: Path) -> None:
    """Say why a folder cannot be entered, if that is known. Raises StorageError."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        _refuse_link(path)
    if error.errno == errno.EACCES and os.path.lexists(path):
        refuse_private(path)


def _make(name: str, above: int) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=above)
    except FileExistsError:
        return False
    return True


def _refuse_link(path: Path) -> NoReturn:
    raise StorageError(
        f"{path} is a link, or is not a folder.",
        "airgap follows no link there: remove it, and look at where it leads.",
    )
