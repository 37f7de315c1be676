"""Signed checkpoints of a ledger: C2SP tlog-checkpoint in a C2SP signed note (format §28.3)."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.fields import DIGEST_BYTES

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "Checkpoint",
    "Note",
    "NoteSignature",
    "add_signature",
    "compute_key_hash",
    "cosigned_bytes",
    "decode_base64",
    "encode_base64",
    "is_key_name",
    "is_origin_of",
    "make_cosignature",
    "make_origin",
    "name_origin",
    "parse_checkpoint",
    "parse_note",
]

ED25519: Final = b"\x01"
"""The kind of a signature in a note: Ed25519, over the text."""
COSIGNATURE: Final = b"\x04"
"""Another kind: Ed25519, over a time and the text (format §28.5)."""
ORIGIN_BYTES: Final = 8
KEY_HASH_BYTES: Final = 4
_DASH: Final = "\N{EM DASH} "
_NAME: Final = re.compile(r"[^\s+\x00-\x20\x7f]+")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a ledger: how many entries it has, and the root of the tree over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> bytes:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n".encode()


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature line: the name of a key, the first bytes of its digest, and the signature."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, none of which has been verified."""

    text: bytes
    signatures: tuple[NoteSignature, ...]


def make_origin(site: str, first_entry: bytes) -> str:
    """Return the name of a ledger: no two ledgers have the same first entry (format §28.2)."""
    return name_origin(site, hashlib.sha256(first_entry).digest())


def name_origin(site: str, first: bytes) -> str:
    """Return the name of the ledger whose first entry has this digest (format §28.2)."""
    return f"airgap/{site}/{first[:ORIGIN_BYTES].hex()}"


def is_origin_of(origin: str, site: str) -> bool:
    """Tell whether this is the name of a ledger of a site (format §28.2)."""
    return re.fullmatch(rf"airgap/{re.escape(site)}/[0-9a-f]{{16}}", origin) is not None


def compute_key_hash(name: str, public_key: bytes, kind: bytes = ED25519) -> bytes:
    """Return the first four bytes of the digest of an Ed25519 key of 32 bytes and its name."""
    data = name.encode() + b"\n" + kind + public_key
    return hashlib.sha256(data).digest()[:KEY_HASH_BYTES]


def add_signature(note: bytes, signature: NoteSignature) -> bytes:
    """Return a note, or a text that has no signature yet, with one more signature."""
    value = encode_base64(signature.key_hash + signature.signature)
    line = f"{_DASH}{signature.name} {value}\n".encode()
    return note + (b"" if b"\n\n" in note else b"\n") + line


def is_key_name(name: str) -> bool:
    """Tell whether a key of a note can have this name: no spaces, and no plus sign."""
    return _NAME.fullmatch(name) is not None


def cosigned_bytes(text: bytes, time: int) -> bytes:
    """Return what a witness signs of a checkpoint's text at a time, in seconds since 1970."""
    return b"cosignature/v1\ntime %d\n" % time + text


def make_cosignature(name: str, public_key: bytes, time: int, signature: bytes) -> NoteSignature:
    """Return the line of a witness: a signature over ``cosigned_bytes`` (format §28.5)."""
    key_hash = compute_key_hash(name, public_key, COSIGNATURE)
    return NoteSignature(name, key_hash, time.to_bytes(8, "big") + signature)


def parse_note(raw: bytes, name: str) -> Note:
    """Read a note; ``name`` is what people call it.

    Raises:
        CorruptError: it is not a note.
    """
    if len(raw) > limits.NOTE_BYTES:
        raise _error(name, f"has {len(raw):,} bytes; at most {limits.NOTE_BYTES:,} are allowed")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _error(name, "is not UTF-8") from error
    if any(character < " " and character != "\n" for character in text):
        raise _error(name, "has control characters")
    body, separator, lines = text.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise _error(name, "has no signature")
    signatures = [_parse_signature(line, name) for line in lines[:-1].split("\n")]
    if len(signatures) > limits.NOTE_SIGNATURES:
        raise _error(name, f"has {len(signatures):,} signatures")
    return Note(f"{body}\n".encode(), tuple(signatures))


def _parse_signature(line: str, name: str) -> NoteSignature:
    if not line.startswith(_DASH):
        raise _error(name, "has a line that is not a signature")
    key_name, _, value = line.removeprefix(_DASH).partition(" ")
    data = decode_base64(value, name)
    if not _NAME.fullmatch(key_name) or len(data) <= KEY_HASH_BYTES:
        raise _error(name, "has a line that is not a signature")
    return NoteSignature(key_name, data[:KEY_HASH_BYTES], data[KEY_HASH_BYTES:])


def parse_checkpoint(text: bytes, name: str) -> Checkpoint:
    """Read the text of a note as a checkpoint; lines behind the third one have no meaning here.

    Raises:
        CorruptError: it is not a checkpoint.
    """
    lines = text.decode().split("\n")
    if len(lines) < 4 or not lines[0]:  # noqa: PLR2004 -- three lines, and what follows the third
        raise _error(name, "is not a checkpoint")
    origin, size, root = lines[:3]
    if not _NUMBER.fullmatch(size):
        raise _error(name, "does not say how many entries there are")
    digest = decode_base64(root, name)
    if len(digest) != DIGEST_BYTES:
        raise _error(name, f"has a root of {len(digest)} bytes")
    return Checkpoint(origin, int(size), digest)


def encode_base64(data: bytes) -> str:
    """Return bytes in base64, in the one form that is read."""
    return base64.b64encode(data).decode()


def decode_base64(text: str, name: str) -> bytes:
    """Return the bytes of a text in base64.

    Raises:
        CorruptError: it is not base64, or not in the form that these bytes have.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _error(name, "has a line that is not base64") from error
    if encode_base64(data) != text:
        raise _error(name, "has a line that is not base64")
    return data


def _error(name: str, problem: str) -> CorruptError:
    return CorruptError(f"{name} {problem}.", "Get the file again from its source.")
