"""Numbers the evidence of a report: each number leads to a file and a command (format §38.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from airgap.flow.audit.evidence_files import EvidenceFiles, compare_file
from airgap.flow.audit.material import AuditedEntry, AuditedLedger, AuditedRoots
from airgap.flow.ledger.checkpoints import CHECKPOINT, RECORDER
from airgap.flow.ledger.export import EDGE, ENTRIES, LINES, encode_edge, encode_lines
from airgap.flow.ledger.prove import ENTRY, PROOF
from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.format import tree, tree_proof
from airgap.format.ledger import frame
from airgap.format.tree_proof import InclusionProof
from airgap.signing.public_keys import to_pem

__all__ = ["CHECK_ENTRY", "VERIFY_LEDGER", "Citations", "EvidenceItem"]

CHECK_ENTRY: Final = "check-entry.sh"
VERIFY_LEDGER: Final = "verify-ledger.py"
_UNCOVERED: Final = "uncovered"


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """A numbered piece of evidence: what it shows, the file, its SHA-256, and what checks it."""

    number: int
    what: str
    file: str
    sha256: str
    command: str


class Citations:
    """Gives numbers in the order in which a report first names the evidence."""

    def __init__(self, files: EvidenceFiles, proofs: int) -> None:
        """Take where files are written, and how many entries may have a proof of their own."""
        self.items: list[EvidenceItem] = []
        self._files = files
        self._numbers: dict[tuple[str, str], int] = {}
        self._proofs_left = proofs
        self._trees: dict[str, _Subtrees] = {}
        self._roots: AuditedRoots | None = None

    def cite(self, what: str, file: str, command: str = "") -> int:
        """Return the number of a file that was written, and of the command that checks it.

        Without a command, the file is compared with its SHA-256. A file that is withheld has the
        number 0, which leads nowhere.
        """
        if file in self._files.withheld and not self.has(file):
            return 0
        digest = self._files.digests[file]
        command = command or compare_file(digest, file)
        number = self._numbers.get((file, command))
        if number is None:
            number = self._numbers[file, command] = len(self.items) + 1
            self.items.append(EvidenceItem(number, what, file, digest, command))
        return number

    def has(self, file: str) -> bool:
        """Tell whether a file was written."""
        return file in self._files.digests

    def write_ledger(self, ledger: AuditedLedger, audited: AuditedRoots) -> None:
        """Write a ledger in the form that it is exported in (format §28.7), or a single proof."""
        self._roots = audited
        folder, covered = ledger.folder, _list_covered(ledger)
        if ledger.signed is not None:
            self._files.add(f"{folder}/{CHECKPOINT}", ledger.signed.raw)
            self._files.add(f"{folder}/{RECORDER}", to_pem(ledger.signed.key))
            self._files.add_key(ledger.signed.key)
            self._files.add(f"{folder}/root.msgpack", audited.today.raw)
            for raw in audited.files[0].envelopes:
                self._files.add(f"{folder}/root.{dsse.decode(raw).key_id}.dsse", raw)
        if not ledger.is_whole:
            self._files.add(f"{folder}/{ENTRY}", ledger.entries[0].raw)
            self._files.add(f"{folder}/{PROOF}", ledger.proof)
            return
        if ledger.signed is not None:
            self._files.add(f"{folder}/{ENTRIES}", b"".join(frame(one.raw) for one in covered))
            self._files.add(f"{folder}/{EDGE}", encode_edge(ledger.first - 1, ledger.edge))
            if self._files.is_written:
                lines = encode_lines((one.number, one.entry) for one in covered)
                self._files.add(f"{folder}/{LINES}", lines)
        rest = ledger.entries[len(covered) :]
        if rest:
            self._files.add(f"{folder}/{_UNCOVERED}", b"".join(frame(one.raw) for one in rest))

    def cite_ledger(self, ledger: AuditedLedger) -> int | None:
        """Return the number of a ledger as a whole; None if there is nothing of it."""
        if not ledger.is_whole:
            return self.cite_entry(ledger, ledger.entries[0])
        if ledger.signed is None or self._roots is None:
            file = f"{ledger.folder}/{_UNCOVERED}"
            what = f"ledger {ledger.label}: entries that no checkpoint covers"
            return self.cite(what, file) if self.has(file) else None
        fingerprint = roots.fingerprint(self._roots.today.raw)
        return self.cite(
            f"ledger {ledger.label}: entries {ledger.first} to {ledger.covered}, as its recorder"
            " signed them",
            f"{ledger.folder}/{ENTRIES}",
            f"python3 {VERIFY_LEDGER} {ledger.folder} --fingerprint {fingerprint}",
        )

    def cite_entry(self, ledger: AuditedLedger, audited: AuditedEntry) -> int:
        """Return the number of the proof of an entry, or of what else shows it."""
        what = f"ledger {ledger.label}, entry {audited.number}: {audited.entry.event}"
        if not ledger.is_whole:
            return self.cite(what, f"{ledger.folder}/{ENTRY}", f"sh {CHECK_ENTRY} {ledger.folder}")
        if audited.number > ledger.covered:
            return self.cite(
                f"ledger {ledger.label}: entries that no checkpoint covers",
                f"{ledger.folder}/{_UNCOVERED}",
            )
        folder = f"{ledger.folder}/proofs/{audited.number}"
        if f"{folder}/{ENTRY}" not in self._files.digests:
            if not self._proofs_left:
                return self.cite_ledger(ledger) or 0
            self._proofs_left -= 1
            self._write_proof(ledger, audited, folder)
        return self.cite(what, f"{folder}/{ENTRY}", f"sh {CHECK_ENTRY} {folder}")

    def _write_proof(self, ledger: AuditedLedger, audited: AuditedEntry, folder: str) -> None:
        signed = ledger.signed
        self._files.add(f"{folder}/{ENTRY}", audited.raw)
        if signed is None or not self._files.is_written:
            return
        subtrees = self._trees.get(ledger.label)
        if subtrees is None:
            leaves = [tree.hash_leaf(one.raw) for one in _list_covered(ledger)]
            subtrees = self._trees[ledger.label] = _Subtrees(ledger.first - 1, ledger.edge, leaves)
        index = audited.number - 1
        path = tuple(subtrees.compute(*part) for part in tree.list_inclusion(index, ledger.covered))
        proof = tree_proof.encode_inclusion(InclusionProof(index, path, signed.raw))
        self._files.add(f"{folder}/{PROOF}", proof)
        self._files.add(f"{folder}/{RECORDER}", to_pem(signed.key))


class _Subtrees:
    """The roots of parts of a tree, of which the first leaves are known by their edge alone."""

    def __init__(self, since: int, edge: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        self._since = since
        self._leaves = leaves
        self._roots: dict[tuple[int, int], bytes] = {}
        start = 0
        for root, level in zip(edge, _list_bits(since), strict=True):
            self._roots[start, start + (1 << level)] = root
            start += 1 << level

    def compute(self, start: int, end: int) -> bytes:
        """Return the root over the leaves from ``start`` to before ``end`` (RFC 6962 §2.1)."""
        if end - start == 1 and start >= self._since:
            return self._leaves[start - self._since]
        root = self._roots.get((start, end))
        if root is None:
            middle = start + (1 << (end - start - 1).bit_length() - 1)
            root = tree.join_nodes(self.compute(start, middle), self.compute(middle, end))
            self._roots[start, end] = root
        return root


def _list_bits(number: int) -> list[int]:
    return [level for level in range(number.bit_length() - 1, -1, -1) if number >> level & 1]


def _list_covered(ledger: AuditedLedger) -> Sequence[AuditedEntry]:
    return ledger.entries[: max(ledger.covered - ledger.first + 1, 0)]
