"""Opens keys that sign, and says on a terminal what a signature waits for."""

from airgap.cli import terminal
from airgap.flow.trust import keys
from airgap.flow.trust.keys import Passphrase, Signer

__all__ = ["load_signer"]


def load_signer(spec: str, passphrase: Passphrase) -> Signer:
    """Open a private key; raises as ``keys.load_signer``."""
    signer = keys.load_signer(spec, passphrase)
    signer.on_wait = _print_wait
    return signer


def _print_wait(text: str) -> None:
    if terminal.is_progress_shown():
        terminal.print_line(text, err=True)
