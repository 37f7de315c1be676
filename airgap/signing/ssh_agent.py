"""Keys in an ssh-agent, which signs the bytes of format §6.1 and never reveals the private key.

Only plain Ed25519 and ECDSA keys can sign documents: an ``sk-`` key signs a structure of its own
around the hash of a login, and format §6.3 has no RSA.
"""

import base64
import hashlib
from contextlib import closing
from typing import ClassVar, Final

from airgap.errors import ConfigurationError, NotTrustedError
from airgap.printable import make_printable
from airgap.signing.public_keys import CURVES, SSH_KEY_TYPES, encode_ecdsa, load_ssh_blob
from airgap.signing.signer import Signer
from airgap.ssh_agent import AgentKey, SshAgent, SshAgentError, StringReader

__all__ = ["AgentSigner", "find"]

_FINGERPRINT: Final = "SHA256:"
# OpenSSH's agent hangs up on requests above 256 KiB; they also contain the key and some lengths.
_REQUEST_BYTES: Final = 256 * 1024 - 1024


class AgentSigner(Signer):
    """Signs with a key in an ssh-agent."""

    max_bytes: ClassVar[int | None] = _REQUEST_BYTES
    wait_text: ClassVar[str] = (
        "Waiting for the ssh-agent to sign. Confirm when it asks, or touch the key."
    )

    def __init__(self, agent_key: AgentKey) -> None:
        """Take one of the agent's keys.

        Raises:
            ConfigurationError: a key of its type cannot sign documents.
        """
        self._name = _describe(agent_key)
        self._agent_key = agent_key
        if agent_key.kind not in SSH_KEY_TYPES:
            raise ConfigurationError(
                f"The key {self._name} in the ssh-agent cannot sign documents.",
                "Use an Ed25519 or ECDSA (P-256, P-384) key; sk-, RSA and DSA keys and"
                " certificates are for logins.",
            )
        try:
            super().__init__(load_ssh_blob(agent_key.kind, base64.b64encode(agent_key.blob)))
        except NotTrustedError as error:
            raise ConfigurationError(error.message, error.hint) from error

    def _sign_bytes(self, message: bytes) -> bytes:
        if len(message) > _REQUEST_BYTES:
            raise ConfigurationError(
                f"The document has {len(message):,} bytes; an ssh-agent signs at most"
                f" {_REQUEST_BYTES:,}.",
                "Sign it with a key file, or with an ECDSA key on a PKCS#11 token.",
            )
        try:
            with closing(SshAgent.connect()) as agent:
                return self._decode_signature(agent.sign(self._agent_key, message))
        except (SshAgentError, ValueError) as error:
            reason = error.message if isinstance(error, SshAgentError) else "It is malformed."
            raise ConfigurationError(
                f"The ssh-agent did not sign with {self._name}.",
                "Unlock the agent (`ssh-add -X`), confirm when it asks, and check that"
                " `ssh-add -l` lists the key.",
                [reason],
            ) from error

    def _decode_signature(self, answer: bytes) -> bytes:
        """Turn SSH's form of a signature, with r and s as ``mpint``, into that of format §6.3.

        Raises:
            ValueError: it is malformed.
        """
        outer = StringReader(answer)
        outer.string()  # the type: a signature of another type does not verify
        blob = outer.string()
        if self.key.algorithm not in CURVES:
            return blob
        numbers = StringReader(blob)
        return encode_ecdsa(self.key.algorithm, numbers.mpint(), numbers.mpint())


def find(name: str) -> AgentSigner:
    """Find a key by ``SHA256:<fingerprint>``, as ``ssh-add -l`` shows it, or by airgap's key id.

    If ``name`` is empty, the agent must have exactly one key that can sign documents.

    Raises:
        ConfigurationError: there is no agent, or not exactly one such key.
    """
    keys = _list_keys()
    for key in keys:
        if name == _fingerprint(key):
            return AgentSigner(key)
    signers = [AgentSigner(key) for key in keys if key.kind in SSH_KEY_TYPES]
    if name:
        key_id = name.removeprefix(_FINGERPRINT).lower()
        signers = [signer for signer in signers if signer.key.id == key_id]
    if len(signers) == 1:
        return signers[0]
    problem = f"no key {name}" if name else f"{len(signers)} keys that can sign (expected 1)"
    raise ConfigurationError(
        f"The ssh-agent has {problem}.",
        "Name one of its keys: ssh-agent:SHA256:… as `ssh-add -l` shows it.",
        [_describe(key) for key in keys],
    )


def _list_keys() -> tuple[AgentKey, ...]:
    with closing(SshAgent.connect()) as agent:
        keys = agent.list_keys()
    if not keys:
        raise ConfigurationError(
            "The ssh-agent has no keys.", "Add one with `ssh-add`, or unlock it: `ssh-add -X`."
        )
    return keys


def _fingerprint(agent_key: AgentKey) -> str:
    digest = base64.b64encode(hashlib.sha256(agent_key.blob).digest())
    return _FINGERPRINT + digest.rstrip(b"=").decode()


def _describe(agent_key: AgentKey) -> str:
    comment = make_printable(agent_key.comment)
    return f"{_fingerprint(agent_key)} ({agent_key.kind}, {comment})"
