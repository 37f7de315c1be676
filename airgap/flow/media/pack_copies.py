"""Read the packs and parity packs of a bundle in ranges, any number of times."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from airgap.carrier.port import Volume
from airgap.disk.os_errors import storage_error
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.format import layout, limits, parity
from airgap.format.manifest import Pack
from airgap.format.parity import Group

__all__ = ["PackCopies", "PackCopy"]

_PIECE_BYTES: Final = limits.MIB


@dataclass(frozen=True, slots=True)
class PackCopy:
    """An open pack or parity pack whose digest was correct when it was opened."""

    descriptor: int
    size: int
    location: str

    def read(self, at: int, length: int) -> bytes:
        """Return the bytes from ``at`` on, padded with zeros to ``length`` (format §20).

        Raises:
            StorageError: it cannot be read.
        """
        try:
            return os.pread(self.descriptor, length, at).ljust(length, b"\0")
        except OSError as error:
            raise storage_error(error, self.location) from error


class PackCopies:
    """Several volumes of one bundle. None is trusted: a pack is hashed before it is used."""

    def __init__(self, volumes: Sequence[Volume]) -> None:
        """Take volumes of the same bundle."""
        self._volumes = volumes

    def index(self, packs: int) -> tuple[Group, ...]:
        """Return the first parity index that fits a bundle of ``packs`` packs, or nothing."""
        for volume in self._volumes:
            try:
                return parity.decode(volume.read_parity_index(), packs)
            except AirgapError:  # not there, damaged, unreadable: there is no parity, then
                continue
        return ()

    def open_pack(self, pack: Pack, stack: ExitStack) -> PackCopy | AirgapError:
        """Open an intact copy of a pack, which the stack closes, or return the error."""
        return self._open(pack.digest, pack.size, stack, is_parity=False)

    def open_unread(self, pack: Pack, stack: ExitStack) -> PackCopy | AirgapError:
        """Open the first copy of the right size. The reader must hash it."""
        for volume in self._volumes:
            if volume.size_of(pack.digest) == pack.size:
                try:
                    with volume.open_pack(pack.digest) as descriptor:
                        kept = os.dup(descriptor)
                except AirgapError as error:
                    return error
                stack.callback(os.close, kept)
                return PackCopy(kept, pack.size, volume.location)
        return self.open_pack(pack, stack)  # which says what is wrong

    def open_parity(self, digest: bytes, size: int, stack: ExitStack) -> PackCopy | AirgapError:
        """Open an intact copy of a parity pack, which the stack closes, or return the error."""
        return self._open(digest, size, stack, is_parity=True)

    def may_have(self, digest: bytes, size: int) -> bool:
        """Tell whether any volume has a pack of that name and size. Its content is not read."""
        return any(volume.size_of(digest) == size for volume in self._volumes)

    def may_have_parity(self, digest: bytes, size: int) -> bool:
        """Tell whether any volume has a parity pack of that name and size."""
        return any(volume.size_of(digest, is_parity=True) == size for volume in self._volumes)

    @contextmanager
    def opened_parity(self, digest: bytes, size: int) -> Iterator[PackCopy | AirgapError]:
        """Open an intact copy of a parity pack for the duration of a ``with`` block."""
        with ExitStack() as stack:
            yield self.open_parity(digest, size, stack)

    def _open(
        self, digest: bytes, size: int, stack: ExitStack, *, is_parity: bool
    ) -> PackCopy | AirgapError:
        """Try all volumes. If there are several errors, return damage rather than absence."""
        name = layout.parity_file(digest) if is_parity else layout.pack_name(digest)
        problem: AirgapError = MissingError(
            f"{name} is not there.", "Give the volume that holds it."
        )
        for volume in self._volumes:
            opened = volume.open_parity(digest) if is_parity else volume.open_pack(digest)
            try:
                with opened as descriptor:
                    stored = PackCopy(descriptor, size, volume.location)
                    _demand(stored, digest, name)
                    kept = os.dup(descriptor)  # the folders above it need not stay open
                stack.callback(os.close, kept)
                return PackCopy(kept, size, volume.location)
            except MissingError:
                continue
            except AirgapError as error:
                problem = error
        return problem


def _demand(stored: PackCopy, digest: bytes, name: str) -> None:
    """Compare size and digest.

    Raises:
        CorruptError, StorageError: it is another, or cannot be read.
    """
    state, at = hashlib.sha256(), 0
    try:
        while at <= stored.size:
            piece = os.pread(stored.descriptor, _PIECE_BYTES, at)
            if not piece:
                break
            state.update(piece)
            at += len(piece)
    except OSError as error:
        raise storage_error(error, stored.location) from error
    if at != stored.size or state.digest() != digest:
        raise CorruptError(
            f"{name} in {stored.location} is damaged.",
            "Copy this file from its source again.",
        )
