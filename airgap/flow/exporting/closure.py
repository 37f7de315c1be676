"""What travels with Bentos beside models, so that they run: folders, packages, images.

Such an item need not be in a store: it is made for the export, and its own small files lie in a
private folder until the export ends.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.disk.os_errors import storage_error
from airgap.disk.temporary import find_temporary_folder
from airgap.errors import UsageError
from airgap.format import names
from airgap.format.files import is_variable
from airgap.store.files import FilesFolder, make_source
from airgap.store.item_kind import Source

if TYPE_CHECKING:
    from airgap.flow.exporting.images import ImageOrigin
    from airgap.flow.exporting.packages import PackageOptions
    from airgap.oci.documents import Platform

__all__ = [
    "Closure",
    "FilesFolder",
    "make_sources",
    "parse_files",
    "parse_images",
    "parse_platforms",
]


@dataclass(frozen=True, slots=True)
class Closure:
    """What a person wants to travel beside Bentos and models."""

    files: Sequence[FilesFolder] = ()
    packages: "PackageOptions | None" = None
    """How the Python packages of the Bentos are found; None: they do not travel."""
    pythons: Sequence[Path] = ()
    """Archives of builds of Python, for hosts that have none."""
    images: "Sequence[ImageOrigin]" = ()
    platforms: "Sequence[Platform]" = ()
    """Those that travel of an image that has several; none: all."""

    def __bool__(self) -> bool:
        """Tell whether it names anything."""
        return bool(self.files or self.images or self.pythons)


@contextmanager
def make_sources(closure: Closure, tmpdir: Path | None) -> Iterator[list[Source]]:
    """Give the items of a closure; they can be read until the block ends.

    ``tmpdir`` is where the private folder is made; None: where the system has such folders.

    Raises:
        UsageError: two folders want the same variable, or an archive is not a build of Python.
        StorageError: a folder cannot be read, or is empty; or the disk refused.
        MissingError, CorruptError, ConfigurationError, TransportError: as ``images.make_source``.
    """
    if not closure:
        yield []
        return
    _refuse_shared_variables(closure.files)
    with _make_private_folder(tmpdir) as private:
        sources = []
        for number, folder in enumerate(closure.files):
            own = private / f"files-{number}"
            own.mkdir()
            sources.append(make_source(folder, own))
        sources += _make_pythons(closure, private)
        sources += _make_images(closure, private)
        yield sources


def _make_pythons(closure: Closure, private: Path) -> Iterator[Source]:
    for number, archive in enumerate(closure.pythons):
        from airgap.flow.exporting.python_build import make_python_source  # few exports have any

        own = private / f"python-{number}"
        own.mkdir()
        yield make_python_source(archive, own)


def _make_images(closure: Closure, private: Path) -> Iterator[Source]:
    for number, image in enumerate(closure.images):
        from airgap.flow.exporting import images  # few exports have any

        own = private / f"image-{number}"
        own.mkdir()
        yield images.make_source(image, closure.platforms, own)


def _refuse_shared_variables(folders: Sequence[FilesFolder]) -> None:
    names_by_variable: dict[str, str] = {}
    for folder in folders:
        if folder.variable and folder.variable in names_by_variable:
            raise UsageError(
                f"{names_by_variable[folder.variable]} and {folder.name} both want the variable"
                f" {folder.variable}.",
                "Put both into one folder, or give one of them another variable.",
            )
        names_by_variable[folder.variable] = folder.name


@contextmanager
def _make_private_folder(tmpdir: Path | None) -> Iterator[Path]:
    top = find_temporary_folder(tmpdir)
    try:
        private = tempfile.TemporaryDirectory(prefix="airgap-", dir=top)
    except OSError as error:
        raise storage_error(error, top) from error
    with private as path:
        yield Path(path)


def parse_images(texts: Sequence[str]) -> "list[ImageOrigin]":
    """Parse where images are; raises as ``images.parse_image``."""
    if not texts:
        return []
    from airgap.flow.exporting.images import parse_image

    return [parse_image(text) for text in texts]


def parse_platforms(texts: Sequence[str]) -> "list[Platform]":
    """Parse ``os/architecture[/variant]`` of each; raises UsageError."""
    if not texts:
        return []
    from airgap.flow.exporting import images

    return images.parse_platforms(texts)


def parse_files(text: str) -> FilesFolder:
    """Parse ``NAME=FOLDER[:VARIABLE]``. What follows the last colon is a variable if it looks so.

    Raises:
        UsageError: a part is missing, or is not allowed (format §25).
    """
    name, _, rest = text.partition("=")
    path, colon, variable = rest.rpartition(":")
    if not (colon and variable.isascii() and variable.replace("_", "").isalnum()):
        path, variable = rest, ""
    if not path or not names.is_tag_part(name):
        raise UsageError(
            f"{text!r} does not say which files travel under which name.",
            "Write NAME=FOLDER or NAME=FOLDER:VARIABLE; a name has lower-case letters, digits,"
            " '-', '_' and '.', at most 63.",
        )
    if variable and not is_variable(variable):
        raise UsageError(
            f"A bundle may not set the variable {variable}.",
            "Use the variable that the library reads for this folder, such as"
            " TIKTOKEN_CACHE_DIR; capitals, digits and '_'.",
        )
    return FilesFolder(name, Path(path), variable)
