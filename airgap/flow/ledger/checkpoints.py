"""Checkpoints of ledgers: signed here, and verified wherever they come from (format §28.3)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from airgap.disk import durable, sharing
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import ConfigurationError, MissingError, PolicyError, UsageError
from airgap.flow import site as sites
from airgap.flow.admission import history
from airgap.flow.admission.history import Side
from airgap.flow.ledger.record import ANY_SITE, EventRecord, record_event
from airgap.flow.progress import Silent
from airgap.format import limits
from airgap.format.checkpoint import (
    Checkpoint,
    add_signature,
    parse_note,
)
from airgap.format.ledger import Replaced
from airgap.format.root import Key
from airgap.ledger.log import CHECKPOINT, RECORDER
from airgap.ledger.tree import LedgerTree
from airgap.printable import count_text
from airgap.signing import checkpoints
from airgap.signing.checkpoints import Cosignature, verify_cosignatures
from airgap.signing.public_keys import load_pem, to_pem
from airgap.signing.signer import Signer
from airgap.state.state_folder import describe_search

__all__ = [
    "CHECKPOINT",
    "RECORDER",
    "LedgerChoice",
    "SignedCheckpoint",
    "add_cosignatures",
    "add_witnesses",
    "choose_ledger",
    "find_recorders",
    "find_witnesses",
    "make_checkpoint",
    "read_checkpoint",
    "read_tree",
    "refuse_other_beginning",
    "save_checkpoint",
    "verify_checkpoint",
]


class LedgerChoice(NamedTuple):
    """A ledger of this machine: that of a site's side, or the one that a reset of it put aside."""

    site: str
    side: Side
    reset: int = 0
    """The number of the reset, from 1 on (format §17.7); 0: the ledger that goes on."""


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint, the note that it is the text of, and the id of the key that signed it."""

    point: Checkpoint
    raw: bytes
    key: Key
    cosignatures: tuple[Cosignature, ...] = ()
    """Those of witnesses that were verified."""

    @property
    def others(self) -> tuple[str, ...]:
        """The names of further keys in the note, whose signatures were not verified."""
        signatures = parse_note(self.raw, CHECKPOINT).signatures
        verified = {self.point.origin, *(line.name for line in self.cosignatures)}
        return tuple(line.name for line in signatures if line.name not in verified)


def choose_ledger(site: str | None, side: Side, reset: int = 0) -> LedgerChoice:
    """Return which ledger is meant: of the site that was named, else of the pinned one.

    Raises:
        ConfigurationError: none was named, and this machine trusts nobody yet.
        MissingError: there is no reset of this number here.
    """
    ledger = LedgerChoice(site or _find_site(side), side, reset)
    numbers = history.locate_ledger(ledger.site, side).number_aside()
    if reset and reset not in numbers:
        listed = f" The resets here: {', '.join(map(str, numbers))}." if numbers else ""
        raise MissingError(
            f"No ledger of site {ledger.site} was put aside here by a reset {reset}.{listed}",
            "Give --reset one of the numbers that the folders of the ledgers put aside end in:"
            " `airgap audit` lists them.",
        )
    return ledger


def _find_site(side: Side) -> str:
    pinned = sites.load_pinned()
    if pinned is not None:
        return pinned.value.site
    if side == "exporting":
        return ANY_SITE
    raise ConfigurationError(
        "This machine trusts nobody yet, and has no ledger of imports.",
        f"There is no root in {describe_search()}. Give --exports for the ledger of exports, and"
        " --site to name its site.",
    )


def read_tree(ledger: LedgerChoice, *, whole: bool = True) -> LedgerTree:
    """Read a ledger whose history is consistent, as a tree; ``whole``: all of it is compared.

    Of one that a reset put aside, the intact entries are read.

    Raises:
        PolicyError: it is not consistent (format §17.5), or none of its entries is intact.
        StorageError: it cannot be read.
    """
    if ledger.reset:
        return _read_aside(ledger)[0]
    with history.lock_history(ledger.site, Silent(), ledger.side, whole=whole) as (writer, status):
        state = status.require().state
        with translate_errors(writer.store.folder):
            return writer.store.read_tree(state, anew=whole)


def _read_aside(ledger: LedgerChoice) -> tuple[LedgerTree, Replaced]:
    store = history.locate_ledger(*ledger)
    with translate_errors(store.folder):
        read = store.read_intact()
    if read is None:
        raise PolicyError(
            f"No entry of the ledger in {store.folder} is intact.",
            "Restore the folder from a copy: what the reset found in it is in `airgap log`.",
        )
    return read


def find_recorders(site: str) -> dict[str, Key]:
    """Return the keys that sign checkpoints of a site, by id: those that its pinned root names.

    Raises:
        ConfigurationError: this machine has not pinned a root of that site.
    """
    pinned = sites.load_pinned()
    if pinned is None or pinned.value.site != site:
        raise ConfigurationError(
            f"This machine has not pinned a root of site {site}, which would name its recorders.",
            "Name the recorder's public key: --recorder FILE.pub.",
        )
    return pinned.value.signers("recorder")


def find_witnesses(site: str) -> dict[str, Key]:
    """Return the witnesses that the pinned root of a site names, by key id; none without one."""
    pinned = sites.load_pinned()
    if pinned is None or pinned.value.site != site:
        return {}
    return pinned.value.signers("witness")


def add_witnesses(
    signed: SignedCheckpoint, witnesses: Mapping[str, Key], name: str
) -> SignedCheckpoint:
    """Verify what witnesses signed of a checkpoint.

    Raises:
        NotTrustedError: a line that names one of them is not its signature.
    """
    return replace(signed, cosignatures=verify_cosignatures(signed.raw, witnesses, name))


def make_checkpoint(ledger: LedgerChoice, signer: Signer) -> SignedCheckpoint:
    """Sign how long a ledger is, and keep the checkpoint beside it.

    If the last checkpoint says the same already, it is returned, with its cosignatures. That of a
    ledger which a reset put aside is not kept: nothing is changed there.

    Raises:
        ConfigurationError: the key is not an Ed25519 key, or the site's root does not name it.
        PolicyError: the ledger is not consistent, or does not continue its last checkpoint; or it
            is not the one that the reset says it put aside.
        StorageError: it cannot be read or written.
    """
    _require_recorder(ledger.site, signer.key)
    tree = _read_named_aside(ledger) if ledger.reset else read_tree(ledger)
    point = tree.make_checkpoint(tree.size)
    last = read_checkpoint(ledger)
    if last is not None and last.point.origin == tree.origin:  # else a reset has begun another one
        refuse_other_beginning(last.point, tree)
        if last.point == point and last.key == signer.key:
            return last
    signed = SignedCheckpoint(point, checkpoints.sign_checkpoint(point, signer), signer.key)
    if not ledger.reset:
        save_checkpoint(ledger, signed)
    return signed


def _read_named_aside(ledger: LedgerChoice) -> LedgerTree:
    """Read a ledger that was put aside, if it still is the one that the reset names."""
    tree, replaced = _read_aside(ledger)
    store = history.locate_ledger(*ledger)
    with translate_errors(store.folder):
        reset = store.find_successor(replaced)
    if reset is None:
        raise PolicyError(
            f"The {count_text(tree.size, 'intact entry', 'intact entries')} in {store.folder} are"
            " not those that a reset says it put aside.",
            "The folder was changed since, or a later reset repeated this one. Nothing is signed:"
            " restore the folder from a copy, or give another --reset.",
        )
    return tree


def save_checkpoint(ledger: LedgerChoice, signed: SignedCheckpoint) -> None:
    """Keep a checkpoint beside its ledger, and the key that signed it.

    Raises:
        StorageError: it cannot be written.
    """
    folder = history.locate_ledger(*ledger).folder
    mode = sharing.choose_file_mode(folder)
    with translate_errors(folder):
        durable.replace_file(folder / RECORDER, to_pem(signed.key), mode=mode)
        durable.replace_file(folder / CHECKPOINT, signed.raw, mode=mode)


def add_cosignatures(ledger: LedgerChoice, raw: bytes, name: str) -> SignedCheckpoint:
    """Add the signatures of a note to the last checkpoint of a ledger, and record that.

    Raises:
        UsageError: a reset put the ledger aside: nothing is added to it any more.
        PolicyError: the ledger has no checkpoint, or the note is of another one.
        CorruptError: it is not a note, or there would be more signatures than a note may have.
        NotTrustedError: a line names a witness of the site's root, and is not its signature.
        StorageError: it cannot be written.
    """
    if ledger.reset:
        raise UsageError(
            f"Nothing is added to the ledger that reset {ledger.reset} put aside.",
            "Keep the file of the witness beside the folder of `airgap ledger export`.",
        )
    last = read_checkpoint(ledger)
    note = parse_note(raw, name)
    verify_cosignatures(raw, find_witnesses(ledger.site), name)
    if last is None or last.point.text != note.text:
        raise PolicyError(
            f"{name} is not of the last checkpoint of this ledger.",
            "Let the witness cosign that one: `airgap ledger consistency` writes what it needs.",
        )
    own = parse_note(last.raw, name).signatures
    new = [line for line in note.signatures if line not in own]
    combined = last.raw
    for line in new:
        combined = add_signature(combined, line)
    parse_note(combined, name)
    if not new:
        return last
    signed = SignedCheckpoint(last.point, combined, last.key)
    save_checkpoint(ledger, signed)
    witnesses = ", ".join(line.name for line in new)
    documents = {"checkpoint": hashlib.sha256(combined).digest()}
    record = EventRecord("cosigned", documents=documents, note=witnesses)
    record_event(ledger.site, ledger.side, record)
    return signed


def read_checkpoint(ledger: LedgerChoice) -> SignedCheckpoint | None:
    """Return the last checkpoint of a ledger that was signed here; None if there is none.

    It is verified with the key that lies beside it: who could change that could sign here, too.

    Raises:
        CorruptError: the file is not a checkpoint.
        NotTrustedError: the key has not signed it.
        StorageError: it cannot be read.
    """
    folder = history.locate_ledger(*ledger).folder
    with translate_errors(folder):
        raw = read_if_exists(folder / CHECKPOINT, limits.NOTE_BYTES)
        pem = read_if_exists(folder / RECORDER, limits.ENVELOPE_BYTES)
    if raw is None or pem is None:
        return None
    key = load_pem(pem)
    return verify_checkpoint(raw, {key.id: key}, str(folder / CHECKPOINT))


def verify_checkpoint(
    raw: bytes, recorders: Mapping[str, Key], name: str, site: str | None = None
) -> SignedCheckpoint:
    """Verify a checkpoint with the keys of recorders, by id; ``name`` is what people call it.

    Args:
        raw: the signed note.
        recorders: the keys that count.
        name: for messages.
        site: whose ledger it must be of; None: of any.

    Raises:
        CorruptError: it is not a checkpoint.
        NotTrustedError: none of the keys has signed it, or it is of another site.
    """
    sites = () if site is None else (site,)
    point, signers = checkpoints.verify_checkpoint(raw, recorders, name, sites)
    return SignedCheckpoint(point, raw, recorders[signers[0]])


def _require_recorder(site: str, key: Key) -> None:
    """Demand that a pinned root of the site names the key; without such a root, any key signs."""
    pinned = sites.load_pinned()
    if pinned is None or pinned.value.site != site or key.id in pinned.value.signers("recorder"):
        return
    raise ConfigurationError(
        f"Key {key.id} is not a recorder of site {site}: its root (version"
        f" {pinned.value.version}) does not name it, or revokes it.",
        "Sign with a recorder's key, or let the root name this one: `airgap root add-key ROOT"
        " recorder NAME.pub -o NEXT`.",
    )


def refuse_other_beginning(last: Checkpoint, tree: LedgerTree) -> None:
    """Refuse to sign two checkpoints that contradict each other: that would be evidence of fraud.

    Raises:
        PolicyError: the ledger does not continue its last checkpoint.
    """
    is_same = last.origin == tree.origin and last.size <= tree.size
    if not is_same or tree.make_checkpoint(last.size) != last:
        raise PolicyError(
            f"The ledger {tree.origin} has {tree.size:,} intact entries, and does not continue its"
            f" last checkpoint, over {last.size:,}.",
            "It was restored from a backup, or damaged. Nothing is signed: report it to the"
            " auditor, and run `airgap trust reset-state` if no reset has put it aside.",
        )
