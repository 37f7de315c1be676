"""The ledgers of an audit: this machine's own, or what others exported of theirs (format §28)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import AirgapError, MissingError, UsageError
from airgap.flow.admission import history
from airgap.flow.admission.history import Side
from airgap.flow.audit.evidence_files import EvidenceFiles
from airgap.flow.audit.material import AuditedEntry, AuditedLedger, AuditedStamp, LedgerSide
from airgap.flow.audit.stamps import describe_chains
from airgap.flow.ledger.checkpoints import (
    CHECKPOINT,
    LedgerChoice,
    SignedCheckpoint,
    read_checkpoint,
    verify_checkpoint,
)
from airgap.flow.ledger.export import EDGE, compute_exported_root, read_edge
from airgap.flow.ledger.prove import ENTRY, PROOF
from airgap.flow.ledger.verify import read_proof_file, verify_entry
from airgap.flow.timestamps.as_of import judge_stamps
from airgap.flow.timestamps.stampable import StampedCheckpoint
from airgap.format import limits, tree
from airgap.format.checkpoint import make_origin
from airgap.format.ledger import decode_entry
from airgap.format.root import Root
from airgap.format.stamp_files import certificate_file
from airgap.ledger.check import read_entries
from airgap.ledger.log import LEDGER
from airgap.printable import count_text

__all__ = ["read_own_ledgers", "read_shown_ledgers"]

_KINDS: Final[Mapping[Side, LedgerSide]] = {"importing": "imports", "exporting": "exports"}
_IDLE: Final = frozenset({"begun", "trusted"})
_IMPORTS: Final = frozenset(
    {"trusted", "imported", "waived", "unsigned", "incomplete", "refused", "receipt-made"}
)
_EXPORTS: Final = frozenset(
    {
        "exported",
        "signed",
        "approved",
        "rejected",
        "waiver-written",
        "receipt-accepted",
        "sealed",
        "deleted",
        "timestamped",
        "archived",
        "held",
        "released",
    }
)


def read_own_ledgers(root: Root, now: int, files: EvidenceFiles) -> list[AuditedLedger]:
    """Read the ledgers of this machine for the site of a root, as far as they are intact.

    Those that resets put aside come before the one that goes on, in their order. One in which
    nothing is but whom the machine trusts is left out: an auditor's laptop has it.

    Raises:
        StorageError: a file cannot be read.
        UsageError: there are too many, or they have more entries than a report may have.
    """
    ledgers: list[AuditedLedger] = []
    for choice in _list_own(root.site):
        ledger = _read_own(choice, root, f"L{len(ledgers) + 1}", now, files)
        if ledger.fault or any(one.entry.event not in _IDLE for one in ledger.entries):
            ledgers.append(ledger)
    _refuse_too_many(ledgers)
    return ledgers


def _list_own(site: str) -> Iterator[LedgerChoice]:
    """Yield the ledgers that are here, by side, the oldest first.

    A reset that was interrupted is done again, and puts the same ledger aside once more: the last
    copy of it is read.
    """
    for side in _KINDS:
        store = history.locate_ledger(site, side)
        with translate_errors(store.folder):
            numbers = store.number_aside()
            firsts = {one: store.open_aside(one).read_first() for one in numbers}
            firsts[0] = store.read_first()
        last = {first: number for number, first in firsts.items()}
        for number in numbers:
            if last[firsts[number]] == number:
                yield LedgerChoice(site, side, number)
        if store.exists():
            yield LedgerChoice(site, side)


def read_shown_ledgers(
    folders: Sequence[Path],
    root: Root,
    now: int,
    files: EvidenceFiles,
) -> list[AuditedLedger]:
    """Read folders of `ledger export` and `ledger prove`, and verify them.

    Args:
        folders: one for each ledger, or proof.
        root: today's; its recorders have signed the checkpoints, and its authorities judge the
            stamps beside them.
        now: seconds since 1970.
        files: get the stamps.

    Raises:
        UsageError: there are too many, or they have more entries than a report may have.
        MissingError, CorruptError, NotTrustedError: one is not what it should be.
        StorageError: one cannot be read.
    """
    ledgers = [
        _read_folder(folder, root, f"L{number}", now, files)
        for number, folder in enumerate(folders, 1)
    ]
    _refuse_too_many(ledgers)
    return ledgers


def _read_own(
    choice: LedgerChoice, root: Root, label: str, now: int, files: EvidenceFiles
) -> AuditedLedger:
    status = history.check_history(*choice)
    folder = status.store.folder
    with translate_errors(folder):
        data = read_if_exists(folder / LEDGER, limits.LEDGER_BYTES) or b""
    entries = [
        AuditedEntry(number, entry, raw)
        for number, (entry, raw) in enumerate(read_entries(root.site, data), 1)
    ]
    fault = status.fault.message if status.fault else ""
    signed, problem = None, ""
    stamps: tuple[AuditedStamp, ...] = ()
    try:
        signed = read_checkpoint(choice)
    except AirgapError as error:
        fault = fault or error.message
    if signed is not None and not _leads_to(entries, signed):
        fault = fault or "The ledger does not continue its last checkpoint."
        signed = None
    if signed is not None and signed.key.id not in root.signers("recorder"):
        problem = "its checkpoint is signed by a key that today's root does not name as a recorder."
        signed = None
    if signed is not None:
        stamps = _read_stamps(folder / CHECKPOINT, f"ledgers/{label[1:]}/", root, now, files)
    origin = make_origin(root.site, entries[0].raw) if entries else f"airgap/{root.site}/?"
    aside = f", put aside by reset {choice.reset}" if choice.reset else ""
    return AuditedLedger(
        label,
        origin,
        root.site,
        _KINDS[choice.side],
        f"this machine{aside}",
        entries,
        signed=signed,
        reset=choice.reset,
        fault=fault,
        problem=problem,
        stamps=stamps,
    )


def _leads_to(entries: Sequence[AuditedEntry], signed: SignedCheckpoint) -> bool:
    size = signed.point.size
    if size > len(entries) or not entries:
        return False
    return tree.compute_root(tree.hash_leaf(one.raw) for one in entries[:size]) == signed.point.root


def _read_folder(
    folder: Path,
    root: Root,
    label: str,
    now: int,
    files: EvidenceFiles,
) -> AuditedLedger:
    if (folder / PROOF).exists():
        return _read_proof(folder, root, label)
    if not (folder / EDGE).exists():
        raise MissingError(
            f"{folder} is neither a folder of `airgap ledger export` nor of `airgap ledger prove`.",
            "Ask the site for one of these folders.",
        )
    raw = read_proof_file(folder / CHECKPOINT)
    recorders = root.signers("recorder")
    signed = verify_checkpoint(raw, recorders, str(folder / CHECKPOINT), root.site)
    since, raws = compute_exported_root(folder, signed.point)
    entries = [
        AuditedEntry(number, decode_entry(raw), raw) for number, raw in enumerate(raws, since + 1)
    ]
    return AuditedLedger(
        label,
        signed.point.origin,
        root.site,
        _guess_side(entries),
        folder.name,
        entries,
        first=since + 1,
        edge=read_edge(folder / EDGE)[1],
        signed=signed,
        stamps=_read_stamps(folder / CHECKPOINT, f"ledgers/{label[1:]}/", root, now, files),
    )


def _read_proof(folder: Path, root: Root, label: str) -> AuditedLedger:
    raw = read_proof_file(folder / ENTRY, limits.LEDGER_ENTRY_BYTES)
    proof = read_proof_file(folder / PROOF)
    recorders = root.signers("recorder")
    proven = verify_entry(proof, raw, recorders, str(folder / PROOF), root.site)
    entries = [AuditedEntry(proven.number, proven.entry, raw)]
    return AuditedLedger(
        label,
        proven.signed.point.origin,
        root.site,
        _guess_side(entries),
        folder.name,
        entries,
        first=proven.number,
        signed=proven.signed,
        is_whole=False,
        proof=proof,
    )


def _guess_side(entries: Iterable[AuditedEntry]) -> LedgerSide:
    """Tell by its events what a ledger records: its files do not say so."""
    events = Counter(one.entry.event for one in entries)
    imports = sum(events[event] for event in events if event in _IMPORTS)
    exports = sum(events[event] for event in events if event in _EXPORTS)
    if imports == exports:
        return "unknown"
    return "imports" if imports > exports else "exports"


def _read_stamps(
    path: Path, folder: str, root: Root, now: int, files: EvidenceFiles
) -> tuple[AuditedStamp, ...]:
    """Judge the stamps beside a checkpoint; without rfc3161-client, there are none."""
    stamped = StampedCheckpoint(path, read_proof_file(path))
    for one in stamped.find_stamped():
        files.add_all(folder[:-1], one.chain)
    for digest, data in stamped.list_certificates():
        files.add(f"{folder}{certificate_file(digest)}", data)
    with suppress(AirgapError):
        chains, _ = judge_stamps(stamped, root, now)
        return tuple(describe_chains(chains, folder, now))
    return ()


def _refuse_too_many(ledgers: Sequence[AuditedLedger]) -> None:
    if len(ledgers) > limits.AUDIT_LEDGERS:
        raise UsageError(
            f"There are {len(ledgers)} ledgers; a report has at most {limits.AUDIT_LEDGERS}.",
            "Make several reports, and name the ledgers of each with --ledger.",
        )
    count = sum(len(ledger.entries) for ledger in ledgers)
    if count > limits.AUDIT_ENTRIES:
        raise UsageError(
            f"The ledgers have {count_text(count, 'entry', 'entries')}; a report has at most"
            f" {limits.AUDIT_ENTRIES:,}.",
            "Export fewer with `airgap ledger export --since`, and name that folder.",
        )
