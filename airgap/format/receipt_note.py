"""The short note of a receipt, for where nothing but a voice leaves a site (format §29.6)."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from airgap.errors import UsageError
from airgap.format import limits
from airgap.format.checkpoint import Checkpoint
from airgap.format.fields import DIGEST_BYTES
from airgap.format.receipt import Receipt

__all__ = ["ReceiptNote", "make_note", "note_lines", "parse_note"]

_ID_DIGITS: Final = 16
_GROUP: Final = 4
_CHECKS: Final = 10_000
_NOTE: Final = re.compile(
    r"bundle (?P<bundle>[0-9a-f]{16}) ledger (?P<size>[1-9][0-9]{0,15}) root (?P<root>[a-z2-7 ]+?)"
    r" (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}) (?P<result>passed|failed) check (?P<check>[0-9]{4})"
)


@dataclass(frozen=True, slots=True)
class ReceiptNote:
    """What somebody read out of a receipt; nothing of it is signed."""

    bundle: str
    """The first 16 digits of the bundle id."""
    size: int
    root: bytes
    date: str
    passed: bool


def make_note(receipt: Receipt, checkpoint: Checkpoint) -> ReceiptNote:
    """Return the note of a receipt, of which the checkpoint is ``checkpoint``."""
    date = receipt.verified_at.partition("T")[0]
    bundle = receipt.bundle_id[:_ID_DIGITS]
    return ReceiptNote(bundle, checkpoint.size, checkpoint.root, date, receipt.passed)


def note_lines(note: ReceiptNote, site: str) -> list[str]:
    """Return the five lines that are read out."""
    root = _write_root(note)
    groups = " ".join(root[start : start + _GROUP] for start in range(0, len(root), _GROUP))
    bundle, size, _, result = _checked_lines(note)
    return [bundle, size, f"root {groups}", result, f"check {_compute_check(note, site)}"]


def parse_note(text: str, site: str) -> ReceiptNote:
    """Read the five lines as a person has typed them, in one line or several, in any case.

    Raises:
        UsageError: a line is missing or malformed, or the check digits show an error.
    """
    words = " ".join(text[: limits.NOTE_CHARACTERS].lower().split())
    match = _NOTE.fullmatch(words)
    if match is None:
        raise UsageError(
            "This is not the note of a receipt.",
            "Type the five lines as they were read: bundle, ledger, root, date and result, check.",
        )
    try:
        root = base64.b32decode(match["root"].replace(" ", "").upper() + "====")
    except binascii.Error:
        root = b""
    bundle, date, size = match["bundle"], match["date"], int(match["size"])
    note = ReceiptNote(bundle, size, root, date, match["result"] == "passed")
    if len(root) != DIGEST_BYTES or match["check"] != _compute_check(note, site):
        raise UsageError(
            f"The check digits do not fit the note of site {site}.",
            "Have the lines read again: one of them was misheard or mistyped, or it is of another"
            " site.",
        )
    return note


def _write_root(note: ReceiptNote) -> str:
    return base64.b32encode(note.root).decode().rstrip("=")


def _checked_lines(note: ReceiptNote) -> tuple[str, str, str, str]:
    return (
        f"bundle {note.bundle}",
        f"ledger {note.size}",
        f"root {_write_root(note)}",
        f"{note.date} {'passed' if note.passed else 'failed'}",
    )


def _compute_check(note: ReceiptNote, site: str) -> str:
    text = "".join(f"{line}\n" for line in (site, *_checked_lines(note)))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return f"{number % _CHECKS:04}"
