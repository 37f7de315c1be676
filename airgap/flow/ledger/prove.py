"""Writes proofs of a ledger as files, which others check without it (format §28.4, §28.6)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.errors import ConflictError, MissingError, PolicyError, UsageError
from airgap.flow import site as sites
from airgap.flow.ledger.checkpoints import (
    CHECKPOINT,
    RECORDER,
    LedgerChoice,
    SignedCheckpoint,
    make_checkpoint,
    read_checkpoint,
    read_tree,
    refuse_other_beginning,
)
from airgap.format import envelope as dsse
from airgap.format import tree_proof
from airgap.format.ledger import IMPORTS, Entry, decode_entry
from airgap.format.tree import hash_leaf, verify_inclusion
from airgap.format.tree_proof import ConsistencyProof, InclusionProof
from airgap.ledger.tree import LedgerTree, StaleNodesError
from airgap.printable import count_text
from airgap.signing.public_keys import to_pem
from airgap.signing.signer import Signer
from airgap.state import installed_manifests, pinned_root
from airgap.state.counted_files import load_counted
from airgap.times import format_time

__all__ = [
    "ENTRY",
    "MANIFEST",
    "PROOF",
    "WrittenProof",
    "describe_entry",
    "make_inclusion",
    "prove_consistency",
    "prove_entry",
    "require_checkpoint",
    "root_files",
    "write_folder",
    "write_proof_file",
]

ENTRY: Final = "entry.msgpack"
PROOF: Final = "entry.tlog-proof"
MANIFEST: Final = "manifest.msgpack"
_ID_DIGITS: Final = 8
_MADE_BY: Final[frozenset[str]] = IMPORTS | {"exported"}


@dataclass(frozen=True, slots=True)
class WrittenProof:
    """A folder with a proof: which entry, by which checkpoint; and what else was chosen from."""

    folder: Path
    number: int
    entry: Entry
    signed: SignedCheckpoint
    files: tuple[str, ...]
    others: tuple[int, ...]
    """The numbers of further entries about the same bundle."""


def prove_entry(
    ledger: LedgerChoice, wanted: str, folder: Path, signer: Signer | None
) -> WrittenProof:
    """Write a folder that proves that an entry is in a ledger.

    Args:
        ledger: which one.
        wanted: the number of the entry, or the beginning of a bundle id, at least 8 digits. Of
            several entries about a bundle, the last one of its import or export is proven.
        folder: new, or empty.
        signer: signs a new checkpoint; None: the last one must cover the entry.

    Raises:
        UsageError: ``wanted`` is neither.
        MissingError: there is no such entry.
        PolicyError: the ledger is not consistent, or no checkpoint covers the entry.
        ConflictError: the folder has something in it.
        StorageError: the disk refused.
    """
    signed = require_checkpoint(ledger, signer)
    try:
        chosen = _choose_entry(read_tree(ledger, whole=False), wanted, signed)
    except (PolicyError, StaleNodesError):  # the stored nodes were damaged, or the ledger
        chosen = _choose_entry(read_tree(ledger), wanted, signed)
    number, raw, inclusion = chosen.number, chosen.raw, chosen.inclusion
    entry = decode_entry(raw)
    proof = tree_proof.encode_inclusion(inclusion)
    described = json.dumps(describe_entry(entry, number), indent=2, ensure_ascii=True)
    files = {
        ENTRY: raw,
        "entry.json": f"{described}\n".encode(),
        PROOF: proof,
        CHECKPOINT: signed.raw,
        RECORDER: to_pem(signed.key),
        **root_files(ledger.site),
        **_manifest_files(entry),
        **dict(_read_texts()),
    }
    write_folder(folder, files)
    return WrittenProof(folder, number, entry, signed, tuple(files), chosen.others)


@dataclass(frozen=True, slots=True)
class _ProvenEntry:
    """An entry, and the proof that it is in its ledger; ``others`` are about the same bundle."""

    number: int
    raw: bytes
    inclusion: InclusionProof
    others: tuple[int, ...]


def _choose_entry(tree: LedgerTree, wanted: str, signed: SignedCheckpoint) -> _ProvenEntry:
    """Find what a person means, and prove it. Raises as ``prove_entry``."""
    numbers = _find_entries(tree, wanted)
    number = numbers[-1]
    if number > signed.point.size:
        raise PolicyError(
            f"The last checkpoint covers {count_text(signed.point.size, 'entry', 'entries')}, and"
            f" not entry {number}.",
            "Give --key KEY, the recorder's, to sign a new checkpoint.",
        )
    inclusion = make_inclusion(tree, number - 1, signed)
    others = tuple(other for other in numbers if other != number)
    return _ProvenEntry(number, tree.read_entry(number - 1), inclusion, others)


def make_inclusion(tree: LedgerTree, index: int, signed: SignedCheckpoint) -> InclusionProof:
    """Return the proof that leaf ``index`` is in the ledger of a checkpoint.

    Raises:
        PolicyError: the ledger does not lead to the checkpoint: it was changed.
    """
    point = signed.point
    path = tree.prove_inclusion(index, point.size)
    leaf = hash_leaf(tree.read_entry(index))
    if not verify_inclusion(leaf, index, point.size, path, point.root):
        raise PolicyError(
            f"Entry {index + 1} of the ledger {tree.origin} does not lead to its last checkpoint.",
            "The ledger was changed: see `airgap doctor`.",
        )
    return InclusionProof(index, path, signed.raw)


def prove_consistency(
    ledger: LedgerChoice, old: int, signer: Signer | None
) -> tuple[bytes, SignedCheckpoint]:
    """Return the proof that a ledger continues its first ``old`` entries, as a witness takes it.

    With 0, it is what a witness needs that has signed nothing of this ledger yet.

    Raises:
        UsageError: the ledger's last checkpoint covers fewer entries.
        PolicyError: the ledger is not consistent, has no checkpoint, or does not lead to it.
        StorageError: it cannot be read.
    """
    signed = require_checkpoint(ledger, signer)
    size = signed.point.size
    if old > size:
        raise UsageError(
            f"The last checkpoint covers {count_text(size, 'entry', 'entries')}, fewer than"
            f" {old:,}.",
            "Give --key KEY, the recorder's, to sign a new checkpoint.",
        )
    tree = read_tree(ledger)
    refuse_other_beginning(signed.point, tree)
    path = tree.prove_consistency(old, size) if old else ()
    return tree_proof.encode_consistency(ConsistencyProof(old, path, signed.raw)), signed


def require_checkpoint(ledger: LedgerChoice, signer: Signer | None) -> SignedCheckpoint:
    """Return a ledger's last checkpoint, or a new one if there is somebody to sign it.

    Raises:
        PolicyError: there is none; or as ``make_checkpoint``.
    """
    signed = make_checkpoint(ledger, signer) if signer else read_checkpoint(ledger)
    if signed is None:
        raise PolicyError(
            f"The ledger of site {ledger.site} has no checkpoint yet.",
            "Give --key KEY, the recorder's, to sign one.",
        )
    return signed


def describe_entry(entry: Entry, number: int) -> dict[str, Any]:
    """Describe an entry as plain data. Times as RFC 3339; digests and ids in hex."""
    replaces = entry.replaces
    return {
        "number": number,
        "site": entry.site,
        "at": format_time(entry.at),
        "event": entry.event,
        "bundle": entry.bundle.hex() if entry.bundle else None,
        "channel": entry.channel,
        "sequence": entry.sequence,
        "root_version": entry.root,
        "signed_by": {role: list(ids) for role, ids in entry.signed_by.items()},
        "waiver": entry.waiver.hex() if entry.waiver else None,
        "documents": {name: digest.hex() for name, digest in entry.documents.items()},
        "who": {"user": entry.who.user, "host": entry.who.host, "key": entry.who.key},
        "note": entry.note,
        "time_floor": format_time(entry.floor),
        "previous": entry.previous.hex(),
        "replaces": replaces
        and {
            "entries": replaces.entries,
            "first": replaces.first.hex(),
            "head": replaces.head.hex(),
            "root": replaces.root.hex(),
        },
    }


def root_files(site: str) -> dict[str, bytes]:
    """Return the pinned root of a site and its envelopes, by file name; nothing without one."""
    pinned = pinned_root.load_root()
    verified = sites.load_pinned()
    if pinned is None or verified is None or verified.value.site != site:
        return {}
    envelopes = {
        f"root.{dsse.decode(envelope).key_id}.dsse": envelope for envelope in pinned.envelopes
    }
    return {"root.msgpack": pinned.raw} | envelopes


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that is new or empty.

    Raises:
        ConflictError: something is in it.
        StorageError: the disk refused.
    """
    with translate_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if list(folder.iterdir()):
            raise ConflictError(f"{folder} is not empty.", "Name a new folder with -o.")
    for name, data in files.items():
        mode = 0o755 if name.endswith(".sh") else 0o644
        write_atomically(folder, name, [data], mode=mode)


def write_proof_file(path: Path, raw: bytes) -> None:
    """Write a proof or a checkpoint where a person wants it; raises StorageError."""
    write_atomically(path.parent, path.name, [raw], mode=0o644)


def _find_entries(tree: LedgerTree, wanted: str) -> list[int]:
    """Return the numbers of the entries that are meant, the one to prove last."""
    if wanted.isdecimal() and len(wanted) < _ID_DIGITS:
        if not 0 < int(wanted) <= tree.size:
            raise MissingError(
                f"The ledger has {count_text(tree.size, 'entry', 'entries')}, and no entry"
                f" {wanted}.",
                "See `airgap log --json` for the numbers.",
            )
        return [int(wanted)]
    if not (_ID_DIGITS <= len(wanted) <= 64 and set(wanted) <= set("0123456789abcdef")):  # noqa: PLR2004
        raise UsageError(
            f"{wanted!r} is neither the number of an entry nor the beginning of a bundle id.",
            "Give a number, or at least 8 hex digits of the id.",
        )
    entries = [
        (number, entry)
        for number, entry in _decode_with(tree, bytes.fromhex(wanted[: len(wanted) // 2 * 2]))
        if entry.bundle is not None and entry.bundle.hex().startswith(wanted)
    ]
    if len({entry.bundle for _, entry in entries}) != 1:
        bundles = sorted({entry.bundle.hex() for _, entry in entries if entry.bundle})
        raise MissingError(
            f"The ledger has entries about {len(bundles)} bundles whose id begins with {wanted}.",
            "Give more digits of the id, or the number of an entry.",
            bundles[:5],
        )
    entries.sort(key=lambda row: (row[1].event in _MADE_BY, row[0]))
    return [number for number, _ in entries]


def _decode_with(tree: LedgerTree, part: bytes) -> Iterator[tuple[int, Entry]]:
    """Yield the entries in whose bytes something occurs: decoding all would take seconds."""
    for index in tree.find(part):
        yield index + 1, decode_entry(tree.read_entry(index))


def _manifest_files(entry: Entry) -> dict[str, bytes]:
    """Return the manifest of the entry's bundle and who signed it, as far as it was kept."""
    raw = installed_manifests.load_raw(entry.bundle.hex()) if entry.bundle else None
    if raw is None or entry.bundle is None:
        return {}
    return {MANIFEST: raw, **load_counted(entry.bundle.hex())}


def _read_texts() -> Iterator[tuple[str, bytes]]:
    """Yield the programs and the README of a proof, which are the same in all of them."""
    folder = Path(__file__).parent / "texts"
    for name, source in (
        ("check.sh", "check.sh"),
        ("verify.py", "verifier.txt"),
        ("README.txt", "README.txt"),
    ):
        yield name, (folder / source).read_bytes()
