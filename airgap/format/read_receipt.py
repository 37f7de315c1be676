"""Reads a receipt strictly: exactly the bytes that a writer would have written (format §29.2)."""

import re
from collections.abc import Collection
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import intoto, limits, names
from airgap.format.checkpoint import Checkpoint, parse_checkpoint, parse_note
from airgap.format.fields import Fields
from airgap.format.intoto import InTotoStatement
from airgap.format.ledger_view import MEMBERS, read_digest, read_members, read_path
from airgap.format.receipt import (
    EVENTS,
    EXTENSION,
    FAILED,
    ITEM_DIGEST,
    OUTCOMES,
    PREDICATE,
    LedgerProof,
    Receipt,
    ReceiptItem,
    encode_receipt,
)

__all__ = ["decode_receipt"]

_WHAT: Final = "receipt"
_HINT: Final = "Get the receipt again from the site."
_TEXT_CHARACTERS: Final = 400  # of an item, or of a file that was counted
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_LEVEL: Final = re.compile(r"AIRGAP_(WAIVED|(BUILDERS|SCANNERS|APPROVERS)_[1-9][0-9]{0,3})")
_WORD: Final = re.compile(r"[a-z]([-a-z]{0,30}[a-z])?")
_ROOT: Final = re.compile(r"airgap:root/([-._a-z0-9]{1,63})/([1-9][0-9]{0,15})")
_CHANNEL: Final = re.compile(r"airgap:channel/([-._a-z0-9]{1,63})#(0|[1-9][0-9]{0,15})")
_ORIGIN: Final = re.compile(r"airgap/[-._a-z0-9]{1,63}/[0-9a-f]{16}")


def decode_receipt(raw: bytes) -> Receipt:
    """Decode and check what was signed. Its signatures and proofs are not verified here.

    Raises:
        CorruptError: it breaks a rule of format §29.2.
    """
    try:
        statement = intoto.decode_statement(raw, _WHAT, limits.RECEIPT_BYTES)
        unprintable = intoto.find_unprintable([*statement.subjects, statement.predicate])
        if unprintable is not None:
            raise _error(f"has a text that is not printable: {unprintable}")
        receipt = _read_receipt(statement)
    except CorruptError as error:
        raise CorruptError(error.message, _HINT) from error
    if encode_receipt(receipt) != raw:  # another order of keys, an unknown member, a lie in a name
        raise _error("is not in the form that airgap writes")
    return receipt


def _read_receipt(statement: InTotoStatement) -> Receipt:
    if statement.predicate_type != PREDICATE:
        raise _error("is a statement of another kind")
    predicate = _open(statement.predicate, _PREDICATE)
    extension = _open(predicate.table(EXTENSION, 16), _EXTENSION)
    verifier = _open(predicate.table("verifier", 2), {"id", "version"})
    policy = _open(predicate.table("policy", 2), {"digest", "uri"})
    root = _ROOT.fullmatch(policy.text("uri"))
    event = next((event for event in EVENTS if event == extension.text("event")), None)
    verified_at, reason = predicate.text("timeVerified"), extension.text("reason")
    if root is None or event is None or not _TIME.fullmatch(verified_at):
        raise _error("has no root, no time, or an unknown event")
    if (event == "refused") != bool(_WORD.fullmatch(reason)):
        raise _error("gives no reason for a refusal, or one without a refusal")
    return Receipt(
        site=root[1],
        bundle=_read_digest(statement.subjects[0], "sha256"),
        event=event,
        verified_at=verified_at,
        root=int(root[2]),
        root_digest=_read_digest(statement.predicate["policy"], "sha256"),
        tool=_open(verifier.table("version", 1), {"airgap"}).text("airgap", limits.TOOL_CHARACTERS),
        ledger=_read_ledger(_open(extension.table("ledger", 5), _LEDGER)),
        holds=_read_holds(extension.sorted_texts("holds", limits.RECEIPT_HOLDS)),
        levels=_read_levels(predicate.sorted_texts("verifiedLevels", 4), is_refusal=bool(reason)),
        reason=reason,
        witnessed=tuple(map(_read_seen, extension.array("witnessed", limits.WITNESSED))),
        note=extension.text("note", limits.NOTE_CHARACTERS) if extension.has("note") else "",
        **_read_names(statement, predicate, extension),
    )


def _read_names(statement: InTotoStatement, predicate: Fields, extension: Fields) -> dict[str, Any]:
    """Return what a terse receipt does not have."""
    channel = _CHANNEL.fullmatch(predicate.text("resourceUri"))
    if channel is None:
        return {}
    outcomes = extension.array("outcomes", limits.ITEMS)
    subjects = statement.subjects[1:]
    if len(outcomes) != len(subjects) or not all(outcome in OUTCOMES for outcome in outcomes):
        raise _error("does not say what became of each item")
    gaps = extension.array("gaps", limits.RECEIPT_GAPS)
    if not all(type(gap) is list and list(map(type, gap)) == [int, int] for gap in gaps):
        raise _error("has a gap that is not a pair of numbers")
    return {
        "channel": channel[1],
        "sequence": int(channel[2]),
        "items": tuple(
            ReceiptItem(_read_text(subject, "name"), _read_digest(subject, ITEM_DIGEST), outcome)
            for subject, outcome in zip(subjects, outcomes, strict=True)
        ),
        "item_count": extension.integer("items", low=len(subjects), high=limits.ITEMS),
        "evidence": tuple(
            (_read_text(entry, "uri"), _read_digest(entry, "sha256"))
            for entry in predicate.array("inputAttestations", limits.RECEIPT_EVIDENCE)
        ),
        "gaps": tuple((first, last) for first, last in gaps),
    }


def _read_ledger(ledger: Fields) -> LedgerProof:
    checkpoint, earlier = read_members(ledger)
    name = "The receipt has a checkpoint that"
    parse_checkpoint(parse_note(checkpoint, name).text, name)  # people see its lines, unverified
    return LedgerProof(
        index=ledger.integer("index"),
        leaf=read_digest(ledger, "leaf"),
        inclusion=read_path(ledger, "inclusion"),
        checkpoint=checkpoint,
        earlier=earlier,
    )


def _read_holds(holds: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(names.is_bundle_id, holds)):
        raise _error("says that the site holds something that is not a bundle id")
    return holds


def _read_levels(levels: tuple[str, ...], *, is_refusal: bool) -> tuple[str, ...]:
    if is_refusal != (levels == FAILED) or not (is_refusal or all(map(_LEVEL.fullmatch, levels))):
        raise _error("has levels that airgap does not write")
    return levels


def _read_seen(value: Any) -> Checkpoint:  # noqa: ANN401
    seen = _open(value, {"origin", "root", "size"})
    if not _ORIGIN.fullmatch(seen.text("origin")):
        raise _error("has seen a ledger of another origin than airgap writes")
    return Checkpoint(seen.text("origin"), seen.integer("size", low=1), read_digest(seen, "root"))


def _read_digest(value: Any, name: str) -> bytes:  # noqa: ANN401
    """Return the digest of a resource descriptor."""
    digest = value.get("digest") if type(value) is dict else None
    text = digest.get(name) if type(digest) is dict else None
    if type(text) is not str or not names.is_bundle_id(text):
        raise _error("has a digest that is not 64 lower-case hex digits")
    return bytes.fromhex(text)


def _read_text(value: Any, key: str) -> str:  # noqa: ANN401
    text = value.get(key) if type(value) is dict else None
    if type(text) is not str or not 0 < len(text) <= _TEXT_CHARACTERS:
        raise _error(f"has no text of at most {_TEXT_CHARACTERS} characters in '{key}'")
    return text


class _Members(Fields):
    """A map of which some members may be absent."""

    __slots__ = ("_present",)

    def __init__(self, value: Any, keys: frozenset[str]) -> None:  # noqa: ANN401
        """Take a map that has ``keys``, and of ``_OPTIONAL`` what it has."""
        self._present = frozenset(value) if type(value) is dict else frozenset()
        super().__init__(value, keys | (self._present & _OPTIONAL), _WHAT)

    def has(self, key: str) -> bool:
        """Tell whether a member is there."""
        return key in self._present


def _open(value: Any, keys: Collection[str]) -> _Members:  # noqa: ANN401
    return _Members(value, frozenset(keys))


def _error(problem: str) -> CorruptError:
    return CorruptError(f"The receipt {problem}.", _HINT)


_OPTIONAL: Final = frozenset({"gaps", "inputAttestations", "items", "note", "outcomes"})
_PREDICATE: Final = frozenset(
    {
        EXTENSION,
        "policy",
        "resourceUri",
        "timeVerified",
        "verificationResult",
        "verifiedLevels",
        "verifier",
    }
)
_EXTENSION: Final = frozenset({"event", "holds", "ledger", "reason", "witnessed"})
_LEDGER: Final = MEMBERS | {"inclusion", "index", "leaf"}
