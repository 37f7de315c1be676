"""Bundles of a depot, and the difference of two."""

from typing import Literal, NotRequired, TypedDict

from airgap.api.results.bundles import AttestationDict
from airgap.api.results.items import ItemDict

__all__ = [
    "ChangedEntryDict",
    "ChangedItemDict",
    "DepotBundleDict",
    "DiffDict",
    "FoundBundleDict",
]


class ChangedEntryDict(TypedDict):
    """A file, link or folder that differs between two bundles."""

    path: str
    """Its path in the item."""
    change: Literal["added", "removed", "changed"]
    """What became of it."""
    bytes_stored: NotRequired[int]
    """Of a file that is there now: the bytes in packs that the old bundle does not have."""
    parts_changed: NotRequired[list[str]]
    """Tensors or archive members that differ, where the type of the file is known."""
    parts_added: NotRequired[list[str]]
    """Those that are new."""
    parts_removed: NotRequired[list[str]]
    """Those that are gone."""


class ChangedItemDict(TypedDict):
    """An item that differs between two bundles."""

    item: str
    """The kind and the tag in the new bundle."""
    before: str
    """The kind and the tag in the old bundle."""
    entries: list[ChangedEntryDict]
    """What differs."""


class DiffDict(TypedDict):
    """What one bundle has that another has not. Nothing of it is verified."""

    old: str
    """The id of the first bundle."""
    new: str
    """The id of the second bundle."""
    verified: Literal[False]
    """Always False."""
    bytes_to_ship: int
    """The bytes of chunks that the old bundle does not name, before they are stored."""
    bytes_stored: int
    """The bytes of those chunks in the packs of the new bundle."""
    added: list[str]
    """The kinds and tags of items that are new."""
    removed: list[str]
    """The kinds and tags of items that are gone."""
    changed: list[ChangedItemDict]
    """Items that differ."""
    same: list[str]
    """The kinds and tags of items that are the same."""


class DepotBundleDict(TypedDict, total=False):
    """A bundle of a depot. Of one whose ``standing`` is ``damaged``, only four fields are known."""

    bundle: str
    """The bundle id."""
    standing: Literal["trusted", "not trusted", "not acceptable", "not verified", "damaged"]
    """Whether this machine would import it, by its signatures, its age and its channel."""
    trusted: bool | None
    """Whether it is ``trusted``; None: this machine trusts nobody, so it is not known."""
    reason: str
    """Why this machine would not import it."""
    signed_by: list[str]
    """The ids of the builders' keys: those that count, or are claimed."""
    attestations: list[AttestationDict]
    """The attestations: those that count, or are claimed."""
    created_at: str
    """As of ``BundleDict``, like the rest."""
    expires_at: str | None
    channel: str
    sequence: int
    audience: list[str]
    labels: dict[str, str]
    completes: str | None
    tool: str
    size: int
    stored_size: int
    packs: int
    chunks: int
    items: list[ItemDict]


class FoundBundleDict(DepotBundleDict):
    """The newest bundle of a depot that has a tag."""

    tag: str
    """The kind and the tag that were asked for, such as ``bento shop:latest``."""
    depot: str
    """The depot."""
    other_bundles: list[str]
    """The ids of the other bundles that have it."""
    not_verified_because: str | None
    """Why no signature was verified; None: they were."""
