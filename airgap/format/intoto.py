"""In-toto statements in DSSE envelopes that have their payload in them (format §29.1).

Public forms (in-toto Attestation Framework v1, DSSE), so that programs of others read what airgap
writes, and airgap reads what they write. Nothing here verifies a signature.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.envelope import PAYLOAD_TYPES, Envelope, signed_bytes
from airgap.printable import is_printable, quote

__all__ = [
    "NAMESPACE",
    "PAYLOAD_TYPE",
    "STATEMENT_TYPE",
    "InTotoStatement",
    "StatementEnvelope",
    "decode_envelope",
    "decode_json",
    "decode_statement",
    "encode_envelope",
    "encode_json",
    "encode_statement",
    "find_unprintable",
]

NAMESPACE: Final = "airgap:"
"""What the URIs begin with that airgap has made up: of sites, channels, roots, own predicates."""
PAYLOAD_TYPE: Final = PAYLOAD_TYPES["statement"]
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class StatementEnvelope:
    """The exact bytes that were signed, and signatures that nobody has verified.

    ``payload_type`` is ``PAYLOAD_TYPE`` in all that airgap writes.
    """

    payload: bytes
    signatures: tuple[Envelope, ...] = ()
    payload_type: str = PAYLOAD_TYPE

    @property
    def signed_bytes(self) -> bytes:
        """What each signature is over (format §6.1)."""
        return signed_bytes(self.payload_type, self.payload)


@dataclass(frozen=True, slots=True)
class InTotoStatement:
    """What is said (``predicate``, of a type that a URI names) about ``subjects``.

    Each subject is a resource descriptor: a map with ``name`` or ``uri``, and ``digest``.
    """

    subjects: Sequence[Mapping[str, Any]]
    predicate_type: str
    predicate: Mapping[str, Any]


def encode_json(value: Any) -> bytes:  # noqa: ANN401  (any tree of plain values)
    """Write JSON in the one form that airgap writes: keys sorted, no spaces, UTF-8.

    Raises:
        TypeError: there is a floating point number in it, or another value without a fixed form.
        ValueError: a text cannot be written in UTF-8.
    """
    _refuse_floats(value)
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def decode_json(raw: bytes, what: str, limit: int) -> Any:  # noqa: ANN401  (checked by the caller)
    """Read JSON of at most ``limit`` bytes; ``what`` names it in messages ("The receipt …").

    Raises:
        CorruptError: it is too long, not JSON in UTF-8, nested too deeply, has a key twice in one
            object, or a number that is not an integer of at most 2^53 - 1.
    """
    if len(raw) > limit:
        raise _error(what, f"has {len(raw):,} bytes; at most {limit:,} are allowed")
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_read_object,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            parse_int=_read_integer,
        )
        encode_json(value)  # no half of a surrogate pair, which UTF-8 does not have
    except RecursionError as error:
        raise _error(what, "is nested too deeply") from error
    except ValueError as error:
        raise _error(what, "is not JSON, or has a key twice or a number that may not be") from error
    if _is_deep(value):
        raise _error(what, "is nested too deeply")
    return value


def encode_statement(statement: InTotoStatement) -> bytes:
    """Write a statement (in-toto Statement v1). Raises as ``encode_json``."""
    return encode_json(
        {
            "_type": STATEMENT_TYPE,
            "predicate": statement.predicate,
            "predicateType": statement.predicate_type,
            "subject": list(statement.subjects),
        }
    )


def decode_statement(raw: bytes, what: str, limit: int) -> InTotoStatement:
    """Read a statement; unknown members of it have no meaning, as in-toto says.

    Raises:
        CorruptError: it is not one.
    """
    value = decode_json(raw, what, limit)
    if type(value) is not dict or value.get("_type") != STATEMENT_TYPE:
        raise _error(what, "is not an in-toto statement of version 1")
    subjects, predicate_type = value.get("subject"), value.get("predicateType")
    predicate = value.get("predicate", {})
    if type(subjects) is not list or not subjects or not all(map(_is_subject, subjects)):
        raise _error(what, "names no subject, or one without a digest")
    if type(predicate_type) is not str or type(predicate) is not dict:
        raise _error(what, "has no predicate, or one of no type")
    return InTotoStatement(tuple(subjects), predicate_type, predicate)


def encode_envelope(envelope: StatementEnvelope) -> bytes:
    """Write an envelope in the one form that airgap writes, with a newline at its end."""
    document = {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"keyid": signature.key_id, "sig": base64.b64encode(signature.signature).decode()}
            for signature in envelope.signatures
        ],
    }
    return encode_json(document) + b"\n"


def decode_envelope(raw: bytes, what: str, limit: int) -> StatementEnvelope:
    """Read a DSSE envelope that others may have written: unknown members have no meaning.

    What airgap itself has written is equal to ``encode_envelope`` of what is returned.

    Raises:
        CorruptError: it is not one, or has more signatures than are read.
    """
    value = decode_json(raw, what, limit)
    try:
        payload = _decode_base64(value["payload"])
        payload_type, entries = value["payloadType"], value["signatures"]
        signatures = [(entry.get("keyid") or "", _decode_base64(entry["sig"])) for entry in entries]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _error(what, "is not a DSSE envelope") from error
    if type(payload_type) is not str or any(type(key_id) is not str for key_id, _ in signatures):
        raise _error(what, "is not a DSSE envelope")
    if not 0 < len(signatures) <= limits.ENVELOPES:
        raise _error(what, f"has {len(signatures)} signatures; 1 to {limits.ENVELOPES} are read")
    return StatementEnvelope(
        payload,
        tuple(Envelope(payload_type, key_id, signature) for key_id, signature in signatures),
        payload_type,
    )


def find_unprintable(value: Any) -> str | None:  # noqa: ANN401  (any tree of plain values)
    """Return the first text, keys among them, that a terminal would not show as it is; or None."""
    texts: Iterable[Any] = ()
    if type(value) is str:
        return None if is_printable(value) else quote(value)
    if type(value) is dict:
        texts = (part for pair in value.items() for part in pair)
    elif type(value) is list:
        texts = value
    return next((found for found in map(find_unprintable, texts) if found is not None), None)


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key twice")
    return value


def _read_integer(text: str) -> int:
    value = int(text)
    if abs(value) > limits.INTEGER:
        raise ValueError("too large")
    return value


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(text)


def _refuse_floats(value: Any) -> None:  # noqa: ANN401
    if isinstance(value, float):
        raise TypeError("a floating point number has no fixed form")
    if isinstance(value, Mapping):
        for part in value.values():
            _refuse_floats(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _refuse_floats(part)


def _is_deep(value: Any, levels: int = _DEPTH) -> bool:  # noqa: ANN401
    """Tell whether objects and arrays are within each other by more than so many levels."""
    parts = value.values() if type(value) is dict else value if type(value) is list else ()
    return levels < 0 or any(_is_deep(part, levels - 1) for part in parts)


def _is_subject(subject: Any) -> bool:  # noqa: ANN401
    digest = subject.get("digest") if type(subject) is dict else None
    return type(digest) is dict and bool(digest) and all(map(_is_text, digest.values()))


def _is_text(value: Any) -> bool:  # noqa: ANN401
    return type(value) is str and bool(value)


def _decode_base64(text: Any) -> bytes:  # noqa: ANN401
    """Return bytes. Raises ValueError, TypeError: it is not standard base64 with padding."""
    if type(text) is not str:
        raise TypeError("not a text")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _error(what: str, problem: str) -> CorruptError:
    return CorruptError(f"The {what} {problem}.", "Get the file again from its source.")
