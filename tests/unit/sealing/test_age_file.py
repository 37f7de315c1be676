"""Encrypted files, by the vectors of age's specification and by our own (format §34.2)."""

import hashlib

import pytest

from airgap.errors import ConfigurationError
from airgap.format import age_header, bech32, limits
from airgap.format.age_header import AgeHeaderError, measure_payload
from airgap.sealing import age_keys
from airgap.sealing.age_file import (
    AgeMacError,
    AgePayloadError,
    NoIdentityError,
    decrypt,
    decrypt_into,
    encrypt,
)
from airgap.sealing.age_keys import generate_identity, parse_identity, parse_recipient
from tests.support.cctv import Vector, read_vectors

# What airgap does not do: armor, and passphrases instead of recipients.
VECTORS = [one for one in read_vectors() if not one.is_armored and not one.has_passphrase]
REFUSALS = {
    "header failure": AgeHeaderError,
    "HMAC failure": AgeMacError,
    "payload failure": AgePayloadError,
    "no match": NoIdentityError,
}


def test_all_vectors_that_apply_are_there() -> None:
    assert (len(read_vectors()), len(VECTORS)) == (143, 85)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_a_vector_has_the_verdict_of_the_specification(vector: Vector) -> None:
    identities = [parse_identity(text) for text in vector.identities]
    if vector.expect == "success":
        plain = decrypt(vector.file, identities, limit=limits.PACK_BYTES)
        assert hashlib.sha256(plain).hexdigest() == vector.payload
        return
    with pytest.raises(REFUSALS[vector.expect]):
        decrypt(vector.file, identities, limit=limits.PACK_BYTES)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 200_001])
@pytest.mark.parametrize("post_quantum", [True, False])
def test_what_is_encrypted_is_decrypted_and_has_the_size_foretold(
    size: int, *, post_quantum: bool
) -> None:
    identity = generate_identity(post_quantum=post_quantum)
    plain = bytes(range(256)) * (size // 256 + 1)
    parts: list[bytes | memoryview] = [plain[: size // 3], memoryview(plain)[size // 3 : size]]
    file = encrypt(parts, [identity.recipient])
    header = age_header.parse(bytes(file[: limits.AGE_HEADER_BYTES]))
    assert len(file) == header.length + measure_payload(size)
    assert decrypt(file, [identity], limit=size) == plain[:size]
    for held in (0, size // 2, size):
        view = memoryview(bytearray(held))
        rest = decrypt_into(file, [identity], view, size)
        assert view.tobytes() + rest == plain[:size]


@pytest.mark.parametrize("post_quantum", [True, False])
def test_keys_are_written_as_they_are_read(*, post_quantum: bool) -> None:
    identity = generate_identity(post_quantum=post_quantum)
    assert parse_identity(identity.text).recipient.text == identity.recipient.text
    assert parse_recipient(identity.recipient.text).text == identity.recipient.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        "age1qqqqqqqq",
        bech32.encode("age", bytes(31)),
        bech32.encode("other", bytes(32)),
        bech32.encode("age", bytes(32))[:-1] + "b",
        "é1qqqqqqqq",
    ],
)
def test_what_is_not_a_key_is_refused(text: str) -> None:
    for parse in (parse_recipient, parse_identity):
        with pytest.raises(ValueError, match=r"too short|mixed|checksum|Bech32|not an age|codec"):
            parse(text)


def test_an_identity_in_lower_case_is_refused() -> None:
    with pytest.raises(ValueError, match="identity"):
        parse_identity(generate_identity().text.lower())


def test_two_recipients_open_one_file_and_a_third_does_not() -> None:
    first, second, third = (generate_identity() for _ in range(3))
    file = encrypt([b"plain"], [first.recipient, second.recipient])
    assert decrypt(file, [first], limit=5) == decrypt(file, [third, second], limit=5) == b"plain"
    with pytest.raises(NoIdentityError, match="2 other recipients"):
        decrypt(file, [third], limit=5)


def test_a_size_is_refused_before_anything_is_decrypted() -> None:
    identity = generate_identity(post_quantum=False)
    file = encrypt([bytes(100)], [identity.recipient])
    with pytest.raises(AgePayloadError, match="longer than the 99 bytes"):
        decrypt(file, [], limit=99)
    with pytest.raises(AgePayloadError, match="expected 133"):
        decrypt_into(file, [], memoryview(b""), 101)


def test_without_ml_kem_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = generate_identity()

    def load() -> None:
        raise ImportError("hpke")

    monkeypatch.setattr(age_keys, "_load_post_quantum", load)
    assert not age_keys.has_post_quantum()
    for make in (generate_identity, lambda: parse_recipient(identity.recipient.text)):
        with pytest.raises(ConfigurationError, match="ML-KEM-768") as refused:
            make()
        assert "cryptography>=48" in refused.value.hint
    assert generate_identity(post_quantum=False).text.startswith("AGE-SECRET-KEY-1")
