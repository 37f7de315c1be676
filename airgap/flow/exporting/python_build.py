"""A site's own build of Python, which travels as a folder of files.

It must run wherever it is unpacked, as the builds of python-build-standalone do. It is not run
here: its version is the name of its interpreter, and its architecture stands in that file.
"""

import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Final

from airgap.disk.os_errors import storage_error
from airgap.errors import UsageError
from airgap.printable import quote
from airgap.store.files import FilesFolder, make_source
from airgap.store.item_kind import Source
from airgap.store.python_builds import name_build

__all__ = ["make_python_source"]

_INTERPRETER: Final = re.compile(r"python(3\.\d{1,3})")
_TERMINFO: Final = "share/terminfo"
"""Its names differ only in upper and lower case, and Linux has them all."""
_ELF: Final = b"\x7fELF"
_ELF_HEADER_BYTES: Final = 20
_MACHINES: Final = {62: "x86_64", 183: "aarch64", 21: "ppc64le", 22: "s390x", 243: "riscv64"}
_FILE_MODE, _PROGRAM_MODE = 0o644, 0o755
_HINT: Final = (
    "Give a .tar.gz of a build that runs wherever it is unpacked, such as an install_only archive"
    " of python-build-standalone."
)


@dataclass(frozen=True, slots=True)
class _UnpackedPython:
    """Where a build is, its version and its architecture."""

    folder: Path
    version: str
    architecture: str


def make_python_source(archive: Path, private: Path) -> Source:
    """Unpack a build into a private folder, and make an item of it.

    Raises:
        UsageError: it is not an archive of such a build, or a member would lie outside of it.
        StorageError: it cannot be read, or the disk refused.
    """
    unpacked, description = private / "unpacked", private / "description"
    unpacked.mkdir()
    description.mkdir()
    try:
        with tarfile.open(archive) as opened:
            _unpack(opened, unpacked, archive)
        build = _find_build(unpacked, archive)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise UsageError(f"{archive} is not a tar archive: {error}.", _HINT) from error
    except OSError as error:
        raise storage_error(error, error.filename or archive) from error
    shutil.rmtree(build.folder / _TERMINFO, ignore_errors=True)
    name = name_build(build.version, build.architecture)
    source = make_source(FilesFolder(name, build.folder), description)
    return replace(
        source, notes=(f"Python {build.version} for {build.architecture} travels as {name}.",)
    )


def _unpack(opened: tarfile.TarFile, folder: Path, archive: Path) -> None:
    """Write regular files and links; a link never leads a member out of the folder."""
    links: dict[PurePosixPath, str] = {}
    for member in opened:
        path = _check_path(member.name, links, archive)
        target = folder / path
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if member.issym():
            links[path] = member.linkname
            target.symlink_to(member.linkname)
        elif member.islnk():
            shutil.copy(folder / _check_path(member.linkname, links, archive), target)
        elif member.isreg():
            content = opened.extractfile(member)
            if content is not None:
                with closing(content):
                    _write(content, target, executable=bool(member.mode & 0o100))
        else:
            raise UsageError(f"{archive} has a device or a FIFO: {quote(member.name)}.", _HINT)
        if not member.issym():
            os.utime(target, (member.mtime, member.mtime))  # the same archive gives the same


def _check_path(name: str, links: "dict[PurePosixPath, str]", archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    if not inside or not links.keys().isdisjoint((path, *path.parents)):
        raise UsageError(f"{archive} has a member outside of its folder: {quote(name)}.", _HINT)
    return path


def _write(content: IO[bytes], target: Path, *, executable: bool) -> None:
    with target.open("xb") as file:
        shutil.copyfileobj(content, file)
    target.chmod(_PROGRAM_MODE if executable else _FILE_MODE)


def _find_build(unpacked: Path, archive: Path) -> _UnpackedPython:
    builds = sorted(set(_list_builds(unpacked)), key=lambda build: len(build[0].parts))
    if not builds:
        raise UsageError(f"{archive} has no bin/python3.N.", _HINT)
    folder, version = builds[0]
    if len([build for build in builds if build[0] == folder]) > 1:
        raise UsageError(f"{archive} has several versions of Python.", _HINT)
    interpreter = folder / "bin" / f"python{version}"
    with interpreter.open("rb") as file:
        header = file.read(_ELF_HEADER_BYTES)
    is_big = header[5:6] == b"\x02"
    machine = _MACHINES.get(int.from_bytes(header[18:20], "big" if is_big else "little"))
    if not header.startswith(_ELF) or machine is None:
        raise UsageError(
            f"{interpreter.name} in {archive} is not a program for Linux on a known machine.", _HINT
        )
    return _UnpackedPython(folder, version, machine)


def _list_builds(unpacked: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folders that have an interpreter, with its version."""
    for path in unpacked.rglob("bin/python3.*"):
        match = _INTERPRETER.fullmatch(path.name)
        if match and path.is_file():
            yield path.parent.parent, match[1]
