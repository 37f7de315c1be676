"""What a local depot has already of what is about to be exported into it.

Packs are shared by their digests, which are known when they are made. Until then, the manifests of
the depot say which chunks its packs hold.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from airgap.carrier import local_depot
from airgap.carrier.local_depot import DepotReader
from airgap.errors import AirgapError
from airgap.flow.exporting.select import Source
from airgap.format import layout
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest, Pack

__all__ = ["StoredPacks"]


class StoredPacks:
    """The packs in a folder; nothing is read before it is asked for."""

    def __init__(self, folder: Path | None, sources: Sequence[Source] = ()) -> None:
        """Take the depot, if there is one, and the items that will be written to it."""
        self._folder = folder
        self._names = {(source.kind, source.name) for source in sources}

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing."""
        return self._folder is None or not (self._folder / layout.PACKS).is_dir()

    def has_pack(self, pack: Pack) -> bool:
        """Tell whether a file with a pack's name and size is there."""
        if self._folder is None:
            return False
        with suppress(OSError):
            return (self._folder / layout.pack_name(pack.digest)).lstat().st_size == pack.size
        return False

    def measure(self, packs: Sequence[Pack], *, is_exact: bool) -> int:
        """Return the bytes of these packs that are there; of all packs, if these are estimates."""
        if is_exact:
            return sum(pack.size for pack in packs if self.has_pack(pack))
        return sum(size for _, size in self._list_packs())

    def _list_packs(self) -> Iterator[tuple[str, int]]:
        """Yield name and size of each pack that is there."""
        if self._folder is None:
            return
        for path in (self._folder / layout.PACKS).glob("*/*.pack"):
            with suppress(OSError):
                yield path.relative_to(self._folder).as_posix(), path.lstat().st_size

    @cached_property
    def chunks(self) -> Collection[bytes]:
        """The digests of the chunks that the packs of other versions of the items hold."""
        return {
            manifest.chunks.digest(chunk)
            for manifest in self._manifests
            if any((item.kind, item.name) in self._names for item in manifest.items)
            for chunk in range(manifest.carried)
        }

    @cached_property
    def orphans(self) -> int:
        """The bytes of packs that no bundle names: probably of an export that was interrupted."""
        named = {layout.pack_name(pack.digest) for each in self._manifests for pack in each.packs}
        return sum(size for name, size in self._list_packs() if name not in named)

    @cached_property
    def _manifests(self) -> Sequence[Manifest]:
        return list(self._read_manifests())

    def _read_manifests(self) -> Iterator[Manifest]:
        """Yield the manifests that can be read. They only tell what need not be written again."""
        if self.is_empty or self._folder is None:
            return
        bundles: Sequence[str] = ()
        with suppress(AirgapError):
            bundles = local_depot.list_bundles(self._folder)
        for bundle in bundles:
            with suppress(AirgapError):
                yield manifests.decode(DepotReader(self._folder, bundle).read_manifest()[1])
