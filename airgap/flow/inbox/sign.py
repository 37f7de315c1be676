"""Signing what was pushed: compared with the builder's own store, then exported from the inbox."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.errors import MissingError, NotTrustedError
from airgap.flow.exporting.export import ExportRequest, export
from airgap.flow.exporting.write_bundle import ExportResult
from airgap.flow.inbox.inbox import Inbox, PushedItem, PushedTag
from airgap.flow.progress import Progress
from airgap.format.inventory import Entry, File, Folder, Item, Link, make_item
from airgap.format.kinds import MODEL
from airgap.store.item_kind import Reference, Source
from airgap.store.kinds import find_kind

__all__ = ["Comparison", "compare_with_store", "list_needed", "read_pushed", "sign_pushed"]

Comparison = Literal["same", "different", "absent"]
"""Whether the store of who asks has an item, and as it was pushed."""


def compare_with_store(tag: PushedTag, digest: str) -> Comparison:
    """Compare a pushed item with the one of its tag in this user's own store, all of it read.

    Raises:
        StorageError: a file cannot be read.
    """
    try:
        source = find_kind(tag.kind).scan(Reference(tag.kind, tag.name, tag.version))
    except MissingError:
        return "absent"
    return "same" if _read_item(source).digest.hex() == digest else "different"


def read_pushed(inbox: Inbox, tag: PushedTag) -> tuple[PushedItem, Item]:
    """Return the record of an item, and the item as its files are now, all of them read.

    Raises:
        MissingError: it is not in the inbox.
        StorageError: a file cannot be read.
    """
    pushed = inbox.require_item(tag)
    with _store_of(inbox):
        source = find_kind(tag.kind).scan(Reference(tag.kind, tag.name, tag.version))
    return pushed, _read_item(source)


def list_needed(inbox: Inbox, tag: PushedTag) -> list[PushedTag]:
    """Return the models that a pushed Bento names, and that travel with it: those of BentoML.

    Raises:
        MissingError: the item is not in the inbox.
    """
    inbox.require_item(tag)
    with _store_of(inbox):
        source = find_kind(tag.kind).scan(Reference(tag.kind, tag.name, tag.version))
    models = [model for model in source.references if model.kind == MODEL.name]
    return sorted(PushedTag(model.kind, model.name, model.version) for model in models)


def sign_pushed(
    inbox: Inbox,
    tag: PushedTag,
    request: ExportRequest,
    progress: Progress,
    *,
    takes_unseen: bool = False,
) -> ExportResult:
    """Sign an item of the inbox, and the models that it needs, and write the bundle.

    Each is compared with the builder's own store first: a signature says that the builder knows
    what it is on.

    Args:
        inbox: where the items are.
        tag: of the Bento or model.
        request: how to export; its ``bentos``, ``models`` and ``expected`` are chosen here.
        progress: shows what goes on.
        takes_unseen: whether to sign what the builder's own store does not have.

    Raises:
        NotTrustedError: an item is not what the builder's own store has, or is not there at all.
        MissingError: it, or a model that it needs, is not in the inbox.
        AirgapError: as ``export``.
    """
    tags = [tag, *list_needed(inbox, tag)]
    pushed = [_require_needed(inbox, needed, tag) for needed in tags]
    for item in pushed:
        progress.note(f"Comparing the {item.tag} with what this machine has.")
        _refuse_unknown(item, compare_with_store(item.tag, item.digest), takes_unseen)
    text = f"{tag.name}:{tag.version}"
    asked = replace(
        request,
        bentos=() if tag.kind == MODEL.name else (text,),
        models=(text,) if tag.kind == MODEL.name else (),
        expected={
            (item.tag.kind, item.tag.name, item.tag.version): bytes.fromhex(item.digest)
            for item in pushed
        },
    )
    with _store_of(inbox):
        done = export(asked, progress)
    for item in pushed:
        inbox.note_signed(item.tag, done.published.bundle)
    return done


def _require_needed(inbox: Inbox, needed: PushedTag, tag: PushedTag) -> PushedItem:
    """Return an item of the inbox. Raises MissingError: it is not there."""
    found = inbox.find(needed)
    if found is None and needed != tag:
        raise MissingError(
            f"The {tag} needs the {needed}, which is not in the inbox {inbox.folder}.",
            f"Push it: bentoml models push {needed.name}:{needed.version} --force",
        )
    return found or inbox.require_item(needed)


def _refuse_unknown(item: PushedItem, comparison: Comparison, takes_unseen: bool) -> None:  # noqa: FBT001
    if comparison == "different":
        raise NotTrustedError(
            f"The {item.tag} that was pushed is not the one that this machine has.",
            "Find out who pushed it; then `airgap inbox discard` it, and push the right one.",
        )
    if comparison == "absent" and not takes_unseen:
        raise NotTrustedError(
            f"This machine has no {item.tag}, so that nothing is known of what was pushed.",
            "Build or pull it here and run this again. To sign what you have not seen, add"
            " --unseen.",
        )


def _read_item(source: Source) -> Item:
    entries: list[Entry] = []
    for file in source.tree.files:
        with translate_errors(file.location):
            digest = digest_file(Path(file.location))
        entries.append(File(file.path, file.executable, file.size, digest, ()))
    entries += [Link(path, target) for path, target in source.tree.links.items()]
    entries += [Folder(path) for path in source.tree.empty_folders]
    return make_item(source.kind, source.name, source.version, entries)


@contextmanager
def _store_of(inbox: Inbox) -> Iterator[None]:
    """Let the inbox's home stand for the store of Bentos and models, in this process."""
    before = os.environ.get("BENTOML_HOME")
    os.environ["BENTOML_HOME"] = str(inbox.home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["BENTOML_HOME"]
        else:
            os.environ["BENTOML_HOME"] = before
