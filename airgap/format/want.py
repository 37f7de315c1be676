"""Wants: the chunks that an importer is missing, in a small file for the sender (format §22)."""

from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.fields import DIGEST_BYTES, HASH, Fields

__all__ = ["Want", "decode", "encode"]

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Want:
    """The bundle that could not be imported, the tags of its items, and its missing chunks."""

    bundle: bytes
    tags: tuple[str, ...]
    """``kind name:version``, in item order."""
    chunks: tuple[bytes, ...]
    """Their digests."""


def encode(want: Want) -> bytes:
    """Encode a want."""
    return canonical.encode(
        {
            "bundle": want.bundle,
            "chunks": b"".join(want.chunks),
            "format": FORMAT,
            "hash": HASH,
            "tags": list(want.tags),
        }
    )


def decode(raw: bytes) -> Want:
    """Decode a want. It is not signed: the sender decides what to send.

    Raises:
        CorruptError: it breaks a rule of format §22.
    """
    value = canonical.decode(raw, limit=limits.WANT_BYTES, what="want")
    fields = Fields(value, frozenset({"bundle", "chunks", "format", "hash", "tags"}), "want")
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)
    chunks = fields.column("chunks", DIGEST_BYTES, limits.CHUNKS)
    tags = tuple(fields.array("tags", limits.ITEMS))
    if not all(isinstance(tag, str) and len(tag) <= limits.PATH_BYTES for tag in tags):
        raise CorruptError(
            "The want has an invalid tag.", "Write it again with `airgap import --want`."
        )
    digests = tuple(chunks[at : at + DIGEST_BYTES] for at in range(0, len(chunks), DIGEST_BYTES))
    return Want(fields.digest("bundle"), tags, digests)
