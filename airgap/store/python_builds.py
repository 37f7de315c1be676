"""Builds of Python that run wherever they lie, which came as items of the kind ``files``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.format.files import CONTENT
from airgap.format.kinds import FILES, Kind
from airgap.store.bentoml_home import home
from airgap.store.files import Files, check_installed

__all__ = ["PythonBuild", "is_in_build", "is_python_build", "list_builds", "name_build"]

_NAME: Final = re.compile(r"python-(3\.\d{1,3})-([a-z0-9_]{1,20})")


@dataclass(frozen=True, slots=True)
class PythonBuild:
    """An installed build: its tag, what its name says, and its interpreter."""

    tag: str
    version: str
    architecture: str
    path: Path

    def check(self) -> None:
        """Compare every file with what the tag says, before any of them runs.

        Raises:
            CorruptError: one was changed, added or removed.
            StorageError: one cannot be read.
        """
        name, _, version = self.tag.partition(":")
        check_installed(name, version)


def name_build(version: str, architecture: str) -> str:
    """Name the item of a build, such as ``python-3.12-x86_64``."""
    return f"python-{version}-{architecture}"


def is_python_build(kind: Kind, name: str) -> bool:
    """Tell whether an item is a build of Python, by its name."""
    return kind == FILES.name and _NAME.fullmatch(name) is not None


def list_builds() -> Iterator[PythonBuild]:
    """Yield the builds of this machine; nothing of them is compared or run."""
    for name, version in Files().list_tags():
        match = _NAME.fullmatch(name)
        if match is not None:
            content = Files().install_path(name, version).final / CONTENT.rstrip("/")
            interpreter = content / "bin" / f"python{match[1]}"
            yield PythonBuild(f"{name}:{version}", match[1], match[2], interpreter)


def is_in_build(interpreter: Path) -> bool:
    """Tell whether an interpreter lies in an item, in which it must not write compiled files."""
    return interpreter.is_relative_to(home() / Files.folder)
