"""A log of requests: a line for each, chained by hashes (format §39)."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Final

from airgap.errors import CorruptError

__all__ = [
    "LINE_BYTES",
    "ServedRequest",
    "check_lines",
    "encode_line",
    "hash_line",
    "read_previous",
]

LINE_BYTES: Final = 16 * 1024
_PATH_CHARACTERS: Final = 1000
_MEMBERS: Final = {
    "at": str,
    "bytes": int,
    "from": str,
    "method": str,
    "path": str,
    "previous": str,
    "status": int,
    "who": str,
}
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request and its answer. ``at`` is RFC 3339 in UTC, ``bytes`` those of the answer's body."""

    at: str
    who: str
    """The name of the token; empty if there was none."""
    address: str
    method: str
    path: str
    """Without a query."""
    status: int
    bytes: int


def encode_line(request: ServedRequest, previous: bytes) -> bytes:
    """Make a line, with its end; ``previous`` is the hash of the line before."""
    members = asdict(request)
    members["from"] = members.pop("address")
    members["path"] = request.path[:_PATH_CHARACTERS]
    members["previous"] = previous.hex()
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def hash_line(line: bytes) -> bytes:
    """Return the hash by which the next line names this one."""
    return hashlib.sha256(line).digest()


def check_lines(
    lines: Iterable[bytes], previous: bytes | None = None
) -> Iterator[tuple[bytes, str]]:
    """Yield the hash and the time of each line, each with its end, from the first one on.

    ``previous`` is what the first line must name; None: anything, as at the beginning of a log.

    Raises:
        CorruptError: a line is malformed, or names another one than the line before.
    """
    for number, line in enumerate(lines, 1):
        members = _decode(line, number)
        if previous is not None and members["previous"] != previous.hex():
            raise CorruptError(
                f"Line {number} does not follow the one before: a line was changed, removed or"
                " added.",
                "Compare with a copy of the log, and with what the ledger names.",
            )
        previous = hash_line(line)
        yield previous, members["at"]


def read_previous(line: bytes) -> bytes:
    """Return what a line names: of the first one, by what a ledger knows the log.

    Raises:
        CorruptError: it is malformed.
    """
    return bytes.fromhex(_decode(line, 1)["previous"])


def _decode(line: bytes, number: int) -> dict[str, str]:
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        members = None
    if (
        not isinstance(members, dict)
        or {name: type(value) for name, value in members.items()} != _MEMBERS
        or not _HASH.fullmatch(members["previous"])
        or not line.endswith(b"\n")
        or json.dumps(members, sort_keys=True, separators=(",", ":")).encode() + b"\n" != line
    ):
        raise CorruptError(
            f"Line {number} is not a line of a request log.", "Give the log as the mirror wrote it."
        )
    return members
