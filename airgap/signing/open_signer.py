"""Opens the key that a person names: as a signer, or its public half only.

A key is named by a path, ``ssh-agent:…`` or ``pkcs11:…``; a file of such a name by ``./pkcs11:…``.
"""

import importlib.util
from pathlib import Path
from typing import Final

from airgap.disk.named_files import read_named
from airgap.errors import ConfigurationError, NotTrustedError
from airgap.format.root import Key
from airgap.signing import private_keys, public_keys
from airgap.signing.signer import Passphrase, Signer

__all__ = ["is_path", "load_public_key", "open_signer"]

AGENT: Final = "ssh-agent:"
TOKEN: Final = "pkcs11:"  # noqa: S105  (a prefix)
_PUBLIC_BYTES: Final = 64 * 1024


def open_signer(spec: str, passphrase: Passphrase) -> Signer:
    """Open a private key in a file, an ssh-agent or a PKCS#11 token.

    Raises:
        UsageError: a malformed ``pkcs11:`` address.
        ConfigurationError: the key does not exist or is not usable, or the passphrase is wrong.
        StorageError: others can read the file, or it cannot be read.
    """
    if spec.startswith(AGENT):
        from airgap.signing import ssh_agent

        return ssh_agent.find(spec.removeprefix(AGENT))
    if spec.startswith(TOKEN):
        _require_pkcs11()
        from airgap.signing import pkcs11_token

        address = pkcs11_token.parse(spec.removeprefix(TOKEN))
        return pkcs11_token.TokenSigner(address, passphrase)
    return private_keys.load(Path(spec), passphrase)


def load_public_key(spec: str, passphrase: Passphrase) -> Key:
    """Return the public half of a key. A file may also be a public key, in PEM or OpenSSH form.

    Raises:
        UsageError, ConfigurationError, StorageError: see ``open_signer``.
    """
    if spec.startswith(TOKEN):
        _require_pkcs11()
        from airgap.signing import pkcs11_token

        return pkcs11_token.read_public_key(pkcs11_token.parse(spec.removeprefix(TOKEN)))
    text = _read_public(Path(spec)) if is_path(spec) else None
    if text is None or b"PRIVATE KEY-----" in text:
        return open_signer(spec, passphrase).key
    try:
        return public_keys.load_text(text)
    except NotTrustedError as error:
        raise ConfigurationError(f"{spec}: {error.message}", error.hint) from error


def is_path(spec: str) -> bool:
    """Tell whether a key is named by a path."""
    return not spec.startswith((AGENT, TOKEN))


def _read_public(path: Path) -> bytes:
    try:
        return read_named(path, _PUBLIC_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", "Give the path of a NAME.pub file."
        ) from error


def _require_pkcs11() -> None:
    if importlib.util.find_spec("pkcs11") is None:
        raise ConfigurationError(
            "The package python-pkcs11 is not installed.", "Run: pip install 'bento-airgap[pkcs11]'"
        )
