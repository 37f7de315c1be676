"""The files of a depot as they are, for airgap's own commands, which verify them by themselves.

What the mirror refuses is not given; nor is anything that is not of a depot (format §8), such as
what lies beside it. Bundles that wait for an attestation, are sealed, or complete others are given:
who asks has keys and a root of their own.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import CorruptError, MissingError
from airgap.flow.serving.mirror import Mirror
from airgap.format import layout, limits
from airgap.format.names import is_bundle_id

__all__ = ["DepotFile", "DepotFiles"]

_PIECE_BYTES: Final = 4 * limits.MIB
_TOP: Final = (layout.README_NAME, layout.VERIFIER_NAME)
_SMALL_BYTES: Final = limits.ATTACHMENTS_BYTES
_KEPT_BYTES: Final = limits.MIB
"""Of a file that is being sent; hundreds may be sent at a time."""


@dataclass(frozen=True, slots=True)
class DepotFile:
    """A file that can be read by ranges: its length in bytes, and ``read(start, stop)``."""

    etag: str
    """The SHA-256 of its bytes, in hex; of a pack and a manifest, what it should be."""
    length: int
    read: Callable[[int, int], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class DepotFiles:
    """The files of the depot that a mirror serves. Threads may ask at once."""

    mirror: Mirror

    def list_names(self, folder: str) -> list[str]:
        """Return the sorted names in ``bundles``, in a bundle's folder, or in ``roots``.

        Raises:
            MissingError: there is no such folder, the bundle is refused, or nothing is served.
            TransportError: the depot cannot be read.
        """
        self.mirror.demand_current()
        first, _, below = folder.partition("/")
        if folder == layout.BUNDLES:
            return self.mirror.list_carried()
        if folder == layout.ROOTS:  # who asks accepts a root only if those before it do
            return [name for name in self._list(folder) if layout.parse_root_file(name)]
        if first != layout.BUNDLES or not is_bundle_id(below):
            raise _make_missing(folder)
        self.mirror.demand_carried(below)
        return [name for name in self._list(folder) if _is_given(name)]

    def open(self, name: str) -> DepotFile:
        """Open a file; raises as ``list_names``."""
        self.mirror.demand_current()
        folder, _, last = name.rpartition("/")
        if folder.startswith(f"{layout.PACKS}/") and _is_pack_name(name):
            return self._open_large(name, last.removesuffix(".pack"))
        bundle = folder.removeprefix(f"{layout.BUNDLES}/")
        if is_bundle_id(bundle) and name == f"{layout.BUNDLES}/{bundle}/{last}" and _is_given(last):
            self.mirror.demand_carried(bundle)
            is_manifest = last == layout.MANIFEST
            return self._open_large(name, bundle) if is_manifest else self._open_small(name)
        if name in _TOP or (folder == layout.ROOTS and layout.parse_root_file(last)):
            return self._open_small(name)
        raise _make_missing(name)

    def _list(self, folder: str) -> list[str]:
        return self.mirror.run(lambda depot: depot.transport.list(folder, limits.FOLDER_NAMES))

    def _open_small(self, name: str) -> DepotFile:
        """Read a file for its digest; a long one is read again as it is sent, and not kept."""
        data = bytearray()
        digest, size = self.mirror.run(partial(_digest, name, data))
        if size == len(data):
            return DepotFile(digest, size, lambda start, stop: iter([bytes(data[start:stop])]))
        return DepotFile(digest, size, partial(self._read, name))

    def _open_large(self, name: str, digest: str) -> DepotFile:
        size = self.mirror.run(lambda depot: depot.transport.size(name))
        if size is None:
            raise _make_missing(name)
        return DepotFile(digest, size, partial(self._read, name))

    def _read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        for begin in range(start, stop, _PIECE_BYTES):
            length = min(_PIECE_BYTES, stop - begin)
            yield self.mirror.run(partial(_fetch, name, begin, length))


def _digest(name: str, kept: bytearray, depot: Depot) -> tuple[str, int]:
    """Return the SHA-256 of a file and its size; the file itself into ``kept``, if it is short."""
    digest, size = hashlib.sha256(), 0

    def take(piece: memoryview) -> None:
        nonlocal size
        size += len(piece)
        digest.update(piece)
        if size <= _KEPT_BYTES:
            kept.extend(piece)

    depot.transport.get(name, take, 0, _SMALL_BYTES + 1)
    if size > _SMALL_BYTES:
        raise CorruptError(
            f"{name} is longer than {_SMALL_BYTES:,} bytes, the most it may have.",
            "Copy it from its source again.",
        )
    return digest.hexdigest(), size


def _fetch(name: str, start: int, length: int, depot: Depot) -> bytes:
    """Read a range of a file, or raise MissingError if it became shorter."""
    data = bytearray()
    depot.transport.get(name, data.extend, start, length)
    if len(data) != length:
        raise MissingError(f"{name} was cut or removed while it was sent.", "Ask again.")
    return bytes(data)


def _is_given(name: str) -> bool:
    """Tell whether a file beside a manifest is given: it is one of a depot, and complete."""
    return layout.is_bundle_file(name) and not layout.is_part(name)


def _is_pack_name(name: str) -> bool:
    last = name.rpartition("/")[2]
    if not layout.is_pack(last) or layout.is_part(last):
        return False
    return name == layout.pack_name(bytes.fromhex(last.removesuffix(".pack")))


def _make_missing(name: str) -> MissingError:
    return MissingError(f"There is no {name} in this depot.", "Check the path.")
