"""Bundles that lack chunks, and bundles that complete them (format §22)."""

from tests.support import forge
from tests.support.forge import Draft

CONTENT = {"weights.bin": b"w" * 60, "new.bin": b"n" * 50}


def numbered(sequence: int, content: dict[str, bytes], tag: str = "tuned:v2") -> Draft:
    return forge.draft(forge.model(content, tag), sequence=sequence, channel="production")


def bundle_id(made: Draft) -> bytes:
    return bytes.fromhex(forge.names_of(made.raw())[0])


def without_packs(made: Draft) -> Draft:
    """Let a draft need all its chunks."""
    made.packs = []
    empty = dict.fromkeys(("bases", "chunk_counts", "codecs", "offsets", "stored_lengths"), b"")
    made.manifest["blocks"] = empty
    made.manifest["packs"] = dict.fromkeys(("block_counts", "digests", "sizes"), b"")
    return made


def completing(other: bytes, content: dict[str, bytes], **fields: object) -> Draft:
    """A bundle that carries all its chunks, and completes another."""
    fields = {"channel": "default", "completes": other, "reader": 2, **fields}
    return forge.draft(forge.model(content, "tuned:v2"), **fields)
