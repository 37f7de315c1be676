"""What is installed on this machine: listed, checked, looked up in the ledger, removed."""

from collections.abc import Callable, Sequence
from typing import cast

from airgap.api import results
from airgap.api.edge import edge
from airgap.api.progress import ProgressCallback, make_progress
from airgap.flow.installed import check as checking
from airgap.flow.installed import import_log
from airgap.flow.installed.item_name import parse_item_name
from airgap.flow.installed.list_items import list_stores
from airgap.flow.installed.remembered import load_remembered
from airgap.flow.installed.remove import (
    RemovalPlan,
    describe_plan,
    plan_prune,
    plan_removal,
    remove_planned,
)
from airgap.format.ledger import Event

__all__ = ["check", "list_items", "log", "prune", "remove"]


@edge
def list_items() -> list[results.StoredItemDict]:
    """List the items of every kind that are installed here, as ``airgap list --json``.

    The newest comes first, and Hugging Face snapshots are listed if they were imported.

    Raises:
        StorageError: a ledger cannot be read.
    """
    return cast("list[results.StoredItemDict]", list_stores(load_remembered()))


@edge
def check(
    tags: Sequence[str] = (), *, progress: ProgressCallback | None = None
) -> results.CheckDict:
    """Compare installed items with what was imported, byte for byte. Nothing is written.

    Damage does not raise: see the field ``damaged``.

    Args:
        tags: ``name`` or ``name:version``, of any kind; empty: everything.
        progress: is called as the work goes on.

    Raises:
        MissingError: nothing here has such a name, and nothing of it was imported.
        StorageError: a ledger cannot be read.
    """
    names = [parse_item_name(tag) for tag in tags]
    done = checking.check_installed(names, make_progress(progress))
    return cast("results.CheckDict", checking.describe_check(done))


@edge
def log(
    tag: str | None = None,
    *,
    since: int = 0,
    events: Sequence[Event] = (),
    limit: int | None = None,
) -> results.LogDict:
    """Return what this machine imported, refused and waived, by the ledger of the site.

    A ledger that is not intact does not raise: see the field ``intact``.

    Args:
        tag: only bundles that hold this item, ``name`` or ``name:version``; None: all.
        since: only entries from this time on, in seconds since 1970.
        events: only these; empty: all.
        limit: at most so many entries, the newest; None: all.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        StorageError: a file cannot be read.
    """
    item = parse_item_name(tag) if tag else None
    entries = import_log.read_log(import_log.LogFilter(item, since, events, limit))
    return cast("results.LogDict", import_log.describe_log(entries))


@edge
def remove(
    tags: Sequence[str],
    *,
    kind: str = "",
    force: bool = False,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> results.RemovalDict:
    """Remove items from this machine, without asking. Each is whole or gone.

    Args:
        tags: ``name:version`` of each.
        kind: their kind, where items of several kinds have one name.
        force: whether to remove what a Bento or an environment here needs.
        dry_run: say what would be removed, and remove nothing.
        progress: is called as the work goes on.

    Raises:
        UsageError: a tag has no version, or items of several kinds have it.
        MissingError: an item is not here.
        ConflictError: something here needs an item; or it was changed meanwhile.
        StorageError: the disk refused.
    """
    names = [parse_item_name(tag, kind) for tag in tags]
    return _carry_out(lambda: plan_removal(names, force=force), progress, dry_run=dry_run)


@edge
def prune(
    *,
    keep: int | None = None,
    standalone: bool = False,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> results.RemovalDict:
    """Remove what nothing here needs, of what airgap imported, without asking.

    Args:
        keep: how many versions of each Bento stay, the newest ones; None: all.
        standalone: whether to remove items that came in a bundle without a Bento, too.
        dry_run: say what would be removed, and remove nothing.
        progress: is called as the work goes on.

    Raises:
        ConflictError: something was imported or removed meanwhile.
        StorageError: the disk refused, or a ledger cannot be read.
    """
    return _carry_out(lambda: plan_prune(keep, standalone=standalone), progress, dry_run=dry_run)


def _carry_out(
    make_plan: Callable[[], RemovalPlan], progress: ProgressCallback | None, *, dry_run: bool
) -> results.RemovalDict:
    plan = make_plan()
    if not dry_run:
        remove_planned(plan, make_plan, make_progress(progress))
    return cast("results.RemovalDict", describe_plan(plan, dry_run=dry_run))
