"""Key pairs: generate, read, export, and open for signing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError, UsageError
from airgap.format.root import ALGORITHMS, Key
from airgap.sealing import identity_files
from airgap.signing import open_signer, private_keys
from airgap.signing.signer import GivenPassphrase, Passphrase, Signer, WrongPassphraseError

__all__ = [
    "ALGORITHMS",
    "GivenPassphrase",
    "KeyKind",
    "NewIdentity",
    "NewKey",
    "Passphrase",
    "Signer",
    "WrongPassphraseError",
    "choose_kind",
    "export_public",
    "generate_identity",
    "generate_key",
    "load_public_key",
    "load_signer",
    "read_public_key",
]


_X25519: Final = "x25519"
_SEALING_ALGORITHMS: Final = ("hybrid", _X25519)


@dataclass(frozen=True, slots=True)
class KeyKind:
    """What to generate. ``fips`` tells that the key's file must work in FIPS mode, too."""

    algorithm: str
    fips: bool = False


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key pair: its two files, and the public half."""

    private: Path
    public: Path
    key: Key


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """A new identity: its two files, its algorithm, and its recipient."""

    private: Path
    public: Path
    algorithm: str
    recipient: str


def generate_identity(
    folder: Path, name: str, algorithm: str | None, *, fips: bool = False
) -> NewIdentity:
    """Make an identity that opens sealed bundles; see ``identity_files``.

    Raises:
        UsageError: the name or the algorithm is not usable.
    """
    _refuse_name(name)
    if fips:
        raise UsageError(
            "In FIPS mode nothing can be sealed: age's cipher is not approved there.",
            "Encrypt the medium itself, for example with LUKS.",
        )
    if algorithm not in (None, *_SEALING_ALGORITHMS):
        raise UsageError(
            f"{algorithm!r} does not seal.", f"Use one of {', '.join(_SEALING_ALGORITHMS)}."
        )
    hybrid = algorithm != _X25519
    private, public, recipient = identity_files.generate(folder, name, post_quantum=hybrid)
    return NewIdentity(private, public, recipient.kind, recipient.text)


def choose_kind(algorithm: str | None, *, fips: bool) -> KeyKind:
    """Return what to generate: the algorithm that a person named, or the default."""
    return KeyKind(algorithm or ("ecdsa-p384-sha384" if fips else "ed25519"), fips)


def generate_key(folder: Path, name: str, kind: KeyKind, passphrase: bytes | None) -> NewKey:
    """Generate a key pair; see ``private_keys``."""
    _refuse_name(name)
    private, public, key = private_keys.generate(
        folder, name, kind.algorithm, passphrase, fips=kind.fips
    )
    return NewKey(private, public, key)


def _refuse_name(name: str) -> None:
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"{name!r} cannot name a key.", "Use a plain name such as builder-2026.")


def load_public_key(spec: str, passphrase: Passphrase) -> Key:
    """Return the public half of a key; of a ``NAME.key``, what ``NAME.pub`` beside it says.

    Raises:
        ConfigurationError: it cannot be read or is not a usable key.
    """
    path = Path(spec)
    if open_signer.is_path(spec) and path.suffix == ".key" and path.with_suffix(".pub").exists():
        spec = str(path.with_suffix(".pub"))
    return open_signer.load_public_key(spec, passphrase)


def export_public(spec: str, passphrase: Passphrase, output: Path) -> Key:
    """Write the public half of a key as a ``NAME.pub``, which a root can name.

    Raises:
        ConfigurationError: there is no such key, or the output file is there.
        StorageError: it cannot be written.
    """
    key = open_signer.load_public_key(spec, passphrase)
    private_keys.write_public(output, key)
    return key


def load_signer(spec: str, passphrase: Passphrase) -> Signer:
    """Open a private key: a path, ``ssh-agent:…`` or ``pkcs11:…``; see ``signers.open_signer``."""
    return open_signer.open_signer(spec, passphrase)


def read_public_key(path: Path) -> Key:
    """Read a public key file, or the public half of a private one that is not encrypted.

    Raises:
        ConfigurationError: it cannot be read, is not a usable key, or is encrypted.
    """

    def ask(_: str) -> bytes:
        raise ConfigurationError(
            f"{path} is an encrypted private key.",
            "Name its public half; `airgap key export-public` writes it.",
        )

    return load_public_key(str(path), ask)
