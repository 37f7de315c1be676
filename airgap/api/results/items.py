"""Items of bundles."""

from typing import Literal, NotRequired, TypedDict

__all__ = [
    "EntryDict",
    "ItemDict",
    "PlannedItemDict",
]


class EntryDict(TypedDict):
    """A file, a link or an empty folder of an item."""

    path: str
    """Its path in the item, with ``/``."""
    size: NotRequired[int]
    """Of a file: its bytes."""
    sha256: NotRequired[str]
    """Of a file: the digest of its content."""
    executable: NotRequired[bool]
    """Of a file: whether it may be executed."""
    link_to: NotRequired[str]
    """Of a link: where it leads."""
    empty_folder: NotRequired[Literal[True]]
    """Of an empty folder."""


class ItemDict(TypedDict):
    """An item of a bundle."""

    kind: str
    """``bento``, ``model``, ``hugging-face``, ``files``, ``wheelhouse`` or ``image``."""
    tag: str
    """``name:version``."""
    digest: str
    """``sha256:`` and the digest of all its content (format §3.2)."""
    files: int
    """How many files it has."""
    size: int
    """The bytes of its files."""
    entries: NotRequired[list[EntryDict]]
    """With ``files=True``: every file, link and empty folder."""


class PlannedItemDict(TypedDict):
    """An item that would be exported. It was not read, so it has no digest."""

    kind: str
    """As of ``ItemDict``."""
    tag: str
    """``name:version``."""
    digest: None
    """Always None."""
    files: int
    """How many files it has."""
    size: int
    """The bytes of its files."""
