"""What an item says of itself, read from its files on disk (format §30.3)."""

from collections.abc import Mapping

from airgap.bom.documents import list_documents
from airgap.bom.facts import Facts, FactsBuilder, digest_document
from airgap.format.kinds import Kind
from airgap.store.source_tree import StableFile, Tree

__all__ = ["read_tree"]


def read_tree(kind: Kind, tree: Tree, digests: Mapping[str, bytes] | None = None) -> Facts:
    """Read the documents of an item.

    Args:
        kind: the item's kind.
        tree: its files, as they were scanned.
        digests: those of its files, by path; None: those of documents that are read whole.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    files = {file.path: file for file in tree.files}
    builder = FactsBuilder(kind)
    known: dict[str, bytes] = {}
    for document in list_documents(kind, tree.files):
        with StableFile(files[document.path]) as stable:
            raw = stable.peek(document.offset, document.length)
        digest = None if digests else digest_document(document, raw)
        if digest:
            known[document.path] = digest
        builder.take(document, raw)
    return builder.finish(tree.files, digests or known)
