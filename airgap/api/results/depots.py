"""Bundles of a depot, and the difference of two."""

from typing import Literal, NotRequired, TypedDict

from airgap.api.results.bundles import AttestationDict, SealedDict
from airgap.api.results.items import ItemDict
from airgap.api.results.space import DiskUsePeakDict

__all__ = [
    "ChangedEntryDict",
    "ChangedItemDict",
    "CopiedBundleDict",
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


class CopiedBundleDict(TypedDict):
    """A bundle that was sealed, or taken out of a sealed one."""

    bundle: str
    """The bundle id of what was written."""
    packs_copied: int
    """How many packs were written."""
    packs_there: int
    """How many were there already."""
    bytes_copied: int
    """The bytes of those that were written, before they were sealed."""
    disk_use: list[DiskUsePeakDict]
    """The space that was expected to be needed on each file system."""


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
    standing: Literal[
        "trusted", "sealed", "not trusted", "not acceptable", "not verified", "damaged"
    ]
    """Whether this machine would import it, by its signatures, its age and its channel. Of one that
    is ``sealed`` and was not opened, the builders' signatures over its index are good."""
    trusted: bool | None
    """Whether it is ``trusted``; None: this machine trusts nobody, or cannot look inside, so it is
    not known."""
    reason: str
    """Why this machine would not import it."""
    signed_by: list[str]
    """The ids of the builders' keys: those that count, or are claimed."""
    attestations: list[AttestationDict]
    """The attestations: those that count, or are claimed."""
    attachments: list[str]
    """The names of its attachments. They were not read."""
    created_at: str
    """The time of its newest Bento or model."""
    expires_at: str | None
    """No site imports it after this; None: never."""
    channel: str
    """Its channel; ``default`` if none was given."""
    sequence: int
    """Its number in the channel; 0: none."""
    audience: list[str]
    """The sites that may import it; empty: all that trust the builder."""
    labels: dict[str, str]
    """Its labels, by name."""
    completes: str | None
    """The id of the bundle that it completes, if it is a completing bundle."""
    tool: str
    """The program that made it."""
    size: int
    """The bytes of all files of all items."""
    stored_size: int
    """The bytes of its packs."""
    packs: int
    """How many packs it has."""
    chunks: int
    """How many chunks it names."""
    items: list[ItemDict]
    """The items that it holds."""
    sealed: SealedDict | None
    """How it is sealed; None: it is not."""


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
