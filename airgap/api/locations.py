"""Locations as BentoML's Python API names them: a path or URL, or its pieces one by one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from airgap.errors import UsageError
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.location import (
    ArchiveFile,
    LocalDepot,
    Location,
    StandardInput,
    StockArchive,
    is_remote_text,
)

__all__ = ["Pieces", "connect", "join_pieces", "name_written"]

_LOCAL: Final = ("file", "osfs")
_CALLED: Final = {"ssh": "sftp"}


@dataclass(frozen=True, slots=True)
class Pieces:
    """What BentoML's functions take besides the path."""

    protocol: str | None = None
    user: str | None = None
    passwd: str | None = field(default=None, repr=False)
    params: Mapping[str, str] | None = None
    subpath: str | None = None


def join_pieces(path: str | os.PathLike[str], pieces: Pieces) -> str:
    """Put a path or URL together, as a person would type it.

    Raises:
        UsageError: the arguments contradict each other.
    """
    text = os.fspath(path)
    scheme, mark, rest = text.partition("://")
    if (mark or text.startswith("@")) and (pieces.protocol or pieces.subpath):
        raise UsageError(
            "A URL says protocol and subpath itself.", "Give the one or the other, not both."
        )
    if mark and scheme.lower() == "osfs":
        return rest
    if pieces.protocol not in (None, *_LOCAL):
        return _make_url(pieces.protocol or "", text, pieces.subpath)
    # os.path.join, because it keeps an ending "/"
    return os.path.join(text, pieces.subpath) if pieces.subpath else text  # noqa: PTH118


def connect(text: str, pieces: Pieces) -> Connector:
    """Return how a location is reached.

    Raises:
        UsageError: it is on this machine, and there are arguments for a server.
    """
    given = (pieces.user, pieces.passwd, pieces.params)
    if not is_remote_text(text) and any(value is not None for value in given):
        raise UsageError("user, passwd and params are for servers.", "Leave them out.")
    options = {key: str(value) for key, value in (pieces.params or {}).items()}
    credentials = Credentials(user=pieces.user, password=pieces.passwd)
    return Connector(credentials, TransferOptions(options=options))


def name_written(location: Location, path: str) -> str:
    """Return where something was written: an absolute path, or a URL without password and options.

    ``path`` is that of an archive for stock BentoML, if it is one.
    """
    match location:
        case StandardInput():
            return "-"
        case LocalDepot() | ArchiveFile() | StockArchive():
            return str(Path(path or location.path).absolute())
        case _:
            return str(location.url)


def _make_url(protocol: str, path: str, subpath: str | None) -> str:
    """Write a URL from a host or bucket, and a path there."""
    host, slash, below = path.partition("/")
    folder = quote(
        f"{below}/{subpath.lstrip('/')}" if subpath and below else below + (subpath or "")
    )
    mark = "/" if slash or folder else ""
    return f"{_CALLED.get(protocol, protocol)}://{host}{mark}{folder.lstrip('/')}"
