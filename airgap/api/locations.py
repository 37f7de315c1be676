"""Places as BentoML's Python API names them: a path or URL, or its pieces one by one."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from airgap.errors import UsageError
from airgap.flow.location import remote
from airgap.flow.location.credentials import Access
from airgap.flow.location.remote import SUFFIX

__all__ = ["Pieces", "halves", "named", "place_of", "shown"]

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


def place_of(path: str | os.PathLike[str], pieces: Pieces) -> tuple[str, Access]:
    """Put a place together; return it with how it is reached.

    Raises:
        UsageError: the arguments contradict each other.
    """
    place = os.fspath(path)
    scheme, mark, rest = place.partition("://")
    if (mark or place.startswith("@")) and (pieces.protocol or pieces.subpath):
        raise UsageError(
            "A URL says protocol and subpath itself.", "Give the one or the other, not both."
        )
    if mark and scheme.lower() in _LOCAL:
        place = rest if scheme.lower() == "osfs" else remote.local_path(place)
    elif pieces.protocol not in (None, *_LOCAL):
        place = _url(pieces.protocol or "", place, pieces.subpath)
    elif pieces.subpath:
        place = os.path.join(place, pieces.subpath)  # noqa: PTH118  (keeps an ending /)
    said = (pieces.user, pieces.passwd, pieces.params)
    if not remote.is_remote(place) and any(one is not None for one in said):
        raise UsageError("user, passwd and params are for servers.", "Leave them out.")
    options = {key: str(value) for key, value in (pieces.params or {}).items()}
    return place, Access(user=pieces.user, password=pieces.passwd, options=options)


def named(place: str, name: str) -> str:
    """Name the ``.airgap`` file of a place elsewhere: ``name`` in a folder that ends in ``/``."""
    path, rest = halves(place)
    if path.endswith("/"):
        return f"{path}{quote(name)}{SUFFIX}{rest}"
    return place if path.endswith(SUFFIX) else f"{path}{SUFFIX}{rest}"


def shown(place: str, access: Access) -> str:
    """Return the URL of a place elsewhere, without password and options."""
    return str(remote.look(place, access))


def _url(protocol: str, path: str, subpath: str | None) -> str:
    """Write a URL from a host or bucket, and a path there."""
    host, slash, below = path.partition("/")
    folder = quote(
        f"{below}/{subpath.lstrip('/')}" if subpath and below else below + (subpath or "")
    )
    mark = "/" if slash or folder else ""
    return f"{_CALLED.get(protocol, protocol)}://{host}{mark}{folder.lstrip('/')}"


def halves(place: str) -> tuple[str, str]:
    """Split a URL before its options and its bundle."""
    path = re.split("[?#]", place, maxsplit=1)[0]
    return path, place[len(path) :]
