"""What arrives in an archive without a signature, and the items that it makes up (format §10)."""

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from airgap.carrier.stock.port import Member
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format import stock_archive as stock
from airgap.format.inventory import Entry, File, Folder, Item, Link, make_item
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.store.kinds import find_kind
from airgap.store.unsigned_staging import UnsignedStaging

__all__ = ["ReceivedItems"]

_MODEL = re.compile(r"models/([^/]+)/([^/]+)/(.+)")
_IGNORED = re.compile(r"models/(hugging-face/[0-9a-f]{64}|[^/]+/latest)")
_MODEL_YAML = re.compile(r"models/[^/]+/[^/]+/model\.yaml")


@dataclass(slots=True)
class ReceivedItems:
    """What came, by path in the archive, and what its descriptions say."""

    entries: dict[str, Entry] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    descriptions: dict[str, tuple[str, str]] = field(default_factory=dict)
    size: int = 0

    def take(
        self, member: Member, pieces: Iterator[bytes], incoming: UnsignedStaging | None
    ) -> None:
        """Remember a member, and write it if it is a file.

        Raises:
            CorruptError: it came before, or there is too much.
        """
        self.size += member.size
        if len(self.entries) + len(self.folders) >= limits.ENTRIES or (
            self.size > limits.UNSIGNED_BYTES
        ):
            raise _refusal("holds more than an archive may hold")
        if member.path in self.entries or member.path in self.folders:
            raise _refusal(f"has {member.path!r} twice")
        if member.kind == "folder":
            self.folders.add(member.path)
        elif member.kind == "link":
            self.entries[member.path] = Link(member.path, member.target)
        else:
            self.entries[member.path] = self._receive(member, pieces, incoming)

    def _receive(
        self, member: Member, pieces: Iterator[bytes], incoming: UnsignedStaging | None
    ) -> File:
        digest = hashlib.sha256()
        kept: list[bytes] = []
        described = _find_described_kind(member.path)
        if described and member.size > limits.DESCRIPTION_BYTES:
            raise _refusal(f"has an overlong {member.path}")

        def passing() -> Iterator[bytes]:
            for piece in pieces:
                digest.update(piece)
                if described:
                    kept.append(piece)
                yield piece

        if incoming is None:
            deque(passing(), maxlen=0)
        else:
            incoming.write(member.path, member.size, passing())
        if described:
            description = find_kind(described).read_description(b"".join(kept), member.path)
            self.descriptions[member.path] = description.name, description.version
        return File(member.path, member.executable, member.size, digest.digest(), ())

    def items(self) -> list[Item]:
        """Make the items, in item order.

        Raises:
            CorruptError: the archive holds neither a Bento nor a model, or has forbidden entries.
        """
        self._add_empty_folders()
        if BENTO.description in self.descriptions:
            return self._bento_with_models()
        if MODEL.description in self.descriptions:
            name, version = self.descriptions[MODEL.description]
            return [make_item(MODEL.name, name, version, list(self.entries.values()))]
        raise _refusal("has neither a bento.yaml nor a model.yaml at its top")

    def _bento_with_models(self) -> list[Item]:
        own: list[Entry] = []
        models: dict[tuple[str, str], list[Entry]] = {}
        for path, entry in self.entries.items():
            match = _MODEL.fullmatch(path)
            if match:
                models.setdefault((match[1], match[2]), []).append(_rename(entry, match[3]))
            elif not path.startswith(f"{stock.MODELS}/") and path != stock.MODELS:
                own.append(entry)
            elif not (isinstance(entry, Folder) or _IGNORED.fullmatch(path)):
                raise _refusal(f"has {path!r}, which belongs to no model")
        for name, version in models:
            path = f"{stock.MODELS}/{name}/{version}/{MODEL.description}"
            if self.descriptions.get(path) != (name, version):
                raise _refusal(f"has a model in {name}/{version} that does not call itself so")
        made = [make_item(MODEL.name, *tag, models[tag]) for tag in sorted(models)]
        name, version = self.descriptions[BENTO.description]
        return [*made, make_item(BENTO.name, name, version, own)]

    def _add_empty_folders(self) -> None:
        """Make entries of the folders that hold nothing."""
        holding = {
            above for path in (*self.entries, *self.folders) for above in _list_parents(path)
        }
        for path in self.folders - holding:
            self.entries[path] = Folder(path)


def _find_described_kind(path: str) -> Kind | None:
    """Return what the file describes, if it is a description whose place is known."""
    if path == BENTO.description:
        return BENTO.name
    if path == MODEL.description or _MODEL_YAML.fullmatch(path):
        return MODEL.name
    return None


def _list_parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _rename(entry: Entry, path: str) -> Entry:
    match entry:
        case File():
            return File(path, entry.executable, entry.size, entry.digest, ())
        case Link():
            return Link(path, entry.target)
        case Folder():
            return Folder(path)


def _refusal(why: str) -> CorruptError:
    return CorruptError(f"The archive {why}.", "Ask for it again, and for its signed manifest.")
