"""A witness of ledgers: signs a checkpoint if it continues what it signed before (format §28.5)."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk import durable, locks, sharing
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import NotTrustedError, PolicyError, UsageError
from airgap.flow.ledger.checkpoints import SignedCheckpoint, verify_checkpoint
from airgap.flow.ledger.verify import verify_continuation
from airgap.format import limits, tree_proof
from airgap.format.checkpoint import (
    Checkpoint,
    NoteSignature,
    add_signature,
    cosigned_bytes,
    is_key_name,
    make_cosignature,
    parse_checkpoint,
    parse_note,
)
from airgap.format.root import Key
from airgap.format.tree_proof import ConsistencyProof
from airgap.printable import quote
from airgap.signing.checkpoints import raw_public_key
from airgap.signing.signer import Signer
from airgap.state.state_folder import state_folder

__all__ = ["Cosigned", "accept_checkpoint", "cosign", "read_witnessed", "remember_checkpoint"]

_LAST: Final = "checkpoint"
_SEEN: Final = "seen-"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint with the cosignature that was added to it, and that line alone."""

    point: Checkpoint
    raw: bytes
    line: bytes
    old: int
    """The number of entries of the last checkpoint before it; 0: this is the first one."""


def cosign(
    request: bytes, recorders: Mapping[str, Key], signer: Signer, name: str, what: str
) -> Cosigned:
    """Sign a checkpoint as a witness.

    Args:
        request: the body of C2SP's add-checkpoint: `old N`, a proof, an empty line, a checkpoint.
        recorders: the keys of whom checkpoints are accepted, by id.
        signer: the witness's key.
        name: the witness's name in the line that it adds.
        what: what people call the request.

    Raises:
        UsageError: the name cannot stand in a note.
        ConfigurationError: the key is not an Ed25519 key.
        CorruptError, NotTrustedError, PolicyError: as ``accept_checkpoint``; nothing is signed.
    """
    if not is_key_name(name):
        raise UsageError(
            f"{quote(name)} cannot name a witness.", "Use letters without spaces and '+'."
        )
    proof = tree_proof.decode_consistency(request, what)
    signed = verify_checkpoint(proof.checkpoint, recorders, what)
    text = signed.point.text
    at = int(time.time())
    signature = signer.sign_text(cosigned_bytes(text, at))  # first: a key that fails signs nothing
    accept_checkpoint(signed, proof, what)
    line = make_cosignature(name, raw_public_key(signer.key), at, signature)
    return Cosigned(signed.point, add_signature(signed.raw, line), _write_line(line), proof.old)


def accept_checkpoint(signed: SignedCheckpoint, proof: ConsistencyProof, what: str) -> None:
    """Remember a verified checkpoint if it continues the last one of its ledger that was accepted.

    What is remembered is on the disk before this returns. Two checkpoints of one length with
    different roots are kept as evidence.

    Raises:
        PolicyError: the proof begins at another length than that of the last checkpoint.
        NotTrustedError: the ledger was rewritten, or the proof does not show that it was not.
        StorageError: the disk refused; then nothing was accepted.
    """
    folder = _find_folder(signed.point.origin)
    with translate_errors(folder):
        if not folder.exists():
            _refuse_gap(None, signed, proof, what)
        sharing.make_own_folder(folder)
        with locks.lock_folder(folder):
            last = _read_last(folder)
            _refuse_fork(folder, last, signed)
            _refuse_gap(last[0] if last else None, signed, proof, what)
            mode = sharing.choose_file_mode(folder)
            durable.replace_file(folder / _LAST, signed.raw, mode=mode)


def remember_checkpoint(signed: SignedCheckpoint) -> None:
    """Remember a checkpoint that was verified, and compare it with those of the same length.

    At most 1,000 of a ledger are remembered, the longest ones.

    Raises:
        NotTrustedError: one of the same length has another root; both are kept as evidence.
        CorruptError: one that was remembered is damaged.
        StorageError: it cannot be read or written.
    """
    folder, point = _find_folder(signed.point.origin), signed.point
    with translate_errors(folder):
        sharing.make_own_folder(folder)
        with locks.lock_folder(folder):
            _refuse_fork(folder, _read_last(folder), signed)
            seen = _read_note(folder / f"{_SEEN}{point.size}")
            _refuse_fork(folder, seen, signed)
            if seen is not None:
                return
            sizes = sorted(
                int(size)
                for path in folder.glob(f"{_SEEN}*")
                if (size := path.name.removeprefix(_SEEN)).isdecimal()
            )
            if len(sizes) >= limits.SEEN_CHECKPOINTS:
                if point.size < sizes[0]:
                    return
                (folder / f"{_SEEN}{sizes[0]}").unlink()
            mode = sharing.choose_file_mode(folder)
            durable.replace_file(folder / f"{_SEEN}{point.size}", signed.raw, mode=mode)


def read_witnessed(origin: str) -> Checkpoint | None:
    """Return the last checkpoint of a ledger that was accepted here; None if there is none.

    Raises:
        CorruptError: the file is damaged.
        StorageError: it cannot be read.
    """
    folder = _find_folder(origin)
    with translate_errors(folder):
        last = _read_last(folder)
    return last[0] if last else None


def _refuse_fork(
    folder: Path, last: tuple[Checkpoint, bytes] | None, signed: SignedCheckpoint
) -> None:
    """Keep two checkpoints of one length that contradict each other, and refuse the second."""
    if last is None or last[0].size != signed.point.size or last[0].root == signed.point.root:
        return
    evidence = folder / f"fork-{signed.point.size}-{signed.point.root.hex()[:16]}"
    sharing.make_own_folder(evidence)
    mode = sharing.choose_file_mode(evidence)
    for name, raw in (("first", last[1]), ("second", signed.raw)):
        durable.replace_file(evidence / name, raw, mode=mode)
    raise NotTrustedError(
        f"The ledger {signed.point.origin} has two checkpoints over {signed.point.size:,} entries"
        " with different roots: somebody signed two versions of it.",
        f"Do not trust either. Both are kept as evidence in {evidence}: give them to the auditor.",
    )


def _refuse_gap(
    last: Checkpoint | None, signed: SignedCheckpoint, proof: ConsistencyProof, what: str
) -> None:
    new = signed.point
    known = last.size if last else 0
    if proof.old != known:
        raise PolicyError(
            f"{what} begins at {proof.old:,} entries, and the last checkpoint of {new.origin} that"
            f" was accepted here has {known:,}.",
            f"Ask the site for another one: `airgap ledger consistency {known}`.",
        )
    if last is not None:
        verify_continuation(last, proof, new, what)
    elif proof.path:
        raise NotTrustedError(
            f"{what} begins at no entries, and has a proof.",
            "It was changed: get the file again from its source.",
        )


def _read_last(folder: Path) -> tuple[Checkpoint, bytes] | None:
    return _read_note(folder / _LAST)


def _read_note(path: Path) -> tuple[Checkpoint, bytes] | None:
    raw = read_if_exists(path, limits.NOTE_BYTES)
    if raw is None:
        return None
    return parse_checkpoint(parse_note(raw, str(path)).text, str(path)), raw


def _find_folder(origin: str) -> Path:
    """Return where the checkpoints of a ledger are remembered: its name may have anything in it."""
    return state_folder() / "witnessed" / hashlib.sha256(origin.encode()).hexdigest()[:32]


def _write_line(line: NoteSignature) -> bytes:
    return add_signature(b"\n\n", line).removeprefix(b"\n\n")
