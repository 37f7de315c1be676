"""age recipients and identities: X25519, and mlkem768x25519, which a quantum computer cannot open.

A *recipient* (``age1…``) wraps the key of a file; an *identity* (``AGE-SECRET-KEY-…``) unwraps it.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from cryptography.exceptions import InternalError, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airgap.errors import ConfigurationError
from airgap.format import bech32
from airgap.format.age_header import (
    AgeHeaderError,
    Stanza,
    decode_base64,
    encode_base64,
)

__all__ = [
    "FILE_KEY_BYTES",
    "SECRET_BEGINNING",
    "UNAVAILABLE",
    "AgeIdentity",
    "AgeRecipient",
    "derive",
    "generate_identity",
    "has_post_quantum",
    "make_unavailable_error",
    "parse_identity",
    "parse_recipient",
]

T = TypeVar("T")
UNAVAILABLE: Final = (ImportError, AttributeError, UnsupportedAlgorithm, InternalError)
"""What cryptography raises for an algorithm that it, or its OpenSSL, lacks or must not offer."""
SECRET_BEGINNING: Final = "AGE-SECRET-KEY-"  # noqa: S105  (what each of them begins with)
"""What begins with this, in any case, is a secret and never printed."""
FILE_KEY_BYTES: Final = 16
_WRAPPED_BYTES: Final = FILE_KEY_BYTES + 16
_SECRET_BYTES: Final = 32
_POINT_BYTES: Final = 32
_ML_KEM_BYTES: Final = 1184
_ENCAPSULATED_BYTES: Final = 1088
_X25519_INFO: Final = b"age-encryption.org/v1/X25519"
_HYBRID_INFO: Final = b"age-encryption.org/mlkem768x25519"
_X25519: Final = "X25519"
_HYBRID: Final = "mlkem768x25519"
_NONCE: Final = bytes(12)  # each wrapping key is used once


class AgeRecipient(Protocol):
    """Whom a file is encrypted to; ``text`` is how people write it, ``kind`` its type in age."""

    text: str
    kind: str

    def wrap(self, file_key: bytes) -> Stanza:
        """Encrypt the key of a file to the recipient."""
        ...


class AgeIdentity(Protocol):
    """Opens what was encrypted to its recipient."""

    recipient: AgeRecipient

    @property
    def text(self) -> str:
        """The secret, as a line of an identity file."""
        ...

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """Return the key of a file, or None if the stanza is for another recipient.

        Raises:
            AgeHeaderError: the stanza breaks a rule of its type.
        """
        ...


class _X25519Recipient:
    """``age1…``: 62 characters."""

    kind = _X25519

    def __init__(self, point: bytes) -> None:
        self._point = point
        self.text = bech32.encode("age", point)

    def wrap(self, file_key: bytes) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._point))
        key = derive(shared, share + self._point, _X25519_INFO)
        body = ChaCha20Poly1305(key).encrypt(_NONCE, file_key, None)
        return Stanza(self.kind, (encode_base64(share),), body)


class _X25519Identity:
    """``AGE-SECRET-KEY-1…``."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._private = X25519PrivateKey.from_private_bytes(secret)
        self._point = self._private.public_key().public_bytes_raw()
        self.recipient: AgeRecipient = _X25519Recipient(self._point)

    @property
    def text(self) -> str:
        return bech32.encode("age-secret-key-", self._secret).upper()

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.kind != self.recipient.kind:
            return None
        share = _read_share(stanza, _POINT_BYTES)
        shared = _exchange(self._private, share)
        key = derive(shared, share + self._point, _X25519_INFO)
        try:
            return ChaCha20Poly1305(key).decrypt(_NONCE, stanza.body, None)
        except InvalidTag:
            return None


class _HybridRecipient:
    """``age1pq1…``: 1,959 characters."""

    kind = _HYBRID

    def __init__(self, key: bytes) -> None:
        hpke, ml_kem = _load_post_quantum()
        self._key = hpke.MLKEM768X25519PublicKey(
            ml_kem.MLKEM768PublicKey.from_public_bytes(key[:_ML_KEM_BYTES]),
            X25519PublicKey.from_public_bytes(key[_ML_KEM_BYTES:]),
        )
        self._suite = _make_suite(hpke)
        self.text = bech32.encode("age1pq", key)

    def wrap(self, file_key: bytes) -> Stanza:
        sealed = self._suite.encrypt(file_key, self._key, _HYBRID_INFO)
        share, body = sealed[:-_WRAPPED_BYTES], sealed[-_WRAPPED_BYTES:]
        return Stanza(self.kind, (encode_base64(share),), body)


class _HybridIdentity:
    """``AGE-SECRET-KEY-PQ-1…``."""

    def __init__(self, secret: bytes) -> None:
        hpke, ml_kem = _load_post_quantum()
        seeds = hashlib.shake_256(secret).digest(64 + _SECRET_BYTES)
        lattice = ml_kem.MLKEM768PrivateKey.from_seed_bytes(seeds[:64])
        self._curve = X25519PrivateKey.from_private_bytes(seeds[64:])
        self._private = hpke.MLKEM768X25519PrivateKey(lattice, self._curve)
        self._suite = _make_suite(hpke)
        self._secret = secret
        self.recipient: AgeRecipient = _HybridRecipient(
            lattice.public_key().public_bytes_raw() + self._curve.public_key().public_bytes_raw()
        )

    @property
    def text(self) -> str:
        return bech32.encode("age-secret-key-pq-", self._secret).upper()

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.kind != self.recipient.kind:
            return None
        share = _read_share(stanza, _ENCAPSULATED_BYTES + _POINT_BYTES)
        _exchange(self._curve, share[_ENCAPSULATED_BYTES:])
        try:
            return bytes(self._suite.decrypt(share + stanza.body, self._private, _HYBRID_INFO))
        except (InvalidTag, ValueError):
            return None


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive a key of 32 bytes (HKDF with SHA-256)."""
    return HKDF(hashes.SHA256(), 32, salt, info).derive(secret)


def has_post_quantum() -> bool:
    """Tell whether ML-KEM works here, by trying it."""
    try:
        _HybridIdentity(bytes(_SECRET_BYTES))
    except UNAVAILABLE:
        return False
    return True


def generate_identity(*, post_quantum: bool = True) -> AgeIdentity:
    """Make an identity.

    Raises:
        ConfigurationError: ML-KEM does not work here.
    """
    secret = os.urandom(_SECRET_BYTES)
    make: Callable[[bytes], AgeIdentity] = _HybridIdentity if post_quantum else _X25519Identity
    return _guard(make, secret)


def parse_identity(text: str) -> AgeIdentity:
    """Read an identity as people write it.

    Raises:
        ValueError: it is not one.
        ConfigurationError: ML-KEM does not work here.
    """
    prefix, secret = bech32.decode(text)
    makers: dict[str, Callable[[bytes], AgeIdentity]] = {
        "age-secret-key-": _X25519Identity,
        "age-secret-key-pq-": _HybridIdentity,
    }
    make = makers.get(prefix)
    if make is None or len(secret) != _SECRET_BYTES or text != text.upper():
        raise ValueError("not an age identity")
    return _guard(make, secret)


def parse_recipient(text: str) -> AgeRecipient:
    """Read a recipient as people write it.

    Raises:
        ValueError: it is not one.
        ConfigurationError: ML-KEM does not work here.
    """
    prefix, key = bech32.decode(text)
    if (prefix, len(key)) == ("age", _POINT_BYTES):
        return _X25519Recipient(key)
    if (prefix, len(key)) == ("age1pq", _ML_KEM_BYTES + _POINT_BYTES):
        make: Callable[[bytes], AgeRecipient] = _HybridRecipient
        return _guard(make, key)
    raise ValueError("not an age recipient that airgap supports")


def make_unavailable_error(error: Exception) -> ConfigurationError:
    """Say what to install for post-quantum recipients, or that FIPS mode cannot seal."""
    return ConfigurationError(
        "The cryptography installed here cannot use ML-KEM-768 or ChaCha20-Poly1305"
        f" ({type(error).__name__}).",
        "Install cryptography 48 or later from PyPI, whose wheels have OpenSSL 3.5 or later:"
        " pip install --upgrade 'cryptography>=48'. Without it, only X25519 recipients work"
        " (`airgap key generate NAME --seal --algorithm x25519`). In FIPS mode nothing can be"
        " sealed: encrypt the medium itself, for example with LUKS.",
    )


def _guard(make: Callable[[bytes], T], secret: bytes) -> T:
    try:
        return make(secret)
    except UNAVAILABLE as error:
        raise make_unavailable_error(error) from error


def _load_post_quantum() -> tuple[Any, Any]:
    """Import what cryptography has since 48."""
    from cryptography.hazmat.primitives import hpke
    from cryptography.hazmat.primitives.asymmetric import mlkem

    return hpke, mlkem


def _make_suite(hpke: Any) -> Any:  # noqa: ANN401
    return hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def _read_share(stanza: Stanza, size: int) -> bytes:
    """Return the sender's share of a stanza with exactly one argument and a wrapped file key."""
    if len(stanza.arguments) != 1:
        raise _error(f"has {len(stanza.arguments)} arguments for a recipient (expected 1)")
    share = decode_base64(stanza.arguments[0])
    if len(share) != size or len(stanza.body) != _WRAPPED_BYTES:
        raise _error("has a recipient of another length")
    return share


def _exchange(private: X25519PrivateKey, share: bytes) -> bytes:
    """Refuse a share of low order: its result would be known to everybody."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError as error:
        raise _error("has a share of low order") from error


def _error(problem: str) -> AgeHeaderError:
    return AgeHeaderError(
        f"The header of an encrypted file {problem}.", "Copy the file from its source again."
    )
