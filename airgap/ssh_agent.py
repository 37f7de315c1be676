"""Speaks to an ssh-agent (draft-ietf-sshm-ssh-agent): lists its keys, and lets one of them sign.

The socket is often forwarded from another machine, which may be hostile: an answer has a limit in
bytes, in keys and in time, and whatever it holds ends in an error that says what to do.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from airgap.errors import ConfigurationError

__all__ = ["AgentKey", "SshAgent", "SshAgentError", "StringReader", "parse_keys", "parse_signature"]

_U32: Final = Struct(">I")
_FAILURE, _LIST, _KEYS, _SIGN, _SIGNATURE = 5, 11, 12, 13, 14
_MAX_BYTES: Final = 256 * 1024  # OpenSSH's agent and client accept no more
_MAX_KEYS: Final = 500
_MAX_COMMENT: Final = 100
_LIST_SECONDS: Final = 10.0
_SIGN_SECONDS: Final = 120.0  # a person may have to confirm, or to touch a token
_START: Final = 'Start an agent with `eval "$(ssh-agent)"`, and add a key with `ssh-add`.'
_UNLOCK: Final = (
    "Unlock the agent (`ssh-add -X`), confirm when it asks, and check that `ssh-add -l` lists the"
    " key."
)
_CHECK: Final = "Check SSH_AUTH_SOCK, and the machine from which the agent is forwarded."


class SshAgentError(ConfigurationError):
    """There is no ssh-agent, or it does not do what was asked."""


@dataclass(frozen=True, slots=True)
class AgentKey:
    """A public key whose private key the agent holds."""

    blob: bytes
    """The key as SSH writes it (RFC 4253, 6.6), or a certificate."""
    comment: str
    """What its owner wrote beside it; not printable, perhaps."""

    @property
    def kind(self) -> str:
        """The name of its type, such as ``ssh-ed25519``."""
        return StringReader(self.blob).text()


class StringReader:
    """Reads the strings that SSH's messages consist of (RFC 4251, 5), from the front."""

    def __init__(self, data: bytes) -> None:
        """Take a message."""
        self._data = data

    def number(self) -> int:
        """Read an unsigned integer of 4 bytes. Raises ValueError, as all methods do."""
        number: int = _U32.unpack(self._take(4))[0]
        return number

    def string(self) -> bytes:
        """Read a string."""
        return self._take(self.number())

    def text(self) -> str:
        """Read a name: printable ASCII."""
        name = self.string().decode("ascii")
        if not name or not name.isprintable():
            raise ValueError("not a name")
        return name

    def mpint(self) -> int:
        """Read an integer that is not negative."""
        number = int.from_bytes(self.string(), signed=True)
        if number < 0:
            raise ValueError("a negative number")
        return number

    def _take(self, size: int) -> bytes:
        if size > len(self._data):
            raise ValueError("it ends early")
        taken, self._data = self._data[:size], self._data[size:]
        return taken


class SshAgent:
    """A connection to an agent. After an error, only ``close`` may be called."""

    def __init__(self, connection: socket.socket) -> None:
        """Take a connected socket."""
        self._connection = connection

    @classmethod
    def connect(cls) -> Self:
        """Connect to the agent that ``SSH_AUTH_SOCK`` names.

        Raises:
            SshAgentError: there is none.
        """
        path = os.environ.get("SSH_AUTH_SOCK")
        if not path:
            raise SshAgentError("There is no ssh-agent: SSH_AUTH_SOCK is not set.", _START)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_LIST_SECONDS)
            connection.connect(path)
        except OSError as error:
            connection.close()
            reason = error.strerror or str(error)
            raise SshAgentError(f"The ssh-agent does not answer ({reason}).", _START) from error
        return cls(connection)

    def list_keys(self, seconds: float = _LIST_SECONDS) -> tuple[AgentKey, ...]:
        """Return the keys that can sign.

        Raises:
            SshAgentError: it refuses, does not answer in time, or not as an agent does.
        """
        with _valid_answer():
            return parse_keys(self._ask(bytes([_LIST]), seconds))

    def sign(
        self, key: AgentKey, data: bytes, flags: int = 0, seconds: float = _SIGN_SECONDS
    ) -> bytes:
        """Return a signature of the data, in the form of SSH (RFC 4253, 6.6).

        Raises:
            SshAgentError: it refuses, or as ``list_keys``.
        """
        request = bytes([_SIGN]) + _pack(key.blob) + _pack(data) + _U32.pack(flags)
        with _valid_answer():
            return parse_signature(self._ask(request, seconds))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, request: bytes, seconds: float) -> bytes:
        """Send a request, and return the answer that arrives within ``seconds``."""
        deadline = time.monotonic() + seconds
        try:
            self._connection.settimeout(seconds)
            self._connection.sendall(_pack(request))
            size = _U32.unpack(self._receive(4, deadline))[0]
            if not 0 < size <= _MAX_BYTES:
                raise SshAgentError(
                    f"The ssh-agent sent an answer of {size:,} bytes (expected at most"
                    f" {_MAX_BYTES:,}).",
                    _CHECK,
                )
            return self._receive(size, deadline)
        except TimeoutError as error:
            raise SshAgentError(
                f"The ssh-agent did not answer within {seconds:g} seconds.", _CHECK
            ) from error
        except OSError as error:
            raise SshAgentError("The ssh-agent closed the connection.", _CHECK) from error

    def _receive(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self._connection.recv(size - len(data))
            if not piece:
                raise ConnectionResetError
            data += piece
        return bytes(data)


def parse_keys(answer: bytes) -> tuple[AgentKey, ...]:
    """Parse the answer to a request for keys.

    Raises:
        SshAgentError: the agent refuses.
        ValueError: it is malformed, or holds more than 500 keys.
    """
    if answer[:1] == bytes([_FAILURE]):
        raise SshAgentError("The ssh-agent refused to list its keys.", _UNLOCK)
    reader = _open_answer(answer, _KEYS)
    count = reader.number()
    if count > _MAX_KEYS:
        raise ValueError("too many keys")
    keys = []
    for _ in range(count):
        blob, comment = reader.string(), reader.string().decode("utf-8", "backslashreplace")
        StringReader(blob).text()
        keys.append(AgentKey(blob, comment[:_MAX_COMMENT]))
    return tuple(keys)


def parse_signature(answer: bytes) -> bytes:
    """Parse the answer to a request for a signature.

    Raises:
        SshAgentError: the agent refuses.
        ValueError: it is malformed.
    """
    if answer[:1] == bytes([_FAILURE]):
        raise SshAgentError("The ssh-agent refused to sign.", _UNLOCK)
    return _open_answer(answer, _SIGNATURE).string()


def _open_answer(answer: bytes, kind: int) -> StringReader:
    if answer[:1] != bytes([kind]):
        raise ValueError("another answer")
    return StringReader(answer[1:])


@contextmanager
def _valid_answer() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise SshAgentError("The ssh-agent sent an answer that is not valid.", _CHECK) from error


def _pack(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data
