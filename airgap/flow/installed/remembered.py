"""What was imported here: the items of the bundles in the ledgers, by their kept manifests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from airgap.disk.os_errors import translate_errors
from airgap.flow.admission import history
from airgap.flow.installed.item_name import ItemName
from airgap.format.ledger import NUMBERED, Entry
from airgap.state import installed_manifests

__all__ = ["Origin", "Remembered", "list_imported_bundles", "load_remembered"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A bundle that brought an item, and the item's digest in it (format §3.2)."""

    bundle: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Remembered:
    """The items of all imported bundles, each with its origins, the newest import first.

    An item may have been left out of its import (``--tag``, ``pull``), and removed since.
    ``forgotten`` are imported bundles whose manifests are lost or damaged: nobody can tell what
    they held.
    """

    origins: Mapping[ItemName, tuple[Origin, ...]]
    bundles: Mapping[str, tuple[ItemName, ...]] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()


def load_remembered() -> Remembered:
    """Read the ledgers of this machine, and the manifests of the bundles in them.

    A manifest whose bundle is in no ledger was not imported, and is not believed.

    Raises:
        StorageError: a ledger cannot be read.
    """
    origins: dict[ItemName, list[Origin]] = {}
    bundles: dict[str, tuple[ItemName, ...]] = {}
    forgotten: list[str] = []
    for bundle in list_imported_bundles():
        manifest = installed_manifests.load_manifest(bundle)
        if manifest is None:
            forgotten.append(bundle)
            continue
        names = tuple(ItemName(item.name, item.version, item.kind) for item in manifest.items)
        bundles[bundle] = names
        for name, item in zip(names, manifest.items, strict=True):
            origins.setdefault(name, []).append(Origin(bundle, item.digest))
    by_item = {name: tuple(found) for name, found in origins.items()}
    return Remembered(by_item, bundles, tuple(forgotten))


def list_imported_bundles() -> list[str]:
    """Return the ids of the bundles that the ledgers of this machine say were imported.

    That of the last import comes first.

    Raises:
        StorageError: a ledger cannot be read.
    """
    imports = sorted(_read_imports(), key=lambda entry: entry.at, reverse=True)
    return list(dict.fromkeys(entry.bundle.hex() for entry in imports if entry.bundle))


def _read_imports() -> Iterator[Entry]:
    """Yield the imports of signed bundles, newest first within each site."""
    folder = history.ledgers_folder()
    with translate_errors(folder):
        sites = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for site in sites:
        if "~" in site or site.startswith("."):  # set aside by a reset, or not complete
            continue
        entries = [entry for entry in history.read_entries(site) if entry.event in NUMBERED]
        yield from reversed(entries)
