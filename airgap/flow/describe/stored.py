"""Items of this machine's stores as plain data."""

from pathlib import Path
from typing import Any

from airgap.errors import AirgapError
from airgap.flow.bundle.tag import Tag
from airgap.store.item_kind import NO_DESCRIPTION, ItemKind
from airgap.store.kinds import find_kind
from airgap.store.source_tree import find_files, scan
from airgap.times import format_time

__all__ = ["describe_stored", "get_stored"]


def get_stored(tag: Tag) -> dict[str, Any]:
    """Describe a Bento or model of this machine; without a version, what ``latest`` means here.

    Raises:
        MissingError: it is not in the store.
    """
    kind = find_kind(tag.kind)
    return describe_stored(kind, *kind.find(f"{tag.name}:{tag.version or 'latest'}"))


def describe_stored(kind: ItemKind, name: str, version: str) -> dict[str, Any]:
    """Describe an installed item. Times as RFC 3339, sizes in bytes.

    An unreadable item is described with the reason as its ``problem``.
    """
    folder = kind.install_path(name, version).final
    data: dict[str, Any] = {
        "kind": kind.rules.name,
        "tag": f"{name}:{version}",
        "path": str(folder),
        "created_at": None,
        "size": None,
        "problem": "",
    }
    try:
        description = kind.describe(folder)
        if description is not NO_DESCRIPTION:
            data["created_at"] = format_time(description.created_at)
        data["models"] = [f"{model.name}:{model.version}" for model in description.models]
        data["size"] = _measure(kind, folder)
    except AirgapError as error:
        data["problem"] = error.message
    return data


def _measure(kind: ItemKind, folder: Path) -> int:
    """Return the bytes of an item's files. Raises StorageError."""
    if kind.has_tags:
        return scan(folder, ignored_folders=kind.ignored_folders).size
    return sum(file.size for file in find_files(folder, kind.store()))  # links lead to blobs
