"""Public keys: decodes and checks them, and verifies single signatures (format §6.3, §7.2)."""

from types import ModuleType
from typing import Any, Final

import cryptography
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from airgap.errors import ConfigurationError, NotTrustedError
from airgap.format.root import Key
from airgap.signing.ed25519_points import is_prime_order_key
from airgap.signing.openssl_mode import UNAVAILABLE, describe_openssl, is_fips_enforced

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
    "make_unavailable_error",
    "ml_dsa_classes",
    "ml_dsa_note",
    "normalize_s",
    "refuse_missing_ml_dsa",
    "to_pem",
    "verifies",
    "verifies_either_half",
]

# By algorithm of format §6.3: curve, hash, order of the group
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

# Plain keys only: certificates and sk- keys sign a structure for logins, never a document.
SSH_KEY_TYPES: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384")


def make_key(public: object) -> Key:
    """Encode a public key as in a root.

    Raises:
        NotTrustedError: the key's algorithm or order is not allowed (format §7.2).
    """
    algorithm = _find_algorithm(public)
    if algorithm is None:
        raise _unusable_key_error("is not Ed25519, ECDSA P-256 or P-384, ML-DSA-65 or ML-DSA-87")
    if isinstance(public, ed25519.Ed25519PublicKey) and not is_prime_order_key(
        public.public_bytes_raw()
    ):
        raise _unusable_key_error("is a weak Ed25519 key, for which anyone could forge signatures")
    spki: bytes = public.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Key(spki, algorithm)


def load_text(text: bytes) -> Key:
    """Load a public key file: SubjectPublicKeyInfo as PEM, or one line in OpenSSH form.

    Raises:
        NotTrustedError: not a public key file, or not a usable key.
    """
    first, _, rest = text.partition(b" ")
    name = first.decode("ascii", "replace")
    if name in SSH_KEY_TYPES:
        return load_ssh_blob(name, rest.partition(b" ")[0].strip())
    return load_pem(text)


def load_pem(text: bytes) -> Key:
    """Load a public key file in PEM form.

    Raises:
        NotTrustedError: not a public key file, or not a usable key.
    """
    try:
        public = serialization.load_pem_public_key(text)
    except (ValueError, *UNAVAILABLE) as error:
        raise NotTrustedError(
            "A public key is not in PEM form, or of an unknown type.",
            "Use a key made by `airgap key generate`, or ask its owner." + ml_dsa_note(),
        ) from error
    return make_key(public)


def load_ssh_blob(name: str, encoded: bytes) -> Key:
    """Load a key in SSH form: its type, and its parts in base64.

    Raises:
        NotTrustedError: not a usable key.
    """
    try:
        public = serialization.load_ssh_public_key(name.encode() + b" " + encoded)
    except (ValueError, *UNAVAILABLE) as error:
        raise _unusable_key_error("is not in OpenSSH form") from error
    return make_key(public)


def to_pem(key: Key) -> bytes:
    """Return the content of ``NAME.pub``: the SubjectPublicKeyInfo as PEM."""
    public: Any = check_key(key)
    text: bytes = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return text


def check_key(key: Key) -> object:
    """Decode a root's key; check that its encoding is canonical and its algorithm right (§7.2).

    Raises:
        NotTrustedError: another encoding, another algorithm, or an unusable key.
        ConfigurationError: an ML-DSA key, and the installed cryptography does not support it.
    """
    refuse_missing_ml_dsa(key.algorithm)
    try:
        public = serialization.load_der_public_key(key.spki)
    except (ValueError, *UNAVAILABLE) as error:
        if is_fips_enforced() and key.algorithm not in CURVES:
            raise make_unavailable_error(
                f"The key {key.id} is for {key.algorithm}, and such keys"
            ) from error
        raise _unusable_key_error("cannot be decoded") from error
    if make_key(public) != key:
        raise _unusable_key_error("is not in its canonical encoding, or is for another algorithm")
    return public


def verifies(key: Key, signature: bytes, message: bytes) -> bool:
    """Tell whether this is the key's signature over the message, in canonical form (format §6.3).

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
    """Like ``verifies``, but accept s in either half: other tools do not normalize it.

    Raises:
        NotTrustedError, ConfigurationError: see ``verifies``.
    """
    try:
        return verifies(key, normalize_s(key.algorithm, signature), message)
    except ValueError:  # not DER, or numbers out of range
        return False


def encode_ecdsa(algorithm: str, r: int, s: int) -> bytes:
    """Encode an ECDSA signature in strict DER, with s in the lower half (format §6.3)."""
    return encode_dss_signature(r, min(s, CURVES[algorithm][2] - s))


def normalize_s(algorithm: str, signature: bytes) -> bytes:
    """Bring an ECDSA signature (DER) into the canonical form of format §6.3."""
    return encode_ecdsa(algorithm, *decode_dss_signature(signature))


def ml_dsa_classes(kind: str) -> dict[str, Any]:
    """Return cryptography's ``PublicKey`` or ``PrivateKey`` classes by algorithm, if it has any."""
    return {
        algorithm: getattr(mldsa, prefix + kind)
        for algorithm, prefix in _ML_DSA.items()
        if hasattr(mldsa, prefix + kind)
    }


def refuse_missing_ml_dsa(algorithm: str) -> None:
    """Refuse an ML-DSA algorithm that the installed cryptography does not support.

    Raises:
        ConfigurationError: it does not support this algorithm.
    """
    if algorithm not in _ML_DSA:
        return
    try:  # the module may exist while the OpenSSL below it is too old
        ml_dsa_classes("PrivateKey")[algorithm].from_seed_bytes(bytes(32))
    except (KeyError, ValueError, *UNAVAILABLE) as error:
        if is_fips_enforced():
            raise make_unavailable_error(f"Keys for {algorithm}") from error
        raise ConfigurationError(
            f"The key is for {algorithm}, which the installed cryptography"
            f" {cryptography.__version__} does not support.",
            "Install 47 or later: pip install --upgrade cryptography.",
        ) from error


def make_unavailable_error(keys: str) -> ConfigurationError:
    """Make the error of keys that the OpenSSL below cryptography does not offer."""
    mode = " in FIPS mode" if is_fips_enforced() else ""
    return ConfigurationError(
        f"{keys} are not available in {describe_openssl()}{mode}.",
        "Use ECDSA keys: airgap key generate NAME --fips" if mode else "Use another algorithm.",
    )


def ml_dsa_note() -> str:
    """Return a note for hints about unreadable files, which might be ML-DSA keys."""
    if ml_dsa_classes("PublicKey"):
        return ""
    return f" The installed cryptography {cryptography.__version__} is too old for ML-DSA keys."


def _find_algorithm(public: object) -> str | None:
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _ALGORITHM_OF_CURVE.get(public.curve.name)
    for algorithm, key_class in ml_dsa_classes("PublicKey").items():
        if isinstance(public, key_class):
            return algorithm
    return None


def _unusable_key_error(problem: str) -> NotTrustedError:
    return NotTrustedError(
        f"A public key {problem}.", "Use a key made by `airgap key generate`, or ask its owner."
    )
