"""What travels of a ledger: a signed checkpoint, and proofs from earlier ones (format §29).

In a receipt these are two members of its ledger; beside a bundle they are a file of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import intoto, limits
from airgap.format.checkpoint import decode_base64, encode_base64
from airgap.format.fields import DIGEST_BYTES, Fields

__all__ = [
    "MEMBERS",
    "EarlierPoint",
    "decode_view",
    "encode_members",
    "encode_view",
    "read_digest",
    "read_members",
    "read_path",
]

MEMBERS: Final = frozenset({"checkpoint", "consistency"})
_PATH_DIGESTS: Final = 63  # of a proof in a tree (format §28.4)
_LINES: Final = 4 + limits.NOTE_SIGNATURES
_BASE64_CHARACTERS: Final = 44


@dataclass(frozen=True, slots=True)
class EarlierPoint:
    """How many entries an earlier checkpoint of the ledger had, and the proof from there."""

    size: int
    path: tuple[bytes, ...]


def encode_members(checkpoint: bytes, earlier: Sequence[EarlierPoint]) -> dict[str, Any]:
    """Return a checkpoint, a signed note, and the proofs as members of an object."""
    return {
        "checkpoint": checkpoint.decode().split("\n")[:-1],
        "consistency": [
            {"path": list(map(encode_base64, point.path)), "size": point.size} for point in earlier
        ],
    }


def read_members(fields: Fields) -> tuple[bytes, tuple[EarlierPoint, ...]]:
    """Return a checkpoint and the proofs, the largest first. Raises CorruptError."""
    lines = fields.array("checkpoint", _LINES)
    if not all(type(line) is str for line in lines):
        raise fields.error("has a checkpoint that is not lines of text")
    earlier = []
    for value in fields.array("consistency", limits.RECEIPT_EARLIER + 1):
        point = Fields(value, frozenset({"path", "size"}), "proof")
        earlier.append(EarlierPoint(point.integer("size", low=1), read_path(point, "path")))
    sizes = [point.size for point in earlier]
    if sizes != sorted(set(sizes), reverse=True):
        raise fields.error("has proofs that are not sorted by size")
    return "".join(f"{line}\n" for line in lines).encode(), tuple(earlier)


def read_path(fields: Fields, key: str) -> tuple[bytes, ...]:
    """Return the digests of a proof. Raises CorruptError."""
    return tuple(_decode(text, fields) for text in fields.array(key, _PATH_DIGESTS))


def read_digest(fields: Fields, key: str) -> bytes:
    """Return a digest in base64. Raises CorruptError."""
    return _decode(fields.text(key, _BASE64_CHARACTERS), fields)


def encode_view(checkpoint: bytes, earlier: Sequence[EarlierPoint]) -> bytes:
    """Write the attachment that has a checkpoint (format §29.5)."""
    return intoto.encode_json(encode_members(checkpoint, earlier)) + b"\n"


def decode_view(raw: bytes) -> tuple[bytes, tuple[EarlierPoint, ...]]:
    """Read the attachment that has a checkpoint; nothing of it is verified.

    Raises:
        CorruptError: it is not in the one form that a writer writes.
    """
    value = intoto.decode_json(raw, "checkpoint", limits.TREE_PROOF_BYTES)
    view = read_members(Fields(value, MEMBERS, "checkpoint"))
    if encode_view(*view) != raw:
        raise CorruptError(
            "The checkpoint is not in the form that airgap writes.",
            "Get the bundle again from its source.",
        )
    return view


def _decode(text: Any, fields: Fields) -> bytes:  # noqa: ANN401
    try:
        data = decode_base64(text, "") if type(text) is str else b""
    except CorruptError:
        data = b""
    if len(data) != DIGEST_BYTES:
        raise fields.error("has something that is not a digest in base64")
    return data
