"""Which items of a bundle a tag stands for: a Bento or model, with all that it needs."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from airgap.errors import CorruptError, MissingError
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.bundle.tag import Tag
from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, FILES, IMAGE, WHEELHOUSE
from airgap.format.wheelhouse import decode, requirements_digest
from airgap.store.item_kind import Description
from airgap.store.kinds import find_kind

__all__ = ["choose_items"]


def choose_items(opened: Opened, tag: Tag, *, with_models: bool) -> frozenset[tuple[int, str, str]]:
    """Return the keys of the items that a tag stands for.

    With a Bento come its wheelhouses, the folders and images of the bundle, which name no Bento,
    and, if ``with_models``, the models that it needs.

    Raises:
        CorruptError, MissingError: the Bento's description cannot be read.
    """
    items = [
        item
        for item in opened.manifest.value.items
        if (item.kind, item.name) == (tag.kind, tag.name) and tag.version in ("", item.version)
    ]
    wanted = _newest_of(items, opened)
    if wanted.kind != BENTO.name:
        return frozenset({wanted.key})
    others = [item for item in opened.manifest.value.items if item.kind != BENTO.name]
    needed = [*_list_closure(wanted, others, opened)]
    if with_models:
        needed += _list_models(wanted, others, opened)
    return frozenset(item.key for item in (wanted, *needed))


def _list_closure(bento: Item, others: Sequence[Item], opened: Opened) -> Iterator[Item]:
    requirements = requirements_digest(bento.files)
    for item in others:
        if item.kind == WHEELHOUSE.name:
            if decode(_read_text(item, opened)).requirements == requirements:
                yield item
        elif item.kind in {FILES.name, IMAGE.name}:
            yield item


def _list_models(bento: Item, others: Sequence[Item], opened: Opened) -> list[Item]:
    if not others:
        return []
    models = _read_description(bento, opened).models
    named = {(model.kind, model.name, model.version) for model in models}
    return [item for item in others if (item.kind, item.name, item.version) in named]


def _newest_of(items: list[Item], opened: Opened) -> Item:
    """Return the only version of a Bento in a bundle, or that which was made last."""
    if len(items) == 1 or items[0].kind != BENTO.name:
        return items[-1]
    return max(items, key=lambda item: (_read_description(item, opened).created, item.version))


def _read_description(item: Item, opened: Opened) -> Description:
    text = _read_text(item, opened)
    return find_kind(item.kind).read_description(text, f"{item.rules.description} of {item}")


def _read_text(item: Item, opened: Opened) -> bytes:
    """Read the file that describes an item from its bundle, or from this machine.

    Its digest is compared. Raises as ``choose_items``.
    """
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
    return text


def _joined(sources: ChunkSources, digests: Sequence[bytes]) -> bytes:
    """Return a file's bytes, without the chunks that cannot be read."""
    sources.locate(digests)
    return b"".join(sources.read(digest) or b"" for digest in digests)
