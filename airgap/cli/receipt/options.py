"""Options of the commands that make and read receipts."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from airgap.errors import ConfigurationError

if TYPE_CHECKING:
    from airgap.flow.receipts.make import ReceiptOptions

__all__ = ["make_options", "receipt_options", "recorder_option", "root_option"]

P = ParamSpec("P")


def recorder_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--recorder-key``."""
    return click.option(
        "--recorder-key",
        metavar="KEY",
        envvar="AIRGAP_RECORDER_KEY",
        help="Sign this machine's records with this key, an Ed25519 key with the role recorder in"
        " the site's root.  [AIRGAP_RECORDER_KEY]",
    )(command)


def receipt_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command what makes receipts."""
    receipt = click.option(
        "--receipt",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="Write a receipt into DIR, also of a refusal, for those who sent the bundle.",
    )
    terse = click.option(
        "--terse-receipt",
        is_flag=True,
        help="Let the receipt name nothing but the bundle id.",
    )
    return receipt(recorder_option(terse(command)))


def root_option(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command ``--root``."""
    return click.option(
        "--root",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Verify with this root of the site; default: the one that this machine trusts.",
    )(command)


def make_options(
    folder: Path | None, recorder_key: str | None, *, terse: bool
) -> "ReceiptOptions | None":
    """Return how receipts are made; None: they are not.

    Raises:
        ConfigurationError: there is no key to sign them with.
    """
    if folder is None:
        return None
    if recorder_key is None:
        raise ConfigurationError(
            "There is no key to sign the receipt with.",
            "Give --recorder-key KEY, or set recorder_key in the config file; see"
            " docs/send-receipts.md.",
        )
    from airgap.cli.passphrases import read_passphrase
    from airgap.cli.signers import load_signer
    from airgap.flow.receipts.make import ReceiptOptions

    signer = load_signer(recorder_key, read_passphrase(None, None))
    return ReceiptOptions(folder, signer, terse)
