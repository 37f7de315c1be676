"""The names that may be uploaded: those that the files of bundles have (format §8, §9)."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from airgap.format import layout, names
from airgap.format.attachment import parse_attachment_file

__all__ = [
    "UNFINISHED",
    "UploadName",
    "folder_problem",
    "is_passing",
    "is_reserved",
    "parse_upload_name",
]

PASSING: Final = (".part", ".partial", ".filepart")
"""Ends the name of an upload that its sender renames when it is complete.

``.part``: airgap and KDE; ``.HEX.partial``: rclone; ``.filepart``: WinSCP. lftp has ``.in.NAME``
(``xfer:use-temp-file``).
"""
UNFINISHED: Final = ".unfinished"
"""Ends the stored name of an upload sent under its final name, until it is known to be complete."""
_RESERVED: Final = (layout.ARCHIVE_SUFFIX, UNFINISHED, *PASSING)
MAX_DEPTH: Final = 8
_TEXTS: Final = frozenset({layout.README_NAME, "verify.py", "checksums.txt"})

Kind = Literal["archive", "content-addressed", "signature", "text"]
_PACK: Final = re.compile(r"packs/([0-9a-f]{2})/\1[0-9a-f]{62}\.pack")
_PASSING: Final = re.compile(
    r"(?P<folders>(?:.*/)?)"
    r"(?:\.in\.(?P<lftp>[^/]+)|(?P<name>[^/]+?)(?:(?:\.[0-9a-f]{1,64})?\.part(?:ial)?|\.filepart))",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class UploadName:
    """A path below a user's home. ``final`` is its path once the upload is complete."""

    path: str
    final: str
    kind: Kind

    @property
    def is_part(self) -> bool:
        """Whether the sender renames the upload when it is complete."""
        return self.path != self.final

    @property
    def is_small(self) -> bool:
        """Whether it is published on arrival: nothing tells whether such a file is complete."""
        return self.kind in ("signature", "text")

    @property
    def stored(self) -> str:
        """The path under which the upload is stored until it is complete."""
        if self.is_part:
            return self.path
        return self.path + UNFINISHED


def parse_upload_name(path: str) -> UploadName | None:
    """Parse a path below a home; return None if it may not be uploaded.

    Allows the files of bundles (format §8, §9), and the passing names that clients give them.
    """
    final = _strip_passing(path)
    kind = _classify(final)
    if kind is None or folder_problem(final) or names.path_problem(path):
        return None
    return UploadName(path, final, kind)


def is_reserved(path: str) -> bool:
    """Tell whether a name ends as those of files do, in upper or lower case."""
    return path.lower().endswith(_RESERVED)


def is_passing(path: str) -> bool:
    """Tell whether a name is one that its sender gives an upload until it is complete."""
    return _PASSING.fullmatch(path) is not None


def _strip_passing(path: str) -> str:
    """Return the path that an upload has once it is complete."""
    match = _PASSING.fullmatch(path)
    return match["folders"] + (match["lftp"] or match["name"]) if match else path


def folder_problem(path: str) -> str | None:
    """Return why this path of a folder or file is refused, or None if it is allowed."""
    if path.count("/") >= MAX_DEPTH:
        return "is too deep"
    problem = names.path_problem(path)
    if problem is None and any(part.startswith(".") for part in path.split("/")):
        problem = "has a hidden part"
    return problem


def _classify(path: str) -> Kind | None:
    parts = path.split("/")
    last, tail = parts[-1], "/".join(parts[-3:])
    if _PACK.fullmatch(tail) or layout.parse_manifest_name(tail):
        return "content-addressed"
    if layout.is_archive_name(last) and last.lower() != layout.ARCHIVE_SUFFIX:
        return "archive"
    in_bundle = len(parts) > 2 and parts[-3] == layout.BUNDLES and names.is_bundle_id(parts[-2])  # noqa: PLR2004
    is_signature = (
        layout.parse_envelope_file(last)
        or layout.parse_attestation_file(last)
        or parse_attachment_file(last)
    )
    in_roots = len(parts) > 1 and parts[-2] == layout.ROOTS and layout.parse_root_file(last)
    if (in_bundle and is_signature) or in_roots:
        return "signature"
    return "text" if last in _TEXTS else None
