"""Private keys in files: generates, loads and signs with them (format §6, §7.2)."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.new_file import create_file
from airgap.errors import AirgapError, ConfigurationError, NotTrustedError, StorageError
from airgap.format.root import ALGORITHMS, Key
from airgap.signing import key_files, pkcs8, public_keys
from airgap.signing.openssl_mode import UNAVAILABLE, is_fips_enforced
from airgap.signing.public_keys import CURVES, make_key
from airgap.signing.signer import GivenPassphrase, Passphrase, Signer, WrongPassphraseError

__all__ = [
    "FIPS_PASSPHRASE_BYTES",
    "OTHERS_ACCESS",
    "FileSigner",
    "generate",
    "load",
    "read_secret",
    "works_here",
    "write_public",
]

# bcrypt_pbkdf rounds: about half a second; ssh-keygen's own default is 16 to 24.
_ROUNDS: Final = 48
OTHERS_ACCESS: Final = stat.S_IRWXG | stat.S_IRWXO
FIPS_PASSPHRASE_BYTES: Final = 8
"""OpenSSL's FIPS provider refuses shorter ones for PBKDF2: Red Hat's does, others may."""
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
    folder: Path, name: str, algorithm: str, passphrase: bytes | None, *, fips: bool = False
) -> tuple[Path, Path, Key]:
    """Generate a key pair: ``NAME.key`` (mode 0600) and ``NAME.pub`` (SPKI PEM).

    The private key is in OpenSSH form, or for ML-DSA, which has none, in PKCS#8 with scrypt. With
    ``fips`` it is in PKCS#8 with PBKDF2, and only ECDSA is possible (docs/adr/0044).

    Returns:
        The paths of the private and the public key, and the public key.

    Raises:
        ConfigurationError: the algorithm is unknown or unavailable, or one of the files exists; for
            ``fips``, another algorithm, or the passphrase is too short.
        StorageError: the files cannot be written; neither is left behind.
    """
    if fips:
        _require_approved(algorithm, passphrase)
    private = _generate_private(algorithm)
    private_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    for path in (private_path, public_path):
        _refuse_existing(path)
    key = make_key(private.public_key())
    if fips:
        content = _encode_pkcs8(private, passphrase, pkcs8.encrypt_approved)
    else:
        content = _encode_private(private, algorithm, passphrase)
    create_file(private_path, content, 0o600)
    try:
        write_public(public_path, key)
    except BaseException:
        private_path.unlink(missing_ok=True)
        raise
    return private_path, public_path, key


def write_public(path: Path, key: Key) -> None:
    """Write a public key file (SPKI PEM).

    Raises:
        ConfigurationError: the file exists.
        StorageError: it cannot be written.
    """
    _refuse_existing(path)
    create_file(path, public_keys.to_pem(key), 0o644)


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


def works_here(algorithm: str) -> bool:
    """Tell whether keys for an algorithm of format §6.3 sign and verify here, by trying it."""
    try:
        signer = FileSigner(_generate_private(algorithm))
        signature = signer.sign("builder", b"").signature
    except (*UNAVAILABLE, AirgapError, ValueError):
        return False
    return bool(signature)


def _generate_private(algorithm: str) -> Any:  # noqa: ANN401
    """Generate a private key.

    Raises:
        ConfigurationError: the algorithm is unknown, or cryptography or its OpenSSL lacks it.
    """
    public_keys.refuse_missing_ml_dsa(algorithm)
    try:
        return _generate_known(algorithm)
    except UNAVAILABLE as error:
        raise public_keys.make_unavailable_error(f"Keys for {algorithm}") from error


def _generate_known(algorithm: str) -> Any:  # noqa: ANN401
    """Generate a private key.

    Raises:
        ConfigurationError: the algorithm is unknown.
    """
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


def _require_approved(algorithm: str, passphrase: bytes | None) -> None:
    """Require what works in FIPS mode.

    Raises:
        ConfigurationError: another algorithm, or a passphrase that OpenSSL would refuse there.
    """
    if algorithm not in CURVES:
        raise ConfigurationError(
            f"--fips cannot make a key for {algorithm}: it makes ECDSA keys.",
            f"Use one of {', '.join(reversed(CURVES))}, or leave --fips out.",
        )
    if passphrase is not None and len(passphrase) < FIPS_PASSPHRASE_BYTES:
        raise ConfigurationError(
            f"The passphrase has {len(passphrase)} bytes, and OpenSSL in FIPS mode may require"
            f" {FIPS_PASSPHRASE_BYTES}.",
            "Choose a longer one; PBKDF2 needs more than that: about six random words.",
        )


def _encode_private(
    private: Any,  # noqa: ANN401
    algorithm: str,
    passphrase: bytes | None,
) -> bytes:
    if algorithm in public_keys.ml_dsa_classes("PrivateKey"):
        return _encode_pkcs8(private, passphrase, pkcs8.encrypt)
    form = serialization.PrivateFormat.OpenSSH
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = form.encryption_builder().kdf_rounds(_ROUNDS).build(passphrase)
    return bytes(private.private_bytes(serialization.Encoding.PEM, form, encryption))


def _encode_pkcs8(
    private: Any,  # noqa: ANN401
    passphrase: bytes | None,
    encrypt: Callable[[bytes, bytes], bytes],
) -> bytes:
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    if passphrase is None:
        return bytes(private.private_bytes(serialization.Encoding.PEM, form, plain))
    return encrypt(private.private_bytes(serialization.Encoding.DER, form, plain), passphrase)


def _parse(path: Path, text: bytes, passphrase: Passphrase) -> object:
    """Decode a private key; ask for its passphrase if it is encrypted.

    Raises:
        ConfigurationError: not a key, an unknown algorithm, or a wrong passphrase.
    """
    load: Callable[[bytes, bytes | None], object] = serialization.load_pem_private_key
    if b"BEGIN OPENSSH PRIVATE KEY" in text:
        load = serialization.load_ssh_private_key
    secret: bytes | None = None
    try:
        try:
            return load(text, None)
        except (
            TypeError
        ):  # it is encrypted: a refusal to tell the passphrase is an error of its own
            pass
        secret = passphrase(f"the key {path}")
        return load(text, secret)
    except UNAVAILABLE as error:
        raise _make_unsupported_error(path, key_files.read_protection(text)) from error
    except (ValueError, TypeError) as error:
        raise _unreadable_key_error(path, len(text), secret) from error


def _make_unsupported_error(path: Path, protection: str) -> ConfigurationError:
    if protection and is_fips_enforced():
        return public_keys.make_unavailable_error(
            f"The key {path} is encrypted with {protection}, and such keys"
        )
    return ConfigurationError(
        f"The key {path} is of a type that airgap does not support, or that the installed"
        " cryptography is too old for.",
        f"Use a key for one of {', '.join(ALGORITHMS)}.",
    )


def _unreadable_key_error(path: Path, size: int, secret: bytes | None) -> ConfigurationError:
    """``secret`` is the passphrase of a file that is encrypted."""
    note = public_keys.ml_dsa_note()
    if size > _SEED_FORM_BYTES:
        note += (
            " If openssl wrote it as an ML-DSA key, convert it to the short form: openssl pkey"
            " -provparam ml-dsa.output_formats=seed-only."
        )
    if isinstance(secret, GivenPassphrase):
        return ConfigurationError(
            f"The passphrase for {path}, from {secret.source}, is wrong.",
            f"Check what {secret.source} holds.{note}",
        )
    if secret is not None:
        return WrongPassphraseError(
            f"The passphrase for {path} is wrong.", f"Check it, and type it again.{note}"
        )
    return ConfigurationError(
        f"{path} is not a private key.",
        "Give the NAME.key file that `airgap key generate` made, not NAME.pub." + note,
    )


def _refuse_exposed(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise _not_a_file_error(path)
    if path.suffix == ".pub":  # a slip: the advice to hide what is public would not help
        raise _unreadable_key_error(path, 0, None)
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
