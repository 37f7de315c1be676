"""Private keys in files: generates, loads and signs with them (format §6, §7.2)."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from airgap.disk import durable
from airgap.disk.descriptors import open_without_waiting
from airgap.errors import ConfigurationError, NotTrustedError, StorageError
from airgap.format.root import ALGORITHMS, Key
from airgap.signing import pkcs8, public_keys
from airgap.signing.public_keys import CURVES, make_key
from airgap.signing.signer import Passphrase, Signer

__all__ = ["OTHERS_ACCESS", "FileSigner", "generate", "load", "read_secret", "write_public"]

# bcrypt_pbkdf rounds: about half a second; ssh-keygen's own default is 16 to 24.
_ROUNDS: Final = 48
OTHERS_ACCESS: Final = stat.S_IRWXG | stat.S_IRWXO
_SECRET_BYTES: Final = 64 * 1024
# Longer than any key file that airgap can read; openssl writes 5.5 KB for ML-DSA by default.
_SEED_FORM_BYTES: Final = 4096


class FileSigner(Signer):
    """Signs with a private key from a file."""

    def __init__(self, private: Any) -> None:  # noqa: ANN401  (what cryptography loads)
        """Take a private key.

        Raises:
            NotTrustedError: its algorithm is not in format §6.3.
        """
        super().__init__(make_key(private.public_key()))
        self._private = private

    def _sign_bytes(self, message: bytes) -> bytes:
        algorithm = self.key.algorithm
        if algorithm not in CURVES:
            return bytes(self._private.sign(message))
        signature = self._private.sign(message, ec.ECDSA(CURVES[algorithm][1]))
        return public_keys.normalize_s(algorithm, signature)


def generate(
    folder: Path, name: str, algorithm: str, passphrase: bytes | None
) -> tuple[Path, Path, Key]:
    """Generate a key pair: ``NAME.key`` (mode 0600) and ``NAME.pub`` (SPKI PEM).

    The private key is in OpenSSH form, or for ML-DSA, which has none, in PKCS#8 with scrypt.

    Returns:
        The paths of the private and the public key, and the public key.

    Raises:
        ConfigurationError: the algorithm is unknown or unavailable, or one of the files exists.
        StorageError: the files cannot be written.
    """
    private = _generate_private(algorithm)
    private_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (private_path, public_path):
        _refuse_existing(path)
    key = make_key(private.public_key())
    _create(private_path, _encode_private(private, algorithm, passphrase), 0o600)
    write_public(public_path, key)
    return private_path, public_path, key


def write_public(path: Path, key: Key) -> None:
    """Write a public key file (SPKI PEM).

    Raises:
        ConfigurationError: the file exists.
        StorageError: it cannot be written.
    """
    _refuse_existing(path)
    _create(path, public_keys.to_pem(key), 0o644)


def load(path: Path, passphrase: Passphrase) -> FileSigner:
    """Load a private key in OpenSSH or PKCS#8 form; call ``passphrase`` only if it is encrypted.

    Raises:
        ConfigurationError: no such file, not a key, or the wrong passphrase.
        StorageError: others can read the file, or it cannot be read.
    """
    private = _parse(path, read_secret(path), passphrase)
    try:
        return FileSigner(private)
    except NotTrustedError as error:
        raise ConfigurationError(
            f"The key {path} cannot be used: {error.message}",
            f"Use a key for one of {', '.join(ALGORITHMS)}.",
        ) from error


def read_secret(path: Path) -> bytes:
    """Read a private key or a PIN from a regular file that only its owner can read.

    Raises:
        ConfigurationError: no such file, or not a regular file.
        StorageError: others can read it, or it cannot be read.
    """
    try:
        with os.fdopen(open_without_waiting(path), "rb") as file:
            _refuse_exposed(path, os.fstat(file.fileno()).st_mode)
            return file.read(_SECRET_BYTES)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no private key at {path}.",
            "Give the path of a NAME.key file, or make one with `airgap key generate`.",
        ) from error
    except IsADirectoryError as error:
        raise _not_a_file_error(path) from error
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}.", "Check the path."
        ) from error


def _generate_private(algorithm: str) -> Any:  # noqa: ANN401
    """Generate a private key.

    Raises:
        ConfigurationError: the algorithm is unknown, or cryptography is too old for it.
    """
    public_keys.refuse_missing_ml_dsa(algorithm)
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm][0])
    classes: dict[str, Any] = {
        "ed25519": ed25519.Ed25519PrivateKey,
        **public_keys.ml_dsa_classes("PrivateKey"),
    }
    if algorithm not in classes:
        raise ConfigurationError(
            f"The algorithm {algorithm!r} is unknown.", f"Use one of {', '.join(ALGORITHMS)}."
        )
    return classes[algorithm].generate()


def _encode_private(
    private: Any,  # noqa: ANN401
    algorithm: str,
    passphrase: bytes | None,
) -> bytes:
    form = serialization.PrivateFormat
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    if algorithm in public_keys.ml_dsa_classes("PrivateKey"):
        if passphrase is None:
            return bytes(private.private_bytes(pem, form.PKCS8, plain))
        der = private.private_bytes(serialization.Encoding.DER, form.PKCS8, plain)
        return pkcs8.encrypt(der, passphrase)
    encryption: serialization.KeySerializationEncryption = plain
    if passphrase is not None:
        encryption = form.OpenSSH.encryption_builder().kdf_rounds(_ROUNDS).build(passphrase)
    return bytes(private.private_bytes(pem, form.OpenSSH, encryption))


def _parse(path: Path, text: bytes, passphrase: Passphrase) -> object:
    """Decode a private key; ask for its passphrase if it is encrypted.

    Raises:
        ConfigurationError: not a key, an unknown algorithm, or a wrong passphrase.
    """
    load: Callable[[bytes, bytes | None], object] = serialization.load_pem_private_key
    if b"BEGIN OPENSSH PRIVATE KEY" in text:
        load = serialization.load_ssh_private_key
    encrypted = False
    try:
        try:
            return load(text, None)
        except TypeError:
            encrypted = True
            return load(text, passphrase(f"the key {path}"))
    except UnsupportedAlgorithm as error:
        raise ConfigurationError(
            f"The key {path} is of a type that airgap does not support, or that the installed"
            " cryptography is too old for.",
            f"Use a key for one of {', '.join(ALGORITHMS)}.",
        ) from error
    except (ValueError, TypeError) as error:
        raise _unreadable_key_error(path, len(text), encrypted=encrypted) from error


def _unreadable_key_error(path: Path, size: int, *, encrypted: bool) -> ConfigurationError:
    note = public_keys.ml_dsa_note()
    if size > _SEED_FORM_BYTES:
        note += (
            " If openssl wrote it as an ML-DSA key, convert it to the short form: openssl pkey"
            " -provparam ml-dsa.output_formats=seed-only."
        )
    if encrypted:
        return ConfigurationError(
            f"The passphrase for {path} is wrong.",
            "Type it again, or check the environment variable." + note,
        )
    return ConfigurationError(
        f"{path} is not a private key.",
        "Give the NAME.key file that `airgap key generate` made, not NAME.pub." + note,
    )


def _refuse_exposed(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise _not_a_file_error(path)
    if path.suffix == ".pub":  # a slip: the advice to hide what is public would not help
        raise _unreadable_key_error(path, 0, encrypted=False)
    if mode & OTHERS_ACCESS:
        raise StorageError(
            f"The private key {path} can be read by others (mode {mode & 0o777:04o}).",
            f"Run: chmod 600 {path}",
        )


def _not_a_file_error(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a regular file, as a private key must be.",
        "Give the path of a NAME.key file.",
    )


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise ConfigurationError(
            f"{path} already exists, and keys are never overwritten.",
            "Choose another name, or move the old key away.",
        )


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            durable.flush(file)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.", "Choose another folder."
        ) from error
