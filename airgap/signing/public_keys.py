"""Public keys and the check of one signature (format §6.3, §7.2)."""

from types import ModuleType
from typing import Any, Final

import cryptography
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from airgap.errors import ConfigurationError, NotTrustedError
from airgap.format.root import Key
from airgap.signing.ed25519_points import is_prime_order_key

mldsa: ModuleType | None
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # an older cryptography
    mldsa = None

__all__ = [
    "CURVES",
    "SSH_KEY_TYPES",
    "check_key",
    "encode_ecdsa",
    "load_pem",
    "load_ssh_blob",
    "load_text",
    "make_key",
    "ml_dsa_classes",
    "ml_dsa_note",
    "normalize_s",
    "refuse_missing_ml_dsa",
    "to_pem",
    "verifies",
    "verifies_either_half",
]

# algorithm of format §6.3: (curve, hash, order of the group)
CURVES: Final[dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm, int]]] = {
    "ecdsa-p256-sha256": (
        ec.SECP256R1(),
        hashes.SHA256(),
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    "ecdsa-p384-sha384": (
        ec.SECP384R1(),
        hashes.SHA384(),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}
_ALGORITHM_OF_CURVE: Final = {curve.name: name for name, (curve, _, _) in CURVES.items()}
_ML_DSA: Final = {"ml-dsa-65": "MLDSA65", "ml-dsa-87": "MLDSA87"}

# Plain keys. Not certificates, and not sk- keys: those sign a login's own structure, never ours.
SSH_KEY_TYPES: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384")


def make_key(public: object) -> Key:
    """Encode a public key as a root holds it.

    Raises:
        NotTrustedError: the key is of a kind or order that may not be used (format §7.2).
    """
    algorithm = _algorithm(public)
    if algorithm is None:
        raise _unusable("is not Ed25519, ECDSA P-256 or P-384, ML-DSA-65 or ML-DSA-87")
    if isinstance(public, ed25519.Ed25519PublicKey) and not is_prime_order_key(
        public.public_bytes_raw()
    ):
        raise _unusable("is an Ed25519 key that anyone could sign for")
    spki: bytes = public.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(spki, algorithm)


def load_text(text: bytes) -> Key:
    """Read a public key file: SubjectPublicKeyInfo as PEM, or OpenSSH's one line.

    Raises:
        NotTrustedError: it is no such file, or not a usable key.
    """
    kind, _, rest = text.partition(b" ")
    name = kind.decode("ascii", "replace")
    if name in SSH_KEY_TYPES:
        return load_ssh_blob(name, rest.partition(b" ")[0].strip())
    return load_pem(text)


def load_pem(text: bytes) -> Key:
    """Read a public key file in PEM form.

    Raises:
        NotTrustedError: it is no such file, or not a usable key.
    """
    try:
        public = serialization.load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotTrustedError(
            "A public key is not in PEM form, or of an unknown kind.",
            "Use a key made by `airgap key generate`, or ask its owner." + ml_dsa_note(),
        ) from error
    return make_key(public)


def load_ssh_blob(name: str, encoded: bytes) -> Key:
    """Read a key as SSH writes it: its type, and base64 of its parts.

    Raises:
        NotTrustedError: it is not a usable key.
    """
    try:
        public = serialization.load_ssh_public_key(name.encode() + b" " + encoded)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable("is not in OpenSSH's form") from error
    return make_key(public)


def to_pem(key: Key) -> bytes:
    """Return what a ``NAME.pub`` holds: the SubjectPublicKeyInfo as PEM."""
    public: Any = check_key(key)
    text: bytes = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return text


def check_key(key: Key) -> object:
    """Decode a root's key and demand its one encoding and its algorithm (format §7.2).

    Raises:
        NotTrustedError: another encoding, another algorithm, or an unusable key.
        ConfigurationError: an ML-DSA key, and the cryptography that is installed has no ML-DSA.
    """
    refuse_missing_ml_dsa(key.algorithm)
    try:
        public = serialization.load_der_public_key(key.spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable("cannot be decoded") from error
    if make_key(public) != key:
        raise _unusable("is not in its one encoding, or is for another algorithm")
    return public


def verifies(key: Key, signature: bytes, message: bytes) -> bool:
    """Tell whether this is the key's signature of the message, in its one form (format §6.3).

    Raises:
        NotTrustedError: the key itself is unusable.
        ConfigurationError: see ``check_key``.
    """
    public: Any = check_key(key)
    try:
        if key.algorithm not in CURVES:
            public.verify(signature, message)
            return True
        public.verify(signature, message, ec.ECDSA(CURVES[key.algorithm][1]))
        return normalize_s(key.algorithm, signature) == signature
    except (InvalidSignature, ValueError):
        return False


def verifies_either_half(key: Key, signature: bytes, message: bytes) -> bool:
    """Tell the same of an ECDSA signature by other tools, which leave s where it falls.

    Raises:
        NotTrustedError, ConfigurationError: as ``verifies``.
    """
    try:
        return verifies(key, normalize_s(key.algorithm, signature), message)
    except ValueError:  # no DER, or numbers out of range
        return False


def encode_ecdsa(algorithm: str, r: int, s: int) -> bytes:
    """Return an ECDSA signature in strict DER with s in the lower half (format §6.3)."""
    return encode_dss_signature(r, min(s, CURVES[algorithm][2] - s))


def normalize_s(algorithm: str, signature: bytes) -> bytes:
    """Bring an ECDSA signature (DER) into the one form of format §6.3."""
    return encode_ecdsa(algorithm, *decode_dss_signature(signature))


def ml_dsa_classes(kind: str) -> dict[str, Any]:
    """Return ``PublicKey`` or ``PrivateKey`` classes by algorithm; empty without ML-DSA."""
    return {
        algorithm: getattr(mldsa, prefix + kind)
        for algorithm, prefix in _ML_DSA.items()
        if hasattr(mldsa, prefix + kind)
    }


def refuse_missing_ml_dsa(algorithm: str) -> None:
    """Refuse an ML-DSA algorithm that the cryptography that is installed does not have.

    Raises:
        ConfigurationError: it is needed and not there.
    """
    if algorithm not in _ML_DSA:
        return
    try:  # the module may be there, and the OpenSSL below it still too old
        ml_dsa_classes("PrivateKey")[algorithm].from_seed_bytes(bytes(32))
    except (KeyError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"The key is for {algorithm}, which cryptography {cryptography.__version__} here"
            " does not have.",
            "Install 47 or later: pip install --upgrade cryptography.",
        ) from error


def ml_dsa_note() -> str:
    """Return what to add to a hint where a file that cannot be read might be an ML-DSA key."""
    if ml_dsa_classes("PublicKey"):
        return ""
    return f" For an ML-DSA key, cryptography {cryptography.__version__} here is too old."


def _algorithm(public: object) -> str | None:
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _ALGORITHM_OF_CURVE.get(public.curve.name)
    for algorithm, kind in ml_dsa_classes("PublicKey").items():
        if isinstance(public, kind):
            return algorithm
    return None


def _unusable(why: str) -> NotTrustedError:
    return NotTrustedError(
        f"A public key {why}.", "Use a key made by `airgap key generate`, or ask its owner."
    )
