"""What commands about checks of an archive share: the signer, and texts that become values."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import click

from airgap.cli.passphrases import passphrase_options, read_passphrase
from airgap.errors import UsageError
from airgap.printable import quote

if TYPE_CHECKING:
    from airgap.flow.trust.keys import Signer
    from airgap.format.shard import Shard

__all__ = ["open_recorder", "read_sample", "read_shard", "sign_option"]

P = ParamSpec("P")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%")
_MILLION: Final = 1_000_000


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


def read_shard(text: str | None) -> "Shard":
    """Read ``3/64``; without a text, all.

    Raises:
        UsageError: it is not a shard.
    """
    from airgap.format.shard import WHOLE, parse_shard

    if text is None:
        return WHOLE
    try:
        return parse_shard(text)
    except ValueError as error:
        raise UsageError(
            f"{quote(text)} is not a shard.", "Write 3/64: the third of 64, from 1/64 to 64/64."
        ) from error


def read_sample(text: str | None, of: str = "the packs") -> int:
    """Read ``5%`` or ``0.25%``; return parts of a million.

    Raises:
        UsageError: it is not a part of ``of``.
    """
    if text is None:
        return _MILLION
    match = _PERCENT.fullmatch(text)
    parts = int(Decimal(match[1]) * (_MILLION // 100)) if match else 0
    if not 0 < parts <= _MILLION:
        raise UsageError(f"{quote(text)} is not a part of {of}.", "Write 5% or 0.25%.")
    return parts
