"""The kinds of items that airgap carries. A new one is a line in this table."""

from collections.abc import Collection
from typing import Final

from airgap.disk.presence import is_folder
from airgap.format.inventory import Item
from airgap.format.kinds import Kind, add_rules, find_rules
from airgap.store.bentos import Bentos
from airgap.store.files import Files
from airgap.store.hugging_face import HuggingFaceSnapshots
from airgap.store.images import Images
from airgap.store.install_paths import InstallPath
from airgap.store.item_kind import ItemKind, Reference
from airgap.store.models import Models
from airgap.store.wheelhouses import Wheelhouses

__all__ = ["find_kind", "install_path", "is_installed", "list_kinds", "register"]

_KINDS: Final[dict[Kind, ItemKind]] = {}


def register(kind: ItemKind) -> None:
    """Let this process carry items of a kind."""
    add_rules(kind.rules)
    _KINDS[kind.rules.name] = kind


for _kind in (
    Models(),
    HuggingFaceSnapshots(),
    Files(),
    Wheelhouses(),
    Images(),
    Bentos(),
):
    register(_kind)


def list_kinds() -> Collection[ItemKind]:
    """Return all kinds, in item order reversed: what people ask for comes first."""
    return sorted(_KINDS.values(), key=lambda kind: kind.rules.rank, reverse=True)


def find_kind(name: Kind) -> ItemKind:
    """Return the kind of this name. Raises CorruptError as ``find_rules``."""
    return _KINDS[find_rules(name).name]


def install_path(item: Item | Reference) -> InstallPath:
    """Return where an item is installed on this machine, whether it is there or not."""
    return find_kind(item.kind).install_path(item.name, item.version)


def is_installed(reference: Reference) -> bool:
    """Tell whether an item that another one needs is on this machine."""
    kind = find_kind(reference.kind)
    is_tag = kind.rules.is_tag(reference.name, reference.version)
    return is_tag and is_folder(kind.install_path(reference.name, reference.version).final)
