"""The two ports of an archive or folder for stock BentoML: one to read members, one to write.

A reader is strict about the form (format §10) and knows nothing of what should be in it: whether
the members are the right ones is decided above.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from airgap.errors import CorruptError
from airgap.format import limits, names
from airgap.printable import quote

__all__ = ["Member", "MemberReader", "MemberWriter", "StockMembers", "check_member"]

MemberKind = Literal["file", "folder", "link"]


@dataclass(frozen=True, slots=True)
class Member:
    """One thing in an archive. ``size`` in bytes; ``target`` is a link's."""

    path: str
    kind: MemberKind = "file"
    size: int = 0
    executable: bool = False
    target: str = ""


class MemberReader(Protocol):
    """Reads an archive once, from front to back."""

    location: str
    """Where it is, for messages."""

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield each member with its bytes, exactly ``size`` of them in all.

        What the caller leaves of a member's bytes is read before the next member. The end of
        the iteration means that the archive ended as it should.

        Raises:
            CorruptError: the archive is damaged or breaks a rule of format §10.
            StorageError: it cannot be read.
        """
        ...


class StockMembers(MemberReader, Protocol):
    """An archive, or a folder, that stock BentoML imports."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which alone may hold links (format §10)."""
        ...


class MemberWriter(Protocol):
    """Writes an archive that has another name until it is complete."""

    def add(self, member: Member, pieces: Iterable[bytes] = ()) -> None:
        """Append a member; ``pieces`` are its bytes, exactly ``size`` of them."""
        ...

    def publish(self) -> None:
        """Sync, and give it its name."""
        ...

    def abort(self) -> None:
        """Remove what has no final name. Does nothing after ``publish``."""
        ...


def check_member(member: Member, location: str) -> Member:
    """Return the member if its path may exist and its size is possible (format §2.3, §2.5).

    Raises:
        CorruptError: it may not.
    """
    problem = names.path_problem(member.path)
    if problem is None and member.size > limits.FILE_BYTES:
        problem = "is longer than a file may be"
    if problem:
        raise CorruptError(
            f"{location} has a member {quote(member.path)} that {problem}.",
            "Do not use this archive: no tool should have made it.",
        )
    return member
