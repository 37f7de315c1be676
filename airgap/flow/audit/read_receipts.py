"""The receipts of an audit: those that this machine accepted, or files that were brought (§29)."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, MissingError, UsageError
from airgap.flow.audit.evidence_files import EvidenceFiles
from airgap.flow.audit.material import AuditedReceipt
from airgap.flow.receipts.accept import read_receipt_file
from airgap.format import limits
from airgap.format.root import Key, Root
from airgap.signing.receipts import SignedReceipt, read_envelope, verify_receipt
from airgap.state.receipt_store import ReceiptStore

__all__ = ["count_forks", "list_named_receipts", "list_own_receipts", "read_receipts"]

_SUFFIX: Final = ".receipt.json"
_DIGITS: Final = 16


def list_own_receipts(site: str) -> Iterator[bytes]:
    """Yield the files of the receipts that this machine has accepted.

    Raises:
        StorageError: one cannot be read.
    """
    store = ReceiptStore(site)
    for kept in store.list_accepted():
        yield store.read(kept)


def count_forks(site: str) -> int:
    """Return how many contradictions of receipts and checkpoints this machine has kept."""
    return len(ReceiptStore(site).list_evidence())


def list_named_receipts(paths: Sequence[Path]) -> Iterator[bytes]:
    """Yield the files that were named, and those in folders that were named.

    Raises:
        MissingError: a folder has none, or a path is not there.
        ConfigurationError: a file cannot be read.
    """
    for path in paths:
        if not path.is_dir():
            yield read_receipt_file(path)
            continue
        with translate_errors(path):
            named = sorted(one for one in path.iterdir() if one.name.endswith(_SUFFIX))
        if not named:
            raise MissingError(
                f"{path} has no file whose name ends in {_SUFFIX}.", "Check the path of --receipts."
            )
        yield from map(read_receipt_file, named)


def read_receipts(
    raws: Iterator[bytes], root: Root, files: EvidenceFiles, sealed: Collection[str] = ()
) -> list[AuditedReceipt]:
    """Verify receipts with today's root; one that cannot be verified says why.

    Those that name the items of one of the ``sealed`` bundles are withheld from the evidence.

    Raises:
        UsageError: there are more than a report may have.
        AirgapError: by the iterator.
    """
    found: dict[str, AuditedReceipt] = {}
    for raw in islice(raws, limits.AUDIT_RECEIPTS):
        audited = _read_one(raw, root, files, sealed)
        found.setdefault(audited.file, audited)
    if next(raws, None) is not None:
        raise UsageError(
            f"There are more than {limits.AUDIT_RECEIPTS:,} receipts.", "Name fewer: --receipts."
        )
    return list(found.values())


def _read_one(
    raw: bytes, root: Root, files: EvidenceFiles, sealed: Collection[str]
) -> AuditedReceipt:
    name = f"receipts/{hashlib.sha256(raw).hexdigest()[:_DIGITS]}{_SUFFIX}"
    try:
        signed = verify_receipt(raw, root, demand_approvals=False)
    except AirgapError as error:
        digest = b""
        with suppress(AirgapError):
            digest = hashlib.sha256(read_envelope(raw).payload).digest()
        files.add(name, raw)
        return AuditedReceipt(name, digest, None, "", 0, problem=error.message)
    point, receipt = signed.checkpoint, signed.receipt
    if receipt.items and receipt.bundle_id in sealed:
        files = files.withhold()
    name = f"receipts/{point.origin[-_DIGITS:]}.{signed.receipt.ledger.index + 1}.{name[9:]}"
    files.add(name, raw)
    return _describe(name, raw, signed, {key.id: key for key in root.keys}, files)


def _describe(
    name: str, raw: bytes, signed: SignedReceipt, keys: Mapping[str, Key], files: EvidenceFiles
) -> AuditedReceipt:
    envelope = read_envelope(raw)
    commands = [
        files.add_signature(name, envelope.payload, signature, keys[signature.key_id])
        for signature in envelope.signatures
        if signature.key_id in (*signed.recorders, *signed.approvers)
    ]
    return AuditedReceipt(
        name,
        hashlib.sha256(envelope.payload).digest(),
        signed.receipt,
        signed.checkpoint.origin,
        signed.checkpoint.size,
        signed.checkpoint.root,
        signed.recorders,
        commands=commands,
    )
