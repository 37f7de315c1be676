"""Where a bundle is, as a value. Text becomes one of these values once, at the faces.

Below the faces nothing reads a location as text: what it is, and which bundle of it is meant, was
decided by ``parse_location``.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote as percent_encode

from airgap.carrier.archive_start import is_archive
from airgap.carrier.stock.form import (
    ArchiveForm,
    Form,
    form_of,
    form_of_name,
    has_manifest_beside,
)
from airgap.disk.os_errors import storage_error
from airgap.errors import UsageError
from airgap.flow.location import named_remotes
from airgap.flow.redaction import redact
from airgap.format import layout, stock_archive
from airgap.printable import quote
from airgap.transport import url as urls
from airgap.transport.url import RemoteUrl

__all__ = [
    "SUFFIX",
    "ArchiveFile",
    "DepotLocation",
    "LocalDepot",
    "Location",
    "RemoteArchive",
    "RemoteDepot",
    "RemoteStockArchive",
    "StandardInput",
    "StockArchive",
    "is_remote_text",
    "parse_depot",
    "parse_location",
    "to_text",
]

SUFFIX: Final = layout.ARCHIVE_SUFFIX
STANDARD: Final = "-"
_ID: Final = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class StandardInput:
    """A ``.airgap`` file on standard input; written, on standard output."""

    bundle: str = ""

    def __str__(self) -> str:
        """Write it for messages."""
        return "standard input"


@dataclass(frozen=True, slots=True)
class LocalDepot:
    """A depot in a folder of this machine (format §8)."""

    path: Path
    bundle: str = ""
    """The bundle's id, or the first digits of it as typed; empty for any bundle."""

    def __str__(self) -> str:
        """Write it for messages."""
        return _with_bundle(str(self.path), self.bundle)


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A ``.airgap`` file of this machine (format §9)."""

    path: Path
    bundle: str = ""

    def __str__(self) -> str:
        """Write it for messages."""
        return _with_bundle(str(self.path), self.bundle)


@dataclass(frozen=True, slots=True)
class StockArchive:
    """An archive or folder of this machine that stock BentoML reads (format §10)."""

    path: Path
    form: Form
    bundle: str = ""

    def __str__(self) -> str:
        """Write it for messages."""
        return _with_bundle(str(self.path), self.bundle)


@dataclass(frozen=True, slots=True)
class _Remote:
    """What all remote locations have."""

    url: RemoteUrl
    settings: Mapping[str, str]
    """What the config file says of a named remote."""
    text: str
    """What a person typed, up to ``#``, without a password."""
    bundle: str = ""

    def __str__(self) -> str:
        """Write it for messages, without a password."""
        return _with_bundle(self.text, self.bundle)

    @property
    def folder_url(self) -> RemoteUrl:
        """The folder that a file is in."""
        above, slash, _ = self.url.path.rpartition("/")
        return replace(self.url, path=above or slash)

    @property
    def file_name(self) -> str:
        """The name of a file in its folder."""
        return self.url.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RemoteDepot(_Remote):
    """A depot on a server."""


@dataclass(frozen=True, slots=True)
class RemoteArchive(_Remote):
    """A ``.airgap`` file on a server."""


@dataclass(frozen=True, slots=True)
class RemoteStockArchive(_Remote):
    """An archive on a server that stock BentoML reads."""

    form: ArchiveForm = "tar"


Location: TypeAlias = (
    StandardInput
    | LocalDepot
    | ArchiveFile
    | StockArchive
    | RemoteDepot
    | RemoteArchive
    | RemoteStockArchive
)
DepotLocation: TypeAlias = LocalDepot | RemoteDepot


def parse_location(text: str, *, form: Form | None = None, to_write: bool = False) -> Location:
    """Turn what a person typed into a location.

    The disk is looked at, and the first bytes of a file are read.

    What follows ``#`` is a bundle id, or its first eight digits or more. A local name that has
    ``#`` in it is written as a ``file://`` URL, with ``%23``.

    Args:
        text: a path, ``-``, a URL or ``@REMOTE``.
        form: the form of an archive for stock BentoML, where a person said that it is one.
        to_write: whether a bundle is to be written there: a path that is not there is a depot.

    Raises:
        UsageError: it is ambiguous, or not a proper path, URL or id.
        TransportError: nothing carries over the URL's scheme.
        MissingError: there is no remote of that name.
        StorageError: the path cannot be looked at.
    """
    location = _parse(text, form, to_write=to_write)
    if to_write and location.bundle:
        raise UsageError(
            f"{location} names a bundle, and a new one gets its own id.",
            "Leave out # and what follows it.",
        )
    return location


def parse_depot(text: str) -> DepotLocation:
    """Turn what a person typed for a depot into its location; it need not be there.

    Raises:
        UsageError: it is a file.
        UsageError, TransportError, MissingError, StorageError: as ``parse_location``.
    """
    location = _parse(text, None, to_write=True)
    if not isinstance(location, LocalDepot | RemoteDepot):
        raise UsageError(
            f"{location} is a file, not a depot.", "Give a folder, the URL of one, or @REMOTE."
        )
    return location


def is_remote_text(text: str) -> bool:
    """Tell whether a text names what is not on this machine: @REMOTE, or a URL but ``file://``."""
    return text.startswith(named_remotes.MARK) or (
        urls.is_url(text) and not text.lower().startswith("file://")
    )


def to_text(location: LocalDepot | ArchiveFile) -> str:
    """Write a local location so that ``parse_location`` reads exactly this, whatever lies there."""
    if not location.bundle and "#" not in str(location.path):
        return str(location.path)
    path = location.path.resolve() if ".." in location.path.parts else location.path.absolute()
    return _with_bundle(path.as_uri(), location.bundle)


def _parse(text: str, form: Form | None, *, to_write: bool) -> Location:
    if text == STANDARD:
        return StandardInput()
    if is_remote_text(text):
        return _parse_remote(text, form)
    if urls.is_url(text):
        url = urls.parse(text)
        path, bundle = Path(url.path), url.bundle
    else:
        path, bundle = _split(text)
    try:
        if to_write:
            return _parse_target(path, form, is_folder=text.endswith("/"), bundle=bundle)
        return _parse_source(path, form, bundle)
    except OSError as error:  # a name that is too long, a folder that is closed
        raise storage_error(error, path) from error


def _parse_remote(text: str, form: Form | None) -> RemoteDepot | RemoteArchive | RemoteStockArchive:
    url, settings = named_remotes.locate(text)
    shown, bundle = redact(text.partition("#")[0]), url.bundle
    url = replace(url, bundle="")
    name = url.path.rpartition("/")[2]
    if layout.is_archive_name(name):
        _refuse_form(shown, form)
        return RemoteArchive(url, settings, shown, bundle)
    known_form = form or form_of_name(name)
    if known_form == "folder":
        raise UsageError(
            f"A folder for stock BentoML is local, and {shown} is on a server.",
            "Choose the format of an archive, such as tar.gz.",
        )
    if known_form:
        return RemoteStockArchive(url, settings, shown, bundle, known_form)
    return RemoteDepot(url, settings, shown, bundle)


def _parse_source(
    path: Path, form: Form | None, bundle: str
) -> LocalDepot | ArchiveFile | StockArchive:
    is_folder = path.is_dir()
    if layout.is_archive_name(path.name) or (path / layout.BUNDLES).is_dir():
        # Whatever lies beside it: else a stranger's manifest there would be shown, and signed.
        _refuse_form(str(path), form)
        return LocalDepot(path, bundle) if is_folder else ArchiveFile(path, bundle)
    if is_archive(path):
        _refuse_form(str(path), form)
        _refuse_manifest_beside(path)
        return ArchiveFile(path, bundle)
    known_form = form or form_of(_find_name(path))
    if known_form:
        return _stock_archive(path, known_form, bundle)
    return LocalDepot(path, bundle) if is_folder else ArchiveFile(path, bundle)


def _parse_target(
    path: Path, form: Form | None, *, is_folder: bool, bundle: str
) -> LocalDepot | ArchiveFile | StockArchive:
    is_folder = is_folder or path.is_dir()
    if layout.is_archive_name(path.name) or (path / layout.BUNDLES).is_dir():
        _refuse_form(str(path), form)
        return LocalDepot(path, bundle) if is_folder else ArchiveFile(path, bundle)
    known_form = form or (None if is_folder else form_of_name(path.name))
    if known_form:
        return _stock_archive(path, known_form, bundle)
    return (
        ArchiveFile(path, bundle) if path.exists() and not is_folder else LocalDepot(path, bundle)
    )


def _stock_archive(path: Path, form: Form, bundle: str) -> StockArchive:
    """Take a path with a name: the names of what lies beside the archive begin with it."""
    named = _find_name(path)
    if not named.name:
        raise UsageError(
            f"{named} cannot be an archive for stock BentoML: it has no name.",
            "Give a file, or a folder below it.",
        )
    return StockArchive(named, form, bundle)


def _find_name(path: Path) -> Path:
    """Return the path; where its last part is not a name (``.``, ``..``), what it stands for."""
    return path if path.name not in ("", "..") else Path(os.path.realpath(path))


def _split(text: str) -> tuple[Path, str]:
    """Split ``PATH#ID``.

    Raises:
        UsageError: what follows ``#`` is not an id, or a file or folder has the whole text as its
            name: someone who fills a medium could put one beside the bundle that was named.
    """
    name, mark, bundle = text.rpartition("#")
    if not mark:
        return Path(text), ""
    if os.path.lexists(text):
        url = f"file://{percent_encode(os.path.abspath(text))}"  # noqa: PTH100  (no link followed)
        raise UsageError(
            f"{text} is ambiguous: what follows # is a bundle id, and a file has this whole name.",
            f"Rename the file, or write {url} to name it.",
        )
    if not _ID.fullmatch(bundle):
        raise UsageError(
            f"{quote(bundle)} is not a bundle id.",
            "Give at least its first eight hex digits; a # of a name is written %23 in a file://"
            " URL.",
        )
    return Path(name), bundle


def _refuse_form(text: str, form: Form | None) -> None:
    """Refuse to take a depot or a ``.airgap`` file for an archive for stock BentoML."""
    if form is not None:
        raise UsageError(
            f"{redact(text)} is a depot or a {SUFFIX} file, not an archive for stock BentoML.",
            "Leave out the format, or name the archive.",
        )


def _refuse_manifest_beside(path: Path) -> None:
    """Refuse a ``.airgap`` file of another name that would also be read as a stock archive.

    An attacker who can write beside it could have that manifest shown and signed in its place.
    """
    if has_manifest_beside(path):
        manifest = stock_archive.manifest_name(path.name)
        raise UsageError(
            f"{path} is ambiguous: it is a {SUFFIX} file, and {manifest} lies beside it.",
            f"Remove {manifest}, or give the file a name that ends in {SUFFIX}.",
        )


def _with_bundle(text: str, bundle: str) -> str:
    return f"{text}#{bundle}" if bundle else text
