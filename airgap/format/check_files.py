"""Names and columns of what checks of an archive write (format §36)."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from airgap.errors import CorruptError
from airgap.format.fields import DIGEST_BYTES

__all__ = [
    "ARCHIVE",
    "CHECKS",
    "DAMAGED",
    "ID_NAME",
    "RENEWALS",
    "bundles_name",
    "compute_state",
    "damaged_name",
    "decode_digests",
    "decode_id",
    "encode_digests",
    "encode_id",
    "is_archive_id",
    "is_month",
    "is_renewal_file",
    "packs_name",
    "parse_result_file",
    "renewal_name",
    "result_name",
]

ARCHIVE: Final = "archive"
CHECKS: Final = "archive/checks"
DAMAGED: Final = "archive/damaged"
RENEWALS: Final = "archive/renewals"
ID_NAME: Final = "archive/id"
_ID: Final = re.compile(r"[0-9a-f]{32}")
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_RESULT: Final = re.compile(r"([0-9a-f]{64})\.check\.json")
_RENEWAL: Final = re.compile(r"[0-9]{8}-[1-9][0-9]?\.sha512")


def encode_id(archive: str) -> bytes:
    """Return the file of an archive's id."""
    return f"{archive}\n".encode()


def decode_id(raw: bytes) -> str:
    """Read an archive's id.

    Raises:
        CorruptError: it is not 32 hex digits and a newline.
    """
    text = raw.decode("ascii", "replace")
    if not is_archive_id(text[:-1]) or encode_id(text[:-1]) != raw:
        raise CorruptError(
            f"{ID_NAME} is not the id of an archive.", "Copy it from another copy of the archive."
        )
    return text[:-1]


def is_archive_id(text: str) -> bool:
    """Tell whether this is an archive's id: 32 hex digits."""
    return _ID.fullmatch(text) is not None


def is_month(text: str) -> bool:
    """Tell whether this is the name of a folder of results, such as ``2031-05``."""
    return _MONTH.fullmatch(text) is not None


def parse_result_file(file: str) -> bytes | None:
    """Return the SHA-256 in the name of a result; None for another name."""
    match = _RESULT.fullmatch(file)
    return bytes.fromhex(match[1]) if match else None


def result_name(month: str, raw: bytes) -> str:
    """Name a result by its bytes."""
    return f"{CHECKS}/{month}/{hashlib.sha256(raw).hexdigest()}.check.json"


def bundles_name(month: str, state: bytes) -> str:
    """Name the list of the bundles of a state."""
    return f"{CHECKS}/{month}/{state.hex()}.bundles"


def packs_name(month: str, digest: bytes) -> str:
    """Name the list of the packs of a sample."""
    return f"{CHECKS}/{month}/{digest.hex()}.packs"


def damaged_name(pack: bytes, actual: bytes) -> str:
    """Name what lay under the name of a pack, by what it should have been and what it was."""
    return f"{DAMAGED}/{pack.hex()}.{actual.hex()}"


def renewal_name(date: str, number: int) -> str:
    """Name an index of the whole archive."""
    return f"{RENEWALS}/{date}-{number}.sha512"


def is_renewal_file(file: str) -> bool:
    """Tell whether this is the name of an index of the whole archive, without its folder."""
    return _RENEWAL.fullmatch(file) is not None


def encode_digests(digests: Iterable[bytes]) -> bytes:
    """Return a digest column, sorted and without duplicates."""
    return b"".join(sorted(set(digests)))


def decode_digests(raw: bytes, most: int, what: str) -> list[bytes]:
    """Read a sorted digest column of at most ``most`` elements; ``what`` names it in messages.

    Raises:
        CorruptError: it is not one.
    """
    digests = [raw[at : at + DIGEST_BYTES] for at in range(0, len(raw), DIGEST_BYTES)]
    if len(digests) > most or encode_digests(digests) != raw or len(raw) % DIGEST_BYTES:
        raise CorruptError(
            f"{what} is not a sorted list of at most {most:,} digests.",
            "Copy it from another copy of the archive.",
        )
    return digests


def compute_state(bundles: Iterable[bytes]) -> bytes:
    """Return the state of an archive, by the ids of its bundles (format §36.2)."""
    return hashlib.sha256(encode_digests(bundles)).digest()
