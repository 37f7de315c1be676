"""Envelopes (format §6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import NotTrustedError
from airgap.format import envelope, limits
from airgap.format.envelope import BUNDLE_ROLES, PAYLOAD_TYPES, Envelope
from tests.support import forge

KEY = "0a" * 32
GOOD = forge.envelope(KEY, b"signature")


def test_an_envelope_has_exactly_this_form() -> None:
    assert envelope.decode(GOOD) == Envelope(forge.MANIFEST_TYPE, KEY, b"signature")
    assert (
        b'{"payloadType":"application/vnd.airgap.manifest.v1+msgpack","signatures":'
        b'[{"keyid":"' + KEY.encode() + b'","sig":"c2lnbmF0dXJl"}]}\n'
    ) == GOOD


@settings(max_examples=50, derandomize=True, database=None)
@given(signature=st.binary(max_size=200), kind=st.text(max_size=20))
def test_what_was_encoded_is_decoded_to_the_same(signature: bytes, kind: str) -> None:
    one = Envelope(kind, KEY, signature)

    assert envelope.decode(envelope.encode(one)) == one


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[]\n", id="a list"),
        pytest.param(b'"signatures"\n', id="a text"),
        pytest.param(b"{}\n", id="no fields"),
        pytest.param(GOOD[:-1], id="no newline"),
        pytest.param(GOOD + b"\n", id="another newline"),
        pytest.param(b" " + GOOD, id="a space"),
        pytest.param(GOOD.replace(b"}]", b"},{}]"), id="two signatures"),
        pytest.param(GOOD.replace(b"c2lnbmF0dXJl", b"c2lnbmF0dXJ"), id="broken base64"),
        pytest.param(GOOD.replace(b"c2lnbmF0dXJl", b"c2ln bmF0dXJl"), id="base64 with a space"),
        pytest.param(GOOD.replace(b'"c2lnbmF0dXJl"', b"7"), id="a number for a signature"),
        pytest.param(GOOD.replace(b'"c2lnbmF0dXJl"', b'"\xc3\xbc"'), id="a signature in UTF-8"),
        pytest.param(GOOD.replace(KEY.encode(), KEY.upper().encode()), id="upper-case key id"),
        pytest.param(GOOD.replace(KEY.encode(), b"0a"), id="a short key id"),
        pytest.param(GOOD.replace(b'"' + KEY.encode() + b'"', b"7"), id="a number for a key id"),
        pytest.param(
            GOOD.replace(b'"application/vnd.airgap.manifest.v1+msgpack"', b"null"), id="no type"
        ),
        pytest.param(b"[" * 100_000, id="deep nesting"),
        pytest.param(GOOD.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(GOOD + b" " * limits.ENVELOPE_BYTES, id="too long"),
    ],
)
def test_any_other_form_is_not_trusted(raw: bytes) -> None:
    with pytest.raises(NotTrustedError, match="damaged or not in the format"):
        envelope.decode(raw)


def test_what_is_signed_counts_bytes_and_not_characters() -> None:
    assert envelope.signed_bytes("\u00fc", b"\xc3\xbc") == b"DSSEv1 2 \xc3\xbc 2 \xc3\xbc"
    assert envelope.signed_bytes("", b"") == b"DSSEv1 0  0 "


def test_each_signing_role_but_the_two_who_attest_has_a_payload_of_its_own() -> None:
    assert set(PAYLOAD_TYPES) == {"root", *BUNDLE_ROLES, "waiver", "model", "statement"}
    assert PAYLOAD_TYPES["scanner"] == PAYLOAD_TYPES["approver"]
    assert PAYLOAD_TYPES["model"] == PAYLOAD_TYPES["statement"]  # in-toto's: predicates differ
    assert len(set(PAYLOAD_TYPES.values())) == 5
