"""What every place that keeps a private key can do: sign documents (format §6)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from airgap.errors import ConfigurationError
from airgap.format.envelope import PAYLOAD_TYPES, Envelope, Purpose, signed_bytes
from airgap.format.root import Key
from airgap.signing.public_keys import verifies

__all__ = ["Passphrase", "Signer"]

Passphrase = Callable[[], bytes]
"""Asks for the passphrase of a key file or the PIN of a token; called only if one is needed."""


class Signer(ABC):
    """Signs documents with one private key, wherever that is kept."""

    max_bytes: ClassVar[int | None] = None
    """The most bytes (format §6.1) that can be signed at once; None: any number."""

    def __init__(self, key: Key) -> None:
        """Take the public half."""
        self.key = key

    def sign(self, purpose: Purpose, payload: bytes) -> Envelope:
        """Sign the exact bytes of a document for one purpose (format §6.1).

        Raises:
            ConfigurationError: the key's keeper refuses, or signs what does not verify.
        """
        message = signed_bytes(PAYLOAD_TYPES[purpose], payload)
        signature = self._sign_bytes(message)
        # A keeper with another key under the same name, or a computing fault that would give an
        # Ed25519 key away, ends here and not on the isolated side.
        if not verifies(self.key, signature, message):
            raise ConfigurationError(
                f"The signature made with key {self.key.id[:16]}… does not verify.",
                "Check that its public and its private half belong together, and try again.",
            )
        return Envelope(PAYLOAD_TYPES[purpose], self.key.id, signature)

    @abstractmethod
    def _sign_bytes(self, message: bytes) -> bytes:
        """Return the signature in the form of format §6.3."""
