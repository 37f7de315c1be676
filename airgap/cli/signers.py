"""Opens keys that sign, and says on a terminal what a signature waits for."""

from typing import Final

from airgap.cli import terminal
from airgap.flow.trust import keys
from airgap.flow.trust.keys import Passphrase, Signer, WrongPassphraseError

__all__ = ["load_signer"]

_TRIES: Final = 3


def load_signer(spec: str, passphrase: Passphrase) -> Signer:
    """Open a private key; on a terminal, a wrong passphrase may be typed again, twice.

    Raises as ``keys.load_signer``. The PIN of a token is not asked for again: tokens lock.
    """
    signer = _load(spec, passphrase)
    signer.on_wait = _print_wait
    return signer


def _load(spec: str, passphrase: Passphrase) -> Signer:
    for _ in range(_TRIES - 1):
        try:
            return keys.load_signer(spec, passphrase)
        except WrongPassphraseError as error:
            if not terminal.can_ask():
                raise
            terminal.print_error_line(f"{error.message} Type it again.")
    return keys.load_signer(spec, passphrase)


def _print_wait(text: str) -> None:
    if terminal.is_progress_shown():
        terminal.print_line(text, err=True)
