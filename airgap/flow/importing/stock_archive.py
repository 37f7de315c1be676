"""From the members of an archive to files: exactly those of the signed manifest (format §10)."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from airgap.carrier.stock.port import Member, StockMembers
from airgap.errors import CorruptError
from airgap.flow.importing.descriptions import Descriptions
from airgap.flow.progress import Progress
from airgap.format import stock_archive as stock
from airgap.format.inventory import Item
from airgap.format.stock_archive import StockContents, StockFile
from airgap.store.staging import StagedItem

__all__ = ["read_members", "stage_members", "verify_members"]

Sink = Callable[[StockFile, int, bytes], None]
"""Takes a file of the archive, an offset in bytes, and the bytes there."""


def stage_members(
    archive: StockMembers,
    items: Sequence[Item],
    staged: Sequence[StagedItem],
    progress: Progress,
) -> None:
    """Read the archive of these items once, and write the files of those that are staged.

    Raises:
        CorruptError: the archive is not what the manifest says.
        StorageError: it cannot be read.
    """
    wanted = {staged_item.item.key: staged_item for staged_item in staged}
    targets = {number: wanted[item.key] for number, item in enumerate(items) if item.key in wanted}

    def write(stored: StockFile, offset: int, data: bytes) -> None:
        for number, file in stored.targets:
            if number in targets:
                targets[number].write(file, offset, data)

    try:
        read_members(archive, items, write, progress, "importing")
    except BaseException:
        for staged_item in staged:  # what came before is of no use to the next try
            staged_item.discard()
        raise
    for staged_item in staged:
        staged_item.finish()


def verify_members(archive: StockMembers, items: Sequence[Item], progress: Progress) -> int:
    """Read everything that an import would read; return the bytes of files read.

    Raises:
        CorruptError, StorageError: as ``stage_members``.
    """
    descriptions = Descriptions(items)

    def look(stored: StockFile, offset: int, data: bytes) -> None:
        for number, file in stored.targets:
            descriptions.add(number, file, offset, data)

    read = read_members(archive, items, look, progress, "verifying")
    descriptions.refuse_incomplete()
    return read


def read_members(
    archive: StockMembers, items: Sequence[Item], sink: Sink, progress: Progress, name: str
) -> int:
    """Read an archive once, and hand the bytes of its files to ``sink``; return how many.

    A file's digest is compared when it has been read; ``name`` says what is done, for people.

    Raises:
        CorruptError, StorageError: as ``stage_members``.
    """
    contents = stock.list_contents(items, folder=archive.is_folder)
    progress.begin(name, sum(file.size for file in contents.files.values()))
    expected = _Expected(contents, archive.location)
    count = 0
    try:
        for member, pieces in archive.members():
            stored = expected.take(member)
            if stored is not None:
                for number, _ in stored.targets[:1]:
                    progress.name_item(str(items[number]))
                _read_file(stored, pieces, sink, progress)
                count += stored.size
        expected.refuse_missing()
    finally:
        progress.end()
    return count


def _read_file(stored: StockFile, pieces: Iterator[bytes], sink: Sink, progress: Progress) -> None:
    """Pass a file on and compare its digest. That its size is right is known already."""
    digest = hashlib.sha256()
    offset = 0
    for piece in pieces:
        digest.update(piece)
        sink(stored, offset, piece)
        offset += len(piece)
        progress.advance(len(piece))
    if digest.digest() != stored.digest:
        raise CorruptError(
            f"{stored.path} is not the file that the signed manifest names.",
            "The archive was changed or damaged on the way: copy it from its source again.",
        )


class _Expected:
    """The members that are still to come."""

    def __init__(self, contents: StockContents, location: str) -> None:
        self._files = dict(contents.files)
        self._rest: set[Member] = {Member(path, "folder") for path in contents.empty_folders}
        self._rest |= {Member(path, "link", target=to) for path, to in contents.links.items()}
        self._passed_over = set(contents.nonempty_folders())
        self._location = location

    def take(self, member: Member) -> StockFile | None:
        """Cross a member off; return the file that it is, if it is one.

        Raises:
            CorruptError: it is not in the manifest, or came before, or has another size.
        """
        if member.kind == "file":
            return self._take_file(member)
        if member in self._rest:
            self._rest.remove(member)
        elif member.kind == "folder" and member.path in self._passed_over:
            self._passed_over.remove(member.path)
        else:
            raise self._extra(member)
        return None

    def refuse_missing(self) -> None:
        """Demand that nothing is left. Raises CorruptError."""
        left = sorted([*self._files, *(member.path for member in self._rest)])
        if left:
            raise CorruptError(
                f"{self._location} lacks {left[0]!r}, which the signed manifest names.",
                "Copy the archive from its source again.",
                left,
            )

    def _take_file(self, member: Member) -> StockFile:
        stored = self._files.pop(member.path, None)
        if stored is None:
            raise self._extra(member)
        if stored.size != member.size:
            raise CorruptError(
                f"{self._location} has {member.path} with {member.size:,} bytes where the signed"
                f" manifest says {stored.size:,}.",
                "Copy the archive from its source again.",
            )
        return stored

    def _extra(self, member: Member) -> CorruptError:
        return CorruptError(
            f"{self._location} has a {member.kind} {member.path!r} that the signed manifest does"
            " not name, or has it twice.",
            "It was added on the way: copy the archive from its source again.",
        )
