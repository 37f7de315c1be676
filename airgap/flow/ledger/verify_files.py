"""Verifies what a person names: a checkpoint, a proof, or a folder with one (format §28)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airgap.errors import UsageError
from airgap.flow.ledger.checkpoints import CHECKPOINT, SignedCheckpoint, verify_checkpoint
from airgap.flow.ledger.export import EDGE, compute_exported_root
from airgap.flow.ledger.prove import ENTRY, PROOF, describe_entry
from airgap.flow.ledger.verify import (
    read_checkpoint_text,
    read_proof_file,
    verify_consistency,
    verify_entry,
)
from airgap.flow.ledger.verify_signers import EntrySigner, verify_signers
from airgap.format import limits
from airgap.format.root import Key

__all__ = ["VerifiedFile", "verify_path"]


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What was verified: a kind of file for people, its checkpoint, and an entry or their count."""

    what: str
    signed: SignedCheckpoint
    entry: dict[str, Any] | None = None
    count: int | None = None
    signers: tuple[EntrySigner, ...] = ()
    """Whom the entry names, and whose signatures are there."""


def verify_path(
    path: Path, old: Path | None, recorders: Mapping[str, Key], site: str | None
) -> VerifiedFile:
    """Verify a file or a folder; ``old`` is the checkpoint that a proof of consistency begins at.

    Raises:
        UsageError: a proof of consistency has no older checkpoint, or something else has one.
        MissingError, StorageError: a file is missing, or cannot be read.
        CorruptError, NotTrustedError: it is not what it should be, or proves nothing.
    """
    if path.is_dir():
        _refuse_old(old)
        return _verify_folder(path, recorders, site)
    raw = read_proof_file(path)
    if not raw.startswith(b"old "):
        _refuse_old(old)
        return VerifiedFile("checkpoint", verify_checkpoint(raw, recorders, str(path), site))
    if old is None:
        raise UsageError(
            f"{path} shows what follows an older checkpoint.", "Name that one: --old FILE."
        )
    signed = verify_consistency(raw, read_checkpoint_text(old), recorders, str(path), site)
    return VerifiedFile("consistency", signed)


def _verify_folder(folder: Path, recorders: Mapping[str, Key], site: str | None) -> VerifiedFile:
    if (folder / EDGE).exists():
        raw = read_proof_file(folder / CHECKPOINT)
        signed = verify_checkpoint(raw, recorders, str(folder / CHECKPOINT), site)
        _, entries = compute_exported_root(folder, signed.point)
        return VerifiedFile("entries", signed, count=len(entries))
    entry = read_proof_file(folder / ENTRY, limits.LEDGER_ENTRY_BYTES)
    proof = read_proof_file(folder / PROOF)
    proven = verify_entry(proof, entry, recorders, str(folder / PROOF), site)
    signers = verify_signers(folder, proven.entry)
    described = describe_entry(proven.entry, proven.number)
    return VerifiedFile("entry", proven.signed, described, signers=signers)


def _refuse_old(old: Path | None) -> None:
    if old is not None:
        raise UsageError(
            "--old is for a proof of consistency.", "Leave it out, or name such a proof."
        )
