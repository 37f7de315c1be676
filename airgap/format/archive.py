"""Records of an archive: a bundle was archived, held or released (format §35.2).

A record is a statement for programs of others (in-toto), in one form, bounded, and every text in it
can be read on a terminal. It is never changed: what is said of a bundle is all of its records.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from airgap.errors import CorruptError
from airgap.format import intoto, limits, names
from airgap.format.fields import Fields
from airgap.format.intoto import InTotoStatement

__all__ = [
    "ARCHIVE",
    "CHECKS",
    "EVIDENCE",
    "POLICY",
    "RECORDS",
    "RECORD_PREDICATE",
    "SOFTWARE",
    "TSA",
    "ArchiveEvent",
    "ArchiveRecord",
    "ArchivedTerms",
    "Escrow",
    "EvidenceFile",
    "decode_record",
    "encode_record",
    "evidence_name",
    "find_heads",
    "is_evidence_name",
    "is_named_by",
    "parse_evidence_file",
    "parse_policy_file",
    "parse_record_name",
    "policy_name",
    "record_id",
    "record_name",
    "software_name",
]

ARCHIVE: Final = "archive"
RECORDS: Final = f"{ARCHIVE}/records"
EVIDENCE: Final = f"{ARCHIVE}/evidence"
POLICY: Final = f"{ARCHIVE}/policy"
CHECKS: Final = f"{ARCHIVE}/checks"
TSA: Final = f"{ARCHIVE}/tsa"
SOFTWARE: Final = f"{ARCHIVE}/software"
RECORD_PREDICATE: Final = f"{intoto.NAMESPACE}archive-record/v1"

ArchiveEvent = Literal["archived", "held", "released"]
EVENTS: Final[tuple[ArchiveEvent, ...]] = get_args(ArchiveEvent)
Escrow = Literal["named", "opened"]
ESCROWS: Final[tuple[Escrow, ...]] = get_args(Escrow)
_WHAT: Final = "record"
_HINT: Final = "Restore the file from another copy of the archive."
_DIGITS: Final = 16
_RECORD_NAME: Final = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64})\.json")
_EVIDENCE_FILE: Final = re.compile(r"[0-9a-f]{16}\.(.+)")
_EVIDENCE_NAME: Final = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]*")
_TIME: Final = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
)


@dataclass(frozen=True, slots=True, order=True)
class EvidenceFile:
    """A file of evidence: its name, its SHA-256 in hex, and its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ArchivedTerms:
    """Under which terms a bundle was archived. Ids and digests are SHA-256, in hex."""

    class_name: str
    keep_until: str
    """The end of the retention: RFC 3339, UTC, in seconds."""
    policy: str
    bases: tuple[str, ...] = ()
    """The ids of the bundles that it builds on, sorted."""
    evidence: tuple[EvidenceFile, ...] = ()
    escrow: Escrow | None = None
    """How it is known that an escrow can open it; None: it is not sealed."""


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """What was done to a bundle of an archive. Ids are SHA-256, in hex."""

    event: ArchiveEvent
    bundle: str
    site: str
    time: str
    """RFC 3339, UTC, in seconds: such texts sort as the times that they are."""
    by: str = ""
    reason: str = ""
    previous: tuple[str, ...] = ()
    """The ids of the records before this one that no other names, sorted."""
    terms: ArchivedTerms | None = None
    """Only in ``archived``."""
    hold: str | None = None
    """Only in ``released``: the id of the ``held`` that ends; None: the bundle is released."""


def record_name(bundle: str, raw: bytes) -> str:
    """Name the file of a record within its depot; ``raw`` are its bytes."""
    return f"{RECORDS}/{bundle}.{hashlib.sha256(raw).hexdigest()}.json"


def parse_record_name(file: str) -> tuple[str, str] | None:
    """Return the bundle id and the SHA-256 in the file name of a record; None for another name."""
    match = _RECORD_NAME.fullmatch(file)
    return (match[1], match[2]) if match else None


def evidence_name(bundle: str, file: EvidenceFile) -> str:
    """Name a file of evidence within its depot."""
    return f"{EVIDENCE}/{bundle}/{file.sha256[:_DIGITS]}.{file.name}"


def parse_evidence_file(file: str) -> str | None:
    """Return the name that a file in a folder of evidence was given; None for another name."""
    match = _EVIDENCE_FILE.fullmatch(file)
    return match[1] if match and is_evidence_name(match[1]) else None


def is_named_by(name: str, raw: bytes) -> bool:
    """Tell whether a file below ``archive`` is what its name says: a record, policy or evidence."""
    file = name.rpartition("/")[2]
    sha256 = hashlib.sha256(raw).hexdigest()
    parsed, policy = parse_record_name(file), parse_policy_file(file)
    named = parsed[1] if parsed else policy
    return named == sha256 if named else file.startswith(f"{sha256[:_DIGITS]}.")


def is_evidence_name(name: str) -> bool:
    """Tell whether a file of evidence may have a name."""
    return len(name) <= limits.RECORD_NAME_CHARACTERS and _EVIDENCE_NAME.fullmatch(name) is not None


def policy_name(sha256: str) -> str:
    """Name a policy within its depot."""
    return f"{POLICY}/{sha256}.toml"


def parse_policy_file(file: str) -> str | None:
    """Return the SHA-256 in the file name of a policy; None for another name."""
    sha256 = file.removesuffix(".toml")
    return sha256 if sha256 != file and names.is_bundle_id(sha256) else None


def software_name(name: str, raw: bytes) -> str:
    """Name a program or document that reads the archive within its depot."""
    return f"{SOFTWARE}/{hashlib.sha256(raw).hexdigest()[:_DIGITS]}.{name}"


def record_id(payload: bytes) -> str:
    """Return the id of a record: the SHA-256 of its statement, in hex."""
    return hashlib.sha256(payload).hexdigest()


def find_heads(records: Iterable[tuple[str, ArchiveRecord]]) -> tuple[str, ...]:
    """Return the ids of the records, each given with its id, that no other one names, sorted."""
    given = list(records)
    named = {previous for _, record in given for previous in record.previous}
    return tuple(sorted({identity for identity, _ in given} - named))


def encode_record(record: ArchiveRecord) -> bytes:
    """Encode the statement that is signed."""
    predicate: dict[str, Any] = {
        "by": record.by,
        "event": record.event,
        "previous": list(record.previous),
        "reason": record.reason,
        "site": record.site,
        "time": record.time,
    }
    if record.terms is not None:
        predicate |= _encode_terms(record.terms)
    if record.event == "released":
        predicate["hold"] = record.hold
    subject = {"digest": {"sha256": record.bundle}, "name": "bundle"}
    return intoto.encode_statement(InTotoStatement([subject], RECORD_PREDICATE, predicate))


def _encode_terms(terms: ArchivedTerms) -> dict[str, Any]:
    return {
        "bases": list(terms.bases),
        "class": terms.class_name,
        "escrow": terms.escrow,
        "evidence": [
            {"name": file.name, "sha256": file.sha256, "size": file.size} for file in terms.evidence
        ],
        "keepUntil": terms.keep_until,
        "policy": terms.policy,
    }


def decode_record(raw: bytes) -> ArchiveRecord:
    """Decode and check a statement. Its signatures are not verified here.

    Raises:
        CorruptError: it breaks a rule of format §35.2.
    """
    try:
        statement = intoto.decode_statement(raw, _WHAT, limits.RECORD_BYTES)
        unprintable = intoto.find_unprintable([*statement.subjects, statement.predicate])
        if unprintable is not None:
            raise _error(f"has a text that is not printable: {unprintable}")
        record = _read_record(statement)
    except CorruptError as error:
        raise CorruptError(error.message, _HINT) from error
    if encode_record(record) != raw:  # another order of keys, or two subjects
        raise _error("is not in the form that airgap writes")
    return record


def _read_record(statement: InTotoStatement) -> ArchiveRecord:
    if statement.predicate_type != RECORD_PREDICATE:
        raise _error("is a statement of another kind")
    event = next((event for event in EVENTS if event == statement.predicate.get("event")), None)
    if event is None:
        raise _error("has an unknown event")
    fields = Fields(dict(statement.predicate), _KEYS[event], _WHAT)
    record = ArchiveRecord(
        event=event,
        bundle=_read_id(statement.subjects[0]["digest"].get("sha256")),
        site=fields.text("site"),
        time=_read_time(fields.text("time")),
        by=fields.text("by", limits.PERSON_CHARACTERS),
        reason=fields.text("reason", limits.NOTE_CHARACTERS),
        previous=_read_ids(fields, "previous", limits.RECORDS),
        terms=_read_terms(fields) if event == "archived" else None,
        hold=None
        if event != "released" or fields.is_nil("hold")
        else _read_id(fields.text("hold")),
    )
    if not names.is_tag_part(record.site):
        raise _error("has an invalid site id")
    if event != "archived" and not record.reason.strip():
        raise _error("gives no reason")
    return record


def _read_terms(fields: Fields) -> ArchivedTerms:
    escrow = None if fields.is_nil("escrow") else fields.text("escrow")
    known = next((value for value in ESCROWS if value == escrow), None)
    if escrow is not None and known is None:
        raise _error("has an unknown escrow")
    class_name = fields.text("class")
    if not names.is_tag_part(class_name):
        raise _error("has an invalid name of a class")
    return ArchivedTerms(
        class_name,
        _read_time(fields.text("keepUntil")),
        _read_id(fields.text("policy")),
        _read_ids(fields, "bases", limits.RECORD_BASES),
        _read_evidence(fields.array("evidence", limits.EVIDENCE_FILES)),
        known,
    )


def _read_evidence(values: Sequence[Any]) -> tuple[EvidenceFile, ...]:
    files = []
    for value in values:
        entry = Fields(value, frozenset({"name", "sha256", "size"}), _WHAT)
        size = entry.integer("size", high=limits.EVIDENCE_BYTES)
        files.append(EvidenceFile(entry.text("name"), _read_id(entry.text("sha256")), size))
    in_order = files == sorted(files) and len({(file.name, file.sha256) for file in files}) == len(
        files
    )
    if not in_order or not all(is_evidence_name(file.name) for file in files):
        raise _error("has evidence that is not sorted, or with an invalid name")
    return tuple(files)


def _read_ids(fields: Fields, key: str, limit: int) -> tuple[str, ...]:
    ids = fields.sorted_texts(key, limit)
    return tuple(map(_read_id, ids))


def _read_id(text: object) -> str:
    if type(text) is not str or not names.is_bundle_id(text):
        raise _error("has a digest that is not 64 lower-case hex digits")
    return text


def _read_time(text: str) -> str:
    if not _TIME.fullmatch(text) or not _is_day(text):
        raise _error("has a time that is not in the form that airgap writes")
    return text


def _is_day(text: str) -> bool:
    """Tell whether the month has that day."""
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 29 if is_leap and month == 2 else _DAYS[month - 1]  # noqa: PLR2004
    return year > 0 and day <= longest


def _error(problem: str) -> CorruptError:
    return CorruptError(f"The {_WHAT} {problem}.", _HINT)


_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_COMMON: Final = frozenset({"by", "event", "previous", "reason", "site", "time"})
_KEYS: Final = {
    "archived": _COMMON | {"bases", "class", "escrow", "evidence", "keepUntil", "policy"},
    "held": _COMMON,
    "released": _COMMON | {"hold"},
}
