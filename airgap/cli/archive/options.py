"""What commands about checks of an archive share: the signer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from airgap.cli.passphrases import passphrase_options, read_passphrase

if TYPE_CHECKING:
    from airgap.flow.trust.keys import Signer

__all__ = ["open_recorder", "sign_option"]

P = ParamSpec("P")


def sign_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--sign``."""
    option = click.option(
        "--sign",
        "key",
        metavar="KEY",
        help="Sign the result with this key of a recorder: a private key file, ssh-agent:SHA256:…"
        " or pkcs11:….",
    )
    return option(passphrase_options(command))


def open_recorder(key: str | None, variable: str | None, descriptor: int | None) -> "Signer | None":
    """Open the key that was given, if one was."""
    from airgap.cli.signers import load_signer

    return load_signer(key, read_passphrase(variable, descriptor)) if key else None
