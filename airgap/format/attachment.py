"""Attachments: files about a bundle that travel with it and are never trusted (format §24)."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from airgap.errors import CorruptError
from airgap.format import limits, names
from airgap.format.envelope import ROLES
from airgap.format.intoto import decode_envelope

__all__ = [
    "CHECKPOINT",
    "FINDINGS",
    "STATEMENT",
    "TIME_STAMP",
    "Allowance",
    "AttachmentName",
    "attachment_file",
    "is_attachment_name",
    "is_reserved",
    "list_names",
    "name_foreign_file",
    "parse_attachment_file",
    "size_limit",
]

FINDINGS: Final = "findings"
STATEMENT: Final = "intoto.json"
TIME_STAMP: Final = "tsr"
CHECKPOINT: Final = "checkpoint"

_LIMITS: Final = {
    CHECKPOINT: limits.TREE_PROOF_BYTES,
    FINDINGS: limits.FINDINGS_BYTES,
    STATEMENT: limits.STATEMENT_BYTES,
    TIME_STAMP: limits.TIME_STAMP_BYTES,
    "pem": limits.CERTIFICATE_BYTES,
    "sha512": limits.INDEX_BYTES,
}
_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_OTHER_CHARACTERS: Final = re.compile(r"[^-.a-z0-9]+")
_NAMELESS: Final = "file"
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


def is_attachment_name(name: str) -> bool:
    """Tell whether a name may stand before the key id."""
    return len(name) <= limits.ATTACHMENT_NAME_CHARACTERS and _NAME.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Tell whether a name is only for files of an attestation or an envelope (format §24)."""
    return name.partition(".")[0] in ROLES


class AttachmentName(NamedTuple):
    """The parts of the name of an attachment: what comes first, the key id, and the kind."""

    stem: str
    key_id: str
    kind: str


def name_foreign_file(path: str, data: bytes, name: str = "") -> AttachmentName:
    """Name the attachment of a file of another program (format §24).

    Args:
        path: the file's own name; the name of the attachment follows from it.
        data: its bytes.
        name: the name instead, which must be one (``is_attachment_name``).
    """
    key_id = _find_key_id(data)
    kind = FINDINGS if key_id is None else STATEMENT
    if path.lower().endswith(f".{TIME_STAMP}"):
        kind = TIME_STAMP
    stem = name or _shorten(path.lower().removesuffix(f".{kind}"))
    return AttachmentName(stem, key_id or hashlib.sha256(data).hexdigest(), kind)


def _shorten(path: str) -> str:
    """Make a name of a file's name; one of a role gets something before it."""
    plain = _OTHER_CHARACTERS.sub("-", path).strip("-.")
    plain = f"{_NAMELESS}-{plain}" if is_reserved(plain) else plain
    return plain[: limits.ATTACHMENT_NAME_CHARACTERS].strip("-.") or _NAMELESS


def _find_key_id(data: bytes) -> str | None:
    """Return the key id for the name of a DSSE envelope with a payload; None for another file.

    It is empty if the envelope does not claim exactly one key id.
    """
    try:
        envelope = decode_envelope(data, "file", limits.STATEMENT_BYTES)
    except CorruptError:
        return None
    key_ids = {signature.key_id for signature in envelope.signatures}
    key_id = key_ids.pop() if len(key_ids) == 1 else ""
    return key_id if names.is_bundle_id(key_id) else ""


def list_names(files: Iterable[str]) -> tuple[str, ...]:
    """Return those of these names that are attachments', as many of each kind as are read."""
    allowance = Allowance()
    attached = []
    for file in files:
        if allowance.limit(file):
            allowance.take(file, 0)
            attached.append(file)
    return tuple(attached)


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
