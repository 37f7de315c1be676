"""Public keys and signatures (format §6.3, §7.2). What is refused: tests/attacks/test_root.py."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from airgap.errors import NotTrustedError
from airgap.format.envelope import PAYLOAD_TYPES, signed_bytes
from airgap.format.root import Key
from airgap.signing import public_keys
from airgap.signing.private_keys import FileSigner

SIGNERS = {
    "ed25519": FileSigner(ed25519.Ed25519PrivateKey.generate()),
    "ecdsa-p256-sha256": FileSigner(ec.generate_private_key(ec.SECP256R1())),
    "ecdsa-p384-sha384": FileSigner(ec.generate_private_key(ec.SECP384R1())),
}
MESSAGE = signed_bytes(PAYLOAD_TYPES["builder"], b"document")
PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


@pytest.mark.parametrize("algorithm", [*SIGNERS])
def test_a_signature_is_of_its_key_its_role_and_its_document(algorithm: str) -> None:
    signer = SIGNERS[algorithm]
    signature = signer.sign("builder", b"document").signature

    assert signer.key.algorithm == algorithm
    assert public_keys.verifies(signer.key, signature, MESSAGE)
    assert not public_keys.verifies(signer.key, signature, MESSAGE + b"\0")
    other = signed_bytes(PAYLOAD_TYPES["approver"], b"document")
    assert not public_keys.verifies(signer.key, signature, other)
    for another in SIGNERS.values():
        assert public_keys.verifies(another.key, signature, MESSAGE) == (another is signer)


@pytest.mark.parametrize("algorithm", [*SIGNERS])
@pytest.mark.parametrize("bad", [b"", b"\0", b"0\0", bytes(64), b"\xff" * 200])
def test_bytes_that_are_no_signature_are_none(algorithm: str, bad: bytes) -> None:
    assert not public_keys.verifies(SIGNERS[algorithm].key, bad, MESSAGE)


@pytest.mark.parametrize("algorithm", ["ecdsa-p256-sha256", "ecdsa-p384-sha384"])
def test_one_ecdsa_signature_has_one_form(algorithm: str) -> None:
    signer, order = SIGNERS[algorithm], public_keys.CURVES[algorithm][2]
    for _ in range(8):  # half of them are in the upper half before they are brought down
        low = signer.sign("builder", b"document").signature
        r, s = decode_dss_signature(low)
        high = encode_dss_signature(r, order - s)

        assert s <= order // 2
        assert public_keys.normalize_s(algorithm, high) == low
        assert public_keys.verifies(signer.key, low, MESSAGE)
        assert not public_keys.verifies(signer.key, high, MESSAGE)


@pytest.mark.parametrize("algorithm", [*SIGNERS])
def test_a_public_key_file_is_read(algorithm: str) -> None:
    pem = SIGNERS[algorithm]._private.public_key().public_bytes(PEM, SPKI)

    assert public_keys.load_pem(pem) == SIGNERS[algorithm].key


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"text",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ed448.Ed448PrivateKey.generate().public_key().public_bytes(PEM, SPKI),
        rsa.generate_private_key(65537, 2048).public_key().public_bytes(PEM, SPKI),
        ec.generate_private_key(ec.SECP521R1()).public_key().public_bytes(PEM, SPKI),
    ],
    ids=["nothing", "text", "a broken key", "Ed448", "RSA", "P-521"],
)
def test_another_file_is_no_public_key(pem: bytes) -> None:
    with pytest.raises(NotTrustedError, match=r"^A public key"):
        public_keys.load_pem(pem)


def test_a_public_key_is_checked_before_its_signature() -> None:
    good = SIGNERS["ed25519"].key
    with pytest.raises(NotTrustedError):
        public_keys.verifies(Key(good.spki, "ecdsa-p256-sha256"), b"", MESSAGE)
    with pytest.raises(NotTrustedError):
        public_keys.verifies(Key(b"no key", "ed25519"), b"", MESSAGE)


def test_a_low_order_key_is_refused_although_openssl_takes_it() -> None:
    low = ed25519.Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    # One signature for every message: S is zero, R is the neutral element.
    low.verify((1).to_bytes(32, "little") + bytes(32), b"any message")

    with pytest.raises(NotTrustedError, match="anyone could forge"):
        public_keys.make_key(low)
