"""Which items of a bundle a tag stands for: a Bento or model, with the models that it needs."""

from collections.abc import Sequence
from hashlib import sha256

from airgap.errors import CorruptError, MissingError
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.bundle.tag import Tag
from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.format.inventory import Item
from airgap.store.item_kind import Description
from airgap.store.kinds import find_kind

__all__ = ["choose_items"]


def choose_items(opened: Opened, tag: Tag, *, with_models: bool) -> frozenset[tuple[int, str, str]]:
    """Return the keys of the items that a tag stands for, and of the models that it needs.

    Raises:
        CorruptError, MissingError: the Bento's description cannot be read.
    """
    items = [
        item
        for item in opened.manifest.value.items
        if (item.kind, item.name) == (tag.kind, tag.name) and tag.version in ("", item.version)
    ]
    wanted = _newest_of(items, opened)
    keys = {wanted.key}
    if with_models and wanted.kind == "bento" and len(opened.manifest.value.items) > 1:
        models = _read_description(wanted, opened).models
        named = {(model.kind, model.name, model.version) for model in models}
        keys |= {
            item.key
            for item in opened.manifest.value.items
            if (item.kind, item.name, item.version) in named
        }
    return frozenset(keys)


def _newest_of(items: list[Item], opened: Opened) -> Item:
    """Return the only version of a Bento in a bundle, or that which was made last."""
    if len(items) == 1 or items[0].kind != "bento":
        return items[-1]
    return max(items, key=lambda item: (_read_description(item, opened).created, item.version))


def _read_description(item: Item, opened: Opened) -> Description:
    """Read an item's description from its bundle, or from this machine; compare its digest."""
    path = item.rules.description
    file = next((file for file in item.files if file.path == path), None)
    if file is None:
        raise CorruptError(f"The {item} has no {path}.", "Ask the sender to export it again.")
    manifest = opened.manifest.value
    digests = [manifest.chunks.digest(chunk) for chunk in file.chunks]
    own = ChunkSources([BaseBundle(manifest, lambda: opened.reader)])
    text = _joined(own, digests) or _joined(opened.chunk_sources, digests)
    if sha256(text).digest() != file.digest:
        raise MissingError(
            f"The {path} of the {item} cannot be read from {opened.reader.location}.",
            "The pack with that file is missing or damaged, or the file is in the bundle that"
            " this one builds on: give that bundle with --depot.",
        )
    return find_kind(item.kind).read_description(text, f"{path} of {item}")


def _joined(sources: ChunkSources, digests: Sequence[bytes]) -> bytes:
    """Return a file's bytes, without the chunks that cannot be read."""
    sources.locate(digests)
    return b"".join(sources.read(digest) or b"" for digest in digests)
