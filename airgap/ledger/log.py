"""The files of a site's ledger: ledger, state and witness (format §17.3 to §17.7)."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from airgap.disk import durable, locks, sharing
from airgap.disk.descriptors import hold_folder, name_folder
from airgap.disk.reading import read_from, read_if_exists
from airgap.errors import CorruptError, PolicyError, StorageError
from airgap.format import ledger as ledger_format
from airgap.format import limits, names
from airgap.format.fields import DIGEST_BYTES
from airgap.format.ledger import FRAME_BYTES, Entry, Event, Replaced, State, Witness
from airgap.format.tree import fold_edge, hash_leaf
from airgap.ledger.begin_again import begin_again, name_replaced
from airgap.ledger.check import (
    Consistent,
    Fault,
    LedgerEnd,
    check_end,
    check_ledger,
    check_witness,
    find_end,
    find_entries,
    fits_replaced,
    may_fit,
    read_entries,
    read_entry,
    rebuild_state,
)
from airgap.ledger.nodes import OFFSET_BYTES, count_nodes, list_completed
from airgap.ledger.state_file import STATE_FILE_BYTES, decode_state_file, encode_state_file
from airgap.ledger.tree import (
    LedgerParts,
    LedgerTree,
    NodeFiles,
    StaleNodesError,
    make_node_files,
)

__all__ = ["CHECKPOINT", "RECORDER", "LedgerStore", "LedgerWriter"]

T = TypeVar("T")

LEDGER: Final = "ledger"
STATE: Final = "state"
NODES: Final = "nodes"
OFFSETS: Final = "offsets"
CHECKPOINT: Final = "checkpoint"
RECORDER: Final = "recorder.pub"
WITNESS: Final = "witness"
_ASIDE: Final = "~reset-"
_OF_ONE_LEDGER: Final = (NODES, OFFSETS, CHECKPOINT, RECORDER)
_READ_TRIES: Final = 1000
_WITNESS_MODE: Final = 0o644  # its folder is private; root's is read by the store's owner
_ROOM: Final[Mapping[Event, int]] = MappingProxyType(
    {
        **dict.fromkeys(ledger_format.IMPORTS, limits.LEDGER_IMPORT_BYTES),
        "refused": limits.LEDGER_REFUSAL_BYTES,
    }
)
"""How long the ledger may be after an entry, in bytes; 256 MiB after others (format §17.3)."""


class LedgerStore:
    """Ledger and state in ``folder``, and the ``witness`` file of one BentoML home, if any."""

    def __init__(
        self,
        site: str,
        folder: Path,
        witness: Path | None = None,
        make_witness_folder: Callable[[], object] = lambda: None,
    ) -> None:
        """Name the files; nothing is read yet. ``make_witness_folder`` makes the witness's."""
        self.site = site
        self.folder = folder
        self.witness = witness
        self.make_witness_folder = make_witness_folder
        self.files = folder
        """The folder as its files are reached: by descriptor while the lock is held."""

    @property
    def home(self) -> str:
        """The state folder, in the form that a witness has (format §17.6)."""
        path = str(self.folder.parents[1])
        clean = "".join(" " if names.has_invisible(letter) else letter for letter in path)
        return clean[: limits.FOLDER_CHARACTERS]

    def exists(self) -> bool:
        """Tell whether the folder exists, intact or not."""
        return self.folder.exists()

    def check_end(self) -> Consistent | None:
        """Check state and the end of the ledger, and that the witness is not of a longer one.

        For who holds the lock and appends. None: they do not fit, and ``check`` says why.

        Raises:
            OSError: a file cannot be read.
        """
        state_file = read_if_exists(self.files / STATE, STATE_FILE_BYTES)
        start = find_end(state_file)
        data = None if start is None else read_from(self.files / LEDGER, start, 2 * FRAME_BYTES)
        if start is None or data is None or len(data) > 2 * FRAME_BYTES:
            return None
        consistent = check_end(self.site, state_file, LedgerEnd(start, data))
        if consistent is None or self.witness is None:
            return consistent
        witness = read_if_exists(self.witness, limits.SMALL_STATE_BYTES)
        return consistent if may_fit(consistent.state, witness) else None

    def check(self) -> tuple[Consistent | Fault, Fault | None]:
        """Check ledger and state, then the witness. Writes nothing and waits for no lock.

        Raises:
            OSError: a file cannot be read.
            StorageError: others write without end.
        """
        state, ledger = self._read_both()
        result = check_ledger(self.site, state, ledger)
        if isinstance(result, Fault) or ledger is None:
            return result, None
        if self.witness is None:
            return result, None
        witness = read_if_exists(self.witness, limits.SMALL_STATE_BYTES)
        fault = check_witness(ledger, result.state, witness, self.home)
        if fault and witness and fits_replaced(witness, ledger, self._find_aside):
            fault = None
        return result, fault

    def number_aside(self) -> list[int]:
        """Return the numbers of the resets that put a ledger aside here, in their order.

        Raises:
            OSError: the folder cannot be listed.
        """
        names = (path.name for path in self.folder.parent.glob(f"{self._base}{_ASIDE}*"))
        numbers = (name.removeprefix(f"{self._base}{_ASIDE}") for name in names)
        return sorted(int(one) for one in numbers if one.isdecimal() and one[0] != "0")

    def open_aside(self, number: int) -> "LedgerStore":
        """Return the ledger that reset ``number`` put aside, with the witness of then."""
        folder = self.folder.with_name(f"{self._base}{_ASIDE}{number}")
        return LedgerStore(self.site, folder, folder / WITNESS if self.witness else None)

    @property
    def _base(self) -> str:
        """The name of the folder of the ledger that goes on: no site's id has a tilde."""
        return self.folder.name.partition("~")[0]

    def list_aside(self) -> Iterator[tuple[Path, bytes]]:
        """Yield the ledgers that resets put aside, each with its first entry, of which it has one.

        Raises:
            StorageError: one of them cannot be read.
        """
        for number in self.number_aside():
            aside = self.open_aside(number)
            if first := aside.read_first():
                yield aside.folder / LEDGER, first

    def find_successor(self, replaced: Replaced) -> Entry | None:
        """Return the entry `reset` here that says what it replaces in these words, if one does.

        Raises:
            StorageError: a ledger cannot be read.
        """
        later = map(self.open_aside, self.number_aside())
        for store in (*later, LedgerStore(self.site, self.folder.with_name(self._base))):
            with suppress(CorruptError):
                entry = ledger_format.decode_entry(store.read_first())
                if entry.replaces == replaced:
                    return entry
        return None

    def find_aside(self, digest: bytes) -> Iterator[Entry]:
        """Yield the intact entries of ledgers that resets put aside in which a digest occurs.

        Raises:
            StorageError: one of them cannot be read.
        """
        for path, _ in self.list_aside():
            ledger = read_if_exists(path, limits.LEDGER_BYTES) or b""
            if digest in ledger:  # what is intact takes a while to find out
                state = rebuild_state(self.site, ledger)
                yield from find_entries(ledger[: state.size if state else 0], digest)

    def _find_aside(self, first: bytes) -> bytes | None:
        """Return the ledger that a reset put aside, by the digest of its first entry."""
        for path, entry in self.list_aside():
            if ledger_format.digest(entry) == first:
                return read_if_exists(path, limits.LEDGER_BYTES)
        return None

    def read_first(self) -> bytes:
        """Return the first entry, as far as its length says; nothing if there is none."""
        return read_entry(read_from(self.files / LEDGER, 0, FRAME_BYTES) or b"", 1)

    def read_intact(self) -> tuple[LedgerTree, Replaced] | None:
        """Return the intact entries as a tree, and how a reset names them; None if there is none.

        Nothing is written: that is for a ledger that goes on.
        """
        ledger = read_if_exists(self.files / LEDGER, limits.LEDGER_BYTES) or b""
        state = rebuild_state(self.site, ledger)
        if state is None:
            return None
        parts = LedgerParts.of(ledger, make_node_files(ledger[: state.size]))
        tree = LedgerTree(self.site, parts, state.entries, fold_edge(state.edge))
        return tree, name_replaced(state)

    def read_entries(self) -> Iterator[Entry]:
        """Yield the entries from the first one on, as far as they are intact."""
        _, ledger = self._read_both()
        for entry, _ in read_entries(self.site, ledger or b""):
            yield entry

    def read_tree(self, state: State, *, anew: bool) -> LedgerTree:
        """Return the entries that the state of a consistent ledger counts, as a tree.

        Stored nodes that do not fit are written again, as far as this user may; with ``anew``, they
        are computed in any case.
        """
        ledger = read_if_exists(self.files / LEDGER, limits.LEDGER_BYTES) or b""
        files = NodeFiles(
            read_if_exists(self.files / NODES, limits.LEDGER_BYTES) or b"",
            read_if_exists(self.files / OFFSETS, limits.LEDGER_BYTES) or b"",
        )
        root = fold_edge(state.edge)
        tree = LedgerTree(self.site, LedgerParts.of(ledger, files), state.entries, root)
        if not anew and tree.fits():
            return tree
        made = make_node_files(ledger[: state.size])
        if made != files:
            with suppress(OSError):
                _replace(self.files / NODES, made.nodes)
                _replace(self.files / OFFSETS, made.offsets)
        return LedgerTree(self.site, LedgerParts.of(ledger, made), state.entries, root)

    def use_tree(self, state: State, work: Callable[[LedgerTree], T]) -> T:
        """Do something with the tree of a consistent ledger, of which only parts are read.

        If stored nodes turn out to be wrong, they are made again, and it is done again.
        """
        parts = LedgerParts(*(partial(self._read_part, name) for name in (LEDGER, NODES, OFFSETS)))
        try:
            return work(LedgerTree(self.site, parts, state.entries, fold_edge(state.edge)))
        except StaleNodesError:
            return work(self.read_tree(state, anew=True))

    def _read_part(self, name: str, offset: int, count: int) -> bytes:
        return (read_from(self.files / name, offset, count) or b"")[:count]

    def read_last(self, state: State) -> Entry:
        """Return the last entry that the state of a consistent ledger counts."""
        data = read_from(self.files / LEDGER, state.last, FRAME_BYTES) or b""
        return ledger_format.decode_entry(read_entry(data, 1))

    def find_entries(self, state: State, bundle: bytes) -> Iterator[Entry]:
        """Yield the entries that a state counts and in which a bundle's id occurs."""
        ledger = self._read_both()[1] or b""
        yield from find_entries(ledger[: state.size], bundle)

    def has_refused(self, state: State, bundle: bytes) -> bool:
        """Tell whether an entry that the state counts says that this bundle was refused."""
        return any(
            entry.event == "refused" and entry.bundle == bundle
            for entry in self.find_entries(state, bundle)
        )

    def rebuild_state(self) -> State | None:
        """Return the state that follows from the ledger's intact entries; None: there is none."""
        return rebuild_state(self.site, self._read_both()[1])

    def create(self, entry: Entry) -> None:
        """Write the first ledger and state, which appear at once; nothing if the folder exists.

        Raises:
            OSError: the disk refused.
        """
        sharing.make_own_folder(self.folder.parent)
        with locks.lock_folder(self.folder.parent):
            if self.exists():  # another process was quicker
                return
            part = self.folder.with_name(f".{self.folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            sharing.make_new_folder(part)
            raw = ledger_format.encode_entry(
                replace(entry, previous=secrets.token_bytes(DIGEST_BYTES))
            )
            with hold_folder(part) as held:
                _write_both(held, self.site, ledger_format.frame(raw))
            part.rename(self.folder)
            durable.sync_folder(self.folder.parent)

    @contextmanager
    def lock(self, on_wait: Callable[[], None]) -> Iterator["LedgerWriter"]:
        """Hold the site's lock, to check the ledger again and to append to it.

        What the writer's store checks is what is written: the folder is held by its descriptor. In
        a shared state folder, where members can rename it, it may not be a link.

        Raises:
            OSError: the folder does not exist, or the file system has no locks.
        """
        flags = os.O_NOFOLLOW if sharing.is_shared(self.folder.parent) else 0
        with locks.lock_folder(self.folder, on_wait, flags) as descriptor:
            held = copy(self)
            held.files = name_folder(descriptor, self.folder)
            yield LedgerWriter(held)

    def _read_both(self) -> tuple[bytes | None, bytes | None]:
        """Read state and ledger of one moment: the state is the same before and after."""
        for _ in range(_READ_TRIES):
            state = read_if_exists(self.files / STATE, STATE_FILE_BYTES)
            ledger = read_if_exists(self.files / LEDGER, limits.LEDGER_BYTES)
            if read_if_exists(self.files / STATE, STATE_FILE_BYTES) == state:
                return state, ledger
        raise StorageError(
            f"{self.folder} changes whenever it is read.", "Check what else writes to it."
        )


class LedgerWriter:
    """Writes ledger, state and witness, while the site's lock is held."""

    def __init__(self, store: LedgerStore) -> None:
        """Take a store whose lock is held."""
        self.store = store
        self._files = store.files

    def append(self, consistent: Consistent, entry: Entry) -> State:
        """Append an entry, with ``previous`` filled in. Returns the state that follows.

        Raises:
            PolicyError, StorageError: the ledger has no room for the entry's channel, or for the
                entry (format §17.3); nothing was written.
            OSError: the disk refused. Then the entry was not appended, or is as good as appended.
        """
        before = consistent.state
        raw = ledger_format.encode_entry(replace(entry, previous=before.head))
        after = ledger_format.next_state(before, entry, raw)
        self._refuse_overflow(after, entry)
        self._write_adopted(consistent)
        durable.append(self._files / LEDGER, before.size, ledger_format.frame(raw))
        self._write_state(after)
        self._extend_nodes(before, raw)
        return after

    def _extend_nodes(self, before: State, raw: bytes) -> None:
        """Add the nodes that an entry completes, if those before it are there. Nothing is synced.

        What fails here is made again when it is needed (format §28.8).
        """
        with suppress(OSError):
            edge = list(before.edge)
            new = b"".join(list_completed(edge, before.entries, hash_leaf(raw)))
            offset = before.size.to_bytes(OFFSET_BYTES, "little")
            durable.extend(self._files / NODES, count_nodes(before.entries) * DIGEST_BYTES, new)
            durable.extend(self._files / OFFSETS, before.entries * OFFSET_BYTES, offset)

    def write_witness(self, state: State) -> None:
        """Record in BentoML's home how many entries the ledger has (format §17.6)."""
        path = self.store.witness
        if path is None:
            return
        self.store.make_witness_folder()
        if not path.exists():
            for folder in path.parents[1:3]:
                durable.sync_folder(folder)
        witness = Witness(state.site, state.entries, state.head, state.first, self.store.home)
        durable.replace_file(path, ledger_format.encode_witness(witness), mode=_WITNESS_MODE)

    def reset(self, entry: Entry) -> tuple[Path, State]:
        """Begin a new ledger with ``entry``, and write state and witness (format §17.7).

        The old files are copied to a new folder beside. Returns that folder and the new state.
        """
        old = self.store.rebuild_state()
        ledger = read_if_exists(self._files / LEDGER, limits.LEDGER_BYTES) or b""
        aside = self._copy_aside()
        first = replace(entry, previous=secrets.token_bytes(DIGEST_BYTES))
        intact = read_entries(entry.site, ledger)
        new = begin_again(first, old, intact, self._read_summarized())
        after = _write_both(self._files, self.store.site, new)
        for name in _OF_ONE_LEDGER:
            (self._files / name).unlink(missing_ok=True)
        self.write_witness(after)
        return aside, after

    def _read_summarized(self) -> State | None:
        """Return what the state file says; None if it cannot be read, or is another site's."""
        with suppress(CorruptError):
            raw = read_if_exists(self._files / STATE, STATE_FILE_BYTES)
            state = decode_state_file(raw or b"").state
            return state if state.site == self.store.site else None
        return None

    def _write_adopted(self, consistent: Consistent) -> None:
        """Write the state that counts an entry which a crash kept out of it (format §17.5).

        Else a second crash would leave two entries that the state does not count.
        """
        if consistent.adopted:
            self._write_state(consistent.state)

    def _write_state(self, state: State) -> None:
        """Write a state into the place of the older one, or a new file if it does not fit there."""
        path = self._files / STATE
        try:
            slot = decode_state_file(read_if_exists(path, STATE_FILE_BYTES) or b"").make_slot(state)
        except CorruptError:
            slot = None
        if slot is None:
            _replace(path, encode_state_file(state))
        else:
            durable.overwrite(path, slot.offset, slot.data)

    def _refuse_overflow(self, after: State, entry: Entry) -> None:
        """Refuse an entry that the ledger has no room for (format §17.3); raises as ``append``."""
        if len(after.channels) > limits.CHANNELS:
            raise PolicyError(
                f"This site has bundles of {limits.CHANNELS:,} channels, and its ledger has no room"
                f" for another one, {entry.channel}.",
                "Ask the sender to export to a channel that this site has: `airgap trust show`"
                " lists them.",
            )
        limit = _ROOM.get(entry.event, limits.LEDGER_BYTES)
        if after.size > limit:
            raise StorageError(
                f"The ledger in {self.store.folder} would have {after.size:,} bytes with the entry"
                f" `{entry.event}`, and may have {limit:,} then.",
                "Please report this: no ledger is known to have been filled before.",
            )

    def _copy_aside(self) -> Path:
        aside = self.store.open_aside(max(self.store.number_aside(), default=0) + 1).folder
        part = aside.with_name(f".{aside.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        sharing.make_new_folder(part)
        sources: dict[str, tuple[Path, int]] = {
            LEDGER: (self._files / LEDGER, limits.LEDGER_BYTES),
            STATE: (self._files / STATE, STATE_FILE_BYTES),
            CHECKPOINT: (self._files / CHECKPOINT, limits.NOTE_BYTES),
            RECORDER: (self._files / RECORDER, limits.NOTE_BYTES),
        }
        if self.store.witness is not None:
            sources |= {WITNESS: (self.store.witness, limits.SMALL_STATE_BYTES)}
        with hold_folder(part) as held:
            for kind, (path, limit) in sources.items():
                data = read_if_exists(path, limit)
                if data is not None:
                    _replace(held / kind, data)
        part.rename(aside)
        durable.sync_folder(aside.parent)
        return aside


def _write_both(folder: Path, site: str, ledger: bytes) -> State:
    """Write a complete ledger, then the state that follows from it."""
    state = rebuild_state(site, ledger)
    if state is None or state.size != len(ledger):
        raise ValueError("the ledger is not intact")
    _replace(folder / LEDGER, ledger)
    _replace(folder / STATE, encode_state_file(state))
    return state


def _replace(path: Path, data: bytes) -> None:
    durable.replace_file(path, data, mode=sharing.choose_file_mode(path.parent))
