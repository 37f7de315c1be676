"""The ledgers of a site on this machine, and the witness in BentoML's home (format §17)."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, PolicyError, StorageError
from airgap.flow.admission.who import find_who
from airgap.flow.progress import Progress, Silent
from airgap.format import limits, names
from airgap.format.ledger import Entry, Event, State
from airgap.format.root import Root
from airgap.ledger.check import NO_HEAD, Consistent, Fault
from airgap.ledger.log import LedgerStore, LedgerWriter
from airgap.state.state_folder import state_folder
from airgap.store import bentoml_home
from airgap.store.install_paths import private_folder
from airgap.store.private_folder import make_private_folder, refuse_private

__all__ = [
    "HistoryStatus",
    "Side",
    "begin_history",
    "check_history",
    "clip_note",
    "compute_effective_time",
    "compute_time_floor",
    "ledgers_folder",
    "list_export_ledgers",
    "locate_ledger",
    "lock_history",
    "make_root_entry",
    "read_entries",
    "record_import",
    "record_refusal",
    "record_root",
    "require_consistent",
    "stamp_entry",
]

Side = Literal["importing", "exporting"]
"""Which of a site's ledgers (format §17.3): that of its imports, or that of exports for it."""
_JUDGED: Final[frozenset[Event]] = frozenset({"imported", "waived"})
_WITNESS: Final = "witness"
_WAITING: Final = "Waiting for another import of this site to finish."
_WAITING_FOR_EXPORT: Final = "Waiting for another process that records an export for this site."


@dataclass(frozen=True, slots=True)
class HistoryStatus:
    """The import history of a site: ``consistent``, or the ``fault`` with it.

    ``state`` follows from the ledger's intact entries, from the first one on; None: there is none.
    """

    store: LedgerStore
    state: State | None
    consistent: Consistent | None = None
    fault: Fault | None = None

    @property
    def entries(self) -> int:
        """The number of intact entries."""
        return self.state.entries if self.state else 0

    @property
    def head(self) -> str:
        """The digest of the last intact entry, in hex; zeros if there is none."""
        return (self.state.head if self.state else NO_HEAD).hex()

    def matches_entries(self) -> bool:
        """Tell whether the ledger's entries, read one after the other, lead to this state."""
        return self.store.rebuild_state() == self.state

    def require(self) -> Consistent:
        """Return that it is consistent.

        Raises:
            PolicyError: there is a fault.
        """
        if self.consistent is None:
            raise self.make_error()
        return self.consistent

    def make_error(self) -> PolicyError:
        """Return the error that every import ends with while there is a fault."""
        return _history_error(self)


def check_history(name: str, side: Side = "importing", reset: int = 0) -> HistoryStatus:
    """Check a ledger of a site, or the one that a reset put aside. Writes nothing, and locks none.

    Raises:
        StorageError: a file cannot be read.
    """
    store = locate_ledger(name, side, reset)
    with translate_errors(store.folder):
        return _check(store)


def require_consistent(name: str) -> State:
    """Return the state of a site's import history.

    Raises:
        PolicyError: the history is missing, restored or damaged (format §17.5, §17.6).
        StorageError: a file cannot be read.
    """
    return check_history(name).require().state


def compute_time_floor(state: State | None, root: Root) -> int:
    """Return the time floor, in seconds since 1970 (format §17.2)."""
    return max(0 if state is None else state.floor, root.created_at or 0)


def compute_effective_time(state: State | None, root: Root) -> int:
    """Return the later of the clock and the time floor, in seconds since 1970 (format §17.2)."""
    return max(int(time.time()), compute_time_floor(state, root))


def begin_history(root: Root) -> None:
    """Create the import history of a site, or record that its root is trusted again.

    Raises:
        StorageError: it cannot be written.
    """
    store = locate_ledger(root.site)
    if not store.exists():
        with translate_errors(store.folder):
            store.create(stamp_entry(make_root_entry(root, "begun"), None))
    else:
        record_root(root, root.created_at or 0)


def record_root(root: Root, floor: int) -> None:
    """Record that a root takes over, and raise the floor; nothing while the history has a fault.

    Raises:
        StorageError: it cannot be written.
    """
    if check_history(root.site).consistent:
        with lock_history(root.site, Silent()) as (writer, status):
            entry = make_root_entry(root, "trusted")
            _append_new(writer, status, replace(entry, floor=max(entry.floor, floor)))


def record_refusal(entry: Entry, error: AirgapError) -> AirgapError:
    """Record a refusal; return the error, with one more line if that was not possible."""
    try:
        with lock_history(entry.site, Silent(), whole=False) as (writer, status):
            return _record_refusal(writer, status, entry, error)
    except StorageError as failure:
        return _add_unrecorded(error, failure)


@contextmanager
def record_import(
    entry: Entry, check: Callable[[State], None], progress: Progress, *, changes: bool
) -> Iterator[None]:
    """Lock the site's import history, record an import, and let its items be renamed into place.

    The entry is written ahead (format §17.3): what cannot be remembered is not installed.

    Args:
        entry: what to record.
        check: refuses what is not to be imported after all, by the state of this moment.
        progress: gets a note if another import must be waited for.
        changes: whether the block changes anything in the stores.

    Raises:
        PolicyError, NotTrustedError: by ``check``, the history has a fault, or the ledger has no
            room for the channel; before the block.
        StorageError: the import could not be recorded; before the block.
    """
    with lock_history(entry.site, progress, whole=False) as (writer, status):
        consistent = status.require()
        try:
            check(consistent.state)
        except AirgapError as error:
            raise _record_refusal(writer, status, entry, error) from error
        if not (changes or _is_news(writer, consistent.state, entry)):
            yield
            return
        with translate_errors(writer.store.folder):
            state = writer.append(consistent, stamp_entry(entry, consistent.state))
        try:
            with translate_errors(writer.store.witness or writer.store.folder):
                writer.write_witness(state)
            yield
        except BaseException as error:
            _record_incomplete(writer, state, entry, error)
            raise


def make_root_entry(root: Root, event: Event) -> Entry:
    """Make an entry about nothing but the root. It is dated when it is appended."""
    floor = root.created_at or 0
    return Entry(root.site, event, at=0, floor=floor, root=root.version, previous=b"")


def read_entries(name: str, side: Side = "importing", reset: int = 0) -> Iterator[Entry]:
    """Yield the entries of a ledger of a site, from the first one on, as far as they are intact.

    Raises:
        StorageError: it cannot be read.
    """
    store = locate_ledger(name, side, reset)
    with translate_errors(store.folder):
        yield from store.read_entries()


def clip_note(text: str) -> str:
    """Make a text fit into a note: no invisible characters, bounded length (format §17.3)."""
    clean = "".join(" " if names.has_invisible(character) else character for character in text)
    return clean[: limits.NOTE_CHARACTERS]


@contextmanager
def lock_history(
    name: str, progress: Progress, side: Side = "importing", *, whole: bool = True
) -> Iterator[tuple[LedgerWriter, HistoryStatus]]:
    """Hold the lock of a ledger of a site, and check it again: the whole of it, or its end.

    Raises:
        StorageError: the folder does not exist, or a file cannot be read.
    """
    store = locate_ledger(name, side)
    waiting = _WAITING if side == "importing" else _WAITING_FOR_EXPORT
    with ExitStack() as stack:
        with translate_errors(store.folder):
            writer = stack.enter_context(store.lock(lambda: progress.note(waiting)))
            end = None if whole else writer.store.check_end()
            status = HistoryStatus(writer.store, end.state, end) if end else _check(writer.store)
        yield writer, status


def stamp_entry(entry: Entry, state: State | None) -> Entry:
    """Give an entry its time, now, the highest floor that is known, and who writes it."""
    floor = max(entry.floor, state.floor if state else 0)
    who = find_who(entry.who.key)
    return replace(entry, at=max(int(time.time()), floor), floor=floor, who=who)


def ledgers_folder() -> Path:
    """Return the folder that holds a folder for each site with a ledger on this machine."""
    return state_folder() / "sites"


def list_export_ledgers() -> list[str]:
    """Return the sites, sorted, for which this machine has a ledger of exports."""
    with suppress(OSError):
        folders = (state_folder() / "ledgers").iterdir()
        return sorted(path.name for path in folders if (path / "exporting").is_dir())
    return []


def locate_ledger(name: str, side: Side = "importing", reset: int = 0) -> LedgerStore:
    """Return a ledger of a site; nothing is read. That of imports has a witness in BentoML's home.

    The other one has none: no store shows what it has. With ``reset``, it is the ledger that this
    reset put aside, by the number of its folder (format §17.7).
    """
    if reset:
        return locate_ledger(name, side).open_aside(reset)
    if side == "exporting":
        return LedgerStore(name, state_folder() / "ledgers" / name / side)
    home = bentoml_home.home()
    witness = private_folder(home) / _WITNESS / name
    return LedgerStore(
        name,
        ledgers_folder() / name,
        witness,
        partial(make_private_folder, home, _WITNESS),
    )


def _check(store: LedgerStore) -> HistoryStatus:
    try:
        result, witness_fault = store.check()
    except PermissionError as error:
        if store.witness and error.filename == str(store.witness):
            refuse_private(private_folder(bentoml_home.home()))
        raise
    if isinstance(result, Fault):
        return HistoryStatus(store, store.rebuild_state(), fault=result)
    if witness_fault:
        return HistoryStatus(store, result.state, fault=witness_fault)
    return HistoryStatus(store, result.state, result)


def _is_news(writer: LedgerWriter, state: State, entry: Entry) -> bool:
    """Tell whether the ledger lacks an import that changes nothing in the stores (format §17.3)."""
    if entry.channel is not None and entry.sequence > state.last_sequence(entry.channel):
        return True
    last = writer.store.read_last(state)
    if last.event == "incomplete" and last.bundle == entry.bundle:
        return True
    return entry.event in _JUDGED and not _was_judged_so(writer, state, entry)


def _was_judged_so(writer: LedgerWriter, state: State, entry: Entry) -> bool:
    """Tell whether entries of this bundle, by this version of the root, name all its signers."""
    earlier = [
        other
        for other in writer.store.find_entries(state, entry.bundle or b"")
        if (other.bundle, other.root) == (entry.bundle, entry.root) and other.event in _JUDGED
    ]
    counted = {pair for other in earlier for pair in _list_pairs(other)}
    return bool(earlier) and counted.issuperset(_list_pairs(entry))


def _list_pairs(entry: Entry) -> set[tuple[str, str]]:
    return {(role, key_id) for role, key_ids in entry.signed_by.items() for key_id in key_ids}


def _record_incomplete(
    writer: LedgerWriter, state: State, entry: Entry, error: BaseException
) -> None:
    """Append that the import of the last entry failed, if the disk still can: its error counts."""
    note = clip_note(str(error) or type(error).__name__)
    with suppress(OSError, StorageError):
        incomplete = replace(entry, event="incomplete", waiver=None, note=note)
        writer.append(Consistent(state), stamp_entry(incomplete, state))


def _append_new(writer: LedgerWriter, status: HistoryStatus, entry: Entry) -> None:
    """Append an entry, unless the history has a fault, or the last entry says the same."""
    if status.consistent is None:
        return
    with translate_errors(writer.store.folder):
        state = status.consistent.state
        last = writer.store.read_last(state)
        if not _says_same(last, entry):
            writer.append(status.consistent, stamp_entry(entry, state))


def _says_same(last: Entry, entry: Entry) -> bool:
    same = replace(entry, at=last.at, floor=last.floor, previous=last.previous, who=last.who)
    return last == replace(same, format=last.format)


def _record_refusal(
    writer: LedgerWriter, status: HistoryStatus, entry: Entry, error: AirgapError
) -> AirgapError:
    """Append the first refusal of a bundle; return the error, with a line if that failed.

    Only the first: two old bundles, sent in turn for days, would fill the ledger (format §17.3).
    """
    refusal = replace(entry, event="refused", waiver=None, note=clip_note(error.message))
    try:
        with translate_errors(writer.store.folder):
            consistent = status.consistent
            if consistent and not writer.store.has_refused(consistent.state, entry.bundle or b""):
                writer.append(consistent, stamp_entry(refusal, consistent.state))
    except StorageError as failure:
        return _add_unrecorded(error, failure)
    return error


def _add_unrecorded(error: AirgapError, failure: StorageError) -> AirgapError:
    lines = (*error.details, f"This could not be recorded in the ledger: {failure.message}")
    return error.reword(error.message, details=lines)


def _history_error(status: HistoryStatus) -> PolicyError:
    store, fault = status.store, status.fault or Fault("missing", "There is no import history.")
    if fault.kind == "another":
        return PolicyError(
            f"Imports of site {store.site} into {bentoml_home.home()} are recorded in the ledger in"
            f" {fault.other}, and not in the one in {store.home}.",
            f"Set AIRGAP_HOME={fault.other}, or let one state folder serve both users. To record"
            " them here from now on, run `airgap trust reset-state`: it says what that loses.",
            (fault.message, f"import history: {store.folder}", f"witness: {store.witness}"),
        )
    problem = {
        "missing": "is missing",
        "restored": "is older than expected, or another machine's: it was restored from a backup,"
        " or set up again",
        "damaged": "is damaged",
    }[fault.kind]
    if store.witness is None:
        return PolicyError(
            f"The ledger of exports for site {store.site} {problem}.",
            "Nothing is exported or signed for that site until this is fixed: restore the newest"
            f" copy of the folder, or run `airgap trust reset-state --exports {store.site}`, which"
            " puts it aside.",
            (fault.message, f"ledger: {store.folder}"),
        )
    return PolicyError(
        f"The import history of site {store.site} {problem}.",
        "Nothing is imported until this is fixed: restore the newest copy of the folder, or run"
        " `airgap trust reset-state`, which says what a reset would lose.",
        (fault.message, f"import history: {store.folder}", f"witness: {store.witness}"),
    )
