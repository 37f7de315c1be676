"""The seal: what the recipients of a sealed bundle find in its index (format §34.4)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.fields import HASH, Fields
from airgap.format.layout import is_sealed_file

__all__ = [
    "PACK_STEP",
    "SALT_BYTES",
    "SEAL_STEP",
    "Seal",
    "commit",
    "decode_seal",
    "encode_seal",
    "pad",
    "round_up",
]

PACK_STEP: Final = limits.MIB
SEAL_STEP: Final = 64 * limits.KIB
SALT_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_SEAL_KEYS: Final = frozenset({"epoch", "files", "format", "hash", "manifest", "salt"})
_FORMAT: Final = 1


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
    if len(salt) != SALT_BYTES:
        raise fields.error("has a salt of another length than 32 bytes")
    epoch = fields.text("epoch", limits.RECIPIENT_CHARACTERS)
    return Seal(salt, epoch, fields.raw("manifest"), _decode_files(fields))


def _decode_files(fields: Fields) -> dict[str, bytes]:
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
