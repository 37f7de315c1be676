"""Which files of an item a bill of materials is made from, and how much of each is read (§30.3).

By name and size alone, so that a bundle's manifest says what has to be read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from airgap.bom.configuration import CONFIGURATION_BYTES, CONFIGURATIONS
from airgap.bom.licence_text import TEXT_BYTES, is_licence_file
from airgap.bom.model_card import CARD_BYTES
from airgap.bom.weights import GGUF_BYTES, SAFETENSORS_BYTES
from airgap.bom.wheel_metadata import TAIL_BYTES
from airgap.format import image, limits
from airgap.format.kinds import BENTO, IMAGE, WHEELHOUSE, Kind, find_rules

__all__ = ["DOCUMENTS_BYTES", "Document", "DocumentRole", "NamedFile", "list_documents"]

DOCUMENTS_BYTES: Final = 256 * limits.MIB
"""The most that is kept in memory at a time; what would exceed it is reported as not read."""
_MOST: Final = 500
"""Documents of an item other than wheels."""
_CARD_DEPTH: Final = 2
"""Cards, licences and configurations lie in the item's folder, or in one of its folders."""

DocumentRole = Literal[
    "card", "licence", "configuration", "template", "gguf", "safetensors", "description",
    "wheel", "lock", "index", "blob",
]  # fmt: skip


_WEIGHTS: Final[Mapping[str, tuple[DocumentRole, int]]] = {
    ".gguf": ("gguf", GGUF_BYTES),
    ".safetensors": ("safetensors", SAFETENSORS_BYTES),
}
_CARDS: Final = frozenset({"readme.md", "modelcard.md", "model_card.md"})


class NamedFile(Protocol):
    """A file of an item, by its path in it; ``size`` is in bytes."""

    @property
    def path(self) -> str:
        """The path within the item."""
        ...

    @property
    def size(self) -> int:
        """The size in bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A part of a file that is read: ``length`` bytes from ``offset``."""

    path: str
    role: DocumentRole
    offset: int
    length: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole file."""
        return self.length == self.size


def list_documents(kind: Kind, files: Sequence[NamedFile]) -> list[Document]:
    """Return what is read of an item's files, in the order of their paths."""
    if kind == WHEELHOUSE.name:
        return list(_list_wheels(files))
    if kind == IMAGE.name:
        return list(_list_blobs(files))
    documents = [
        document
        for file in files
        for document in [_find_document(kind, file)]
        if document is not None and document.length
    ]
    shallow = sorted(documents, key=lambda document: (document.path.count("/"), document.path))
    return sorted(shallow[:_MOST], key=lambda document: document.path)


def _find_document(kind: Kind, file: NamedFile) -> Document | None:
    folder, _, name = file.path.rpartition("/")
    if file.path == find_rules(kind).description:
        return _head(file, "description", limits.DESCRIPTION_BYTES)
    if kind == BENTO.name:
        is_top = folder in ("", "src") and is_licence_file(name)
        return _head(file, "licence", TEXT_BYTES) if is_top else None
    for suffix, (role, most) in _WEIGHTS.items():
        if name.lower().endswith(suffix):
            return _head(file, role, most)
    return _find_text(file, name) if file.path.count("/") < _CARD_DEPTH else None


def _find_text(file: NamedFile, name: str) -> Document | None:
    if name.lower() in _CARDS:
        return _head(file, "card", CARD_BYTES)
    if name in CONFIGURATIONS:
        return _head(file, "configuration", CONFIGURATION_BYTES + 1)
    if name.lower().endswith(".jinja"):
        return _head(file, "template", CONFIGURATION_BYTES)
    return _head(file, "licence", TEXT_BYTES) if is_licence_file(name) else None


def _list_wheels(files: Sequence[NamedFile]) -> Iterator[Document]:
    for file in files:
        if file.path.endswith(".whl"):
            length = min(file.size, TAIL_BYTES)
            yield Document(file.path, "wheel", file.size - length, length, file.size)
        elif file.path == find_rules(WHEELHOUSE.name).description:
            yield _head(file, "lock", limits.DESCRIPTION_BYTES)


def _list_blobs(files: Sequence[NamedFile]) -> Iterator[Document]:
    """Yield the documents of an image, and layers as short as they: only content tells."""
    for file in files:
        if file.path == image.INDEX:
            yield _head(file, "index", limits.IMAGE_DOCUMENT_BYTES)
        elif file.path.startswith(image.BLOBS) and file.size <= limits.IMAGE_DOCUMENT_BYTES:
            yield _head(file, "blob", limits.IMAGE_DOCUMENT_BYTES)


def _head(file: NamedFile, role: DocumentRole, most: int) -> Document:
    return Document(file.path, role, 0, min(file.size, most), file.size)
