"""What an item says of itself, read from its files on disk (format §30.3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from airgap.bom.documents import list_documents
from airgap.bom.facts import Facts, FactsBuilder, digest_document
from airgap.format.kinds import Kind
from airgap.store.source_tree import StableFile, Tree

__all__ = ["ReadDocuments", "read_documents", "read_tree"]


def read_tree(kind: Kind, tree: Tree, digests: Mapping[str, bytes] | None = None) -> Facts:
    """Read the documents of an item.

    Args:
        kind: the item's kind.
        tree: its files, as they were scanned.
        digests: those of its files, by path; None: those of documents that are read whole.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    read = read_documents(kind, tree)
    return read.builder.finish(tree.files, read.digests if digests is None else digests)


@dataclass(frozen=True, slots=True)
class ReadDocuments:
    """What was read of an item, and the SHA-256 of the files that were read whole, by path."""

    builder: FactsBuilder
    digests: Mapping[str, bytes]


def read_documents(kind: Kind, tree: Tree) -> ReadDocuments:
    """Read the documents of an item whose digests are not known yet. Raises as ``read_tree``."""
    files = {file.path: file for file in tree.files}
    builder = FactsBuilder(kind)
    digests: dict[str, bytes] = {}
    for document in list_documents(kind, tree.files):
        with StableFile(files[document.path]) as stable:
            raw = stable.peek(document.offset, document.length)
        digest = digest_document(document, raw)
        if digest:
            digests[document.path] = digest
        builder.take(document, raw)
    return ReadDocuments(builder, digests)
