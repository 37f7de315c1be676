"""In-toto statements and DSSE envelopes with a payload: one form is written, others are read."""

import base64
import json
from typing import Any

import pytest

from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.envelope import Envelope
from airgap.format.intoto import (
    PAYLOAD_TYPE,
    InTotoStatement,
    StatementEnvelope,
    decode_envelope,
    decode_json,
    decode_statement,
    encode_envelope,
    encode_json,
    encode_statement,
    find_unprintable,
)

KEY = "ab" * 32
STATEMENT = InTotoStatement(
    ({"name": "bundle", "digest": {"sha256": "00" * 32}},),
    "https://example.org/v1",
    {"z": [1, True, None], "a": "ä"},
)


def envelope_with(**changes: object) -> bytes:
    document = {
        "payload": base64.b64encode(b"{}").decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": KEY, "sig": base64.b64encode(b"s").decode()}],
    }
    return json.dumps(document | changes).encode()


def test_json_is_written_in_one_form_with_its_keys_sorted() -> None:
    assert encode_json({"b": ["ä", 1], "a": {"d": 2, "c": None}}) == (
        '{"a":{"c":null,"d":2},"b":["ä",1]}'.encode()
    )


@pytest.mark.parametrize("value", [1.5, [0.0], {"a": {"b": float("nan")}}], ids=str)
def test_numbers_without_a_fixed_form_are_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        encode_json(value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"1.5",
        b"1e3",
        b"NaN",
        b"9007199254740992",
        b"1" * 5000,
        b'{"a":1,"a":2}',
        b'"\\ud800"',
        b"[" * 70 + b"]" * 70,
        b"[" * 100_000,
        b" " * 101,
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_json_is_refused_that_has_two_readings_or_no_end(raw: bytes) -> None:
    with pytest.raises(CorruptError, match="The receipt "):
        decode_json(
            raw, "receipt", 200_000 if raw[:1] == b"[" else 5000 if raw[:1] == b"1" else 100
        )


def test_a_statement_is_read_as_it_was_written_and_unknown_members_mean_nothing() -> None:
    raw = encode_statement(STATEMENT)
    assert decode_statement(raw, "statement", 1000) == STATEMENT
    more = encode_json(json.loads(raw) | {"more": 1})
    assert decode_statement(more, "statement", 1000) == STATEMENT


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"subject": ["bundle"]},
        {"subject": [{"name": "bundle"}]},
        {"subject": [{"digest": {"sha256": 1}}]},
        {"predicateType": 1},
        {"predicate": "text"},
    ],
    ids=str,
)
def test_what_is_no_statement_is_refused(change: dict[str, Any]) -> None:
    raw = encode_json(json.loads(encode_statement(STATEMENT)) | change)
    with pytest.raises(CorruptError, match="The statement "):
        decode_statement(raw, "statement", 1000)
    with pytest.raises(CorruptError, match="not an in-toto statement"):
        decode_statement(b"[]", "statement", 1000)


def test_an_envelope_is_read_in_the_form_of_others_and_written_in_one() -> None:
    envelope = StatementEnvelope(b"{}", (Envelope(PAYLOAD_TYPE, KEY, b"s"),))
    assert decode_envelope(envelope_with(more=1), "envelope", 1000) == envelope
    assert decode_envelope(encode_envelope(envelope), "envelope", 1000) == envelope
    assert encode_envelope(envelope).endswith(b"}\n")
    assert envelope.signed_bytes == b"DSSEv1 28 application/vnd.in-toto+json 2 {}"
    unnamed = envelope_with(signatures=[{"sig": "cw=="}])
    assert decode_envelope(unnamed, "envelope", 1000).signatures[0].key_id == ""


@pytest.mark.parametrize(
    "change",
    [
        {"payload": 1},
        {"payload": "e30"},
        {"payload": "é"},
        {"payloadType": 1},
        {"signatures": []},
        {"signatures": None},
        {"signatures": ["s"]},
        {"signatures": [{"keyid": KEY}]},
        {"signatures": [{"keyid": 1, "sig": "cw=="}]},
        {"signatures": [{"keyid": KEY, "sig": "cw=="}] * (limits.ENVELOPES + 1)},
    ],
    ids=lambda change: str(change)[:40],
)
def test_what_is_no_envelope_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptError, match="The envelope "):
        decode_envelope(envelope_with(**change), "envelope", 100_000)


def test_a_text_that_controls_a_terminal_is_found_wherever_it_is() -> None:
    assert find_unprintable({"a": ["b", {"c": "d"}], "e": 1}) is None
    assert find_unprintable({"a": ["b", {"c": "\x1b[2J"}]}) == r"'\x1b[2J'"
    assert find_unprintable({"a\u202eb": 1}) == r"'a\u202eb'"
