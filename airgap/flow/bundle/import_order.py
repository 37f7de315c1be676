"""The order in which the bundles of one depot are imported: a lower number can never follow."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from airgap.errors import AirgapError, CommandLine, PolicyError
from airgap.flow.bundle.open_bundle import EarlierBundle, Opened, open_all
from airgap.flow.location.location import LocalDepot
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.format.manifest import Manifest
from airgap.printable import count_text

__all__ = ["choose_lost", "demand_order", "describe_left_behind", "describe_neighbours"]

_MOST_READ: Final = 100
"""The manifests that are read for a note; it is not worth reading more."""

_Items = Sequence[tuple[Kind, str, str]]


def demand_order(opened: Opened, depot: str) -> None:
    """Refuse a bundle of ``depot`` after which another one's Bentos could not be imported.

    Raises:
        PolicyError: an older bundle of the channel, not imported here, has a name that it lacks.
    """
    manifest = opened.manifest.value
    lost = choose_lost(opened.earlier, _list_tags(manifest.items))
    if not lost:
        return
    bundles = count_text(len(lost), "older bundle")
    raise PolicyError(
        f"{depot} holds {bundles} of channel {manifest.channel} that cannot be imported any more"
        f" after number {manifest.sequence}, and number {manifest.sequence} does not replace"
        f" {'it' if len(lost) == 1 else 'them'}.",
        f"Import {'it' if len(lost) == 1 else 'them'} first, the lowest number first; or give"
        " --newest to leave out what is older.",
        [line for bundle in lost for line in _describe(bundle)],
    )


def describe_left_behind(earlier: Sequence[EarlierBundle], chosen: EarlierBundle) -> str:
    """Say which of the bundles before ``chosen`` it shuts out; empty if there are none."""
    lost = choose_lost(earlier, chosen.items)
    if not lost:
        return ""
    others = "; ".join(f"number {bundle.sequence} ({_name_main(bundle)})" for bundle in lost)
    return (
        f"After number {chosen.sequence} of channel {chosen.channel}, this site can no longer"
        f" import {others} of the same depot. To have both, import the lower number first:"
        f" airgap import {lost[0].location}"
    )


def describe_neighbours(depot: LocalDepot, written: Manifest) -> str:
    """Say which other bundles of its channel a new bundle shuts out; empty if there are none.

    A depot with very many bundles, or with a damaged one, is not searched.
    """
    if not written.sequence:  # it has no number, and so none before it
        return ""
    earlier: list[EarlierBundle] = []
    with suppress(AirgapError), open_all(replace(depot, bundle="")) as (count, opened):
        for other in opened if count <= _MOST_READ else ():
            manifest = other.manifest
            same = manifest.channel == written.channel and manifest.completes is None
            if same and manifest.sequence < written.sequence:
                items = _list_tags(manifest.items)
                earlier.append(
                    EarlierBundle(other.bundle, manifest.channel, manifest.sequence, items)
                )
    lost = choose_lost(earlier, _list_tags(written.items))
    if not lost:
        return ""
    others = "; ".join(f"number {bundle.sequence} ({_name_main(bundle)})" for bundle in lost)
    return (
        f"{depot} also holds {others} of channel {written.channel}, not replaced by this number"
        f" {written.sequence}. The other side imports the lower number first. To carry all in one"
        " bundle, name all in one export; or give each service its own --channel."
    )


def _list_tags(items: Iterable[Item]) -> tuple[tuple[Kind, str, str], ...]:
    return tuple((item.kind, item.name, item.version) for item in items)


def choose_lost(earlier: Iterable[EarlierBundle], items: _Items) -> list[EarlierBundle]:
    """Return those of the bundles, by ascending number, that none with a higher one replaces.

    A bundle replaces another if it has all names of the other's Bentos; of one without Bentos, of
    its models; of one without either, of its items. ``items`` are those of the newest.
    """
    names = {(kind, name) for kind, name, _ in items}
    lost = []
    for bundle in sorted(earlier, key=lambda other: other.sequence, reverse=True):
        if not _list_names(bundle.items) <= names:
            lost.append(bundle)
        names |= {(kind, name) for kind, name, _ in bundle.items}
    return lost[::-1]


def _list_names(items: _Items) -> set[tuple[Kind, str]]:
    """Return kind and name of what a bundle was made for."""
    return {(kind, name) for kind, name, _ in _choose_main(items)}


def _choose_main(items: _Items) -> _Items:
    """Return the Bentos; without Bentos, the models; without either, all items."""
    for main in (BENTO.name, MODEL.name):
        chosen = [item for item in items if item[0] == main]
        if chosen:
            return chosen
    return items


def _describe(bundle: EarlierBundle) -> tuple[str, CommandLine]:
    """Name a bundle's number and Bentos, and the command that imports it."""
    line = f"number {bundle.sequence}: {_name_main(bundle)}"
    return line, CommandLine(f"airgap import {bundle.location}")


def _name_main(bundle: EarlierBundle) -> str:
    main = _choose_main(bundle.items)
    return ", ".join(f"{kind} {name}:{version}" for kind, name, version in main)
