"""A site's ledger and state on the disk (format §17.3 to §17.7)."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from airgap.disk import durable, locks, space
from airgap.disk.reading import read_if_exists
from airgap.errors import StorageError
from airgap.format import ledger as bytes_of
from airgap.format import limits
from airgap.format.fields import DIGEST_BYTES
from airgap.format.ledger import Entry, State, Witness
from airgap.ledger.check import (
    Consistent,
    Fault,
    check_ledger,
    check_witness,
    read_entries,
    read_entry,
    rebuild_state,
)

__all__ = ["LedgerStore", "LedgerWriter"]

LEDGER: Final = "ledger"
STATE: Final = "state"
_LOOKS: Final = 1000


class LedgerStore:
    """Ledger and state in ``folder``, and the ``witness`` file of one BentoML home."""

    def __init__(self, site: str, folder: Path, witness: Path) -> None:
        """Name the places; nothing is read yet."""
        self.site = site
        self.folder = folder
        self.witness = witness

    def is_begun(self) -> bool:
        """Tell whether there is anything, whole or not."""
        return self.folder.exists()

    def look(self) -> tuple[Consistent | Fault, Fault | None]:
        """Examine ledger and state, and the witness. Writes nothing and waits for nobody.

        Raises:
            OSError: a file cannot be read.
            StorageError: others write without end.
        """
        state, ledger = self._read_both()
        found = check_ledger(self.site, state, ledger)
        if isinstance(found, Fault) or ledger is None:
            return found, None
        witness = read_if_exists(self.witness, limits.SMALL_STATE_BYTES)
        return found, check_witness(ledger, found.state, witness)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries from the first on, as far as the ledger is whole."""
        _, ledger = self._read_both()
        for entry, _ in read_entries(self.site, ledger or b""):
            yield entry

    def last(self, state: State) -> Entry:
        """Return the last entry that a whole ledger's state counts."""
        ledger = self._read_both()[1] or b""
        return bytes_of.decode_entry(read_entry(ledger, state.entries))

    def kept(self) -> State | None:
        """Return the state that follows from what is whole of the ledger; None: nothing is."""
        return rebuild_state(self.site, self._read_both()[1])

    def begin(self, entry: Entry) -> None:
        """Write the first ledger and state: both appear at once. Nothing may be there yet."""
        durable.make_folder(self.folder.parent, 0o700)
        with locks.lock_folder(self.folder.parent):
            if self.is_begun():  # another process was quicker
                return
            part = self.folder.with_name(f".{self.site}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(mode=0o700)
            raw = bytes_of.encode_entry(replace(entry, previous=secrets.token_bytes(DIGEST_BYTES)))
            _write_both(part, self.site, bytes_of.frame(raw))
            part.rename(self.folder)
            durable.sync_folder(self.folder.parent)

    @contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator["LedgerWriter"]:
        """Be alone with the site's memory, to look at it again and to append."""
        with locks.lock_folder(self.folder, waiting):
            yield LedgerWriter(self)

    def _read_both(self) -> tuple[bytes | None, bytes | None]:
        """Read state and ledger so that they are of one moment: nobody wrote a state meanwhile."""
        for _ in range(_LOOKS):
            state = read_if_exists(self.folder / STATE, limits.STATE_BYTES)
            ledger = read_if_exists(self.folder / LEDGER, limits.LEDGER_BYTES)
            if read_if_exists(self.folder / STATE, limits.STATE_BYTES) == state:
                return state, ledger
        raise StorageError(
            f"{self.folder} is being written without end.", "See what else runs here."
        )


class LedgerWriter:
    """Who holds the site's lock."""

    def __init__(self, journal: LedgerStore) -> None:
        """Take a journal whose lock is held."""
        self.journal = journal
        self._folder = journal.folder

    def reserve(self, whole: Consistent, entry: Entry) -> None:
        """Make sure, as far as one can, that an entry can be appended later.

        What is reserved looks like an entry that was cut off: a kill does no harm.

        Raises:
            OSError: the ledger cannot be written, or the disk is full.
        """
        raw = bytes_of.encode_entry(replace(entry, previous=whole.state.head))
        self._settle(whole)
        with self._opened_ledger() as descriptor:
            space.reserve(descriptor, whole.state.size, len(bytes_of.frame(raw)))

    def release(self, whole: Consistent) -> None:
        """Give back what was reserved: nothing is to be appended after all."""
        with self._opened_ledger() as descriptor:
            os.ftruncate(descriptor, whole.state.size)

    def append(self, whole: Consistent, entry: Entry) -> State:
        """Append an entry; ``previous`` is filled in. Returns the state that follows.

        Raises:
            OSError: the disk refused. Then the entry was not appended, or is as good as appended.
        """
        before = whole.state
        self._settle(whole)
        raw = bytes_of.encode_entry(replace(entry, previous=before.head))
        ledger = read_if_exists(self._folder / LEDGER, limits.LEDGER_BYTES) or b""
        longer = ledger[: before.size] + bytes_of.frame(raw)
        after = bytes_of.next_state(before, entry, raw)
        if len(longer) > limits.LEDGER_BYTES or len(after.channels) > limits.CHANNELS:
            raise StorageError(
                f"The ledger in {self._folder} is full.",
                "Ask the makers of airgap: nobody has filled one before.",
            )
        after = replace(after, digest=bytes_of.digest(longer))
        durable.append(self._folder / LEDGER, before.size, bytes_of.frame(raw))
        durable.replace_file(self._folder / STATE, bytes_of.encode_state(after))
        return after

    def testify(self, state: State) -> None:
        """Let the BentoML home remember how far the ledger is."""
        path = self.journal.witness
        path.parent.mkdir(parents=True, exist_ok=True)  # with the rights that the home has
        durable.sync_folder(path.parent.parent)
        seen = Witness(state.site, state.entries, state.head)
        durable.replace_file(path, bytes_of.encode_witness(seen))

    def begin_anew(self, entry: Entry) -> tuple[Path, State]:
        """Keep what is whole of the ledger, append ``entry``, and write state and witness anew.

        What was there is copied to a new folder beside; returns that and the new state.
        """
        old = self.journal.kept()
        ledger = read_if_exists(self._folder / LEDGER, limits.LEDGER_BYTES) or b""
        there = self._put_aside()
        previous = old.head if old else secrets.token_bytes(DIGEST_BYTES)
        raw = bytes_of.encode_entry(replace(entry, previous=previous))
        whole = ledger[: old.size] if old else b""
        after = _write_both(self._folder, self.journal.site, whole + bytes_of.frame(raw))
        self.testify(after)
        return there, after

    def _settle(self, whole: Consistent) -> None:
        """Write the state that counts an entry which a crash kept out of it.

        Else, if this is cut off too, more would be ahead of the state than a crash can leave.
        """
        if whole.adopted:
            durable.replace_file(self._folder / STATE, bytes_of.encode_state(whole.state))

    @contextmanager
    def _opened_ledger(self) -> Iterator[int]:
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._folder / LEDGER, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _put_aside(self) -> Path:
        number = 1  # no site's id has a tilde
        while (aside := self._folder.with_name(f"{self.journal.site}~reset-{number}")).exists():
            number += 1
        part = aside.with_name(f".{aside.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        olds: Mapping[str, tuple[Path, int]] = {
            LEDGER: (self._folder / LEDGER, limits.LEDGER_BYTES),
            STATE: (self._folder / STATE, limits.STATE_BYTES),
            "witness": (self.journal.witness, limits.SMALL_STATE_BYTES),
        }
        for kind, (path, limit) in olds.items():
            data = read_if_exists(path, limit)
            if data is not None:
                durable.replace_file(part / kind, data)
        part.rename(aside)
        durable.sync_folder(aside.parent)
        return aside


def _write_both(folder: Path, site: str, ledger: bytes) -> State:
    """Write a whole ledger, then the state that follows from it."""
    state = rebuild_state(site, ledger)
    if state is None or state.size != len(ledger):
        raise ValueError("this is no whole ledger")
    durable.replace_file(folder / LEDGER, ledger)
    durable.replace_file(folder / STATE, bytes_of.encode_state(state))
    return state
