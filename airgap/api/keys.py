"""Keys: generated, loaded, and given to the functions that sign. Nothing is ever asked for."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from airgap.api.arguments import StrPath
from airgap.api.callbacks import CallbackFailure
from airgap.api.edge import edge
from airgap.errors import ConfigurationError
from airgap.flow import config
from airgap.flow.trust import keys
from airgap.format.root import Key as PublicHalf
from airgap.signing.signer import Signer

__all__ = [
    "Algorithm",
    "IdentityPair",
    "KeyPair",
    "Passphrase",
    "PrivateKey",
    "PublicKey",
    "SealingAlgorithm",
    "export_public",
    "generate",
    "generate_identity",
    "load",
    "make_half",
    "make_signer",
    "read_public",
]

Passphrase = str | bytes | Callable[[str], str | bytes]
"""A passphrase or PIN; or a function that returns it. It gets what people call the key, such as
``the key /home/anna/builder.key``, and is called only if the key is encrypted."""

Algorithm = Literal["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ml-dsa-65", "ml-dsa-87"]

SealingAlgorithm = Literal["hybrid", "x25519"]

_PASSPHRASE: Final = "AIRGAP_PASSPHRASE"  # noqa: S105  (a name)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key."""

    id: str
    """The key id: the SHA-256 of the public key in DER form, in hex."""
    algorithm: str
    """The algorithm, such as ``ed25519``."""
    half: PublicHalf = field(repr=False, compare=False)
    """The key itself, for functions of this module."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key that is open: in memory, in an agent or in a token."""

    public: PublicKey
    """Its public half."""
    signer: Signer = field(repr=False, compare=False)
    """Signs, for functions of the API."""

    @property
    def id(self) -> str:
        """The key id."""
        return self.public.id


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The two files of a key that was generated."""

    private: Path
    """``NAME.key``: keep it secret."""
    public: Path
    """``NAME.pub``: give it away."""
    key: PublicKey
    """The public half."""


@dataclass(frozen=True, slots=True)
class IdentityPair:
    """The two files of an identity that was made."""

    private: Path
    """``NAME.identity``: keep it secret; it has no passphrase."""
    public: Path
    """``NAME.recipient``: give it away."""
    recipient: str
    """The recipient, ``age1…``: a root names it."""


@edge
def generate(
    name: str,
    folder: StrPath = ".",
    *,
    passphrase: Passphrase | None,
    algorithm: Algorithm | None = None,
    fips: bool = False,
) -> KeyPair:
    """Generate a key pair: ``NAME.key`` (private) and ``NAME.pub`` (public) in a folder.

    Args:
        name: a plain name, such as ``builder-2026``.
        folder: where the two files go.
        passphrase: encrypts the private key; None: it is not encrypted.
        algorithm: of the key; default: ``ed25519``, with ``fips`` ``ecdsa-p384-sha384``.
        fips: whether the file has to work on machines in FIPS mode, too.

    Raises:
        UsageError: the name cannot name a key, or there is no such algorithm.
        ConfigurationError: a file of this name is there, or the algorithm is not available.
        StorageError: the files cannot be written.
    """
    secret = None if passphrase is None else _answer(passphrase, name)
    kind = keys.choose_kind(algorithm, fips=fips)
    made = keys.generate_key(Path(folder), name, kind, secret)
    return KeyPair(made.private, made.public, _make_public(made.key))


@edge
def generate_identity(
    name: str, folder: StrPath = ".", *, algorithm: SealingAlgorithm | None = None
) -> IdentityPair:
    """Make an identity that opens sealed bundles, and its recipient, in a folder.

    Args:
        name: a plain name, such as ``hospital-north``.
        folder: where the two files go.
        algorithm: default: ``hybrid``, which a quantum computer does not break either.

    Raises:
        UsageError: the name cannot name a key, or there is no such algorithm.
        ConfigurationError: a file of this name is there, or ML-KEM is not available.
        StorageError: the files cannot be written.
    """
    made = keys.generate_identity(Path(folder), name, algorithm)
    return IdentityPair(made.private, made.public, made.recipient)


@edge
def load(key: StrPath, *, passphrase: Passphrase | None = None) -> PrivateKey:
    """Open a private key: a file, ``ssh-agent:SHA256:…`` or ``pkcs11:…``.

    Args:
        key: the file, or where the key is kept.
        passphrase: of the file, or the PIN of the token; default: ``AIRGAP_PASSPHRASE``.

    Raises:
        ConfigurationError: it cannot be read, or its passphrase is missing or wrong.
    """
    signer = keys.load_signer(os.fspath(key), _make_asker(passphrase))
    return PrivateKey(_make_public(signer.key), signer)


@edge
def read_public(key: StrPath, *, passphrase: Passphrase | None = None) -> PublicKey:
    """Return the public half of a key: of a ``NAME.pub``, or of what ``load`` takes.

    Raises:
        ConfigurationError: it cannot be read or is not a usable key.
    """
    return _make_public(keys.load_public_key(os.fspath(key), _make_asker(passphrase)))


@edge
def export_public(
    key: StrPath, output: StrPath, *, passphrase: Passphrase | None = None
) -> PublicKey:
    """Write the public half of a key as a ``NAME.pub``, which a root can name.

    Raises:
        ConfigurationError: there is no such key, or the output file is there.
        StorageError: it cannot be written.
    """
    public = keys.export_public(os.fspath(key), _make_asker(passphrase), Path(output))
    return _make_public(public)


def make_signer(key: StrPath | PrivateKey | None, passphrase: Passphrase | None) -> Signer:
    """Return what signs: the key given, that of ``AIRGAP_KEY``, or the config file's.

    Raises:
        ConfigurationError: there is none, or its passphrase is not given.
    """
    if isinstance(key, PrivateKey):
        return key.signer
    document = config.load()
    path = key or os.environ.get("AIRGAP_KEY")
    path = path or document.get("export", {}).get("key") or document.get("key")
    if not path:
        raise ConfigurationError(
            "There is no key to sign with.",
            "Give key=, or set AIRGAP_KEY or the config file's key.",
        )
    return keys.load_signer(str(path), _make_asker(passphrase))


def make_half(key: StrPath | PublicKey | PrivateKey) -> PublicHalf:
    """Return the public half of a key, given as a file or as an object.

    Raises:
        ConfigurationError: the file cannot be read, is not a usable key, or is encrypted.
    """
    if isinstance(key, PublicKey):
        return key.half
    if isinstance(key, PrivateKey):
        return key.public.half
    return keys.read_public_key(Path(key))


def _make_public(half: PublicHalf) -> PublicKey:
    return PublicKey(half.id, half.algorithm, half)


def _make_asker(passphrase: Passphrase | None) -> keys.Passphrase:
    """Return what answers when a key needs its passphrase."""

    def answer(name: str) -> bytes:
        secret = passphrase
        if secret is None and _PASSPHRASE in os.environ:
            secret = os.fsencode(os.environ[_PASSPHRASE])  # its bytes, whatever they are
        if secret is None:
            raise ConfigurationError(
                f"{name[0].upper()}{name[1:]} is encrypted.",
                f"Give passphrase=, or set {_PASSPHRASE}.",
            )
        return _answer(secret, name)

    return answer


def _answer(passphrase: Passphrase, name: str) -> bytes:
    """Return a passphrase as bytes; ask the caller's function for it."""
    try:
        secret: object = passphrase if isinstance(passphrase, str | bytes) else passphrase(name)
    except BaseException as error:  # or it would be taken for a wrong passphrase
        raise CallbackFailure(error) from error
    if not isinstance(secret, str | bytes):
        kind = type(secret).__name__
        raise CallbackFailure(TypeError(f"passphrase() must return str or bytes, not {kind}"))
    return secret.encode() if isinstance(secret, str) else secret
