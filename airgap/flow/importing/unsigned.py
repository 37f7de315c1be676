"""Import of an archive without a signature: only where a person insists (format §10).

What is in it is proven by nothing. Its form is checked as strictly as that of a signed one, and
its inventory is made here, so that staging, conflicts and renames are those of every import.
"""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from airgap.carrier.stock.archive import StockReader
from airgap.carrier.stock.port import Member
from airgap.errors import CorruptError, NotTrustedError
from airgap.flow.admission import history
from airgap.flow.admission.policy import require_root
from airgap.flow.importing.install_bundle import (
    ImportRecord,
    InstallOptions,
    InstallResult,
    accept_staged,
    commit,
    finish_staging,
    foresee,
    lock_stores,
    make_plan,
    preview,
)
from airgap.flow.importing.plan import Plan
from airgap.flow.location.location import StockArchive
from airgap.flow.progress import Progress
from airgap.flow.scanning.gate import examine_staged
from airgap.flow.scanning.policy import read_site_policy
from airgap.format import limits
from airgap.format import stock_archive as stock
from airgap.format.inventory import Entry, File, Folder, Item, Link, make_item
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.state import pinned_root
from airgap.store import bentoml_home
from airgap.store.kinds import find_kind, install_path
from airgap.store.replaced import put_back_replaced
from airgap.store.staging import StagedItem
from airgap.store.unsigned_staging import UnsignedStaging

__all__ = ["WARNING", "import_unsigned", "is_unsigned"]

WARNING: Final = (
    "NOT SIGNED: nothing proves who made {} or that it was not changed. Anyone who could change it"
    " can run programs here as soon as its Bento is served."
)

_MODEL = re.compile(r"models/([^/]+)/([^/]+)/(.+)")
_IGNORED = re.compile(r"models/(hugging-face/[0-9a-f]{64}|[^/]+/latest)")
_MODEL_YAML = re.compile(r"models/[^/]+/[^/]+/model\.yaml")


def is_unsigned(archive: StockArchive) -> bool:
    """Tell whether there is an archive without a manifest beside it."""
    path = archive.path
    return path.exists() and not StockReader(path, archive.form).is_signed


def import_unsigned(
    archive: StockArchive,
    choices: InstallOptions,
    progress: Progress,
    check: Callable[[Sequence[Item]], object] | None = None,
    check_staged: Callable[[Plan], Mapping[str, bytes]] = lambda _: {},
) -> InstallResult:
    """Install what an archive holds although it is not signed.

    ``check`` sees the items before anything is installed, and may raise; ``check_staged`` is as for
    ``install_bundle``.

    Raises:
        NotTrustedError: a manifest lies beside it: then that one counts.
        CorruptError: its members break a rule of format §2 or §10, or make up no Bento or model.
        ConflictError, StorageError: as ``install_bundle.import_bundle``.
        PolicyError: the import history of this machine's site has a fault.
    """
    if pinned_root.load_root() is not None:
        history.require_consistent(require_root().value.site)
    reader = StockReader(archive.path, archive.form)
    if reader.is_signed:
        raise NotTrustedError(
            f"{archive} has a manifest beside it, so it is not taken as unsigned.",
            "Import it without --insecure-allow-unsigned.",
        )
    progress.note(f"Reading {archive}.")
    with ExitStack() as held:
        stores = () if choices.dry_run else (bentoml_home.home(),)
        held.enter_context(lock_stores(stores, progress))
        incoming = None if choices.dry_run else UnsignedStaging()
        if incoming is not None:
            held.callback(incoming.discard)
        received = _Received()
        for member, pieces in reader.members():
            received.take(member, pieces, incoming)
        items = received.items()
        if check:
            check(items)
        name = hashlib.sha256(b"".join(item.digest for item in items)).hexdigest()
        if incoming is not None:
            _discard(items, name)  # what a killed import of the same archive left
            held.callback(_discard, items, name)
            _move_to_staging(incoming, items, name)
        plan = make_plan(items, name, choices, progress)
        peaks = foresee(plan, None)
        if choices.dry_run:
            return replace(preview(plan), peaks=peaks)
        documents = _scan(plan, progress)
        finish_staging(plan.staged, progress, signed=False)
        record = _make_record(name, {**documents, **accept_staged(plan, check_staged)})
        return replace(commit(plan, record, progress), peaks=peaks)


def _scan(plan: Plan, progress: Progress) -> Mapping[str, bytes]:
    """Refuse what the site's scan policy refuses, and return digests for the ledger (§32.6)."""
    root = None if pinned_root.load_root() is None else require_root().value
    scan_policy = read_site_policy(root)
    if scan_policy is None or not plan.staged:
        return {}
    result = examine_staged(plan.staged, plan.bundle, scan_policy, progress)
    if result.refusal is not None:
        raise result.refusal
    return result.documents


def _make_record(name: str, documents: Mapping[str, bytes]) -> ImportRecord | None:
    """Say what the site's history records of this, if the machine belongs to one (§17.3)."""
    if pinned_root.load_root() is None:
        return None
    entry = history.make_root_entry(require_root().value, "unsigned")
    entry = replace(entry, bundle=bytes.fromhex(name), documents=documents)
    return ImportRecord(entry, lambda _: None)


@dataclass(slots=True)
class _Received:
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


def _move_to_staging(incoming: UnsignedStaging, items: list[Item], name: str) -> None:
    """Move each item to where it is staged: models first, then what is left as the Bento."""
    alone = len(items) == 1 and items[0].kind == MODEL.name
    for item in items:
        if item.kind == BENTO.name:
            incoming.remove(stock.MODELS)
        path = "" if alone else stock.path_prefix(item)
        incoming.hand_over(path, StagedItem(item, install_path(item), name))


def _discard(items: list[Item], name: str) -> None:
    """Remove what is staged, unless an item that was to be replaced has its only copy there."""
    try:
        for store in {install_path(item).store for item in items}:
            put_back_replaced(store)
    except OSError:  # the next import puts it back
        return
    for item in items:
        StagedItem(item, install_path(item), name).discard()


def _refusal(why: str) -> CorruptError:
    return CorruptError(f"The archive {why}.", "Ask for it again, and for its signed manifest.")
