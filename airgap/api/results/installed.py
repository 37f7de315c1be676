"""What is installed on this machine, what was imported, and what is removed."""

from typing import Literal, NotRequired, TypedDict

__all__ = [
    "CheckDict",
    "CheckedItemDict",
    "ItemDifferenceDict",
    "ItemNameDict",
    "KeptItemDict",
    "LedgerFaultDict",
    "LogDict",
    "LogEntryDict",
    "RemovalDict",
    "RemovalEventDict",
    "RemovalOutcomeDict",
    "RemovedItemDict",
    "StoredItemDict",
    "WhoDict",
]


class ItemNameDict(TypedDict):
    """An item, by its name."""

    kind: str
    """``bento``, ``model``, ``hugging-face``, ``files``, ``wheelhouse`` or ``image``."""
    tag: str
    """``name:version``."""


class StoredItemDict(ItemNameDict):
    """An item that is installed."""

    path: str
    """Its folder."""
    created_at: str | None
    """When it was made; None: it does not say."""
    size: int | None
    """The bytes of its files; None: it cannot be read."""
    models: NotRequired[list[str]]
    """The tags of the models that it names; absent if it cannot be read."""
    problem: str
    """Why it cannot be read; empty: it can."""
    bundles: list[str]
    """The ids of the bundles that brought it, the newest first; empty: it was not imported."""


class ItemDifferenceDict(TypedDict):
    """A file that is not what was imported."""

    path: str
    """Its path in the item."""
    state: Literal["missing", "changed", "additional", "unreadable"]
    """What is wrong with it."""
    problem: str
    """The same for people."""
    expected: str | None
    """The SHA-256 that was imported, if that is what differs."""
    actual: str | None
    """The SHA-256 that it has."""


class CheckedItemDict(ItemNameDict):
    """What became of an item."""

    state: Literal["intact", "damaged", "missing", "absent", "not known"]
    """``missing``: a Bento here needs it; ``absent``: nothing does; ``not known``: airgap did not
    import it."""
    bundle: str | None
    """The id of the bundle that it was compared with."""
    needed_by: list[str]
    """What needs it, if it is missing."""
    differences: list[ItemDifferenceDict]
    """What differs, if it is damaged."""


class CheckDict(TypedDict):
    """Installed items, compared with what was imported."""

    damaged: bool
    """Whether anything is damaged or missing."""
    bytes_read: int
    """The bytes that were read."""
    items: list[CheckedItemDict]
    """The items that were asked for."""
    forgotten: list[str]
    """The ids of imported bundles whose manifests are lost, so that their items are not known."""
    disturbed: bool
    """Whether something was imported meanwhile."""


class LedgerFaultDict(TypedDict):
    """What is wrong with a ledger."""

    kind: Literal["missing", "restored", "damaged"]
    """What became of the files."""
    message: str
    """The same for people."""


class WhoDict(TypedDict):
    """Who did something, by what this machine says of them; each may be empty."""

    user: str
    """The user's name."""
    host: str
    """The name of the machine."""
    key: str
    """The id of the key that was used."""


class LogEntryDict(TypedDict):
    """An entry of the ledger."""

    number: int
    """Its number, from 1 on."""
    at: str
    """When it was written."""
    event: str
    """What happened, such as ``imported`` or ``refused`` (docs/format.md §17.3)."""
    bundle: str | None
    """The bundle id, if it is about a bundle."""
    channel: str | None
    """The channel of the bundle, if it is about a bundle."""
    sequence: int
    """The number of the bundle; 0: none."""
    root_version: int
    """The version of the root that was trusted."""
    signed_by: dict[str, list[str]] | None
    """The ids of the keys that counted, by role; None: entries of old versions do not say."""
    waiver: str | None
    """The SHA-256 of the waiver, if one was needed."""
    who: WhoDict
    """Who did it."""
    documents: dict[str, str]
    """The SHA-256 of the documents that it is about, by name."""
    note: str
    """More for people, such as why it was refused."""
    items: list[ItemNameDict] | None
    """The items of the bundle; None: its manifest is not remembered."""


class RemovalOutcomeDict(ItemNameDict):
    """An item of a removal."""

    outcome: str
    """``removed``."""


class RemovalEventDict(TypedDict):
    """A removal: ``airgap remove`` or ``airgap prune``, or the functions of the same names."""

    at: str
    """When, in UTC."""
    event: str
    """``removed``."""
    user: str
    """Who ran it."""
    items: list[RemovalOutcomeDict]
    """What was removed."""


class LogDict(TypedDict):
    """The entries of a site's ledger that were asked for."""

    site: str
    """The site."""
    intact: bool
    """Whether the ledger is intact; if not, ``entries`` are those that are."""
    fault: LedgerFaultDict | None
    """What is wrong with it."""
    head: str
    """The digest of the last entry."""
    entries: list[LogEntryDict]
    """The entries, the newest first."""
    undecided: int
    """Entries of which nobody can tell whether they hold the item that was asked for."""
    removals: list[RemovalEventDict]
    """What was removed from this machine, the newest first."""


class RemovedItemDict(ItemNameDict):
    """An item that was removed, or would be."""

    size: int
    """The bytes that it takes up."""
    imported: bool
    """Whether airgap imported it."""


class KeptItemDict(ItemNameDict):
    """An item that ``prune`` leaves."""

    reason: str
    """Why."""


class RemovalDict(TypedDict):
    """What was removed, or would be."""

    dry_run: bool
    """Whether nothing was removed."""
    removed: list[RemovedItemDict]
    """The items."""
    kept: list[KeptItemDict]
    """Those that stay although nothing here needs them."""
    notes: list[str]
    """What else people should know."""
