"""Gathers what is known of a bundle, to be kept beside it in an archive (format §35.3)."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from airgap.bom.cyclonedx import SpecVersion, encode_bill, write_bill
from airgap.carrier.depot import Depot
from airgap.carrier.texts import texts
from airgap.disk.reading import list_names, read_small
from airgap.errors import AirgapError, ConfigurationError, MissingError, UsageError
from airgap.flow.admission.history import Side
from airgap.flow.bill.make_bill import describe_bundle
from airgap.flow.bundle.open_bundle import Unverified
from airgap.flow.chunks.chunk_sources import ChunkSources
from airgap.flow.ledger.checkpoints import (
    LedgerChoice,
    SignedCheckpoint,
    find_recorders,
    make_checkpoint,
    read_checkpoint,
)
from airgap.flow.ledger.prove import make_inclusion
from airgap.flow.media.small_files import SmallFiles
from airgap.flow.progress import Progress
from airgap.flow.retention.own_ledger import use_ledger
from airgap.flow.retention.records import place_named
from airgap.format import envelope as dsse
from airgap.format import layout, limits, tree_proof
from airgap.format import root as roots
from airgap.format.archive import EvidenceFile, evidence_name, is_evidence_name, software_name
from airgap.format.ledger import decode_entry
from airgap.format.read_receipt import decode_receipt
from airgap.format.receipt import receipt_file
from airgap.ledger.tree import LedgerTree
from airgap.signing.receipts import read_envelope
from airgap.signing.signer import Signer
from airgap.state.pinned_root import load_root
from airgap.state.receipt_store import ReceiptStore, list_sites

__all__ = [
    "BILL",
    "Evidences",
    "gather_evidence",
    "make_bill",
    "place_evidence",
    "place_software",
    "read_given_files",
]

Evidences = Mapping[EvidenceFile, bytes]
"""Files of evidence, with their bytes."""
BILL: Final = "bom.cdx.json"
_SIDES: Final[tuple[Side, ...]] = ("importing", "exporting")
_OF_ARCHIVES: Final = frozenset({"archived", "checked", "held", "released"})
"""Events about an archive itself: proofs of them would be new each time a bundle is added."""
_MOST_PROOFS: Final = 100
_FORMAT: Final = "format.md"
_BILL_BYTES: Final = limits.EVIDENCE_BYTES
_BILL_VERSION: Final[SpecVersion] = "1.6"


@dataclass(frozen=True, slots=True)
class _Named:
    """A file of evidence before it is hashed."""

    name: str
    data: bytes


def gather_evidence(
    small: SmallFiles,
    site: str,
    signer: Signer,
    given: Sequence[tuple[str, bytes]],
    earlier: Iterable[EvidenceFile],
) -> dict[EvidenceFile, bytes]:
    """Return what is known of a bundle.

    Args:
        small: what lies beside its packs.
        site: whose ledgers are asked, on this machine.
        signer: signs checkpoints of them, if it is a recorder of the site.
        given: further files, by name.
        earlier: evidence that is there already; a proof of an entry that it has is not made again.

    Raises:
        UsageError: there are too many files.
        PolicyError: a ledger is not consistent.
        StorageError: a file cannot be read.
    """
    proven = {file.name for file in earlier}
    named = [
        _Named(layout.MANIFEST, small.raw),
        *(_Named(name, data) for name, data in small.envelopes.items()),
        *_list_roots(small.roots),
        *_list_receipts(small.bundle),
        *_list_proofs(site, small.bundle, signer, proven),
        *(_Named(name, data) for name, data in given),
    ]
    files = {_describe(one): one.data for one in named if is_evidence_name(one.name)}
    if len(files) > limits.EVIDENCE_FILES:
        raise UsageError(
            f"Bundle {small.bundle} has {len(files):,} files of evidence; at most"
            f" {limits.EVIDENCE_FILES:,} are kept.",
            "Give fewer with --evidence.",
        )
    return files


def make_bill(
    opened: Unverified, bases: ChunkSources, jobs: int | None, progress: Progress
) -> bytes:
    """Return the bill of materials of a bundle that is not sealed (format §35.3).

    Raises:
        MissingError, CorruptError, StorageError, TransportError: a pack cannot be read.
    """
    bill = describe_bundle(opened, jobs, progress, bases)
    whole = encode_bill(write_bill(bill, _BILL_VERSION))
    if len(whole) <= _BILL_BYTES:
        return whole
    return encode_bill(write_bill(bill, _BILL_VERSION, with_files=False))


def read_given_files(paths: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Read files that a person adds to the evidence; of a folder, all files directly in it.

    Raises:
        MissingError: one cannot be read.
        UsageError: one is too long, or has a name that evidence cannot have.
    """
    files: list[tuple[str, bytes]] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = [path / name for name in list_names(path, ".", limits.EVIDENCE_FILES)]
        files += map(_read_given, inside)
    return files


def place_evidence(depot: Depot, bundle: str, files: Evidences) -> int:
    """Store evidence; return how many files are new. Raises as ``place_named``."""
    return sum(
        place_named(depot, evidence_name(bundle, file), files[file]) for file in sorted(files)
    )


def place_software(depot: Depot, progress: Progress) -> None:
    """Store what reads the archive: the specification, the second verifier, and airgap itself.

    Raises:
        StorageError, TransportError, ConflictError: as ``place_named``.
    """
    files = {
        layout.VERIFIER_NAME: texts()[layout.VERIFIER_NAME],
        _FORMAT: Path(__file__).with_name("format.txt").read_bytes(),
        **_make_wheel(progress),
    }
    for name, data in files.items():
        place_named(depot, software_name(name, data), data)


def _make_wheel(progress: Progress) -> dict[str, bytes]:
    from airgap.flow.kit.own_wheel import write_own_wheel

    with tempfile.TemporaryDirectory(prefix="airgap-") as folder:
        try:
            path = write_own_wheel(Path(folder))
            return {} if path is None else {path.name: path.read_bytes()}
        except (ConfigurationError, OSError) as error:
            progress.note(f"The archive gets no wheel of airgap: {error}")
            return {}


def _describe(file: _Named) -> EvidenceFile:
    return EvidenceFile(file.name, hashlib.sha256(file.data).hexdigest(), len(file.data))


def _read_given(path: Path) -> tuple[str, bytes]:
    try:
        data = read_small(path, limits.EVIDENCE_BYTES)
    except OSError as error:
        raise MissingError(
            f"{path} cannot be read: {error.strerror}.", "Name a file, or a folder of files."
        ) from error
    if len(data) > limits.EVIDENCE_BYTES or not is_evidence_name(path.name):
        raise UsageError(
            f"{path} cannot be evidence: it has more than {limits.EVIDENCE_BYTES:,} bytes, or a"
            " name with other characters than A-Z, a-z, 0-9, '.', '-' and '_'.",
            "Give it another name, or cut it.",
        )
    return path.name, data


def _list_roots(travelling: Mapping[str, bytes]) -> Iterator[_Named]:
    """Yield roots: those that travelled with the bundle, and the one that this machine trusts."""
    for name, data in travelling.items():
        file = name.rpartition("/")[2]
        yield _Named(f"root.{file.replace('.root.msgpack', '.msgpack')}", data)
    pinned = load_root()
    if pinned is None:
        return
    version = roots.decode(pinned.raw).version
    yield _Named(f"root.{version}.msgpack", pinned.raw)
    for raw in pinned.envelopes:
        with suppress(AirgapError):
            yield _Named(f"root.{version}.{dsse.decode(raw).key_id}.dsse", raw)


def _list_receipts(bundle: str) -> Iterator[_Named]:
    """Yield the receipts of a bundle that this machine has accepted, of any site."""
    for site in list_sites():
        store = ReceiptStore(site)
        for kept in store.list_accepted():
            if kept.bundle == bundle:
                raw = store.read(kept)
                with suppress(AirgapError):
                    yield _Named(receipt_file(decode_receipt(read_envelope(raw).payload)), raw)


def _list_proofs(site: str, bundle: str, signer: Signer, proven: set[str]) -> Iterator[_Named]:
    """Yield the entries about a bundle in both ledgers of this machine, each with its proof."""
    for side in _SIDES:
        found = use_ledger(site, side, partial(_find_entries, bundle)) or []
        numbers = [number for number in found if _name(side, number) not in proven]
        if numbers:  # a checkpoint needs the ledger's lock, too
            signed = _sign(LedgerChoice(site, side), signer, numbers[-1])
            yield from use_ledger(site, side, partial(_prove, side, numbers, signed)) or ()


def _prove(
    side: Side, numbers: Sequence[int], signed: SignedCheckpoint | None, tree: LedgerTree
) -> list[_Named]:
    """Return entries, and the proofs of those that a checkpoint covers."""
    files = [_Named(_name(side, number), tree.read_entry(number - 1)) for number in numbers]
    for number in numbers:
        if signed is not None and number <= signed.point.size:
            proof = tree_proof.encode_inclusion(make_inclusion(tree, number - 1, signed))
            name = f"{_name(side, number).removesuffix('.msgpack')}.tlog-proof"
            files.append(_Named(name, proof))
    return files


def _name(side: Side, number: int) -> str:
    return f"ledger.{side}.{number}.msgpack"


def _find_entries(bundle: str, tree: LedgerTree) -> list[int]:
    """Return the numbers of the entries about a bundle, from 1 on: the last hundred."""
    digest = bytes.fromhex(bundle)
    found = []
    for index in tree.find(digest):
        entry = decode_entry(tree.read_entry(index))
        if entry.bundle == digest and entry.event not in _OF_ARCHIVES:
            found.append(index + 1)
    return found[-_MOST_PROOFS:]


def _sign(ledger: LedgerChoice, signer: Signer, number: int) -> SignedCheckpoint | None:
    """Return a checkpoint that covers an entry, if there is one or the signer may make one."""
    last = read_checkpoint(ledger)
    if last is not None and last.point.size >= number:
        return last
    if signer.key.algorithm != "ed25519" or signer.key.id not in find_recorders(ledger.site):
        return last
    return make_checkpoint(ledger, signer)
