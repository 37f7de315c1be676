"""Signatures and attachments added to a ``.airgap`` file, in the room left for them (§9, §24)."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from airgap.carrier.archive_padding import (
    Padding,
    make_attachment,
    make_member,
    read_padding,
)
from airgap.disk import durable, locks
from airgap.disk.os_errors import storage_error
from airgap.errors import ConflictError, CorruptError
from airgap.format import layout, limits, tar

__all__ = ["FRONT_MEMBERS", "add_attachment", "add_files"]

FRONT_MEMBERS: Final = 2 + 6 * limits.ENVELOPES
"""The most members that may come before the packs: manifest, signatures, padding."""


def add_files(path: Path, bundle: str, files: Sequence[tuple[str, bytes]]) -> None:
    """Put an envelope, or an attestation and its envelope, into the room left for it (format §9).

    The one write that makes it visible is the last: a 512-byte header in place of the old one.

    Raises:
        ConflictError: no room is left, or another signature by the same key is there.
        CorruptError: the file is not in the format.
        StorageError: the disk refused.
    """
    folder = f"{layout.BUNDLES}/{bundle}/"
    members = [(folder + name, data) for name, data in files]
    with _open_locked(path) as stream:
        added = b"".join(make_member(name, data) for name, data in members)
        front = {name: (at, size) for name, at, size in _front_members(stream)}
        if members[0][0] in front:
            stream.seek(front[members[0][0]][0])
            _demand_same(stream, added, path)
            return
        position, size = front.get(tar.PADDING_NAME, (0, 0))
        padding = _read_padding(stream, position, size, folder)
        room = padding.room if padding.attachments else size
        if len(added) > room or _is_full(front, members[-1][0]):
            raise ConflictError(
                f"{path} has no room for another signature.",
                "Export into a depot (a folder) and sign there: it has room for"
                f" {limits.ENVELOPES} of each role.",
            )
        stream.seek(position + tar.BLOCK)
        stream.write(added[tar.BLOCK :] + tar.make_header(tar.PADDING_NAME, size - len(added)))
        durable.flush(stream)
        stream.seek(position)
        stream.write(added[: tar.BLOCK])
        durable.flush(stream)


def add_attachment(path: Path, bundle: str, file: str, data: bytes) -> None:
    """Put an attachment into the room before the others; its header is written last (format §24).

    Raises:
        ConflictError: no room is left, or another one of this name is there.
        CorruptError: the file is not in the format.
        StorageError: the disk refused.
    """
    folder = f"{layout.BUNDLES}/{bundle}/"
    with _open_locked(path) as stream:
        front = {name: (at, size) for name, at, size in _front_members(stream)}
        position, size = front.get(tar.PADDING_NAME, (0, 0))
        padding = _read_padding(stream, position, size, folder)
        member = make_attachment(padding, folder + file, data, path)
        if member is None:
            return
        start = position + tar.BLOCK + padding.room - len(member)
        stream.seek(start + tar.BLOCK)
        stream.write(member[tar.BLOCK :])
        durable.flush(stream)
        stream.seek(start)
        stream.write(member[: tar.BLOCK])
        durable.flush(stream)


@contextmanager
def _open_locked(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("r+b") as stream:
            with suppress(OSError):  # some file systems have no locks
                locks.lock(stream.fileno())  # else of two signers one would be lost
            yield stream
    except OSError as error:
        raise storage_error(error, path) from error


def _read_padding(stream: BinaryIO, position: int, size: int, folder: str) -> Padding:
    """Read the padding whose header is at ``position``."""

    def read(count: int) -> bytes:
        data = stream.read(count)
        if len(data) != count:
            raise CorruptError(
                "The .airgap file ends in its padding.", "Copy it from its source again."
            )
        return data

    stream.seek(position + tar.BLOCK)
    return read_padding(read, size, folder)


def _front_members(stream: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Yield name, position and size of the members before the packs, the padding as the last."""
    for _ in range(FRONT_MEMBERS):
        position = stream.tell()
        parsed = tar.parse_header(stream.read(tar.BLOCK))
        if parsed is None or parsed[0].startswith(f"{layout.PACKS}/"):
            return
        yield parsed[0], position, parsed[1]
        if parsed[0] == tar.PADDING_NAME:
            return
        stream.seek(tar.round_to_block(parsed[1]), os.SEEK_CUR)


def _is_full(names: Iterable[str], envelope: str) -> bool:
    """Tell whether there are as many envelopes of the new one's role as a reader takes."""
    top, _, file = envelope.rpartition("/")
    start = f"{top}/{file.partition('.')[0]}."
    envelopes = sum(name.startswith(start) and name.endswith(".dsse") for name in names)
    return envelopes >= limits.ENVELOPES


def _demand_same(stream: BinaryIO, member: bytes, path: Path) -> None:
    """Leave a signature that is there as it is (ECDSA makes another one each time)."""
    if stream.read(len(member)) != member:
        raise ConflictError(
            f"{path} has another signature by this key.",
            "A key speaks once of a bundle; to take it back, revoke the bundle in the site's root."
            " If `airgap verify` does not accept it, copy the file from its source again.",
        )
