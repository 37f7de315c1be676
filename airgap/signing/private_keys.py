"""Private keys: made, kept encrypted in files, and used to sign (format §6, §7.2)."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from airgap.errors import ConfigurationError, NotTrustedError, StorageError
from airgap.format.envelope import PAYLOAD_TYPES, Envelope, Role, signed_bytes
from airgap.format.root import ALGORITHMS, Key
from airgap.signing.public_keys import CURVES, make_key, normalize_ecdsa

__all__ = ["OTHERS", "Passphrase", "Signer", "generate", "load"]

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
Passphrase = Callable[[], bytes]

# bcrypt_pbkdf rounds: about half a second here; ssh-keygen's own default is 16 to 24.
_ROUNDS: Final = 48
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MAKERS: Final[dict[str, Callable[[], PrivateKey]]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa-p256-sha256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384-sha384": lambda: ec.generate_private_key(ec.SECP384R1()),
}


class Signer:
    """Signs documents with one private key."""

    def __init__(self, private: PrivateKey) -> None:
        """Take a private key of a kind that format §6.3 knows."""
        self._private = private
        self.key: Key = make_key(private.public_key())

    def sign(self, role: Role, payload: bytes) -> Envelope:
        """Sign the exact bytes of a document for one role (format §6.1)."""
        message = signed_bytes(PAYLOAD_TYPES[role], payload)
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            signature = self._private.sign(message)
        else:
            name = self._private.curve.name
            made = self._private.sign(message, ec.ECDSA(CURVES[name][1]))
            signature = normalize_ecdsa(name, made)
        return Envelope(PAYLOAD_TYPES[role], self.key.id, signature)


def generate(
    folder: Path, name: str, algorithm: str, passphrase: bytes | None
) -> tuple[Path, Path, Key]:
    """Make a key pair: ``NAME.key`` (mode 0600, OpenSSH form) and ``NAME.pub`` (SPKI PEM).

    Raises:
        ConfigurationError: the algorithm is unknown, or a file of that name is there.
        StorageError: the files cannot be written.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigurationError(
            f"The algorithm {algorithm!r} is not known.", f"Use one of {', '.join(ALGORITHMS)}."
        )
    private = _MAKERS[algorithm]()
    public = make_key(private.public_key())
    secret, open_part = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (secret, open_part):
        if path.exists():
            raise ConfigurationError(
                f"{path} is already there, and keys are never overwritten.",
                "Choose another name, or move the old key away.",
            )
    _create(secret, _private_text(private, passphrase), 0o600)
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _create(open_part, pem, 0o644)
    return secret, open_part, public


def load(path: Path, passphrase: Passphrase) -> Signer:
    """Read a private key: OpenSSH or PKCS#8 form; ``passphrase`` is called only if it is encrypted.

    Raises:
        ConfigurationError: no such file, not a key, or the wrong passphrase.
        StorageError: others can read the file, or it cannot be read.
    """
    text = _read_secret(path)
    try:
        private = _parse(text, None)
    except TypeError:  # encrypted
        try:
            private = _parse(text, passphrase())
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"The passphrase does not open {path}.", "Type it again, or check the variable."
            ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"{path} is not a private key.",
            "Give the NAME.key file that `airgap key generate` made, not NAME.pub.",
        ) from error
    if not isinstance(private, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigurationError(
            f"The key {path} is of a kind that airgap does not use.",
            f"Use one of {', '.join(ALGORITHMS)}.",
        )
    try:
        return Signer(private)
    except NotTrustedError as error:
        raise ConfigurationError(
            f"The key {path} cannot be used: {error.message}", error.hint
        ) from error


def _private_text(private: PrivateKey, passphrase: bytes | None) -> bytes:
    form = serialization.PrivateFormat.OpenSSH
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = form.encryption_builder().kdf_rounds(_ROUNDS).build(passphrase)
    return private.private_bytes(serialization.Encoding.PEM, form, encryption)


def _parse(text: bytes, passphrase: bytes | None) -> object:
    if b"BEGIN OPENSSH PRIVATE KEY" in text:
        return serialization.load_ssh_private_key(text, passphrase)
    return serialization.load_pem_private_key(text, passphrase)


def _read_secret(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & OTHERS:
                raise StorageError(
                    f"The private key {path} can be read by others (mode {mode & 0o777:04o}).",
                    f"Run: chmod 600 {path}",
                )
            return file.read(64 * 1024)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no private key at {path}.",
            "Give the path of a NAME.key file, or make one with `airgap key generate`.",
        ) from error
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}.", "Check the path."
        ) from error


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.", "Choose another folder with --dir."
        ) from error
