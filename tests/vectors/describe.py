"""What a manifest says, as the plain data that the vectors' descriptions hold."""

from typing import Any

from airgap.format.inventory import Entry, File, Item, Link
from airgap.format.manifest import Manifest


def describe(manifest: Manifest) -> dict[str, Any]:
    """Describe a manifest in full, but for how its content is stored."""
    described = {
        "audience": list(manifest.audience),
        "channel": manifest.channel,
        "chunks": len(manifest.chunks),
        "created_at": manifest.created_at,
        "expires_at": manifest.expires_at,
        "items": [_item(one) for one in manifest.items],
        "packs": [pack.digest.hex() for pack in manifest.packs],
        "sequence": manifest.sequence,
        "tool": manifest.tool,
    }
    if manifest.labels:
        described["labels"] = dict(manifest.labels)
    if manifest.completes is not None:
        described["completes"] = manifest.completes.hex()
    return described


def _item(item: Item) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "name": item.name,
        "version": item.version,
        "digest": item.digest.hex(),
        "entries": [_entry(one) for one in item.entries],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, File):
        return {
            "path": entry.path,
            "executable": entry.executable,
            "size": entry.size,
            "sha256": entry.digest.hex(),
        }
    if isinstance(entry, Link):
        return {"path": entry.path, "target": entry.target}
    return {"path": entry.path, "folder": True}
