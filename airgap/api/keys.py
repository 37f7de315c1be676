"""The key that a function of the Python API signs with."""

import os
from typing import Final

from airgap.errors import ConfigurationError
from airgap.flow import config
from airgap.flow.trust import keys
from airgap.signing.signer import Signer

__all__ = ["StrPath", "make_signer"]

StrPath = str | os.PathLike[str]
_PASSPHRASE: Final = "AIRGAP_PASSPHRASE"  # noqa: S105  (a name)


def make_signer(key: StrPath | None, passphrase: str | bytes | None) -> Signer:
    """Read the key to sign with: the one given, ``AIRGAP_KEY``, or the config file's.

    Raises:
        ConfigurationError: there is none, or its passphrase is not told.
    """
    document = config.load()
    path = key or os.environ.get("AIRGAP_KEY")
    path = path or document.get("export", {}).get("key") or document.get("key")
    if not path:
        raise ConfigurationError(
            "There is no key to sign with.",
            "Give key=, or set AIRGAP_KEY or the config file's key.",
        )

    def tell(key: str) -> bytes:
        secret = passphrase if passphrase is not None else os.environ.get(_PASSPHRASE)
        if secret is None:
            raise ConfigurationError(
                f"{key[0].upper()}{key[1:]} is encrypted.",
                f"Give passphrase=, or set {_PASSPHRASE}.",
            )
        return secret.encode() if isinstance(secret, str) else secret

    return keys.load_signer(str(path), tell)
