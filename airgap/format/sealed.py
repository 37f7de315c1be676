"""Sealed bundles: the index that anybody can read, and the seal that recipients open (§34)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.fields import HASH, Fields

if TYPE_CHECKING:
    from airgap.format.manifest import ChunkTable, Pack

__all__ = [
    "CHANNEL",
    "CHUNK_BYTES",
    "PACK_STEP",
    "SEAL_STEP",
    "Seal",
    "SealedIndex",
    "check_packs",
    "commit",
    "decode_index",
    "decode_seal",
    "encode_seal",
    "pad",
    "round_up",
]

CHANNEL: Final = "sealed"
"""The channel of every index: the real one is inside."""
CHUNK_BYTES: Final = 1024
"""The one chunk of a sealed pack is its beginning: the tables of a manifest want one."""
PACK_STEP: Final = limits.MIB
SEAL_STEP: Final = 64 * limits.KIB
_LENGTH_BYTES: Final = 4
_SALT_BYTES: Final = 32
_KEYS: Final = frozenset({"commitment", "recipients", "seal"})
_SEAL_KEYS: Final = frozenset({"epoch", "files", "format", "hash", "manifest", "salt"})
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class SealedIndex:
    """What the manifest of a sealed bundle says: see format §34.3."""

    commitment: bytes
    """SHA-256 of the salt and the id of the bundle inside."""
    recipients: int
    """How many can open it."""
    seal: bytes
    """The age file with the seal."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What recipients find in the seal (format §34.4)."""

    salt: bytes
    epoch: str
    """The identity that opens the packs."""
    manifest: bytes
    files: Mapping[str, bytes]
    """What lay beside the manifest: signatures, attestations, attachments; by file name."""


def commit(salt: bytes, bundle: bytes) -> bytes:
    """Commit to a bundle id without revealing it."""
    return hashlib.sha256(salt + bundle).digest()


def round_up(size: int, step: int) -> int:
    """Return the size with the padding of format §34.2."""
    return max(1, -(-size // step)) * step


def pad(size: int, step: int) -> bytes:
    """Return the zeros that follow so many bytes of plain text."""
    return bytes(round_up(size, step) - size)


def decode_index(fields: Fields) -> SealedIndex:
    """Decode the field ``sealed`` of a manifest.

    Raises:
        CorruptError: it breaks a rule of format §34.3.
    """
    table = Fields(fields.table("sealed", len(_KEYS)), _KEYS, "manifest's field 'sealed'")
    recipients = table.integer("recipients", low=1, high=limits.ROOT_RULES)
    return SealedIndex(table.digest("commitment"), recipients, table.raw("seal"))


def check_packs(packs: "Sequence[Pack]", chunks: "ChunkTable", fields: Fields) -> None:
    """Refuse packs that a sealed bundle cannot have.

    Raises:
        CorruptError: one has other blocks than its beginning, raw.
    """
    if len(chunks) != len(packs):
        raise fields.error("is sealed and has chunks beyond one for each pack")
    for number, pack in enumerate(packs):
        size = min(CHUNK_BYTES, pack.size)
        (block, *others) = pack.blocks
        fits = block.codec == 0 and block.offset == 0 and block.first_chunk == number
        if others or not fits or block.chunk_count != 1 or chunks.lengths[number] != size:
            raise fields.error("is sealed and has other blocks than the beginnings of its packs")


def encode_seal(seal: Seal) -> bytes:
    """Encode a seal: its length, canonical msgpack, and zeros (format §34.4).

    Raises:
        CorruptError: it is larger than a reader accepts.
    """
    raw = canonical.encode(
        {
            "epoch": seal.epoch,
            "files": [{"data": seal.files[name], "name": name} for name in sorted(seal.files)],
            "format": _FORMAT,
            "hash": HASH,
            "manifest": seal.manifest,
            "salt": seal.salt,
        }
    )
    size = _LENGTH_BYTES + len(raw)
    if size > limits.SEAL_BYTES:
        raise CorruptError(
            f"The seal would have {size:,} bytes (at most {limits.SEAL_BYTES:,} are allowed).",
            "Seal fewer items in one bundle, or leave large attachments out.",
        )
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw + pad(size, SEAL_STEP)


def decode_seal(plain: bytes) -> Seal:
    """Decode the plain text of a seal, which the signers of the index chose.

    Raises:
        CorruptError: it breaks a rule of format §34.4.
    """
    end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
    raw, rest = plain[_LENGTH_BYTES:end], plain[end:]
    if len(plain) != round_up(end, SEAL_STEP) or rest.strip(b"\0"):
        raise CorruptError("The seal has another padding than zeros.", _HINT)
    value = canonical.decode(raw, limit=limits.SEAL_BYTES, what="seal")
    fields = Fields(value, _SEAL_KEYS, "seal")
    fields.expect("format", _FORMAT)
    fields.expect("hash", HASH)
    salt = fields.raw("salt")
    if len(salt) != _SALT_BYTES:
        raise fields.error("has a salt of another length than 32 bytes")
    epoch = fields.text("epoch", limits.RECIPIENT_CHARACTERS)
    return Seal(salt, epoch, fields.raw("manifest"), _decode_files(fields))


def _decode_files(fields: Fields) -> dict[str, bytes]:
    from airgap.format.layout import is_sealed_file

    files: dict[str, bytes] = {}
    last = ""
    for value in fields.array("files", limits.FOLDER_NAMES):
        file = Fields(value, frozenset({"data", "name"}), "seal's file")
        name = file.text("name")
        if not is_sealed_file(name) or name <= last:
            raise file.error("has a name that is not sorted, or that no file of a bundle has")
        files[name] = file.raw("data")
        last = name
    return files


_HINT: Final = "Ask the sender to seal it again."
