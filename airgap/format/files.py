"""Folders that a Bento reads at run time: what an item of the kind ``files`` says (format §25)."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import canonical, names
from airgap.format.inventory import Entry, Item, entry_identity
from airgap.format.limits import FILES_DESCRIPTION_BYTES

__all__ = [
    "CONTENT",
    "DESCRIPTION",
    "FilesDescription",
    "check_files",
    "content_digest",
    "decode",
    "describe",
    "encode",
    "is_variable",
    "version_of",
]

DESCRIPTION: Final = "files.json"
CONTENT: Final = "content/"
VERSION_DIGITS: Final = 32
"""Of the SHA-256 that the version of an item begins with, if its content decides the version."""

_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_FORBIDDEN: Final = frozenset({"ENV", "HOME", "IFS", "PATH", "SHELL", "TMPDIR"})
_FORBIDDEN_STARTS: Final = (
    *("LD_", "DYLD_", "GLIBC_", "GCONV_", "BASH_", "PYTHON", "PIP_", "UV_"),
    *("BENTOML_", "AIRGAP_"),
)


@dataclass(frozen=True, slots=True)
class FilesDescription:
    """What ``files.json`` says.

    ``content`` is the digest of the folder's entries. ``variable`` is the environment variable that
    names the folder to the Bento; empty if there is none.
    """

    name: str
    content: bytes
    variable: str = ""


def is_variable(text: str) -> bool:
    """Tell whether a bundle may set this environment variable (format §25)."""
    return (
        _VARIABLE.fullmatch(text) is not None
        and text not in _FORBIDDEN
        and not text.startswith(_FORBIDDEN_STARTS)
    )


def describe(name: str, entries: Sequence[Entry], variable: str) -> FilesDescription:
    """Describe a folder; the paths of its entries begin with ``content/``."""
    return FilesDescription(name, content_digest(entries), variable)


def content_digest(entries: Sequence[Entry]) -> bytes:
    """Digest the entries below ``content/``, without their chunks."""
    below = [entry for entry in entries if entry.path.startswith(CONTENT)]
    below.sort(key=lambda entry: entry.path.encode())
    return hashlib.sha256(canonical.encode([entry_identity(entry) for entry in below])).digest()


def encode(description: FilesDescription) -> bytes:
    """Write ``files.json``."""
    document = {
        "content": description.content.hex(),
        "format": 1,
        "name": description.name,
        "variable": description.variable,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def version_of(raw: bytes) -> str:
    """Return the version of an item whose content this document decides (format §25 to §27)."""
    return hashlib.sha256(raw).hexdigest()[:VERSION_DIGITS]


def decode(raw: bytes) -> FilesDescription:
    """Parse ``files.json``.

    Raises:
        CorruptError: it is not what ``encode`` would write (format §25).
    """
    try:
        description = _parse(raw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _make_error("breaks a rule of its format") from error
    if encode(description) != raw:
        raise _make_error("is not in its canonical form")
    return description


def _parse(raw: bytes) -> FilesDescription:
    if len(raw) > FILES_DESCRIPTION_BYTES:
        raise ValueError("too long")
    document = json.loads(raw)
    name, variable = document["name"], document["variable"]
    content = bytes.fromhex(document["content"])
    if (
        not names.is_tag_part(name)
        or (variable and not is_variable(variable))
        or len(content) != hashlib.sha256().digest_size
    ):
        raise ValueError("an invalid name, variable or digest")
    return FilesDescription(name, content, variable)


def check_files(item: Item, raw: bytes) -> None:
    """Refuse an item that is not what its ``files.json`` says.

    Raises:
        CorruptError: see ``decode``; or the tag or an entry differs.
    """
    description = decode(raw)
    if (item.name, item.version) != (description.name, version_of(raw)):
        raise _make_error(f"is that of {description.name}:{version_of(raw)}")
    others = [
        entry.path
        for entry in item.entries
        if entry.path != DESCRIPTION and not entry.path.startswith(CONTENT)
    ]
    if others:
        raise _make_error(f"does not name {others[0]!r}")
    if len(item.entries) == 1 or content_digest(item.entries) != description.content:
        raise _make_error("gives another digest for the folder")


def _make_error(problem: str) -> CorruptError:
    return CorruptError(
        f"The {DESCRIPTION} of an item {problem}.", "Ask the sender to export it again."
    )
