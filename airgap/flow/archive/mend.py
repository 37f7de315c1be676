"""Writes a damaged or missing pack again, from parity or another copy (format §36.6).

Nothing that lies in the archive is lost: what was under the pack's name is stored first.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from airgap.carrier.depot import Depot
from airgap.carrier.local_depot import DepotReader
from airgap.errors import AirgapError, CorruptError, MissingError, StorageError, TransportError
from airgap.flow.archive.check_bundle import digest_file
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import ParityRepair
from airgap.flow.progress import Progress
from airgap.format import check_files, layout, limits
from airgap.format import manifest as manifests

__all__ = ["Mender"]

_LONGEST: Final = limits.SEALED_PACK_BYTES


class Mender:
    """Mends packs of one archive; each source is asked in turn."""

    def __init__(
        self, depot: Depot, folder: Path | None, copies: Sequence[Depot], progress: Progress
    ) -> None:
        """Take the archive, its folder if it is one of this machine, and other copies of it."""
        self._depot = depot
        self._folder = folder
        self._copies = copies
        self._progress = progress

    def mend(self, pack: bytes, size: int, bundles: Sequence[str]) -> str:
        """Write a pack again; return where its bytes came from, or an empty text.

        Args:
            pack: its SHA-256.
            size: its size in bytes.
            bundles: the ids of bundles that need it, which may have parity for it.

        Raises:
            StorageError, TransportError: it cannot be written.
        """
        for source, data in self._find(pack, size, bundles):
            if len(data) == size and hashlib.sha256(data).digest() == pack:
                self._write(pack, data)
                return source
        return ""

    def _find(self, pack: bytes, size: int, bundles: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for bundle in bundles if self._folder else ():
            data = self._rebuild(bundle, pack)
            if data is not None:
                yield f"the parity of bundle {bundle}", data
        for copy in self._copies:
            try:
                yield copy.location, copy.read(layout.pack_name(pack), size)
            except (MissingError, CorruptError):
                continue
            except (StorageError, TransportError) as error:
                self._progress.note(f"{copy.location} gives no packs: {error.message}")

    def _rebuild(self, bundle: str, pack: bytes) -> bytes | None:
        """Rebuild a pack from the parity of a bundle, if it has enough."""
        if self._folder is None:
            return None
        reader = DepotReader(self._folder, bundle)
        try:
            packs = manifests.decode(reader.read_manifest()[1]).packs
            index = next(at for at, one in enumerate(packs) if one.digest == pack)
            with closing(ParityRepair(packs, PackCopies([reader]), self._progress)) as repair:
                return repair.take(index)
        except (AirgapError, StopIteration):
            return None

    def _write(self, pack: bytes, data: bytes) -> None:
        """Keep what is there, replace it in one step, and read it back.

        Raises:
            StorageError: it is not what was written.
            TransportError, CorruptError: it cannot be written, or what is there cannot be kept.
        """
        name, transport = layout.pack_name(pack), self._depot.transport
        damaged = self._read_damaged(name)
        if damaged is not None:
            actual = hashlib.sha256(damaged).digest()
            kept = check_files.damaged_name(pack, actual)
            transport.publish(kept, damaged)
            if digest_file(transport, kept, len(damaged)) != actual:
                raise StorageError(
                    f"{self._depot.location}/{kept} is not what was written there.",
                    "Look at the disk or the server before you use it again.",
                )
        transport.publish(name, data, replace=True)
        if digest_file(transport, name, len(data)) != pack:
            raise StorageError(
                f"{self._depot.location}/{name} is not what was written there.",
                "Look at the disk or the server before you use it again.",
            )

    def _read_damaged(self, name: str) -> bytes | None:
        """Return what lies under the name of a pack; None for nothing.

        Raises:
            CorruptError: it is longer than any pack, or not a regular file: a person moves it away.
        """
        try:
            return self._depot.read(name, _LONGEST)
        except MissingError:
            return None
