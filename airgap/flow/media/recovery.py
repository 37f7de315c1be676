"""Keep the packs that parity needs while volumes are read one by one.

Only groups (format §20) with a damaged pack are kept. What is kept lies in staging as a depot of
its own, is digested when it is used, and goes with staging.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from airgap.carrier.local_depot import DepotReader
from airgap.disk.part_file import write_atomically
from airgap.disk.space import measure_free
from airgap.errors import AirgapError
from airgap.flow.media.pack_copies import PackCopies, PackCopy
from airgap.flow.media.parity import measure_longest
from airgap.flow.progress import Progress
from airgap.format import layout, parity
from airgap.format.manifest import Pack
from airgap.format.parity import Group
from airgap.format.volume import Label

__all__ = ["Recovery"]


class Recovery:
    """The depot in staging."""

    def __init__(self, folder: Path, bundle: str, packs: Sequence[Pack]) -> None:
        """Nothing is written yet."""
        self.reader = DepotReader(folder, bundle)
        self._folder = folder
        self._bundle = bundle
        self._packs = packs

    def keep(self, lost: Collection[int], copies: PackCopies, progress: Progress) -> None:
        """Keep the intact packs of groups with a lost pack, if the disk has room for all of them.

        Raises:
            StorageError: the disk refused.
        """
        index = copies.index(len(self._packs))
        groups = [group for group in index if not set(lost).isdisjoint(group.packs)]
        if not groups:
            return
        name = layout.parity_index_name(self._bundle)
        if not (self._folder / name).exists():
            write_atomically(self._folder, name, [parity.encode(index)])
        if not all(self._keep_group(group, copies) for group in groups):
            progress.note(
                "This disk is too small to keep what parity needs: `airgap join` all volumes on"
                " another one, and import that."
            )

    def _keep_group(self, group: Group, copies: PackCopies) -> bool:
        """Copy the packs that are not kept yet; return False if the disk is too small for them."""
        for name, find in self._members(group, copies):
            if (self._folder / name).exists():
                continue
            with ExitStack() as stack:
                copy = find(stack)
                if not isinstance(copy, PackCopy):
                    continue
                free = measure_free(self._folder)
                if free is not None and free < 2 * copy.size:
                    return False
                write_atomically(self._folder, name, [copy.read(0, copy.size)])
        return True

    def _members(
        self, group: Group, copies: PackCopies
    ) -> Iterator[tuple[str, Callable[[ExitStack], PackCopy | AirgapError]]]:
        """Yield name and opener of every pack and parity pack of a group."""
        for index in group.packs:
            pack = self._packs[index]
            yield layout.pack_name(pack.digest), partial(copies.open_pack, pack)
        length = measure_longest(self._packs, group.packs)
        for digest in group.parity:
            find = partial(copies.open_parity, digest, length)
            yield layout.parity_name(self._bundle, digest), find

    def groups(self) -> tuple[Group, ...]:
        """Return the parity index, or None if nothing is kept yet."""
        return PackCopies([self.reader]).index(len(self._packs))

    def once_more(self, lost: Collection[int], label: Label) -> tuple[int, ...]:
        """Return volumes whose packs, once kept, would let parity rebuild the lost ones."""
        wanted: set[int] = set()
        for group in self.groups():
            if set(lost).isdisjoint(group.packs):
                continue
            kept, parity_kept = self._kept(group)
            need = len(group.packs) - len(kept) - parity_kept
            absent = Counter(
                label.volume_of(index)
                for index in group.packs
                if index not in kept and index not in lost
            )
            for number, count in absent.most_common():
                if need > 0 or number in wanted:
                    wanted.add(number)
                    need -= count
        return tuple(sorted(wanted))

    def _kept(self, group: Group) -> tuple[set[int], int]:
        """Return the kept packs of a group, and the number of its kept parity packs."""
        packs = {
            member
            for member in group.packs
            if self.reader.size_of(self._packs[member].digest) is not None
        }
        parity = [
            member
            for member in group.parity
            if self.reader.size_of(member, is_parity=True) is not None
        ]
        return packs, len(parity)
