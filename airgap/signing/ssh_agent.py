"""Keys that an ssh-agent keeps: it signs the bytes of format §6.1 and never shows the private key.

Only plain Ed25519 and ECDSA keys can do this. An ``sk-`` key signs a structure of its own around
the hash of a login, and an RSA key has no place in format §6.3.
"""

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import ClassVar, Final

from paramiko.agent import Agent, AgentKey
from paramiko.message import Message
from paramiko.ssh_exception import SSHException

from airgap.errors import ConfigurationError, NotTrustedError
from airgap.signing.public_keys import CURVES, SSH_KEY_TYPES, encode_ecdsa, load_ssh_blob
from airgap.signing.signer import Signer

__all__ = ["AgentSigner", "find"]

_FINGERPRINT: Final = "SHA256:"
# OpenSSH's agent hangs up on a request of more than 256 KiB; a key and some lengths are in it too.
_REQUEST_BYTES: Final = 256 * 1024 - 1024


class AgentSigner(Signer):
    """Signs with a key in an ssh-agent."""

    max_bytes: ClassVar[int | None] = _REQUEST_BYTES

    def __init__(self, agent_key: AgentKey) -> None:
        """Take one of the agent's keys.

        Raises:
            ConfigurationError: it is of a kind that cannot sign documents.
        """
        self._name = _describe(agent_key)
        self._blob: bytes = agent_key.blob
        if agent_key.name not in SSH_KEY_TYPES:
            raise ConfigurationError(
                f"The key {self._name} in the ssh-agent cannot sign documents.",
                "Use an Ed25519 or ECDSA (P-256, P-384) key; sk-, RSA and DSA keys, and"
                " certificates, are for logins.",
            )
        try:
            super().__init__(load_ssh_blob(agent_key.name, base64.b64encode(self._blob)))
        except NotTrustedError as error:
            raise ConfigurationError(error.message, error.hint) from error

    def _sign_bytes(self, message: bytes) -> bytes:
        if len(message) > _REQUEST_BYTES:
            raise ConfigurationError(
                f"The document has {len(message):,} bytes, and an ssh-agent signs at most"
                f" {_REQUEST_BYTES:,}.",
                "Sign it with a key file, or with an ECDSA key on a PKCS#11 token.",
            )
        try:
            with _held_keys() as held:
                made = [one.sign_ssh_data(message) for one in held if one.blob == self._blob]
            return self._signature(made[0])
        except (SSHException, OSError, IndexError, ValueError, OverflowError) as error:
            raise ConfigurationError(
                f"The ssh-agent did not sign with {self._name}.",
                "Unlock the agent (`ssh-add -X`), confirm when it asks, and see that"
                " `ssh-add -l` lists the key.",
            ) from error

    def _signature(self, answer: bytes) -> bytes:
        """Turn SSH's form into that of format §6.3: for ECDSA, r and s are ``mpint`` there."""
        outer = Message(answer)
        outer.get_text()  # the type; a signature of another type does not verify
        blob: bytes = outer.get_binary()
        if self.key.algorithm not in CURVES:
            return blob
        numbers = Message(blob)
        return encode_ecdsa(self.key.algorithm, numbers.get_mpint(), numbers.get_mpint())


def find(wanted: str) -> AgentSigner:
    """Find a key by ``SHA256:<fingerprint>`` as ``ssh-add -l`` shows it, or by our key id.

    Without either, the agent must hold exactly one key that can sign documents.

    Raises:
        ConfigurationError: there is no agent, or not exactly one such key.
    """
    with _held_keys() as held:
        for one in held:
            if wanted == _fingerprint(one):
                return AgentSigner(one)
        usable = [AgentSigner(one) for one in held if one.name in SSH_KEY_TYPES]
        if wanted:
            key_id = wanted.removeprefix(_FINGERPRINT).lower()
            usable = [one for one in usable if one.key.id == key_id]
        if len(usable) == 1:
            return usable[0]
        what = f"no key {wanted}" if wanted else f"{len(usable)} keys that can sign"
        raise ConfigurationError(
            f"The ssh-agent holds {what}.",
            "Name one of its keys: ssh-agent:SHA256:… as `ssh-add -l` shows it.",
            [_describe(one) for one in held],
        )


@contextmanager
def _held_keys() -> Iterator[tuple[AgentKey, ...]]:
    """Ask the agent for its keys; they can sign until the block ends."""
    hint = 'Start one with `eval "$(ssh-agent)"`, and give it a key with `ssh-add`.'
    if not os.environ.get("SSH_AUTH_SOCK"):
        raise ConfigurationError("There is no ssh-agent: SSH_AUTH_SOCK is not set.", hint)
    try:
        agent = Agent()
    except (SSHException, OSError) as error:
        raise ConfigurationError("The ssh-agent does not answer as one.", hint) from error
    with closing(agent):
        if not agent.get_keys():
            raise ConfigurationError("The ssh-agent holds no key, or is gone.", hint)
        yield agent.get_keys()


def _fingerprint(agent_key: AgentKey) -> str:
    digest = base64.b64encode(hashlib.sha256(agent_key.blob).digest())
    return _FINGERPRINT + digest.rstrip(b"=").decode()


def _describe(agent_key: AgentKey) -> str:
    comment = "".join(one if one.isprintable() else "?" for one in agent_key.comment)
    return f"{_fingerprint(agent_key)} ({agent_key.name}, {comment})"
