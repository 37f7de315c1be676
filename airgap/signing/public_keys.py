"""Public keys and the check of one signature (format §6.3, §7.2)."""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from airgap.errors import NotTrustedError
from airgap.format.root import Key
from airgap.signing.edwards import is_prime_order_key

__all__ = ["CURVES", "PublicKey", "load_pem", "make_key", "normalize_ecdsa", "verifies"]

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

# curve name in cryptography: (algorithm of format §6.3, hash, order of the group)
CURVES: dict[str, tuple[str, hashes.HashAlgorithm, int]] = {
    "secp256r1": (
        "ecdsa-p256-sha256",
        hashes.SHA256(),
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    "secp384r1": (
        "ecdsa-p384-sha384",
        hashes.SHA384(),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}


def make_key(public: object) -> Key:
    """Encode a public key as a root holds it.

    Raises:
        NotTrustedError: the key is of a kind or order that may not be used (format §7.2).
    """
    if isinstance(public, ed25519.Ed25519PublicKey):
        if not is_prime_order_key(public.public_bytes_raw()):
            raise _unusable("is an Ed25519 key that anyone could sign for")
        algorithm = "ed25519"
    elif isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES:
        algorithm = CURVES[public.curve.name][0]
    else:
        raise _unusable("is not Ed25519, ECDSA P-256 or ECDSA P-384")
    spki = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(spki, algorithm)


def load_pem(pem: bytes) -> Key:
    """Read a public key file: SubjectPublicKeyInfo as PEM.

    Raises:
        NotTrustedError: it is no such file, or not a usable key.
    """
    try:
        public = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable("is not a public key in PEM form") from error
    return make_key(public)


def check_key(key: Key) -> PublicKey:
    """Decode a root's key and demand its one encoding and its algorithm (format §7.2).

    Raises:
        NotTrustedError: another encoding, another algorithm, or an unusable key.
    """
    try:
        public = serialization.load_der_public_key(key.spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable("cannot be decoded") from error
    if make_key(public) != key:
        raise _unusable("is not in its one encoding, or is for another algorithm")
    return public  # type: ignore[return-value]


def verifies(key: Key, signature: bytes, message: bytes) -> bool:
    """Tell whether this is the key's signature of the message, in its one form (format §6.3).

    Raises:
        NotTrustedError: the key itself is unusable.
    """
    public = check_key(key)
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
            return True
        _, algorithm, _ = CURVES[public.curve.name]
        public.verify(signature, message, ec.ECDSA(algorithm))
        return normalize_ecdsa(public.curve.name, signature) == signature
    except (InvalidSignature, ValueError):
        return False


def normalize_ecdsa(curve: str, signature: bytes) -> bytes:
    """Bring an ECDSA signature into strict DER with s in the lower half (format §6.3)."""
    order = CURVES[curve][2]
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, order - s))


def _unusable(why: str) -> NotTrustedError:
    return NotTrustedError(
        f"A public key {why}.", "Use a key made by `airgap key generate`, or ask its owner."
    )
