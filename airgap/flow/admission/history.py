"""What this site remembers on this machine: its ledger, and the witness in BentoML's home (§17)."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, PolicyError, StorageError
from airgap.flow.progress import Progress, Silent
from airgap.format import limits, names
from airgap.format.ledger import Entry, Event, State
from airgap.format.root import Root
from airgap.ledger.check import NO_HEAD, Consistent, Fault
from airgap.ledger.log import LedgerStore, LedgerWriter
from airgap.state import pinned_root
from airgap.store import bentoml_home
from airgap.store.install_paths import private_folder

__all__ = [
    "HistoryStatus",
    "begin_history",
    "check_history",
    "clip_note",
    "compute_effective_time",
    "compute_time_floor",
    "lock_history",
    "make_root_entry",
    "read_entries",
    "record_import",
    "record_refusal",
    "record_root",
    "require_consistent",
    "stamp_entry",
]

_WAITING: Final = "Another import of this site is ending; waiting for it."


@dataclass(frozen=True, slots=True)
class HistoryStatus:
    """What is so of a site's memory: ``whole``, or the trouble with it.

    ``kept`` follows from what is whole of the ledger from its beginning on; None: nothing is.
    """

    journal: LedgerStore
    kept: State | None
    whole: Consistent | None = None
    trouble: Fault | None = None

    @property
    def entries(self) -> int:
        """How many entries are whole."""
        return self.kept.entries if self.kept else 0

    def refusal(self) -> PolicyError:
        """Return what every import ends with while this is not whole."""
        return _history_error(self)

    def is_deeply_whole(self) -> bool:
        """Tell whether the ledger's entries, one after the other, lead to just this state."""
        return self.journal.kept() == self.kept

    @property
    def head(self) -> str:
        """The digest of the last of them; zeros if there is none."""
        return (self.kept.head if self.kept else NO_HEAD).hex()


def check_history(name: str) -> HistoryStatus:
    """Look at a site's memory; nothing is written, and nobody waited for.

    Raises:
        StorageError: a file cannot be read.
    """
    journal = _locate_ledger(name)
    with translate_errors(journal.folder):
        return _check(journal)


def require_consistent(name: str) -> State:
    """Return what the site remembers.

    Raises:
        PolicyError: it is not whole (format §17.5, §17.6).
        StorageError: a file cannot be read.
    """
    return _require(check_history(name)).state


def compute_time_floor(state: State | None, root: Root) -> int:
    """Return the time floor, in seconds since 1970 (format §17.2)."""
    return max(0 if state is None else state.floor, root.created_at or 0)


def compute_effective_time(state: State | None, root: Root) -> int:
    """Return the later of the clock and the time floor, in seconds since 1970 (format §17.2)."""
    return max(int(time.time()), compute_time_floor(state, root))


def begin_history(root: Root) -> None:
    """Begin to remember what is imported for a site, or note that its root is trusted again.

    Raises:
        StorageError: it cannot be written.
    """
    journal = _locate_ledger(root.site)
    if not journal.is_begun():
        with translate_errors(journal.folder):
            journal.begin(stamp_entry(make_root_entry(root, "begun"), None))
    else:
        record_root(root, root.created_at or 0)


def record_root(root: Root, floor: int) -> None:
    """Remember that a root takes over, and raise the floor; not where the memory is not whole.

    Raises:
        StorageError: it cannot be written.
    """
    if check_history(root.site).whole:
        with lock_history(root.site, Silent()) as (desk, health):
            said = make_root_entry(root, "trusted")
            _append_new(desk, health, replace(said, floor=max(said.floor, floor)))


def record_refusal(said: Entry, error: AirgapError) -> AirgapError:
    """Remember a refusal; return the error, with one more line if that was not possible."""
    try:
        with lock_history(said.site, Silent()) as (desk, health):
            return _record_refusal(desk, health, said, error)
    except StorageError as failure:
        return _add_unrecorded(error, failure)


@contextmanager
def record_import(
    said: Entry, check: Callable[[State], None], progress: Progress, *, changes: bool
) -> Iterator[None]:
    """Be alone with the site's memory while items are renamed into place; then remember that.

    Args:
        said: what to remember.
        check: refuses what is not to be imported after all, by the state of this moment.
        progress: is told if another import must be waited for.
        changes: whether the block changes anything in the stores.

    Raises:
        PolicyError, NotTrustedError: by ``check``, or the memory is not whole; before the block.
        StorageError: the disk refused. What the block did stays.
    """
    with lock_history(said.site, progress) as (desk, health):
        whole = _require(health)
        try:
            check(whole.state)
        except AirgapError as error:
            raise _record_refusal(desk, health, said, error) from error
        is_news = said.channel is not None and said.sequence > whole.state.last_sequence(
            said.channel
        )
        if not (changes or is_news):
            yield
            return
        with translate_errors(desk.journal.folder):  # rather now than when the items are in place
            desk.reserve(whole, stamp_entry(said, whole.state))
        try:
            yield
        except BaseException:
            with suppress(OSError):
                desk.release(whole)
            raise
        with translate_errors(desk.journal.folder):
            desk.testify(desk.append(whole, stamp_entry(said, whole.state)))


def make_root_entry(root: Root, event: Event) -> Entry:
    """Make an entry about nothing but the root. It is dated when it is appended."""
    floor = root.created_at or 0
    return Entry(root.site, event, at=0, floor=floor, root=root.version, previous=b"")


def read_entries(name: str) -> Iterator[Entry]:
    """Yield what a site remembers, from the first entry on, as far as it is whole.

    Raises:
        StorageError: it cannot be read.
    """
    journal = _locate_ledger(name)
    with translate_errors(journal.folder):
        yield from journal.entries()


def clip_note(text: str) -> str:
    """Make a text fit into a note (format §17.3)."""
    clean = "".join(" " if names.has_invisible(one) else one for one in text)
    return clean[: limits.NOTE_CHARACTERS]


@contextmanager
def lock_history(name: str, progress: Progress) -> Iterator[tuple[LedgerWriter, HistoryStatus]]:
    """Hold the site's lock, and look at its memory again.

    Raises:
        StorageError: there is no folder to hold, or a file cannot be read.
    """
    journal = _locate_ledger(name)
    with ExitStack() as held:
        with translate_errors(journal.folder):
            desk = held.enter_context(journal.locked(lambda: progress.note(_WAITING)))
            health = _check(journal)
        yield desk, health


def _locate_ledger(name: str) -> LedgerStore:
    """Name the places of a site's memory, and of the witness in this BentoML home."""
    witness = private_folder(bentoml_home.home()) / "witness" / name
    return LedgerStore(name, pinned_root.home() / "sites" / name, witness)


def _check(journal: LedgerStore) -> HistoryStatus:
    found, witness = journal.look()
    if isinstance(found, Fault):
        return HistoryStatus(journal, journal.kept(), trouble=found)
    if witness:
        return HistoryStatus(journal, found.state, trouble=witness)
    return HistoryStatus(journal, found.state, found)


def _require(health: HistoryStatus) -> Consistent:
    if health.whole is None:
        raise health.refusal()
    return health.whole


def _append_new(desk: LedgerWriter, health: HistoryStatus, one: Entry) -> None:
    """Append an entry, unless the memory is not whole, or the last entry says the same."""
    if health.whole is None:
        return
    with translate_errors(desk.journal.folder):
        state = health.whole.state
        last = desk.journal.last(state)
        if replace(last, at=one.at, floor=one.floor, previous=one.previous) != one:
            desk.append(health.whole, stamp_entry(one, state))


def _record_refusal(
    desk: LedgerWriter, health: HistoryStatus, said: Entry, error: AirgapError
) -> AirgapError:
    """Append a refusal; return the error, with one more line if that was not possible."""
    refusal = replace(said, event="refused", waiver=None, note=clip_note(error.message))
    try:
        _append_new(desk, health, refusal)
    except StorageError as failure:
        return _add_unrecorded(error, failure)
    return error


def _add_unrecorded(error: AirgapError, failure: StorageError) -> AirgapError:
    lines = (*error.details, f"This could not be noted in the ledger: {failure.message}")
    return type(error)(error.message, error.hint, lines)


def stamp_entry(one: Entry, state: State | None) -> Entry:
    """Give an entry its time and floor: now, and the highest that is known."""
    floor = max(one.floor, state.floor if state else 0)
    return replace(one, at=max(int(time.time()), floor), floor=floor)


def _history_error(health: HistoryStatus) -> PolicyError:
    trouble = health.trouble or Fault("missing", "There is nothing.")
    name = health.journal.site
    said = {
        "missing": f"This machine does not know any more what site {name} has imported.",
        "restored": f"What this machine remembers of site {name} is older than it should be, or"
        " another machine's: it was restored from a backup, or set up again.",
        "damaged": f"What this machine remembers of site {name} is damaged.",
    }[trouble.kind]
    return PolicyError(
        said,
        "Nothing is imported until it is put right: bring back the newest copy of the folder, or"
        " read what `airgap trust reset-state` says.",
        (trouble.what, f"memory: {health.journal.folder}", f"witness: {health.journal.witness}"),
    )
