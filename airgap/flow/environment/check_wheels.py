"""A wheelhouse on disk is compared with its lock before anything of it runs (format §26)."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import storage_error
from airgap.disk.reading import open_regular
from airgap.disk.space import round_up
from airgap.errors import CorruptError
from airgap.flow.pipeline import run_workers
from airgap.flow.progress import Progress
from airgap.format.wheelhouse import LOCK, REQUIREMENTS, TOOLS, WHEELS, format_requirements
from airgap.printable import quote
from airgap.store.source_tree import scan
from airgap.store.wheelhouses import StoredWheelhouse

__all__ = ["check_wheels", "copy_tool", "estimate_environment", "measure_installed"]

_PIECE_BYTES: Final = 1024 * 1024
_THREADS: Final = 4
_EMPTY_BLOCKS: Final = 24
"""The files, links and folders of a virtual environment without packages."""
_AGAIN: Final = "Import the bundle that brought the wheelhouse again, with --replace."


def check_wheels(wheelhouse: StoredWheelhouse, progress: Progress) -> None:
    """Compare every file of a wheelhouse with its lock.

    Raises:
        CorruptError: a file differs, or there is one that the lock does not name.
        MissingError: a file is not there.
        StorageError: a file cannot be read.
    """
    expected = _list_expected(wheelhouse)
    tree = scan(wheelhouse.folder)
    paths = {*(file.path for file in tree.files), *tree.links, *tree.empty_folders}
    extra = sorted(paths - expected.keys())
    if extra:
        raise CorruptError(
            f"{wheelhouse.folder / extra[0]} is not in the lock of its wheelhouse.",
            "Remove it, and find out who put it there.",
        )
    progress.begin("compare the wheels", sum(size for size, _ in expected.values()))
    with run_workers(_THREADS) as pool:
        tasks = {
            path: pool.submit(_digest, wheelhouse.folder, path, size)
            for path, (size, _) in expected.items()
        }
        for path, task in tasks.items():
            size, digest = task.result()
            if (size, digest) != expected[path]:
                raise _make_damaged_error(wheelhouse.folder / path, digest, expected[path][1])
            progress.advance(size)
    progress.end()


def _list_expected(wheelhouse: StoredWheelhouse) -> Mapping[str, tuple[int, bytes]]:
    """Return size and digest of every file, by path."""
    lock = wheelhouse.lock
    texts = {LOCK: wheelhouse.raw, REQUIREMENTS: format_requirements(lock)}
    return {
        **{path: (len(raw), hashlib.sha256(raw).digest()) for path, raw in texts.items()},
        **{f"{WHEELS}{wheel.file}": (wheel.size, wheel.sha256) for wheel in lock.packages},
        **{f"{TOOLS}{tool.file}": (tool.size, tool.sha256) for tool in lock.tools},
    }


def _digest(top: Path, name: str, size: int) -> tuple[int, bytes]:
    """Return size and digest of a file; a file that is longer is read no further than it may be."""
    digest, count = hashlib.sha256(), 0
    with open_regular(top, name) as descriptor:
        while count <= size and (piece := os.read(descriptor, _PIECE_BYTES)):
            digest.update(piece)
            count += len(piece)
    return count, digest.digest()


def _make_damaged_error(path: Path, actual: bytes, expected: bytes) -> CorruptError:
    return CorruptError(
        f"{path} is damaged (SHA-256 is {actual.hex()}, expected {expected.hex()}).", _AGAIN
    )


def copy_tool(wheelhouse: StoredWheelhouse, folder: Path) -> Path:
    """Copy pip's wheel into a folder of ours, and return the copy's path.

    What runs is what was compared: nobody can change the file in between.

    Raises:
        CorruptError: it differs from the lock, or is not pip.
        StorageError: the disk refused.
    """
    tools = [tool for tool in wheelhouse.lock.tools if tool.file.startswith("pip-")]
    if not tools:
        raise CorruptError(
            f"The wheelhouse {wheelhouse.tag} has no pip in {TOOLS}.",
            "Export the Bento again with --with-env.",
        )
    tool = tools[-1]
    path = folder / tool.file
    try:
        with open_regular(wheelhouse.folder, f"{TOOLS}{tool.file}") as descriptor:
            data = _read(descriptor, tool.size)
        if len(data) != tool.size or hashlib.sha256(data).digest() != tool.sha256:
            actual = hashlib.sha256(data).digest()
            raise _make_damaged_error(wheelhouse.folder / TOOLS / tool.file, actual, tool.sha256)
        path.write_bytes(data)
    except OSError as error:
        raise storage_error(error, path) from error
    if not {"pip/__main__.py", "pip/__init__.py"} <= _list_members(path).keys():
        raise CorruptError(
            f"{TOOLS}{tool.file} of the wheelhouse {wheelhouse.tag} is not pip.",
            "Ask the sender to export the Bento again with --with-env.",
        )
    return path


def _read(descriptor: int, size: int) -> bytes:
    pieces: list[bytes] = []
    while size >= 0 and (piece := os.read(descriptor, _PIECE_BYTES)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def measure_installed(wheelhouse: StoredWheelhouse) -> int:
    """Return the bytes that the wheels' files will have, which may be many times their own.

    Raises:
        CorruptError: a wheel is not a zip file, or one of its members would be outside of where
            the package is installed.
        StorageError: a wheel cannot be read.
    """
    total = 0
    for wheel in wheelhouse.lock.packages:
        members = _list_members(wheelhouse.folder / WHEELS / wheel.file)
        leaving = [name for name in members if not _is_inside(name)]
        if leaving:
            raise CorruptError(
                f"The wheel {wheel.file} has a member outside of its package: {quote(leaving[0])}.",
                "Nothing was installed. Tell the sender, and find out where the wheel is from.",
            )
        total += sum(members.values())
    return total


def estimate_environment(wheelhouse: StoredWheelhouse, block: int) -> int:
    """Return the bytes that an environment takes, with the modules that pip compiles.

    Raises:
        CorruptError, StorageError: as ``measure_installed``.
    """
    total = _EMPTY_BLOCKS * block + sum(tool.size for tool in wheelhouse.lock.tools)
    for wheel in wheelhouse.lock.packages:
        sizes = _list_members(wheelhouse.folder / WHEELS / wheel.file)
        total += sum(round_up(size, block) for size in sizes.values())
        total += sum(round_up(size, block) for name, size in sizes.items() if name.endswith(".py"))
        folders = {name.rpartition("/")[0] for name in sizes}
        total += 2 * len(folders) * block  # and those of compiled modules
    return total


def _is_inside(name: str) -> bool:
    return not name.startswith("/") and "\\" not in name and ".." not in name.split("/")


def _list_members(path: Path) -> dict[str, int]:
    """Return the sizes of a wheel's members, by name. Raises as ``measure_installed``."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except OSError as error:
        raise storage_error(error, path) from error
    except (ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise CorruptError(
            f"{path.name} is in the lock, but it is not a wheel: {error}.",
            "Ask the sender to export the Bento again with --with-env.",
        ) from error
    sizes = {member.filename: member.file_size for member in members}
    if len(sizes) != len(members):
        raise CorruptError(
            f"The wheel {path.name} has two members of one name.",
            "Nothing was installed. Tell the sender, and find out where the wheel is from.",
        )
    return sizes
