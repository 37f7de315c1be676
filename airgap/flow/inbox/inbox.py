"""The folder of an inbox: whole items, and who pushed them (docs/adr/0072).

    home/       a store as BentoML's, with the items: a builder exports from it
    records/    one JSON file for each item: records/<kind>/<name>/<version>.json
    uploads/    what is on its way; a server removes at its start what is left there

Nothing in it is signed, and no client lists or pulls it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

from airgap.disk.durable import make_folder, replace_file, sync_folder
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConflictError, CorruptError, MissingError, UsageError
from airgap.format.inventory import Item, tag_problem
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.printable import quote
from airgap.store.install import install, lock_store
from airgap.store.install_paths import InstallPath, private_folder
from airgap.store.kinds import find_kind
from airgap.store.staging import STAGING, StagedItem, remove_tree

__all__ = ["STAGED", "Inbox", "PushedItem", "PushedTag", "make_pushed_item", "parse_pushed_tag"]

STAGED: Final = "push-"
"""How the folders in staging begin in which an upload is read."""
_KINDS: Final = {BENTO.name: "bentos", MODEL.name: "models"}
_RECORD_BYTES: Final = 4 * 1024 * 1024
_OWNER_ONLY: Final = 0o700


@dataclass(frozen=True, slots=True, order=True)
class PushedTag:
    """The kind and the tag of an item that was pushed, or is."""

    kind: Kind
    name: str
    version: str

    def __str__(self) -> str:
        """Write it for messages."""
        return f"{self.kind} {self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class PushedItem:
    """An item of an inbox, as its record has it. Only ``tag``, ``digest`` and ``size`` are checked.

    ``size`` is in bytes; ``received_at`` in seconds since 1970.
    """

    tag: PushedTag
    digest: str
    """The digest of the item (format §3.2), in hex: the same in the store of who pushed it."""
    size: int
    pushed_by: str
    """The name of the token; empty where none is asked for."""
    received_at: int
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """What the client says of it; it is given back to clients as it came."""
    bundle: str = ""
    """The id of the bundle in which a builder has signed it; empty until then."""


class Inbox:
    """An inbox in a folder. Threads and processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; nothing is read or written yet."""
        self.folder = folder
        self.home = folder / "home"
        self.uploads = folder / "uploads"
        self._records = folder / "records"
        self._lock = Lock()

    def prepare(self) -> None:
        """Make the folder if it is not there; remove uploads that no server goes on with.

        Raises:
            StorageError: it cannot be written.
        """
        with translate_errors(self.folder):
            for folder in (self.folder, self.home, self._records):
                make_folder(folder, _OWNER_ONLY)
            shutil.rmtree(self.uploads, ignore_errors=True)
            make_folder(self.uploads, _OWNER_ONLY)
        with self.locked():
            for left in (private_folder(self.home) / STAGING).glob(f"{STAGED}*"):
                remove_tree(left)

    def require(self) -> None:
        """Demand that the folder is an inbox. Raises MissingError: it is not."""
        if not self._records.is_dir():
            raise MissingError(
                f"{self.folder} is not an inbox.",
                "Give the folder that `airgap serve mirror --inbox` fills.",
            )

    def list_items(self) -> list[PushedItem]:
        """Return the items by their tag, the signed ones as well.

        Raises:
            CorruptError: a record was changed by something else.
        """
        with translate_errors(self._records):
            found = [_read_record(path) for path in self._records.glob("*/*/*.json")]
        return sorted(found, key=lambda item: item.tag)

    def find(self, tag: PushedTag) -> PushedItem | None:
        """Return an item; None if it is not there. Raises CorruptError as ``list_items``."""
        path = self._record_path(tag)
        with translate_errors(path), suppress(FileNotFoundError):
            return _read_record(path)
        return None

    def require_item(self, tag: PushedTag) -> PushedItem:
        """Return an item. Raises MissingError: it is not there."""
        item = self.find(tag)
        if item is None:
            raise MissingError(
                f"The {tag} is not in the inbox {self.folder}.",
                "`airgap inbox list` shows what is.",
            )
        return item

    def find_folder(self, tag: PushedTag) -> Path:
        """Return where the files of an item are."""
        return self.home / _KINDS[tag.kind] / tag.name / tag.version

    def target(self, tag: PushedTag) -> InstallPath:
        """Return where an item is installed in the inbox, and staged before that."""
        return InstallPath(self.find_folder(tag), self.home, None, may_hold_more=False)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the inbox's lock, also against other processes."""
        with self._lock, translate_errors(self.home), lock_store(self.home, lambda: None):
            yield

    def put(self, staged: StagedItem, pushed: PushedItem, expected: str) -> None:
        """Give a staged item its place, and record it; the lock must be held.

        Args:
            staged: its files, for ``target`` of its tag.
            pushed: its record.
            expected: the digest of the item of this tag that it may replace; empty: none.

        Raises:
            ConflictError: another push has put something else there meanwhile.
            StorageError: the disk refused.
        """
        present = self.find(pushed.tag)
        if present is not None and present.digest == pushed.digest:
            return
        if present is not None and present.digest != expected:
            raise ConflictError(
                f"Another push of {pushed.tag} has ended meanwhile, with other content.",
                "Compare both, and push the right one again, with --force.",
            )
        path = self._record_path(pushed.tag)
        with translate_errors(self.home):
            path.unlink(missing_ok=True)  # an item without its record is in nobody's list
            install(staged)
            self._write_record(pushed)

    def note_signed(self, tag: PushedTag, bundle: str) -> None:
        """Note the bundle in which a builder has signed an item."""
        with self.locked():
            item = self.find(tag)
            if item is not None:
                self._write_record(replace(item, bundle=bundle))

    def discard(self, tag: PushedTag) -> PushedItem:
        """Remove an item; return what its record said. Raises MissingError: it is not there."""
        with self.locked():
            item = self.require_item(tag)
            with translate_errors(self.folder):
                self._record_path(tag).unlink()
                remove_tree(self.find_folder(tag))
        return item

    def check_staged(self, staged: StagedItem) -> None:
        """Refuse an item that BentoML could not list. Raises CorruptError."""
        kind = find_kind(staged.item.kind)
        path = staged.item.rules.description
        text = (staged.folder / path).read_bytes() if path else b""
        kind.check(staged.item, text, thorough=True)
        kind.check_staged(staged.item, staged.folder)

    def _record_path(self, tag: PushedTag) -> Path:
        return self._records / tag.kind / tag.name / f"{tag.version}.json"

    def _write_record(self, item: PushedItem) -> None:
        path = self._record_path(item.tag)
        make_folder(path.parent, _OWNER_ONLY)
        replace_file(path, json.dumps(asdict(item), indent=1, sort_keys=True).encode() + b"\n")
        sync_folder(path.parent)


def parse_pushed_tag(text: str, kind: Kind) -> PushedTag:
    """Read ``name:version``.

    Raises:
        UsageError: it is not that.
    """
    name, _, version = text.partition(":")
    if tag_problem(kind, name, version) is not None:
        raise UsageError(f"{quote(text)} is not the tag of a {kind}.", "Write it as NAME:VERSION.")
    return PushedTag(kind, name, version)


def make_pushed_item(item: Item, **more: Any) -> PushedItem:  # noqa: ANN401  (fields of it)
    """Describe an item that has arrived; ``more`` is what its files do not say."""
    tag = PushedTag(item.kind, item.name, item.version)
    return PushedItem(tag, item.digest.hex(), item.size, **more)


def _read_record(path: Path) -> PushedItem:
    if path.stat().st_size > _RECORD_BYTES:
        raise _damaged(path)
    try:
        fields = json.loads(path.read_bytes())
        item = PushedItem(**{**fields, "tag": PushedTag(**fields["tag"])})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path) from error
    expected = (item.tag.kind, item.tag.name, f"{item.tag.version}.json")
    if path.parts[-3:] != expected:
        raise _damaged(path)
    return item


def _damaged(path: Path) -> CorruptError:
    return CorruptError(
        f"{path} is not the record of a pushed item.", "Remove it, and push the item again."
    )
