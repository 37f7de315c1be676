"""``airgap list``: what is in this machine's stores, with what imports put into the cache."""

from collections.abc import Iterator
from typing import Any

from airgap.flow.describe.stored import describe_stored
from airgap.flow.installed.item_name import ItemName
from airgap.flow.installed.remembered import Remembered
from airgap.store.kinds import find_kind, list_kinds

__all__ = ["list_installed", "list_stores"]


def list_stores(remembered: Remembered) -> list[dict[str, Any]]:
    """List the items of this machine's stores, newest first; those without a time come last.

    ``bundles`` are those that brought an item, the newest first; none if airgap did not import it.
    """
    rows = [
        describe_stored(find_kind(item.kind), item.name, item.version)
        | {"bundles": [origin.bundle for origin in remembered.origins.get(item, ())]}
        for item in list_installed(remembered)
    ]
    return sorted(rows, key=lambda row: row["created_at"] or "", reverse=True)


def list_installed(remembered: Remembered) -> Iterator[ItemName]:
    """Yield the items of this machine's stores, those that people ask for first.

    Of kinds whose items have no tags, those that were imported: other programs put snapshots into
    the same cache.
    """
    for kind in list_kinds():
        items = (ItemName(*tag, kind.rules.name) for tag in kind.list_installed())
        yield from (item for item in items if kind.has_tags or item in remembered.origins)
