"""What an item says of itself, gathered from its documents one by one (format §30.3).

A document that cannot be read is named with the reason, and says nothing else: it never keeps the
others from being read.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from airgap.bom.claims import LicenceClaim, Licences, LicenceText, make_claim, with_digests
from airgap.bom.configuration import Configuration, digest_template, read_configuration
from airgap.bom.documents import Document, NamedFile
from airgap.bom.licence_text import recognize_licence
from airgap.bom.model_card import ModelCard, read_model_card
from airgap.bom.weights import WeightsHeader, read_gguf, read_safetensors
from airgap.bom.wheel_metadata import read_wheel_licences
from airgap.errors import CorruptError
from airgap.format import image, wheelhouse
from airgap.format.image import ImageIndex
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.format.wheelhouse import Wheelhouse
from airgap.oci.documents import parse_manifest
from airgap.store.bentoml_yaml import parse_description
from airgap.store.item_kind import Reference
from airgap.store.yaml_tree import Scalar, parse_tree, string

__all__ = ["Facts", "FactsBuilder"]

_LABELS: Final = ("labels", "metadata")
_LICENCE_FIELDS: Final = ("license", "licence")
_MOST_CODE: Final = 50


@dataclass(frozen=True, slots=True)
class Facts:
    """What an item says. A path is one within the item; digests are SHA-256."""

    licences: Licences = field(default_factory=Licences)
    card: ModelCard = field(default_factory=ModelCard)
    card_path: str = ""
    configuration: Configuration = field(default_factory=Configuration)
    weights: WeightsHeader = field(default_factory=WeightsHeader)
    chat_templates: tuple[tuple[str, str], ...] = ()
    """Digest in hex, and path of the file that has the template."""
    code: tuple[str, ...] = ()
    """What of a model is code that a program may run, by path."""
    wheels: Mapping[str, Licences] = field(default_factory=dict)
    """Those of a wheelhouse, by path."""
    lock: Wheelhouse | None = None
    image: ImageIndex | None = None
    layers: Mapping[str, str] = field(default_factory=dict)
    """Media types of an image's layers, by digest in hex."""
    references: tuple[Reference, ...] | None = None
    """The models that a Bento names; None: that could not be read."""


@dataclass(slots=True)
class FactsBuilder:
    """Takes the documents of one item, in any order."""

    kind: Kind
    claims: list[LicenceClaim] = field(default_factory=list)
    texts: list[LicenceText] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    cards: dict[str, ModelCard] = field(default_factory=dict)
    configurations: dict[str, Configuration] = field(default_factory=dict)
    headers: dict[str, WeightsHeader] = field(default_factory=dict)
    templates: set[tuple[str, str]] = field(default_factory=set)
    wheels: dict[str, Licences] = field(default_factory=dict)
    lock: Wheelhouse | None = None
    image: ImageIndex | None = None
    layers: dict[str, str] = field(default_factory=dict)
    references: tuple[Reference, ...] | None = None

    def take(self, document: Document, raw: bytes) -> None:
        """Read a document, and forget its bytes."""
        try:
            _TAKERS[document.role](self, document, raw)
        except (ValueError, CorruptError) as error:
            reason = error.message if isinstance(error, CorruptError) else str(error)
            self.skip(document, reason.removesuffix("."))

    def skip(self, document: Document, reason: str) -> None:
        """Note that a document is not read."""
        if document.role == "wheel":
            unread = f"{document.path} is not readable: {reason}"
            self.wheels[document.path] = Licences(unreadable=(unread,))
        elif document.role != "blob":  # (most are layers)
            self.unreadable[document.path] = f"{document.path} is not readable: {reason}"

    def finish(self, files: Iterable[NamedFile], digests: Mapping[str, bytes]) -> Facts:
        """Return the facts; ``digests`` are those of files, by path, as far as they are known."""
        card_path = min(self.cards, key=lambda path: (path.count("/"), path), default="")
        licences = Licences(
            with_digests(sorted(self.claims, key=lambda claim: claim.source), digests),
            tuple(
                LicenceText(text.path, digests.get(text.path), text.name)
                for text in sorted(self.texts, key=lambda text: text.path)
            ),
            tuple(self.unreadable[path] for path in sorted(self.unreadable)),
        )
        return Facts(
            licences,
            self.cards.get(card_path, ModelCard()),
            card_path,
            _merge_configurations(self.configurations),
            _merge_headers(self.headers),
            tuple(sorted(self.templates)),
            tuple(self._list_code(files)),
            {
                path: Licences(with_digests(found.claims, digests), (), found.unreadable)
                for path, found in sorted(self.wheels.items())
            },
            self.lock,
            self.image,
            self.layers,
            self.references,
        )

    def _list_code(self, files: Iterable[NamedFile]) -> list[str]:
        if self.kind == BENTO.name:  # it is code, as everybody knows
            return []
        paths = [path for path, found in self.configurations.items() if found.runs_code]
        code = [f"{path}: auto_map" for path in sorted(paths)]
        code += [file.path for file in files if file.path.endswith(".py")]
        more = len(code) - _MOST_CODE
        return [*code[:_MOST_CODE], f"and {more:,} more"] if more > 0 else code


def _take_card(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    card = read_model_card(raw, document.path)
    builder.cards[document.path] = card
    builder.claims += card.licences


def _take_licence(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    builder.texts.append(LicenceText(document.path, None, recognize_licence(raw)))


def _take_configuration(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    configuration = read_configuration(raw)
    builder.configurations[document.path] = configuration
    builder.templates |= {(digest, document.path) for digest in configuration.chat_templates}


def _take_template(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    if not document.is_whole:
        raise ValueError("it is too long")
    builder.templates.add((digest_template(raw.decode(errors="replace")), document.path))


def _take_gguf(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    _take_header(builder, document, read_gguf(raw, document.path))


def _take_safetensors(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    _take_header(builder, document, read_safetensors(raw, document.path))


def _take_header(builder: FactsBuilder, document: Document, header: WeightsHeader) -> None:
    builder.headers[document.path] = header
    builder.claims += header.licences
    builder.templates |= {(digest, document.path) for digest in header.chat_templates}


def _take_description(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    if builder.kind == BENTO.name:
        description = parse_description(raw, document.path, with_models=True)
        builder.references = description.models
    if builder.kind in (BENTO.name, MODEL.name):
        builder.claims += _read_labels(raw, document.path)


def _read_labels(raw: bytes, path: str) -> list[LicenceClaim]:
    """Return what labels and metadata of BentoML say of the licence."""
    tree = parse_tree(raw)
    claims = []
    for section in _LABELS:
        fields = tree.get(string(section)) if isinstance(tree, dict) else None
        for name in _LICENCE_FIELDS if isinstance(fields, dict) else ():
            value = fields.get(string(name)) if isinstance(fields, dict) else None
            if isinstance(value, Scalar) and value.type == "str" and value.text.strip():
                claims.append(make_claim(value.text, f"{path}: {section}.{name}"))
    return claims


def _take_wheel(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    claims = read_wheel_licences(raw, document.size, document.path)
    builder.wheels[document.path] = Licences(claims)


def _take_lock(builder: FactsBuilder, _: Document, raw: bytes) -> None:
    builder.lock = wheelhouse.decode(raw)


def _take_index(builder: FactsBuilder, _: Document, raw: bytes) -> None:
    builder.image = image.decode(raw)


def _take_blob(builder: FactsBuilder, document: Document, raw: bytes) -> None:
    """Take the layers that a manifest names; other blobs are passed over."""
    if raw[:1] == b"{" and document.is_whole:
        manifest = parse_manifest(raw, document.path)
        builder.layers |= {layer.digest: layer.media_type for layer in manifest.layers}


def _merge_configurations(configurations: Mapping[str, Configuration]) -> Configuration:
    """Return what ``config.json`` nearest to the item's folder says."""
    paths = [path for path in configurations if path.rpartition("/")[2] == "config.json"]
    nearest = min(paths, key=lambda path: (path.count("/"), path), default="")
    return configurations.get(nearest, Configuration())


def _merge_headers(headers: Mapping[str, WeightsHeader]) -> WeightsHeader:
    """Return the first architecture that a header gives, and all base models."""
    ordered = [headers[path] for path in sorted(headers)]
    architecture = next((header.architecture for header in ordered if header.architecture), "")
    bases = dict.fromkeys(base for header in ordered for base in header.base_models)
    return WeightsHeader((), architecture, tuple(bases))


def digest_document(document: Document, raw: bytes) -> bytes | None:
    """Return the digest of a file that was read whole; None if it was not."""
    return hashlib.sha256(raw).digest() if document.is_whole else None


_TAKERS: Final[Mapping[str, Callable[[FactsBuilder, Document, bytes], None]]] = {
    "card": _take_card,
    "licence": _take_licence,
    "configuration": _take_configuration,
    "template": _take_template,
    "gguf": _take_gguf,
    "safetensors": _take_safetensors,
    "description": _take_description,
    "wheel": _take_wheel,
    "lock": _take_lock,
    "index": _take_index,
    "blob": _take_blob,
}
