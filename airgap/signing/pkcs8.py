"""Encrypted PKCS#8 with scrypt, for keys that OpenSSH's form cannot hold (RFC 5958, RFC 7914).

cryptography reads this form but writes only PBKDF2 with 2048 rounds, which costs an attacker a
hundredth of a second per guess. So the few bytes around the ciphertext are encoded here.
"""

import base64
import os
from typing import Final

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

__all__ = ["encrypt"]

# About half a second and 16 MiB per guess. More memory would be stronger still, but openssl refuses
# to read what needs more than 32 MiB.
_COST: Final = 2**14
_BLOCK_SIZE: Final = 8
_PARALLEL: Final = 10

_SEQUENCE: Final = 0x30
_OCTETS: Final = 0x04
_INTEGER: Final = 0x02
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")


def encrypt(der: bytes, passphrase: bytes) -> bytes:
    """Encrypt a private key (PKCS#8 DER); return PEM."""
    salt, vector = os.urandom(16), os.urandom(16)
    key = Scrypt(salt, 32, _COST, _BLOCK_SIZE, _PARALLEL).derive(passphrase)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    ciphertext = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    costs = b"".join(map(_encode_integer, (_COST, _BLOCK_SIZE, _PARALLEL)))
    parameters = _encode(_SEQUENCE, _encode(_OCTETS, salt) + costs)
    derivation = _encode(_SEQUENCE, _SCRYPT + parameters)
    cipher = _encode(_SEQUENCE, _AES_256_CBC + _encode(_OCTETS, vector))
    scheme = _encode(_SEQUENCE, _PBES2 + _encode(_SEQUENCE, derivation + cipher))
    return _encode_pem(_encode(_SEQUENCE, scheme + _encode(_OCTETS, ciphertext)))


def _encode_integer(number: int) -> bytes:
    return _encode(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def _encode(tag: int, content: bytes) -> bytes:
    """Encode one DER value of up to 255 bytes, which is enough for a seed."""
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x81, size])  # noqa: PLR2004
    return bytes([tag]) + length + content


def _encode_pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    label = b"ENCRYPTED PRIVATE KEY-----"
    return b"\n".join([b"-----BEGIN " + label, *lines, b"-----END " + label, b""])
