"""Looks up in the ledgers of this machine what they say of an archive (format §17.3)."""

from collections.abc import Callable
from typing import TypeVar

from airgap.disk.os_errors import translate_errors
from airgap.flow.admission import history
from airgap.flow.admission.history import Side
from airgap.flow.progress import Silent
from airgap.format.ledger import Entry, decode_entry
from airgap.ledger.tree import LedgerTree

__all__ = ["find_earlier_entries", "find_entries", "read_last_time", "use_ledger"]

T = TypeVar("T")


def use_ledger(site: str, side: Side, work: Callable[[LedgerTree], T]) -> T | None:
    """Do something with a ledger, perhaps twice if stored nodes are wrong; None if there is none.

    Raises:
        PolicyError: it is not consistent (format §17.5).
        StorageError: it cannot be read.
    """
    if not history.locate_ledger(site, side).exists():
        return None
    with history.lock_history(site, Silent(), side, whole=False) as (writer, status):
        state = status.require().state
        with translate_errors(writer.store.folder):
            return writer.store.use_tree(state, work)


def find_entries(site: str, side: Side, part: bytes) -> list[Entry]:
    """Return the entries of a ledger in whose bytes something occurs. Raises as ``use_ledger``."""

    def find(tree: LedgerTree) -> list[Entry]:
        return [decode_entry(tree.read_entry(index)) for index in tree.find(part)]

    return use_ledger(site, side, find) or []


def find_earlier_entries(site: str, side: Side, part: bytes) -> list[Entry]:
    """Return the intact entries with something in ledgers that resets put aside (format §17.7).

    Raises:
        StorageError: one cannot be read.
    """
    store = history.locate_ledger(site, side)
    with translate_errors(store.folder):
        return list(store.find_aside(part))


def read_last_time(site: str, side: Side) -> int | None:
    """Return the time of a ledger's last entry, in seconds since 1970. Raises as ``use_ledger``."""
    return use_ledger(site, side, lambda tree: decode_entry(tree.read_entry(tree.size - 1)).at)
