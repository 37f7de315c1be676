"""The signatures that an import counted, as this machine keeps them (format §17.9). Pure."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.fields import DIGEST_BYTES, HASH, Fields
from airgap.format.layout import parse_attestation_file, parse_envelope_file

__all__ = ["WAIVER", "decode_counted", "encode_counted", "is_counted_file", "waiver_envelope_file"]

WAIVER: Final = "waiver.msgpack"
_WAIVER_ENVELOPE: Final = re.compile(r"waiver\.[0-9a-f]{64}\.dsse")
_KEYS: Final = frozenset({"files", "format", "hash"})
_FORMAT: Final = 1
_HINT: Final = "Import the bundle again: that keeps them anew."


def waiver_envelope_file(key_id: str) -> str:
    """Name the envelope of a waiver, by the key that signed it."""
    return f"waiver.{key_id}.dsse"


def is_counted_file(name: str) -> bool:
    """Tell whether a file may be among those that are kept."""
    is_waiver = name == WAIVER or _WAIVER_ENVELOPE.fullmatch(name)
    return bool(is_waiver or parse_envelope_file(name) or parse_attestation_file(name))


def encode_counted(files: Mapping[str, bytes]) -> bytes:
    """Encode files by name: the SHA-256 of the rest, then canonical msgpack."""
    raw = canonical.encode(
        {
            "files": [{"data": files[name], "name": name} for name in sorted(files)],
            "format": _FORMAT,
            "hash": HASH,
        }
    )
    return hashlib.sha256(raw).digest() + raw


def decode_counted(raw: bytes) -> dict[str, bytes]:
    """Decode files by name.

    Raises:
        CorruptError: it breaks a rule of format §17.9.
    """
    digest, body = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise CorruptError("The signatures that an import counted are damaged.", _HINT)
    value = canonical.decode(body, limit=limits.COUNTED_BYTES, what="record of signatures")
    fields = Fields(value, _KEYS, "record of signatures")
    fields.expect("format", _FORMAT)
    fields.expect("hash", HASH)
    files: dict[str, bytes] = {}
    last = ""
    for item in fields.array("files", limits.COUNTED_FILES):
        file = Fields(item, frozenset({"data", "name"}), "counted file")
        name = file.text("name")
        if not is_counted_file(name) or name <= last:
            raise file.error("has a name that is not sorted, or that no signature has")
        files[name] = file.raw("data")
        last = name
    return files
