"""The files of time stamps: their names, their chains, and the index of digests (format §33)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.attachment import attachment_file

__all__ = [
    "IndexLine",
    "StampedFile",
    "certificate_file",
    "encode_index",
    "find_chain",
    "find_stamped",
    "index_file",
    "is_archive_name",
    "is_index_file",
    "is_index_stamp",
    "is_travelling_checkpoint",
    "parse_archive_index",
    "parse_certificate_file",
    "parse_index",
    "stamp_file",
]

_CERTIFICATE: Final = re.compile(r"tsa\.([0-9a-f]{64})\.pem")
_INDEX: Final = re.compile(r"index([1-9][0-9]?)\.([0-9a-f]{64})\.sha512")
_INDEX_STAMP: Final = re.compile(r"index[1-9][0-9]?\.[1-9][0-9]?\.[0-9a-f]{64}\.tsr")
_ENVELOPE: Final = re.compile(r"([a-z]+(?:\.[-a-z0-9]+)?)\.([0-9a-f]{64})\.dsse")
_CHECKPOINT: Final = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{64})\.checkpoint")
_LINE: Final = re.compile(
    r"([0-9a-f]{128}) ([0-9a-f]{64}) (0|[1-9][0-9]{0,14}) ([-_./a-z0-9]{1,255})"
)
_ARCHIVE_NAME: Final = re.compile(r"[-_./A-Za-z0-9]{1,400}")
_ARCHIVE_LINE: Final = re.compile(
    rf"([0-9a-f]{{128}}) ([0-9a-f]{{64}}) (0|[1-9][0-9]{{0,14}}) ({_ARCHIVE_NAME.pattern})"
)


@dataclass(frozen=True, slots=True)
class StampedFile:
    """What the first stamp of a chain is over, with the chain: the files, and the bytes of each."""

    file: str
    data: bytes
    chain: tuple[tuple[str, bytes], ...] = ()
    is_broken: bool = False
    """Whether stamps lie beyond a missing one; they prove nothing."""

    @property
    def last(self) -> bytes:
        """What the next stamp is over."""
        return self.chain[-1][1] if self.chain else self.data

    @property
    def next_file(self) -> str:
        """The name of the next stamp."""
        return stamp_file(self.file, len(self.chain) + 1)


@dataclass(frozen=True, slots=True)
class IndexLine:
    """A file of a bundle by its name in the depot, and what an index says of it."""

    name: str
    sha512: bytes
    sha256: bytes
    size: int


def stamp_file(stamped: str, number: int) -> str:
    """Name a stamp over an envelope, an index or a checkpoint of a bundle.

    Over any other file it lies under its name.
    """
    match = _ENVELOPE.fullmatch(stamped)
    if match:
        return attachment_file(f"{match[1]}.{number}", match[2], "tsr")
    match = _CHECKPOINT.fullmatch(stamped)
    if match:
        return attachment_file(f"{match[1]}.{number}", match[2], "tsr")
    if is_index_file(stamped):
        name, bundle, _ = stamped.split(".")
        return attachment_file(f"{name}.{number}", bundle, "tsr")
    return f"{stamped}.{number}.tsr"


def certificate_file(digest: bytes) -> str:
    """Name the certificate with this SHA-256."""
    return attachment_file("tsa", digest.hex(), "pem")


def parse_certificate_file(file: str) -> bytes | None:
    """Return the digest in the name of a certificate; None for another name."""
    match = _CERTIFICATE.fullmatch(file)
    return bytes.fromhex(match[1]) if match else None


def index_file(number: int, bundle: str) -> str:
    """Name an index of a bundle."""
    return attachment_file(f"index{number}", bundle, "sha512")


def is_index_file(file: str) -> bool:
    """Tell whether this is the name of an index."""
    return _INDEX.fullmatch(file) is not None


def is_index_stamp(file: str) -> bool:
    """Tell whether this is the name of a stamp over an index."""
    return _INDEX_STAMP.fullmatch(file) is not None


def is_travelling_checkpoint(file: str) -> bool:
    """Tell whether this is the name of a checkpoint that travels with a bundle (format §29.5)."""
    return _CHECKPOINT.fullmatch(file) is not None


def find_chain(file: str, data: bytes, files: Mapping[str, bytes]) -> StampedFile:
    """Find the stamps of a file among others, up to the first number that is missing."""
    names = [stamp_file(file, number) for number in range(1, limits.STAMPS + 1)]
    count = next((index for index, name in enumerate(names) if name not in files), len(names))
    chain = tuple((name, files[name]) for name in names[:count])
    return StampedFile(file, data, chain, any(name in files for name in names[count:]))


def find_stamped(signed: Mapping[str, bytes], attached: Mapping[str, bytes]) -> list[StampedFile]:
    """Return what stamps of a bundle can be over, each with its chain, by name.

    Args:
        signed: its envelopes and attestations, by file name.
        attached: its attachments.
    """
    targets = {file: data for file, data in signed.items() if file.endswith(".dsse")}
    targets |= {
        file: data
        for file, data in attached.items()
        if is_index_file(file) or is_travelling_checkpoint(file)
    }
    return [find_chain(file, targets[file], attached) for file in sorted(targets)]


def encode_index(lines: Iterator[IndexLine]) -> bytes:
    """Return the bytes of an index (format §33.5)."""
    rows = sorted((line.name, line) for line in lines)
    return "".join(
        f"{line.sha512.hex()} {line.sha256.hex()} {line.size} {name}\n" for name, line in rows
    ).encode()


def parse_index(data: bytes, file: str) -> tuple[IndexLine, ...]:
    """Read an index; ``file`` is its name, for messages.

    Raises:
        CorruptError: it breaks a rule of format §33.5.
    """
    lines = _parse_lines(data, _LINE)
    if not lines:
        raise CorruptError(
            f"{file} is not an index of digests.", "Copy the bundle from its source again."
        )
    return lines


def is_archive_name(name: str) -> bool:
    """Tell whether a file can be in an index of an archive; airgap writes no other names."""
    return _ARCHIVE_NAME.fullmatch(name) is not None


def parse_archive_index(data: bytes, file: str) -> tuple[IndexLine, ...]:
    """Read an index of a whole archive, whose evidence may have any name (format §36.7).

    Raises:
        CorruptError: it breaks a rule of format §33.5.
    """
    lines = _parse_lines(data, _ARCHIVE_LINE)
    if not lines:
        raise CorruptError(
            f"{file} is not an index of digests.", "Copy it from another copy of the archive."
        )
    return lines


def _parse_lines(data: bytes, form: re.Pattern[str]) -> tuple[IndexLine, ...]:
    """Return the lines of an index; none if it is not one."""
    lines = []
    for row in data.decode("ascii", "replace").split("\n"):
        match = form.fullmatch(row)
        if match:
            digests = bytes.fromhex(match[1]), bytes.fromhex(match[2])
            lines.append(IndexLine(match[4], *digests, int(match[3])))
    return tuple(lines) if encode_index(iter(lines)) == data else ()
