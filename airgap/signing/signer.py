"""The signer: signs documents with a key in a file, an agent or a token (format §6)."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final, Self

from airgap.errors import ConfigurationError
from airgap.format.envelope import PAYLOAD_TYPES, Envelope, Purpose, signed_bytes
from airgap.format.root import Key
from airgap.signing.public_keys import verifies

__all__ = ["GivenPassphrase", "Passphrase", "Signer", "WrongPassphraseError"]

Passphrase = Callable[[str], bytes]
"""Returns the passphrase of a key file or the PIN of a token; called only if one is needed.

It takes what a person calls the key: its path, or the token's name."""

_WAIT_SECONDS: Final = 3.0


class GivenPassphrase(bytes):
    """A passphrase that nobody typed. A message about a wrong one names its source."""

    source: str
    """Such as "descriptor 3"."""

    def __new__(cls, secret: bytes, source: str) -> Self:
        """Take the bytes, and where they came from."""
        made = super().__new__(cls, secret)
        made.source = source
        return made


class WrongPassphraseError(ConfigurationError):
    """A person typed the wrong passphrase of a key file, and may type it again."""


class Signer(ABC):
    """Signs documents with one private key."""

    max_bytes: ClassVar[int | None] = None
    """The longest message (format §6.1) that can be signed, in bytes; None: no limit."""

    wait_text: ClassVar[str] = ""
    """What a person may have to do before there is a signature; empty: nothing."""

    def __init__(self, key: Key) -> None:
        """Take the public half."""
        self.key = key
        self.on_wait: Callable[[str], object] = lambda _: None
        """Called with ``wait_text``, by another thread, once a signature takes seconds."""

    def sign(self, purpose: Purpose, payload: bytes) -> Envelope:
        """Sign the exact bytes of a document for one purpose (format §6.1).

        Raises:
            ConfigurationError: the agent or token refuses, or its signature does not verify.
        """
        signature = self._sign_checked(signed_bytes(PAYLOAD_TYPES[purpose], payload))
        return Envelope(PAYLOAD_TYPES[purpose], self.key.id, signature)

    def sign_text(self, text: bytes) -> bytes:
        """Sign the text of a note as it is (format §28.3); return the signature of 64 bytes.

        Raises:
            ConfigurationError: the key is not an Ed25519 key, or as ``sign``.
            ValueError: the text could be taken for another document.
        """
        if self.key.algorithm != "ed25519":
            raise ConfigurationError(
                f"Key {self.key.id} is for {self.key.algorithm}, and checkpoints are signed with"
                " Ed25519 only.",
                "Make one with `airgap key generate NAME --algorithm ed25519`, and let the root"
                " name it: `airgap root add-key ROOT recorder NAME.pub -o NEXT`.",
            )
        if text.startswith(b"DSSEv1 "):
            raise ValueError("the text of a note is not that of an envelope")
        return self._sign_checked(text)

    def _sign_checked(self, message: bytes) -> bytes:
        with self._watch_time():
            signature = self._sign_bytes(message)
        # Catches here, and not on the isolated side, another key under the same name, and a
        # computing fault, which could reveal an Ed25519 key.
        if not verifies(self.key, signature, message):
            raise ConfigurationError(
                f"The signature made with key {self.key.id} does not verify.",
                "Check that its public and private halves belong together, and try again.",
            )
        return signature

    @abstractmethod
    def _sign_bytes(self, message: bytes) -> bytes:
        """Return the signature in the form of format §6.3."""

    @contextmanager
    def _watch_time(self) -> Iterator[None]:
        timer = threading.Timer(_WAIT_SECONDS, lambda: self.on_wait(self.wait_text))
        timer.daemon = True
        if self.wait_text:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
