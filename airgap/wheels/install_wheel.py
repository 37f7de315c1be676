"""What a wheel installs, file by file, without running anything of it: for layers of images.

It follows the specification of the binary distribution format as pip does; only ``RECORD`` and
``INSTALLER`` have other content. The wheel was compared with its lock before.
"""

import base64
import configparser
import csv
import hashlib
import io
import posixpath
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from airgap.disk.os_errors import translate_errors
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.wheelhouse import normalize_name
from airgap.printable import quote

__all__ = ["InstalledFile", "Venv", "WheelArchives", "list_installed"]

_INFO: Final = re.compile(r"([^/]+\.dist-info)/WHEEL")
_REFERENCE: Final = re.compile(r" *([\w.]+) *: *([\w.]+) *(?:\[[^\]]*\])? *")
_SCRIPT_NAME: Final = re.compile(r"[\w.-]+")
_HASHES: Final = ("sha256", "sha384", "sha512")
_SIGNATURES: Final = ("RECORD.jws", "RECORD.p7s")
_SMALL_BYTES: Final = 4 * limits.MIB
_MEMBERS: Final = 200_000
_OPEN_WHEELS: Final = 32
_PIECE: Final = limits.MIB
_SHEBANG: Final = b"#!python"
_FIELDS: Final = 3
Scheme = Literal["purelib", "platlib", "scripts", "data", "headers"]


@dataclass(frozen=True, slots=True)
class Venv:
    """Where it is installed: the version of Python (``3.11``), and the path of the environment."""

    python: str
    path: str

    @property
    def interpreter(self) -> str:
        """What scripts are run by."""
        return f"{self.path}/bin/python"

    @property
    def packages(self) -> str:
        """The folder of packages, relative to the environment."""
        return f"lib/python{self.python}/site-packages"


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file: its path in the environment, and where its bytes are."""

    path: str
    size: int
    executable: bool
    wheel: Path
    member: str = ""
    data: bytes = b""
    record: str = ""
    """What RECORD says of a member: algorithm and digest; empty if it does not."""

    def read_pieces(self, archives: "WheelArchives") -> Iterator[bytes]:
        """Yield its bytes, compared with RECORD.

        Raises:
            CorruptError: they differ, or the wheel is damaged.
        """
        if not self.member:
            yield self.data
            return
        algorithm, _, expected = self.record.partition("=")
        digest = hashlib.new(algorithm or "sha256")
        size = 0
        try:
            with archives.open(self.wheel).open(self.member) as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    size += len(piece)
                    yield piece
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise _make_error(self.wheel, f"has {self.member!r}, which is damaged") from error
        if size != self.size or (self.record and _encode(digest.digest()) != expected):
            raise _make_error(self.wheel, f"has {self.member!r}, which is not what RECORD says")


class WheelArchives:
    """Wheels that are open, the last few: a wheel's directory takes long to read."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[Path, zipfile.ZipFile] = {}

    def open(self, wheel: Path) -> zipfile.ZipFile:
        """Return a wheel that is open until 32 others were opened. Raises StorageError."""
        archive = self._open.pop(wheel, None)
        if archive is None:
            with translate_errors(wheel):
                archive = zipfile.ZipFile(wheel)
        self._open[wheel] = archive
        if len(self._open) > _OPEN_WHEELS:
            self._open.pop(next(iter(self._open))).close()
        return archive

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].close()


def list_installed(wheel: Path, venv: Venv) -> list[InstalledFile]:
    """List what a wheel installs.

    Raises:
        CorruptError: it is not a wheel, or has a path that leads out of the environment.
        StorageError: it cannot be read.
    """
    try:
        with translate_errors(wheel), zipfile.ZipFile(wheel) as archive:
            return _Plan(archive, wheel, venv).list_files()
    except (zipfile.BadZipFile, UnicodeError, configparser.Error, csv.Error) as error:
        raise _make_error(wheel, "is malformed") from error


class _Plan:
    """One wheel, and what becomes of its members."""

    def __init__(self, archive: zipfile.ZipFile, wheel: Path, venv: Venv) -> None:
        self._archive = archive
        self._wheel = wheel
        self._venv = venv
        names = archive.namelist()
        infos = [match[1] for name in names if (match := _INFO.fullmatch(name))]
        if len(infos) != 1 or len(names) > _MEMBERS or len(set(names)) != len(names):
            raise _make_error(wheel, "has no .dist-info folder, several, or a name twice")
        (self._info,) = infos
        self._data = f"{self._info.removesuffix('.dist-info')}.data/"
        self._refuse_other_format()
        self._record = self._read_record()

    def list_files(self) -> list[InstalledFile]:
        """List everything, ``RECORD`` last."""
        files = [
            file
            for member in self._archive.infolist()
            if not member.is_dir()
            for file in self._place(member)
        ]
        files += self._list_scripts()
        info = f"{self._venv.packages}/{self._info}"
        files.append(self._make(f"{info}/INSTALLER", b"airgap\n"))
        files.append(self._make(f"{info}/RECORD", self._write_record(files, info)))
        return files

    def _place(self, member: zipfile.ZipInfo) -> Iterator[InstalledFile]:
        name = member.filename
        if name in (f"{self._info}/{own}" for own in ("RECORD", "INSTALLER", *_SIGNATURES)):
            return
        mode = member.external_attr >> 16
        executable = stat.S_ISREG(mode) and bool(mode & 0o111)
        if not name.startswith(self._data):
            yield self._member(member, f"{self._venv.packages}/{self._check(name)}", executable)
            return
        scheme, _, rest = name.removeprefix(self._data).partition("/")
        self._check(rest)
        if scheme == "scripts":
            yield self._place_script(member, f"bin/{rest}")
        else:
            yield self._member(member, f"{self._find_folder(scheme)}{rest}", executable)

    def _find_folder(self, scheme: str) -> str:
        distribution = self._info.partition("-")[0]
        folders = {
            "purelib": f"{self._venv.packages}/",
            "platlib": f"{self._venv.packages}/",
            "headers": f"include/site/python{self._venv.python}/{distribution}/",
            "data": "",
        }
        if scheme not in folders:
            raise _make_error(self._wheel, f"has files of the unknown scheme {quote(scheme, 100)}")
        return folders[scheme]

    def _place_script(self, member: zipfile.ZipInfo, path: str) -> InstalledFile:
        with self._archive.open(member) as file:
            start = file.read(len(_SHEBANG))
        if start != _SHEBANG or member.file_size > _SMALL_BYTES:
            return self._member(member, path, executable=True)
        _, _, rest = self._archive.read(member).partition(b"\n")
        shebang = f"#!{self._venv.interpreter}\n".encode()
        return self._make(path, shebang + rest, executable=True)

    def _list_scripts(self) -> Iterator[InstalledFile]:
        """Make the scripts of the entry points."""
        text = self._read_small(f"{self._info}/entry_points.txt")
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text)
        for section in ("console_scripts", "gui_scripts"):
            for name, reference in parser.items(section) if parser.has_section(section) else ():
                match = _REFERENCE.fullmatch(reference)
                if match is None or not _SCRIPT_NAME.fullmatch(name) or name in (".", ".."):
                    raise _make_error(self._wheel, f"has the malformed script {quote(name, 100)}")
                script = _SCRIPT.format(
                    interpreter=self._venv.interpreter,
                    module=match[1],
                    first=match[2].partition(".")[0],
                    function=match[2],
                )
                yield self._make(f"bin/{name}", script.encode(), executable=True)

    def _write_record(self, files: list[InstalledFile], info: str) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for file in sorted(files, key=lambda file: file.path):
            digest = file.record if file.member else f"sha256={_digest(file.data)}"
            writer.writerow((self._relative(file.path), digest, file.size))
        writer.writerow((self._relative(f"{info}/RECORD"), "", ""))
        return out.getvalue().encode()

    def _relative(self, path: str) -> str:
        return posixpath.relpath(path, self._venv.packages)

    def _read_record(self) -> Mapping[str, str]:
        rows = csv.reader(io.StringIO(self._read_small(f"{self._info}/RECORD")))
        record = {row[0]: row[1] for row in rows if len(row) == _FIELDS}
        for path, digest in record.items():
            if digest and digest.partition("=")[0] not in _HASHES:
                raise _make_error(self._wheel, f"has a RECORD with another digest of {quote(path)}")
        return record

    def _refuse_other_format(self) -> None:
        text = self._read_small(f"{self._info}/WHEEL")
        if not re.search(r"^Wheel-Version: *1\.", text, re.MULTILINE):
            raise _make_error(self._wheel, "is a wheel of another version than 1")

    def _read_small(self, name: str) -> str:
        """Return a text of the wheel; empty if it has none."""
        try:
            member = self._archive.getinfo(name)
        except KeyError:
            return ""
        if member.file_size > _SMALL_BYTES:
            raise _make_error(self._wheel, f"has {quote(name)}, which is too long")
        try:
            return self._archive.read(member).decode()
        except (EOFError, NotImplementedError, RuntimeError) as error:
            raise _make_error(self._wheel, f"has {quote(name)}, which is damaged") from error

    def _member(self, member: zipfile.ZipInfo, path: str, executable: bool) -> InstalledFile:  # noqa: FBT001
        record = self._record.get(member.filename, "")
        name = member.filename
        return InstalledFile(path, member.file_size, executable, self._wheel, name, b"", record)

    def _make(self, path: str, data: bytes, *, executable: bool = False) -> InstalledFile:
        return InstalledFile(path, len(data), executable, self._wheel, "", data)

    def _check(self, path: str) -> str:
        """Refuse a path that leads out of the environment, or that means another."""
        parts = path.split("/")
        if not path or {"", ".", ".."} & set(parts) or "\\" in path or "\0" in path:
            raise _make_error(self._wheel, f"has the path {quote(path)}")
        return path


_SCRIPT: Final = """\
#!{interpreter}
import sys
from {module} import {first}
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit({function}())
"""


def _digest(data: bytes) -> str:
    return _encode(hashlib.sha256(data).digest())


def _encode(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _make_error(wheel: Path, problem: str) -> CorruptError:
    return CorruptError(
        f"The wheel {wheel.name} {problem}.",
        f"Ask who publishes {normalize_name(wheel.name.partition('-')[0])} for another one.",
    )
