"""Attachments: files about a bundle that travel with it and are never trusted (format §24)."""

import re
from collections import Counter
from typing import Final

from airgap.format import limits

__all__ = ["FINDINGS", "Allowance", "attachment_file", "parse_attachment_file", "size_limit"]

FINDINGS: Final = "findings"

_LIMITS: Final = {
    FINDINGS: limits.FINDINGS_BYTES,
    "intoto.json": limits.STATEMENT_BYTES,
    "tsr": limits.TIME_STAMP_BYTES,
    "pem": limits.CERTIFICATE_BYTES,
    "sha512": limits.INDEX_BYTES,
}
_FILE: Final = re.compile(
    rf"(?P<name>[a-z0-9]([-.a-z0-9]*[a-z0-9])?)\.[0-9a-f]{{64}}\.(?P<kind>{'|'.join(_LIMITS)})"
)


def attachment_file(name: str, key_id: str, kind: str) -> str:
    """Name an attachment within its bundle's folder."""
    return f"{name}.{key_id}.{kind}"


def parse_attachment_file(file: str) -> str | None:
    """Return the kind of an attachment by its file name; None for another name."""
    match = _FILE.fullmatch(file)
    if match is None:
        return None
    is_stamp = match["kind"] == "tsr"
    longest = limits.STAMP_NAME_CHARACTERS if is_stamp else limits.ATTACHMENT_NAME_CHARACTERS
    return match["kind"] if len(match["name"]) <= longest else None


def size_limit(kind: str) -> int:
    """Return the most bytes that an attachment of a kind may have."""
    return _LIMITS[kind]


class Allowance:
    """What a bundle may still have, while its attachments are read one after the other."""

    def __init__(self) -> None:
        """Begin to count."""
        self._left = limits.ATTACHMENTS_BYTES
        self._counts: Counter[str] = Counter()

    def limit(self, file: str) -> int:
        """Return the most bytes that a file may have; 0 if it is passed over whatever it has."""
        kind = parse_attachment_file(file)
        if kind is None or self._counts[kind] >= limits.ATTACHMENTS:
            return 0
        return min(size_limit(kind), self._left)

    def take(self, file: str, size: int) -> None:
        """Count a file of ``size`` bytes."""
        self._counts[parse_attachment_file(file) or ""] += 1
        self._left -= size
