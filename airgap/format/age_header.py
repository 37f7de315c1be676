"""The header of an age v1 file, byte for byte (C2SP age, format §34.2). No key is used here."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import limits

__all__ = [
    "CHUNK_BYTES",
    "NONCE_BYTES",
    "TAG_BYTES",
    "AgeHeader",
    "AgeHeaderError",
    "Stanza",
    "decode_base64",
    "encode",
    "encode_base64",
    "measure_payload",
    "parse",
    "seal_header",
]

VERSION: Final = b"age-encryption.org/v1"
CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
NONCE_BYTES: Final = 16
_COLUMNS: Final = 64
_ARGUMENT: Final = re.compile(r"[\x21-\x7e]+")
_BODY: Final = re.compile(r"[A-Za-z0-9+/]{0,64}")
_MAC: Final = re.compile(r"--- ([A-Za-z0-9+/]{43})")


class AgeHeaderError(CorruptError):
    """The header of an age file breaks a rule of its format."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """The file key, wrapped for one recipient: its type, its arguments and the wrapped bytes."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class AgeHeader:
    """A header: its stanzas, the bytes that its MAC covers, the MAC, and its length in bytes."""

    stanzas: tuple[Stanza, ...]
    covered: bytes
    mac: bytes
    length: int


def measure_payload(plain: int) -> int:
    """Return the bytes that follow the header of an age file with so many bytes of plain text."""
    return NONCE_BYTES + plain + TAG_BYTES * max(1, -(-plain // CHUNK_BYTES))


def encode_base64(data: bytes) -> str:
    """Encode without padding."""
    return base64.b64encode(data).rstrip(b"=").decode()


def decode_base64(text: str) -> bytes:
    """Decode what ``encode_base64`` writes, and nothing else.

    Raises:
        AgeHeaderError: it is another text.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _error("has a value that is not base64") from error
    if "=" in text or encode_base64(data) != text:
        raise _error("has base64 that is not in its only form")
    return data


def encode(stanzas: tuple[Stanza, ...]) -> bytes:
    """Encode a header up to and with ``---``, which its MAC covers."""
    lines = [VERSION.decode()]
    for stanza in stanzas:
        lines.append(" ".join(("->", stanza.kind, *stanza.arguments)))
        body = encode_base64(stanza.body)
        # The last line is shorter than the others, if need be empty: it ends the body.
        lines += [body[at : at + _COLUMNS] for at in range(0, len(body) + 1, _COLUMNS)]
    return "\n".join([*lines, "---"]).encode("ascii")


def seal_header(covered: bytes, mac: bytes) -> bytes:
    """Add the MAC to what ``encode`` made."""
    return covered + b" " + encode_base64(mac).encode() + b"\n"


def parse(data: bytes) -> AgeHeader:
    """Parse the header at the beginning of a file; ``data`` has at least all of it, or 64 KiB.

    Raises:
        AgeHeaderError: it breaks a rule of the format, or is longer than 64 KiB.
    """
    reader = _Lines(data)
    if reader.next() != VERSION.decode():
        raise _error("does not begin with the line of age v1")
    stanzas = []
    line = reader.next()
    while not line.startswith("---"):
        stanzas.append(_parse_stanza(line, reader))
        line = reader.next()
    match = _MAC.fullmatch(line)
    if match is None:
        raise _error("has an invalid MAC line")
    if not stanzas:
        raise _error("has no recipient")
    covered = data[: reader.at - len(line) - 1 + len("---")]
    return AgeHeader(tuple(stanzas), covered, decode_base64(match[1]), reader.at)


def _parse_stanza(line: str, reader: "_Lines") -> Stanza:
    marker, *arguments = line.split(" ")
    if marker != "->" or not arguments or not all(map(_ARGUMENT.fullmatch, arguments)):
        raise _error("has an invalid line where a recipient begins")
    body: list[str] = []
    while not body or len(body[-1]) == _COLUMNS:
        body.append(reader.next())
        if _BODY.fullmatch(body[-1]) is None:
            raise _error("has an invalid line in a recipient's body")
    return Stanza(arguments[0], tuple(arguments[1:]), decode_base64("".join(body)))


class _Lines:
    """Takes lines from the beginning of some bytes, up to the limit of a header."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def next(self) -> str:
        """Return the next line without its end."""
        end = self._data.find(b"\n", self.at, limits.AGE_HEADER_BYTES)
        if end < 0:
            raise _error(f"is cut off, or longer than {limits.AGE_HEADER_BYTES:,} bytes")
        line, self.at = self._data[self.at : end], end + 1
        return line.decode("latin-1")


def _error(problem: str) -> AgeHeaderError:
    return AgeHeaderError(
        f"The header of an encrypted file {problem}.", "Copy the file from its source again."
    )
