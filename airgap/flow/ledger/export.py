"""Writes the entries of a ledger into a folder, with what proves that none is missing (§28.7)."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import CorruptError, NotTrustedError, UsageError
from airgap.flow.ledger.checkpoints import (
    CHECKPOINT,
    RECORDER,
    LedgerChoice,
    SignedCheckpoint,
    read_tree,
    refuse_other_beginning,
)
from airgap.flow.ledger.prove import describe_entry, require_checkpoint, root_files, write_folder
from airgap.format import ledger as ledger_format
from airgap.format import limits, tree
from airgap.format.checkpoint import (
    Checkpoint,
    decode_base64,
    encode_base64,
    is_origin_of,
    make_origin,
)
from airgap.format.ledger import Entry
from airgap.ledger.check import iterate_frames
from airgap.printable import count_text, quote
from airgap.signing.public_keys import to_pem
from airgap.signing.signer import Signer

__all__ = [
    "EDGE",
    "ENTRIES",
    "LINES",
    "ExportedEntries",
    "compute_exported_root",
    "encode_edge",
    "encode_lines",
    "export_entries",
    "read_edge",
]

ENTRIES: Final = "entries"
EDGE: Final = "edge"
LINES: Final = "entries.jsonl"
_EDGE_BYTES: Final = 4 * limits.KIB


@dataclass(frozen=True, slots=True)
class ExportedEntries:
    """A folder with the entries from number ``first`` on, as far as its checkpoint covers them."""

    folder: Path
    first: int
    count: int
    signed: SignedCheckpoint


def export_entries(
    ledger: LedgerChoice, since: int, folder: Path, signer: Signer | None
) -> ExportedEntries:
    """Write the entries after the first ``since`` ones.

    Raises:
        UsageError: the last checkpoint covers fewer.
        PolicyError: the ledger is not consistent, has no checkpoint, or does not lead to it.
        ConflictError: the folder has something in it.
        StorageError: the disk refused.
    """
    signed = require_checkpoint(ledger, signer)
    size = signed.point.size
    if since > size:
        raise UsageError(
            f"The last checkpoint covers {count_text(size, 'entry', 'entries')}, fewer than"
            f" {since:,}.",
            "Give --key KEY, the recorder's, to sign a new checkpoint.",
        )
    read = read_tree(ledger)
    refuse_other_beginning(signed.point, read)
    entries = read.read_entries(since, size)
    edge = tree.compute_edge(map(tree.hash_leaf, read.read_entries(0, since)))
    numbered = [(since + number, raw) for number, raw in enumerate(entries, 1)]
    files = {
        ENTRIES: b"".join(map(ledger_format.frame, entries)),
        LINES: encode_lines((number, ledger_format.decode_entry(raw)) for number, raw in numbered),
        EDGE: encode_edge(since, edge),
        CHECKPOINT: signed.raw,
        RECORDER: to_pem(signed.key),
        **root_files(ledger.site),
    }
    write_folder(folder, files)
    return ExportedEntries(folder, since + 1, len(entries), signed)


def encode_lines(entries: Iterable[tuple[int, Entry]]) -> bytes:
    """Write entries with their numbers for people and programs: an object in each line."""
    described = (describe_entry(entry, number) for number, entry in entries)
    return "".join(f"{json.dumps(entry, ensure_ascii=True)}\n" for entry in described).encode()


def encode_edge(since: int, edge: Sequence[bytes]) -> bytes:
    """Write how many entries were left out, and the roots of their full subtrees."""
    return "".join(f"{line}\n" for line in (since, *map(encode_base64, edge))).encode()


def compute_exported_root(folder: Path, point: Checkpoint) -> tuple[int, list[bytes]]:
    """Read exported entries, and demand that they lead to a verified checkpoint.

    Returns:
        How many entries came before them, and their bytes.

    Raises:
        CorruptError: a file is not of this form.
        NotTrustedError: an entry was changed, left out or added.
        StorageError: a file cannot be read.
    """
    since, edge = read_edge(folder / EDGE)
    with translate_errors(folder / ENTRIES):
        data = read_small(folder / ENTRIES, limits.LEDGER_BYTES)
    entries = [raw for _, raw in iterate_frames(data)]
    if sum(ledger_format.LENGTH_BYTES + len(raw) for raw in entries) != len(data):
        raise CorruptError(
            f"{folder / ENTRIES} is damaged after its first {len(entries):,} entries.",
            "Get the folder again from its source.",
        )
    root = _extend(since, edge, entries)
    site = _read_site(point.origin, folder / CHECKPOINT)
    is_named = since > 0 or (entries and make_origin(site, entries[0]) == point.origin)
    if since + len(entries) != point.size or root != point.root or not is_named:
        raise NotTrustedError(
            f"The {len(entries):,} entries in {folder} are not those of the ledger {point.origin}"
            f" up to its {point.size:,} entries.",
            "An entry was changed, left out or added: get the folder again from its source.",
        )
    return since, entries


def _read_site(origin: str, path: Path) -> str:
    """Return the site of a ledger, by its name (format §28.2)."""
    site = origin.split("/")[1] if origin.count("/") == 2 else ""  # noqa: PLR2004
    if not is_origin_of(origin, site):
        raise CorruptError(
            f"{path} is of {quote(origin)}, which is not the name of a ledger.",
            "Get the folder again from its source.",
        )
    return site


def _extend(since: int, edge: Sequence[bytes], entries: Sequence[bytes]) -> bytes:
    roots = list(edge)
    for count, raw in enumerate(entries, since):
        tree.push_leaf(roots, count, tree.hash_leaf(raw))
    return tree.fold_edge(roots)


def read_edge(path: Path) -> tuple[int, list[bytes]]:
    """Read what `encode_edge` wrote.

    Raises:
        CorruptError: it is not of this form.
        StorageError: it cannot be read.
    """
    with translate_errors(path):
        text = read_small(path, _EDGE_BYTES).decode("ascii", "replace")
    number, *lines = text.splitlines() or [""]
    edge = [decode_base64(line, str(path)) for line in lines]
    is_sound = number.isdecimal() and len(number) <= 16  # noqa: PLR2004
    if not is_sound or len(edge) != int(number).bit_count() or {*map(len, edge)} - {32}:
        raise CorruptError(
            f"{path} does not have the roots of a tree.", "Get the folder again from its source."
        )
    return int(number), edge
