"""What sites have confirmed: the receipts and notes that this machine has accepted (format §29)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airgap.errors import MissingError
from airgap.flow.location.location import ArchiveFile, Location
from airgap.flow.receipts.accept import find_holds
from airgap.state import exported_manifests
from airgap.state.receipt_store import KeptReceipt, ReceiptStore, list_sites

__all__ = [
    "BASE_PREFIX",
    "Confirmation",
    "SiteHolds",
    "Unconfirmed",
    "find_bases",
    "list_confirmations",
    "list_held",
    "list_unconfirmed",
]

BASE_PREFIX = "receipt:"
"""What a base begins with that is what a site holds: ``receipt:hospital-north``."""
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A receipt that was accepted, or a note: what a site has said of a bundle."""

    site: str
    bundle: str
    """16 digits alone if it was a note, and no bundle of this machine begins so."""
    passed: bool
    ledger: str
    """The last 16 digits of its ledger's origin; empty: it was a note."""
    size: int
    """How many entries the ledger had."""
    at: int | None = None
    """When the receipt was accepted, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A bundle that was exported for a site, which has sent no receipt of it."""

    site: str
    bundle: str
    channel: str
    sequence: int
    exported_at: int
    """In seconds since 1970."""
    has_note: bool
    """Whether somebody has read out a note of it."""


@dataclass(frozen=True, slots=True)
class SiteHolds:
    """The bundles that all machines of a site hold, and those of them that were exported here."""

    site: str
    bundles: tuple[str, ...]
    exported: tuple[str, ...]
    """Those of which this machine has the manifest, the oldest first."""


def list_confirmations(site: str | None = None) -> list[Confirmation]:
    """Return what was accepted of one site, or of all: by ledger, and by the ledger's size."""
    return [row for name in _choose_sites(site) for row in _list_site(name)]


def list_unconfirmed(site: str | None = None) -> list[Unconfirmed]:
    """Return the bundles that were exported and not confirmed by a receipt, the oldest first.

    A site's newest receipt also confirms what it holds (format §29.4).
    """
    rows, known = [], list_sites()
    confirmed = {(row.site, row.bundle) for row in list_confirmations() if row.ledger}
    confirmed |= {(name, bundle) for name in known for bundle in _find_held(name)}
    noted = {(row.site, row.bundle[:_DIGITS]) for row in list_confirmations() if not row.ledger}
    for bundle, at in exported_manifests.list_exported():
        manifest = exported_manifests.load_exported(bundle)
        if manifest is None or manifest.completes is not None:
            continue
        for name in manifest.audience or known:
            if site in (None, name) and (name, bundle) not in confirmed:
                has_note = (name, bundle[:_DIGITS]) in noted
                rows.append(
                    Unconfirmed(name, bundle, manifest.channel, manifest.sequence, at, has_note)
                )
    return sorted(rows, key=lambda row: (row.exported_at, row.site, row.sequence))


def list_held(site: str) -> SiteHolds:
    """Return what a site holds by the newest receipts of its ledgers.

    Raises:
        MissingError: no receipt of the site was accepted.
    """
    if not _group(ReceiptStore(site)):
        raise MissingError(
            f"No receipt of site {site} was accepted on this machine.",
            "Run `airgap receipt accept` with the receipts that came back from there.",
        )
    held = _find_held(site)
    times = dict(exported_manifests.list_exported())
    exported = sorted(held & times.keys(), key=lambda bundle: (times[bundle], bundle))
    return SiteHolds(site, tuple(sorted(held)), tuple(exported))


def find_bases(site: str) -> list[Location]:
    """Return the manifests of the bundles that a site holds, as bases of an export.

    Raises:
        MissingError: no receipt of the site was accepted, or it holds nothing that was exported
            here.
    """
    held = list_held(site)
    if not held.exported:
        raise MissingError(
            f"Site {site} holds {len(held.bundles)} bundles, and none that was exported here.",
            "Give the bundles or depots that it has, with --base LOCATION.",
        )
    return [ArchiveFile(exported_manifests.locate_exported(bundle)) for bundle in held.exported]


def _find_held(site: str) -> frozenset[str]:
    """Return the bundles that all machines of a site hold; none if it has sent no receipt."""
    store = ReceiptStore(site)
    held = [find_holds(store, kept) for kept in _group(store)]
    return frozenset.intersection(*held) if held else frozenset()


def _choose_sites(site: str | None) -> Sequence[str]:
    return list_sites() if site is None else [site]


def _list_site(site: str) -> Iterator[Confirmation]:
    store = ReceiptStore(site)
    for kept in store.list_accepted():
        yield Confirmation(site, kept.bundle, kept.passed, kept.ledger, kept.size, kept.at)
    for digits, size, passed in store.list_notes():
        bundles = exported_manifests.find_exported(digits)
        bundle = bundles[0] if len(bundles) == 1 else digits
        yield Confirmation(site, bundle, passed, "", size)


def _group(store: ReceiptStore) -> list[list[KeptReceipt]]:
    """Return the receipts of each ledger that is in use."""
    in_use = {origin[-_DIGITS:] for origin, is_used in store.list_ledgers().items() if is_used}
    groups: dict[str, list[KeptReceipt]] = {}
    for kept in store.list_accepted():
        if kept.ledger in in_use:
            groups.setdefault(kept.ledger, []).append(kept)
    return [*groups.values()]
