"""Parity packs: written with a bundle, used when its packs are damaged (format §20)."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast

from airgap.codec.buffer import Buffer
from airgap.disk.os_errors import storage_error, translate_errors
from airgap.disk.part_file import PartFile
from airgap.disk.temporary import find_temporary_folder
from airgap.errors import AirgapError, CorruptError, MissingError, StorageError
from airgap.flow.media.pack_copies import PackCopies, PackCopy
from airgap.flow.progress import Progress
from airgap.format import layout, limits
from airgap.format.manifest import Pack
from airgap.format.parity import Group
from airgap.printable import count_text

__all__ = [
    "Draft",
    "FolderError",
    "ParityRepair",
    "ParityStatus",
    "can_restore",
    "check_parity",
    "draft_groups",
    "make_groups",
    "measure_longest",
]

_WINDOWS_BYTES: Final = 32 * limits.MIB  # of all packs of a group together
_WINDOW_UNIT: Final = 4096
_MANY_BYTES: Final = 1024 * limits.MIB
_LARGEST_GROUP: Final = 100

Draft = tuple[tuple[int, ...], int]
"""A group before its parity is computed: its packs, and the number of its parity packs."""


def draft_groups(packs: Sequence[Pack], percent: int) -> list[Draft]:
    """Group the packs of a bundle, with parity of at least ``percent`` of the packs in each group.

    Packs of a group have about the same size, since parity is as long as the longest. Of more
    than a hundred, neighbours go into different groups: a scratch damages neighbours.
    """
    classes: dict[int, list[int]] = defaultdict(list)
    for index, pack in enumerate(packs):
        classes[pack.size.bit_length()].append(index)
    made: list[Draft] = []
    for _, members in sorted(classes.items()):
        count = -(-len(members) // _LARGEST_GROUP)
        groups = [tuple(members[first::count]) for first in range(count)]
        made += [(group, -(-len(group) * percent // 100)) for group in groups]
    return made if percent else []


def make_groups(
    packs: Sequence[Pack],
    groups: Sequence[Draft],
    copies: PackCopies,
    folders: Sequence[Sequence[Path | None]],
    progress: Progress,
) -> list[Group]:
    """Write the parity packs of all groups. ``folders`` has one for each parity pack of each group.

    None: it is computed, and not written.

    Raises:
        CorruptError, MissingError: a pack is not there, or not authentic.
        FolderError: a folder refused.
        StorageError: a pack cannot be read.
    """
    from airgap.codec import erasure

    if sum(pack.size for pack in packs) > _MANY_BYTES and not erasure.is_fast():
        progress.note("Parity takes several times longer without the extra bento-airgap[parity].")
    return [
        _make_group(packs, group, copies, targets, progress)
        for group, targets in zip(groups, folders, strict=True)
    ]


def measure_longest(packs: Sequence[Pack], members: Sequence[int]) -> int:
    """Return the length in bytes of a group's longest pack, which is that of its parity packs."""
    return max(packs[index].size for index in members)


def _make_group(
    packs: Sequence[Pack],
    draft: Draft,
    copies: PackCopies,
    folders: Sequence[Path | None],
    progress: Progress,
) -> Group:
    """Write the parity packs of a group into their folders; return the group for the index.

    Raises:
        CorruptError, MissingError: a pack is not there, or not authentic.
        FolderError: a folder refused.
        StorageError: a pack cannot be read.
    """
    from airgap.codec import erasure

    members, rows = draft
    with ExitStack() as stack:
        stored = [_require_copy(copies.open_unread(packs[member], stack)) for member in members]
        seen = [hashlib.sha256() for _ in members]
        rows_made = [_Row(folder, f"{members[0]}-{row}") for row, folder in enumerate(folders)]
        for made in rows_made:
            stack.callback(made.discard)
        for at, length in _windows(measure_longest(packs, members), len(members)):
            pieces = [member.read(at, length) for member in stored]
            for member, digest, piece in zip(stored, seen, pieces, strict=True):
                digest.update(memoryview(piece)[: max(member.size - at, 0)])
            computed = erasure.compute_parity(pieces, rows)
            for made, piece in zip(rows_made, computed, strict=True):
                made.write(piece)
            progress.advance(length * len(members))
        _demand_digests([packs[member] for member in members], seen)
        for made in rows_made:
            made.publish()
    return Group(members, tuple(made.digest for made in rows_made))


class FolderError(StorageError):
    """A folder refused a parity pack."""

    def __init__(self, folder: Path, error: OSError) -> None:
        """Take the folder, and what it said."""
        reason = storage_error(error, folder)
        super().__init__(reason.message, reason.hint)
        self.folder = folder


class _Row:
    """A parity pack that is being computed; it is written if it has a folder."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder = folder
        self._hash = hashlib.sha256()
        with self._translated():
            self._part = PartFile(folder / name) if folder else None

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def write(self, piece: Buffer) -> None:
        self._hash.update(piece)
        if self._part:
            with self._translated():
                self._part.file.write(piece)

    def publish(self) -> None:
        if self._part:
            with self._translated():
                self._part.publish(layout.parity_file(self.digest))

    def discard(self) -> None:
        if self._part:
            self._part.discard()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FolderError(self._folder or Path(), error) from error


def _demand_digests(packs: Sequence[Pack], seen: Sequence["hashlib._Hash"]) -> None:
    """Compare the hashed bytes with the digests of the packs.

    Raises:
        CorruptError: they differ.
    """
    for pack, digest in zip(packs, seen, strict=True):
        if digest.digest() != pack.digest:
            raise CorruptError(
                f"{layout.pack_name(pack.digest)} is damaged.",
                "Copy this file from its source again.",
            )


def can_restore(groups: Sequence[Group], lost: AbstractSet[int]) -> bool:
    """Tell whether parity could rebuild all these packs if no other pack were missing."""
    grouped = {index for group in groups for index in group.packs}
    return lost <= grouped and all(
        len(lost & set(group.packs)) <= len(group.parity) for group in groups
    )


@dataclass(frozen=True, slots=True)
class ParityStatus:
    """How many parity packs are intact, and how many are not here; what is wrong with the rest."""

    intact: int = 0
    missing: int = 0
    damaged: tuple[str, ...] = ()
    packs_restored: int = 0
    """Packs that were read, but are damaged or missing on the media."""

    @property
    def total(self) -> int:
        """How many parity packs the bundle has, wherever they are."""
        return self.intact + self.missing + len(self.damaged)


def check_parity(packs: Sequence[Pack], copies: PackCopies) -> ParityStatus:
    """Hash the parity packs that the bundle's index names (format §20)."""
    intact, missing, damaged = 0, 0, list[str]()
    for group in copies.index(len(packs)):
        for digest in group.parity:
            with copies.opened_parity(digest, measure_longest(packs, group.packs)) as copy:
                if isinstance(copy, PackCopy):
                    intact += 1
                elif isinstance(copy, MissingError):
                    missing += 1
                else:
                    damaged.append(copy.message)
    return ParityStatus(intact, missing, tuple(damaged))


class ParityRepair:
    """Packs rebuilt from parity, a whole group when the first of its packs is needed."""

    def __init__(self, packs: Sequence[Pack], copies: PackCopies, progress: Progress) -> None:
        """Nothing is read before the first pack is needed."""
        self._packs = packs
        self._copies = copies
        self._progress = progress
        self._group_of: dict[int, Group] | None = None
        self._spools: dict[int, BinaryIO] = {}

    def take(self, index: int) -> bytes | None:
        """Return a lost pack after comparing its digest, or None if parity cannot rebuild it.

        The other lost packs of its group are kept in the system's temporary folder.

        Raises:
            StorageError: the disk refused.
        """
        if self._group_of is None:
            groups = self._copies.index(len(self._packs))
            self._group_of = {member: group for group in groups for member in group.packs}
        group = self._group_of.get(index)
        if index not in self._spools and group:
            for member in group.packs:  # once is enough, whatever comes of it
                del self._group_of[member]
            if self._may_suffice(group):
                self._make(group)
        spool = self._spools.pop(index, None)
        if spool is None:
            return None
        with spool:
            spool.seek(0)
            data = spool.read(self._packs[index].size)
        return data if hashlib.sha256(data).digest() == self._packs[index].digest else None

    def close(self) -> None:
        """Remove the rebuilt packs that were not used."""
        for spool in self._spools.values():
            spool.close()

    def _make(self, group: Group) -> None:
        """Rebuild all lost packs of a group, if there is enough parity."""
        length = measure_longest(self._packs, group.packs)
        with ExitStack() as stack:
            copies = {
                at: copy
                for at, index in enumerate(group.packs)
                if isinstance(copy := self._copies.open_pack(self._packs[index], stack), PackCopy)
            }
            missing = [at for at in range(len(group.packs)) if at not in copies]
            rows = self._parity_rows(group, len(missing), stack)
            if len(rows) < len(missing):
                return
            self._progress.note(
                f"Restoring from parity: {len(missing)} of"
                f" {count_text(len(group.packs), 'pack')} of a group."
            )
            folder = find_temporary_folder()
            spools = {
                at: cast("BinaryIO", TemporaryFile(dir=folder))  # noqa: SIM115
                for at in missing
            }
            self._spools |= {group.packs[at]: spool for at, spool in spools.items()}
            with translate_errors(folder):
                _solve((len(group.packs), length), copies, rows, spools)

    def _parity_rows(self, group: Group, needed: int, stack: ExitStack) -> dict[int, PackCopy]:
        """Open as many intact parity packs as are needed, or fewer if there are not enough."""
        rows: dict[int, PackCopy] = {}
        length = measure_longest(self._packs, group.packs)
        for row, digest in enumerate(group.parity):
            if len(rows) == needed:
                break
            copy = self._copies.open_parity(digest, length, stack)
            if isinstance(copy, PackCopy):
                rows[row] = copy
        return rows

    def _may_suffice(self, group: Group) -> bool:
        """Tell by sizes alone whether parity may suffice, before gigabytes are hashed in vain."""
        length = measure_longest(self._packs, group.packs)
        members = [self._packs[member] for member in group.packs]
        count = sum(self._copies.may_have(member.digest, member.size) for member in members)
        count += sum(self._copies.may_have_parity(member, length) for member in group.parity)
        return count >= len(members)


def _solve(
    shape: tuple[int, int],
    packs: Mapping[int, PackCopy],
    parity: Mapping[int, PackCopy],
    spools: Mapping[int, BinaryIO],
) -> None:
    """Write the missing packs of a group. ``shape`` is its number of packs and their length."""
    from airgap.codec import erasure

    count, length = shape
    for at, size in _windows(length, count):
        pieces = {position: copy.read(at, size) for position, copy in packs.items()}
        rows = {row: copy.read(at, size) for row, copy in parity.items()}
        made = erasure.restore(count, pieces, rows, tuple(spools))
        for spool, piece in zip(spools.values(), made, strict=True):
            spool.write(piece)


def _windows(length: int, packs: int) -> Iterator[tuple[int, int]]:
    """Split the length of a group's packs so that a window over all of them fits into memory."""
    most = max(_WINDOWS_BYTES // packs // _WINDOW_UNIT * _WINDOW_UNIT, _WINDOW_UNIT)
    for at in range(0, length, most):
        yield at, min(most, length - at)


def _require_copy(copy: PackCopy | AirgapError) -> PackCopy:
    if isinstance(copy, AirgapError):
        raise copy
    return copy
