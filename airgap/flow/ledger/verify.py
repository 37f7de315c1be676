"""Verifies checkpoints and proofs of ledgers, without the ledger (format §28)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import CorruptError, MissingError, NotTrustedError
from airgap.flow.ledger.checkpoints import SignedCheckpoint, verify_checkpoint
from airgap.format import limits, tree, tree_proof
from airgap.format.checkpoint import Checkpoint, parse_checkpoint, parse_note
from airgap.format.ledger import Entry, decode_entry
from airgap.format.root import Key
from airgap.format.tree_proof import ConsistencyProof

__all__ = [
    "ProvenEntry",
    "read_checkpoint_text",
    "read_proof_file",
    "read_size",
    "verify_consistency",
    "verify_continuation",
    "verify_entry",
]

_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry, its number from 1 on, and the verified checkpoint of the ledger that it is in."""

    entry: Entry
    number: int
    signed: SignedCheckpoint


def verify_entry(
    proof: bytes, raw: bytes, recorders: Mapping[str, Key], name: str, site: str | None
) -> ProvenEntry:
    """Verify a proof (C2SP tlog-proof) that an entry is in a ledger; raises as the checkpoint's.

    Raises:
        CorruptError: it is not a proof, or what it proves is not an entry.
        NotTrustedError: no recorder signed its checkpoint, or it is the proof of something else.
    """
    inclusion = tree_proof.decode_inclusion(proof, name)
    signed = verify_checkpoint(inclusion.checkpoint, recorders, name, site)
    point = signed.point
    leaf = tree.hash_leaf(raw)
    if not tree.verify_inclusion(leaf, inclusion.index, point.size, inclusion.path, point.root):
        raise NotTrustedError(
            f"{name} does not prove that this entry is in the ledger {point.origin}.",
            "The entry was changed, or the proof is of another one: get both files again.",
        )
    entry = decode_entry(raw)
    if not point.origin.startswith(f"airgap/{entry.site}/"):
        raise NotTrustedError(
            f"{name} has an entry of site {entry.site} in the ledger {point.origin}.",
            "Do not trust it: a recorder signed a ledger with entries of another site.",
        )
    return ProvenEntry(entry, inclusion.index + 1, signed)


def verify_consistency(
    raw: bytes, old: Checkpoint, recorders: Mapping[str, Key], name: str, site: str | None
) -> SignedCheckpoint:
    """Verify the proof that a ledger continues what it was at an older checkpoint.

    Raises:
        CorruptError: it is not such a proof.
        NotTrustedError: it does not show that.
    """
    proof = tree_proof.decode_consistency(raw, name)
    signed = verify_checkpoint(proof.checkpoint, recorders, name, site)
    verify_continuation(old, proof, signed.point, name)
    return signed


def verify_continuation(
    old: Checkpoint, proof: ConsistencyProof, new: Checkpoint, name: str
) -> None:
    """Demand that a proof leads from an older checkpoint to a newer one.

    Raises:
        NotTrustedError: it does not.
    """
    if old.origin != new.origin:
        raise NotTrustedError(
            f"{name} is of the ledger {new.origin}, and the older checkpoint of {old.origin}.",
            "A ledger that was reset has another name; its first entry has the old one.",
        )
    leads = tree.verify_consistency(old.size, new.size, old.root, new.root, proof.path)
    if proof.old != old.size or not leads:
        raise NotTrustedError(
            f"{name} does not show that the ledger {new.origin} with {new.size:,} entries continues"
            f" the one with {old.size:,}.",
            "Keep both checkpoints: if no such proof can be made, the ledger was rewritten.",
        )


def read_checkpoint_text(path: Path) -> Checkpoint:
    """Read a checkpoint that a person has kept, and trusts: its signatures are not verified.

    Raises:
        MissingError, CorruptError, StorageError: as ``read_proof_file``; it is not a checkpoint.
    """
    return parse_checkpoint(parse_note(read_proof_file(path), str(path)).text, str(path))


def read_size(text: str) -> int:
    """Return how long a ledger was: a number, or the length in a file with a checkpoint.

    Raises:
        MissingError, CorruptError, StorageError: as ``read_checkpoint_text``.
    """
    if text.isdecimal() and len(text) <= _DIGITS:
        return int(text)
    return read_checkpoint_text(Path(text)).size


def read_proof_file(path: Path, limit: int = limits.TREE_PROOF_BYTES) -> bytes:
    """Read a small file that a person names.

    Raises:
        MissingError: it is not there.
        CorruptError: it has more than ``limit`` bytes.
        StorageError: it cannot be read.
    """
    with translate_errors(path):
        try:
            raw = read_small(path, limit)
        except FileNotFoundError as error:
            raise MissingError(f"{path} does not exist.", "Check the path.") from error
    if len(raw) > limit:
        raise CorruptError(
            f"{path} has more than {limit:,} bytes.", "Get the file again from its source."
        )
    return raw
