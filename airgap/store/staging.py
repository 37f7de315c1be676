"""Items are assembled outside the stores, on the same file system, and then renamed into place.

What an interrupted import has left in staging is used by the next import of the same bundle, chunk
by chunk, after hashing it.
"""

import errno
import os
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk import labels, space
from airgap.disk.permissions import set_mode
from airgap.errors import StorageError
from airgap.format.inventory import File, Folder, Item, Link
from airgap.store.install_paths import InstallPath
from airgap.store.modes import StoreModes, modes_of
from airgap.store.private_folder import make_private_folder

__all__ = [
    "PACKAGES",
    "STAGING",
    "StagedItem",
    "measure_disk_usage",
    "remove_staging",
    "remove_tree",
    "staging_folder",
]

STAGING: Final = "staging"
PACKAGES: Final = "wheels-"
"""How the folders in staging begin in which exports collect packages. Beside each is its lock."""
_OWNER_ONLY: Final = 0o700
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""What a file system without symbolic links answers; vfat and exFAT of the kernel: EPERM."""


def staging_folder(target: InstallPath, bundle: str) -> Path:
    """Return where the items of a bundle are staged for a store."""
    return target.private / STAGING / bundle


def remove_staging(target: InstallPath, bundle: str) -> None:
    """Remove a bundle's staging, and the folders above it if they are empty."""
    remove_tree(staging_folder(target, bundle))
    for folder in (target.private / STAGING, target.private):
        with suppress(OSError):
            folder.rmdir()


def remove_tree(top: Path) -> None:
    """Remove what an item was, if it is there: a folder or a link. Raises OSError."""
    if top.is_symlink():
        top.unlink()
        return
    with suppress(FileNotFoundError):
        try:
            shutil.rmtree(top)
        except PermissionError:  # it had read-only folders
            _make_folders_writable(top)
            shutil.rmtree(top)


def measure_disk_usage(folder: Path) -> int:
    """Return the bytes that the files below a folder occupy on disk; 0 if it does not exist."""
    return sum(
        (Path(top) / name).lstat().st_blocks * 512
        for top, _, files in os.walk(folder)
        for name in files
    )


class StagedItem:
    """One item being staged."""

    def __init__(self, item: Item, target: InstallPath, bundle: str) -> None:
        """Name the folder; nothing is written yet."""
        self.item = item
        self.target = target
        self.folder = staging_folder(target, bundle) / item.kind / item.name / item.version
        self._top = str(self.folder)
        self._bundle = bundle
        self._modes = StoreModes()
        self._begun = False
        self._begin_lock = threading.Lock()
        self._finished: set[str] = set()
        """Paths of files that already have their exact size and mode."""
        self.not_executable: set[str] = set()
        """Paths of programs whose file system does not let them be executable."""

    def was_begun(self) -> bool:
        """Tell whether an earlier import has left anything."""
        return self.folder.is_dir() and not self.folder.is_symlink()

    def was_cut_off(self) -> bool:
        """Tell whether an earlier import staged the item, perhaps installed it, and did not end."""
        return self.folder.parent.is_dir()

    def begin(self) -> None:
        """Create all folders of the item, once, before its files are written.

        Files that an earlier import has left are kept if the item has files of that name. Anything
        else is removed: it may be an older item that was just swapped with the new one.
        """
        with self._begin_lock:
            if not self._begun:
                self._make_folders()
            self._begun = True

    def _make_folders(self) -> None:
        folders = {path for entry in self.item.entries for path in _list_parents(entry.path)}
        folders |= {entry.path for entry in self.item.entries if isinstance(entry, Folder)}
        self._modes = modes_of(self.target.store)
        self.make_parent()
        if self.folder.is_symlink():  # an item that was a link, and was just swapped with this one
            self.folder.unlink()
        self.folder.mkdir(exist_ok=True)
        self._remove_others(folders)
        for folder in ("", *sorted(folders)):
            (self.folder / folder).mkdir(exist_ok=True)
            set_mode(self.folder / folder, self._modes.folder)

    def make_parent(self) -> None:
        """Make the folder that the item's own folder lies in, through no link."""
        item = self.item
        make_private_folder(self.target.store, STAGING, self._bundle, item.kind, item.name)

    def _remove_others(self, folders: AbstractSet[str]) -> None:
        """Remove everything but the item's folders, and regular files at the paths of its files.

        Files with several names are removed too: what is written to one is written to all. So are
        those that another operator has left and that this one may not write to.
        """
        files = {file.path for file in self.item.files}
        for top, subfolders, others in os.walk(self.folder, topdown=False):
            for name in (*subfolders, *others):
                path = Path(top, name)
                relative = path.relative_to(self.folder).as_posix()
                status = path.lstat()
                is_file = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
                is_file = is_file and os.access(path, os.R_OK | os.W_OK)
                if stat.S_ISDIR(status.st_mode):
                    if relative not in folders:
                        path.rmdir()
                elif not (is_file and relative in files):
                    path.unlink()

    def write(self, file: File, offset: int, data: bytes | memoryview) -> None:
        """Write bytes of a file at their offset, from any thread."""
        if not self._begun:
            self.begin()  # not earlier: a refused import leaves nothing behind
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(f"{self._top}/{file.path}", flags, self._mode_of(file))
        try:
            if self._modes.is_shared:  # another operator may have to go on with the file
                set_mode(descriptor, self._mode_of(file))
            if len(data) < file.size:
                _reserve(descriptor, file.size)
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
            if len(data) == file.size:
                self._set_size_and_mode(descriptor, file)
                self._finished.add(file.path)
        finally:
            os.close(descriptor)

    def read_back(
        self, file: File, lengths: Sequence[int], wanted: Sequence[bool]
    ) -> Iterator[bytes]:
        """Yield the wanted pieces of a staged file; they end early where the file does.

        ``lengths`` are those of all its pieces, in bytes.
        """
        with suppress(FileNotFoundError), (self.folder / file.path).open("rb") as stream:
            for length, is_wanted in zip(lengths, wanted, strict=True):
                if is_wanted:
                    yield stream.read(length)
                else:
                    stream.seek(length, os.SEEK_CUR)

    def finish(self) -> None:
        """Give files their exact size and mode, and create the links."""
        self.begin()
        for entry in self.item.entries:
            if isinstance(entry, Folder) or entry.path in self._finished:
                continue
            if isinstance(entry, Link):
                path = self.folder / entry.path
                path.unlink(missing_ok=True)
                self._make_link(path, entry)
            else:
                self._finish_file(entry)

    def _make_link(self, path: Path, link: Link) -> None:
        try:
            path.symlink_to(link.target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise StorageError(
                f"{self.target.store} is on a file system without symbolic links, and {self.item}"
                f" has one: {link.path}.",
                "Put the store on another file system: FAT and exFAT have no links.",
            ) from error

    def _finish_file(self, file: File) -> None:
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if file.size else os.O_CREAT)
        descriptor = os.open(self.folder / file.path, flags, self._mode_of(file))
        try:
            self._set_size_and_mode(descriptor, file)
        finally:
            os.close(descriptor)

    def _mode_of(self, file: File) -> int:
        return self._modes.executable if file.executable else self._modes.file

    def _set_size_and_mode(self, descriptor: int, file: File) -> None:
        """Give a file its exact size and mode: an earlier import may have left it longer."""
        if os.fstat(descriptor).st_size != file.size:
            os.ftruncate(descriptor, file.size)
        if not set_mode(descriptor, self._mode_of(file)):
            is_executable = os.fstat(descriptor).st_mode & stat.S_IXUSR
            if file.executable and not is_executable:
                self.not_executable.add(file.path)

    def adopt_types(self) -> None:
        """Label everything as what lies in its destination, where SELinux is in use.

        Raises:
            StorageError: SELinux does not permit it.
        """
        labels.adopt_types(self.folder, self.target.final.parent)

    def discard(self) -> None:
        """Remove everything that is staged of this bundle for the item's store."""
        remove_staging(self.target, self._bundle)


def _make_folders_writable(top: Path) -> None:
    """Let the owner write to all folders below this one."""
    for parent, subfolders, _ in os.walk(top):
        for folder in (Path(parent, name) for name in subfolders):
            if not folder.is_symlink():
                set_mode(folder, _OWNER_ONLY)


def _list_parents(path: str) -> Iterator[str]:
    """Yield the folders above a path of an item, within the item."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _reserve(descriptor: int, size: int) -> None:
    """Allocate the whole file, so that a full disk is noticed before the data is written."""
    if os.fstat(descriptor).st_size != size:
        space.reserve(descriptor, size)
