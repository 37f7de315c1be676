"""YAML as a tree of texts, read within limits. Nothing in it is constructed.

BentoML reads bento.yaml with PyYAML, in pure Python. A document that is small can keep that busy
for days (integers in base 60, merged maps, aliases of aliases), or make it raise. This reader
takes what PyYAML's safe dumper writes; the rest of YAML is refused.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import yaml

from airgap.format import limits
from airgap.printable import cut_text, quote

__all__ = ["Node", "Scalar", "parse_tree", "string"]

_TAGS: Final = "tag:yaml.org,2002:"
_STRING: Final = f"{_TAGS}str"
_BINARY: Final = f"{_TAGS}binary"
_REFUSED: Final = {f"{_TAGS}merge": "a merge key (<<)", f"{_TAGS}value": "a default value (=)"}
_NUMBER_CHARACTERS: Final = 100
"""Of what is neither a string nor bytes: a number, a time, true, null."""
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar(NamedTuple):
    """A value that is not made of others. ``type`` is the last word of its tag, such as ``int``."""

    type: str
    text: str


Node: TypeAlias = Scalar | list["Node"] | dict[Scalar, "Node"]


def string(text: str) -> Scalar:
    """Return the scalar of a string: what a map's field is looked up by."""
    return Scalar("str", text)


def parse_tree(
    raw: bytes,
    *,
    thorough: bool = False,
    plain: bool = False,
    most_values: int = limits.DESCRIPTION_NODES,
) -> Node:
    """Parse a document; an alias is the very object that its anchor names.

    Args:
        raw: the document, in UTF-8.
        thorough: also parse it with the parser that BentoML uses, which is 20 times slower, and
            refuse what the two read differently, such as a tab that one of them does not take.
        plain: refuse anchors, aliases and every tag.
        most_values: how many values the document may have.

    Raises:
        ValueError: it breaks a limit, is not YAML, or has what no safe dumper writes.
    """
    if len(raw) > limits.DESCRIPTION_BYTES:
        raise ValueError(f"it has more than {limits.DESCRIPTION_BYTES:,} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not in UTF-8") from error
    # BentoML reads the file as text, which makes every end of line the same.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    tree = _parse(text, _Loader, _Builder(plain, most_values))
    if (
        thorough
        and _Loader is not yaml.SafeLoader
        and tree != _parse(text, yaml.SafeLoader, _Builder(plain, most_values))
    ):
        raise ValueError("the parsers of YAML read it differently")
    return tree


def _parse(text: str, loader: type[yaml.SafeLoader], builder: "_Builder") -> Node:
    try:
        for event in yaml.parse(text, loader):
            builder.take(event)
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from error
    except ValueError:
        raise
    except Exception as error:  # (what a parser raises about strangers' text)
        raise ValueError(f"it cannot be parsed: {type(error).__name__}") from error
    return builder.finish()


@dataclass(slots=True)
class _Open:
    """A list or map that has not ended. ``key`` is set between a map's key and its value."""

    node: list[Node] | dict[Scalar, Node]
    anchor: str | None
    nodes: int
    characters: int
    key: Scalar | None = None
    height: int = 1


class _Anchored(NamedTuple):
    """What an anchor names, and what an alias of it counts for."""

    node: Node
    nodes: int
    characters: int
    height: int


@dataclass(slots=True)
class _Builder:
    """Builds the tree from events; what is behind an alias counts each time it is named."""

    is_plain: bool
    most_values: int
    open: list[_Open] = field(default_factory=list)
    roots: list[Node] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    nodes: int = 0
    characters: int = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event. Raises ValueError."""
        try:
            self._take(event)
        except ValueError as error:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise ValueError(f"it has {error} in line {line}") from error

    def finish(self) -> Node:
        """Return the only document. Raises ValueError."""
        if len(self.roots) != 1:
            raise ValueError(f"it has {len(self.roots)} documents")
        return self.roots[0]

    def _take(self, event: yaml.Event) -> None:
        if self.is_plain:
            _refuse_indirect(event)
        match event:
            case yaml.AliasEvent():
                self._add_alias(event.anchor or "")
            case yaml.ScalarEvent():
                scalar = _read_scalar(event)
                self._count(1, len(scalar.text), 1)
                self._anchor(event.anchor, _Anchored(scalar, 1, len(scalar.text), 1))
                self._add(scalar)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if event.tag is not None:
                    raise ValueError(f"the tag {quote(event.tag)}")
                self._count(1, 0, 1)
                node: list[Node] | dict[Scalar, Node] = (
                    [] if isinstance(event, yaml.SequenceStartEvent) else {}
                )
                self.open.append(_Open(node, event.anchor, self.nodes - 1, self.characters))
            case yaml.CollectionEndEvent():
                self._close()
            case yaml.DocumentStartEvent() if event.version or event.tags:
                raise ValueError("a directive")

    def _close(self) -> None:
        ended = self.open.pop()
        nodes, characters = self.nodes - ended.nodes, self.characters - ended.characters
        self._anchor(ended.anchor, _Anchored(ended.node, nodes, characters, ended.height))
        self._raise_height(ended.height + 1)
        self._add(ended.node)

    def _add_alias(self, anchor: str) -> None:
        if anchor not in self.anchors:
            raise ValueError(f"an alias *{cut_text(anchor, 40)}, which names nothing before it,")
        anchored = self.anchors[anchor]
        self._count(anchored.nodes, anchored.characters, anchored.height)
        self._raise_height(anchored.height + 1)
        self._add(anchored.node)

    def _anchor(self, name: str | None, anchored: _Anchored) -> None:
        if name is None:
            return
        if name in self.anchors:
            raise ValueError(f"the anchor &{cut_text(name, 40)} twice")
        self.anchors[name] = anchored

    def _count(self, nodes: int, characters: int, height: int) -> None:
        self.nodes += nodes
        self.characters += characters
        if self.nodes > self.most_values:
            raise ValueError(f"more than {self.most_values:,} values")
        if self.characters > limits.DESCRIPTION_BYTES:
            raise ValueError(f"more than {limits.DESCRIPTION_BYTES:,} characters")
        if len(self.open) + height > limits.DESCRIPTION_DEPTH:
            raise ValueError(f"more than {limits.DESCRIPTION_DEPTH} levels")

    def _raise_height(self, height: int) -> None:
        if self.open:
            self.open[-1].height = max(self.open[-1].height, height)

    def _add(self, node: Node) -> None:
        if not self.open:
            self.roots.append(node)
            return
        parent = self.open[-1]
        if isinstance(parent.node, list):
            parent.node.append(node)
        elif parent.key is not None:
            parent.node[parent.key] = node
            parent.key = None
        elif not isinstance(node, Scalar):
            raise ValueError("a list or map as a key")
        elif node in parent.node:
            raise ValueError(f"the key {quote(node.text)} twice")
        else:
            parent.key = node


def _refuse_indirect(event: yaml.Event) -> None:
    """Refuse what is not written where it stands. Raises ValueError."""
    if getattr(event, "anchor", None) is not None:
        raise ValueError("an anchor or an alias")
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise ValueError(f"the tag {quote(tag)}")


def _read_scalar(event: yaml.ScalarEvent) -> Scalar:
    """Say of which type a scalar is, and refuse one that PyYAML could not construct."""
    tag, text = event.tag, event.value
    if tag is None and event.implicit[0]:
        tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    elif tag is None:
        tag = _STRING
    elif tag != _BINARY:
        raise ValueError(f"the tag {quote(tag)}")
    if tag in _REFUSED:
        raise ValueError(_REFUSED[tag])
    if tag not in (_STRING, _BINARY) and len(text) > _NUMBER_CHARACTERS:
        raise ValueError(f"a number of {len(text):,} characters")
    if tag != _STRING:
        _refuse_unconstructible(tag, text)
    return Scalar(tag.removeprefix(_TAGS), text)


def _refuse_unconstructible(tag: str, text: str) -> None:
    """Construct a scalar, and forget it: PyYAML takes 2026-02-30 for a time, and then raises."""
    try:
        if tag == _BINARY:
            base64.decodebytes(text.encode("ascii"))
        else:
            yaml.constructor.SafeConstructor().construct_object(yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ArithmeticError, LookupError, ValueError, binascii.Error) as error:
        name = tag.removeprefix(_TAGS)
        raise ValueError(f"{quote(text)}, which cannot be read as {name},") from error


_RESOLVER: Final = yaml.resolver.Resolver()
