"""Encrypted PKCS#8 (RFC 5958, RFC 8018), for keys that OpenSSH's form cannot hold or protect.

cryptography reads this form but writes only PBKDF2 with 2048 rounds, which costs an attacker a
hundredth of a second per guess. So the few bytes around the ciphertext are encoded here.
"""

import base64
import os
from typing import Final

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

__all__ = ["PBKDF2_ROUNDS", "encrypt", "encrypt_approved"]

# About half a second and 16 MiB per guess. More memory would be stronger still, but openssl refuses
# to read what needs more than 32 MiB.
_COST: Final = 2**14
_BLOCK_SIZE: Final = 8
_PARALLEL: Final = 10

# A seventh of a second per guess, and no memory: the passphrase must be long (docs/adr/0044).
PBKDF2_ROUNDS: Final = 1_000_000
_SALT_BYTES: Final = 16  # the least that SP 800-132 allows

_SEQUENCE: Final = 0x30
_OCTETS: Final = 0x04
_INTEGER: Final = 0x02
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256: Final = bytes.fromhex("300c06082a864886f70d02090500")  # with parameters NULL
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")


def encrypt(der: bytes, passphrase: bytes) -> bytes:
    """Encrypt a private key (PKCS#8 DER) with scrypt (RFC 7914) and AES-256-CBC; return PEM."""
    salt = os.urandom(_SALT_BYTES)
    key = Scrypt(salt, 32, _COST, _BLOCK_SIZE, _PARALLEL).derive(passphrase)
    costs = b"".join(map(_encode_integer, (_COST, _BLOCK_SIZE, _PARALLEL)))
    parameters = _encode(_SEQUENCE, _encode(_OCTETS, salt) + costs)
    return _encrypt(der, key, _SCRYPT + parameters)


def encrypt_approved(der: bytes, passphrase: bytes) -> bytes:
    """Encrypt a private key as FIPS 140 allows: PBKDF2-HMAC-SHA-256 and AES-256-CBC; return PEM."""
    salt = os.urandom(_SALT_BYTES)
    key = PBKDF2HMAC(hashes.SHA256(), 32, salt, PBKDF2_ROUNDS).derive(passphrase)
    rounds = _encode_integer(PBKDF2_ROUNDS)
    parameters = _encode(_SEQUENCE, _encode(_OCTETS, salt) + rounds + _HMAC_SHA256)
    return _encrypt(der, key, _PBKDF2 + parameters)


def _encrypt(der: bytes, key: bytes, derivation: bytes) -> bytes:
    """Encrypt with AES-256-CBC, and name how the key was derived (PBES2); return PEM."""
    vector = os.urandom(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    ciphertext = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    cipher = _encode(_SEQUENCE, _AES_256_CBC + _encode(_OCTETS, vector))
    scheme = _encode(
        _SEQUENCE, _PBES2 + _encode(_SEQUENCE, _encode(_SEQUENCE, derivation) + cipher)
    )
    return _encode_pem(_encode(_SEQUENCE, scheme + _encode(_OCTETS, ciphertext)))


def _encode_integer(number: int) -> bytes:
    return _encode(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def _encode(tag: int, content: bytes) -> bytes:
    """Encode one DER value (X.690, 10.1): a long length has its own length before it."""
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    if size > 127:  # noqa: PLR2004
        length = bytes([0x80 | len(length)]) + length
    return bytes([tag]) + length + content


def _encode_pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    label = b"ENCRYPTED PRIVATE KEY-----"
    return b"\n".join([b"-----BEGIN " + label, *lines, b"-----END " + label, b""])
