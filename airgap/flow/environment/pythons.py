"""The Pythons of this host, and whether a wheelhouse is for one of them."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.format.wheelhouse import Target
from airgap.store.python_builds import list_builds

__all__ = ["Python", "describe_python", "explain_misfit", "find_python", "list_versions", "run_env"]

_SCRIPT: Final = Path(__file__).with_name("describe_python.py")
_SECONDS: Final = 30
_NAME: Final = re.compile(r"python(?:3(?:\.\d{1,3})?)?")
_LIBC: Final = {"manylinux": "glibc", "musllinux": "musl"}
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter: its ``version`` has three numbers; ``libc`` is as of ``Target``.

    ``path`` is what it calls itself, not the link or the script that led to it.
    """

    path: Path
    version: tuple[int, int, int]
    architecture: str
    libc: str
    libc_version: tuple[int, int]
    is_usual: bool = True
    """CPython with its global lock, which is what targets are for."""

    @property
    def minor(self) -> str:
        """The version without its last number, such as ``3.11``."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def text(self) -> str:
        """The whole version."""
        return ".".join(map(str, self.version))

    @property
    def target(self) -> Target:
        """What packages for exactly this interpreter are for."""
        return Target(self.version[1], self.libc, self.libc_version, self.architecture)


def run_env(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a Python of ours gets: none that changes what it or pip does."""
    return {name: value for name, value in environment.items() if name in _KEPT}


def describe_python(path: Path) -> Python | None:
    """Ask an interpreter what it is; None if it cannot be run, or is not a Python 3."""
    try:
        done = subprocess.run(  # noqa: S603  (an interpreter that a person or PATH names)
            [path, "-I", "-B", _SCRIPT],
            env=run_env(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
        return _read(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError):
        return None


def _read(document: Mapping[str, Any]) -> Python | None:
    major, minor, micro = map(int, document["version"])
    if major != 3:  # noqa: PLR2004
        return None
    libc_major, libc_minor = map(int, document["libc_version"])
    is_usual = document["implementation"] == "cpython" and not document["free_threaded"]
    return Python(
        Path(document["executable"]),
        (major, minor, micro),
        str(document["architecture"]),
        str(document["libc"]),
        (libc_major, libc_minor),
        is_usual,
    )


def find_python(version: str) -> Python | None:
    """Find a usual Python of a version, such as ``3.11``.

    Looks on PATH, then at the one that runs airgap, then at those that bundles have brought. Other
    Pythons of that version, and commands that only look for one, are passed over.

    Raises:
        CorruptError: one that a bundle has brought was changed since.
        StorageError: it cannot be read.
    """
    for path in (*_list_candidates(version), *_list_brought(version)):
        python = describe_python(path)
        if python is not None and python.minor == version and python.is_usual:
            return python
    return None


def _list_candidates(version: str) -> Iterator[Path]:
    names = (f"python{version}", "python3", "python")
    for name in names:
        yield from (path for path in _list_on_path() if path.name == name)
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield Path(sys.executable)


def _list_brought(version: str) -> Iterator[Path]:
    """Yield the interpreters of a version that bundles have brought, each compared before."""
    for build in list_builds():
        if (build.version, build.architecture) == (version, platform.machine()):
            build.check()
            yield build.path


def list_versions() -> list[str]:
    """Return the versions of the Pythons here, such as ``3.11``.

    Those are our own, those that bundles have brought, and those on PATH that can be run.
    """
    found = {f"{sys.version_info.major}.{sys.version_info.minor}"}
    found |= {build.version for build in list_builds() if build.architecture == platform.machine()}
    for path in _list_on_path():
        named = path.name.removeprefix("python")
        if named in found:
            continue
        python = describe_python(path)
        if python is not None and python.is_usual:
            found.add(python.minor)
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def _list_on_path() -> list[Path]:
    """Return the Pythons on PATH, in the order in which a shell looks for them."""
    paths: list[Path] = []
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        try:
            listed = sorted(Path(folder).iterdir()) if folder else []
        except OSError:
            continue
        paths += [
            path for path in listed if _NAME.fullmatch(path.name) and os.access(path, os.X_OK)
        ]
    return paths


def explain_misfit(target: Target, python: Python) -> str:
    """Say how a target differs from an interpreter of its version; empty if packages for it fit."""
    if target.architecture != python.architecture:
        return f"is for {target.architecture}; this host is {python.architecture}"
    needed = f"{_LIBC[target.libc]} {'.'.join(map(str, target.libc_version))}"
    actual = f"{_LIBC.get(python.libc, 'an unknown C library')}"
    if target.libc != python.libc:
        return f"is for {_LIBC[target.libc]}; {python.path} uses {actual}"
    if target.libc_version > python.libc_version:
        version = ".".join(map(str, python.libc_version))
        return f"needs {needed} or newer; this host has {actual} {version}"
    return ""
