"""Authenticates to an SSH server: keys, certificates, an agent, a password.

Nothing here runs before the server's host key has been accepted.
"""

import base64
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey, Transport
from paramiko.pkey import PublicBlob
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    PasswordRequiredException,
    SSHException,
)

from airgap.disk.named_files import read_named, read_named_text
from airgap.errors import ConfigurationError, TransportError
from airgap.printable import make_printable
from airgap.ssh_agent import AgentKey, SshAgent, SshAgentError
from airgap.transport.sftp.known_hosts import fingerprint

__all__ = ["SshCredentials", "log_in"]

_CERTIFICATE: Final = "-cert.pub"
_CERTIFICATE_KIND: Final = "-cert-v01@openssh.com"
_AGENT_FLAGS: Final = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}
_KEY_BYTES: Final = 64 * 1024  # an RSA key of 16,384 bits has 13 KB
_WAIT_SECONDS: Final = 3.0
_AGENT_SECONDS: Final = 60.0  # to sign: a person may have to confirm, or to touch a token
_METHODS: Final = (
    "publickey",
    "password",
    "keyboard-interactive",
    "hostbased",
    "gssapi-with-mic",
    "gssapi-keyex",
)
_AUTHENTICATION_TIMEOUT: Final = "Authentication timeout."  # paramiko has no class for it


@dataclass(frozen=True)
class SshCredentials:
    """What may be offered to this server only."""

    keys: tuple[Path, ...] = ()
    """Private key files, which must exist. If any is given, no other key is offered."""
    default_keys: tuple[Path, ...] = ()
    """Private key files that are offered if they exist and can be read."""
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    agent: bool = True
    """Whether the ssh-agent is asked: for all its keys, or for the named ones."""
    on_wait: Callable[[str], object] = field(default=lambda _: None, repr=False, compare=False)
    """Called by another thread, with a sentence, once a person may have to do something."""


class _AgentKey:
    """A key of the agent, with the methods of paramiko's keys that a login needs."""

    def __init__(
        self, agent: SshAgent, key: AgentKey, on_wait: Callable[[str], object] = lambda _: None
    ) -> None:
        self._agent = agent
        self._key = key
        self._on_wait = on_wait
        self.comment = key.comment

    def get_name(self) -> str:
        return self._key.kind

    def get_base64(self) -> str:
        return base64.b64encode(self._key.blob).decode()

    def asbytes(self) -> bytes:
        return self._key.blob

    def sign_ssh_data(self, data: bytes, algorithm: str) -> bytes:
        flags = _AGENT_FLAGS.get(algorithm.removesuffix(_CERTIFICATE_KIND), 0)
        with self._watch_time():
            return self._agent.sign(self._key, data, flags, _AGENT_SECONDS)

    @contextmanager
    def _watch_time(self) -> Iterator[None]:
        """Say what a signature waits for, once it takes seconds."""
        text = (
            f"The SSH login waits for the ssh-agent to use the key {make_printable(self.comment)}:"
            " touch the security key, or confirm at the agent's question."
        )
        timer = threading.Timer(_WAIT_SECONDS, self._on_wait, [text])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@dataclass(frozen=True)
class _Attempt:
    """One credential to try."""

    name: str
    """For messages: it never contains a secret."""
    offer: bytes
    """What the server sees of it: the same is not offered twice."""
    methods: tuple[str, ...]
    run: Callable[[Transport, str, Sequence[str]], Sequence[str]]
    """Returns the methods that the server still requires; none after the login."""


def log_in(transport: Transport, host: str, user: str, credentials: SshCredentials) -> None:
    """Offer credentials that the server accepts, one after another, until it grants access.

    Raises:
        TransportError: it accepted none of them; the details list what was tried.
        ConfigurationError: a named key cannot be read.
        SSHException: it closed the connection, or was silent, before it refused anything.
    """
    tried: list[str] = []
    problems: list[str] = []
    with _collect_attempts(credentials, problems) as attempts:
        methods = _ask_methods(transport, user)
        for attempt in attempts:
            if not methods:
                return
            if not set(attempt.methods) & set(methods):
                accepted = _format_methods(methods)
                tried.append(f"{attempt.name}: not offered, the server accepts {accepted} only")
                continue
            try:
                methods = attempt.run(transport, user, methods)
                tried.append(f"{attempt.name}: accepted, {_format_methods(methods)} also required")
            except AuthenticationException as error:
                _check_refusal(transport, error, host, tried)
                tried.append(f"{attempt.name}: refused")
    if methods:
        raise TransportError(
            f"{host} refused the login of {user}: it accepts {_format_methods(methods)}, and"
            f" {'refused every credential' if tried else 'no credential was given'}.",
            "Give the user, and a key, an agent or a password that the server accepts.",
            [*problems, *tried],
        )


def _ask_methods(transport: Transport, user: str) -> Sequence[str]:
    """Ask which methods the server accepts, so that nothing else is sent."""
    try:
        transport.auth_none(user)
    except BadAuthenticationType as refused:
        return tuple(refused.allowed_types)
    except AuthenticationException as error:
        _check_refusal(transport, error, "", ())
        raise
    return ()


def _check_refusal(
    transport: Transport, error: AuthenticationException, host: str, tried: Sequence[str]
) -> None:
    """Return after a refusal; raise if the server is gone, or closed the connection after one."""
    if transport.is_active() and str(error) != _AUTHENTICATION_TIMEOUT:
        return
    if not tried:
        raise error
    raise TransportError(  # not transient: retries could lock the account
        f"{host} closed the connection at login attempt {len(tried) + 1}.",
        "Name the key to use, and turn off the agent if it holds many.",
        tried,
    ) from error


def _format_methods(methods: Sequence[str]) -> str:
    """List methods by their standard names: a server may send anything else."""
    named = [method for method in methods if method in _METHODS]
    return ", ".join(named + ["others"] * (len(named) < len(methods)))


@contextmanager
def _collect_attempts(credentials: SshCredentials, problems: list[str]) -> Iterator[list[_Attempt]]:
    """Collect the credentials to try, in order. Agent keys can sign until the block ends."""
    agent = _open_agent(problems) if credentials.agent else None
    with closing(agent) if agent else nullcontext():
        held = _list_agent_keys(agent, problems, credentials.on_wait) if agent else ()
        attempts = [*_offer_files(credentials, held)]
        if not credentials.keys:
            attempts += map(_offer_agent_key, held)
        if credentials.password is not None:
            attempts.append(_offer_password(credentials.password))
        yield list(_drop_repeats(attempts))


def _open_agent(problems: list[str]) -> SshAgent | None:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return None
    try:
        return SshAgent.connect()
    except SshAgentError as error:
        problems.append(error.message)
        return None


def _list_agent_keys(
    agent: SshAgent, problems: list[str], on_wait: Callable[[str], object]
) -> tuple[_AgentKey, ...]:
    """List the agent's keys; one that misbehaves has none, and other credentials are tried."""
    try:
        return tuple(_AgentKey(agent, key, on_wait) for key in agent.list_keys())
    except SshAgentError as error:
        problems.append(error.message)
        return ()


def _drop_repeats(attempts: Sequence[_Attempt]) -> Iterator[_Attempt]:
    """Leave out repeated offers.

    A file's key is often in the agent too, and servers count attempts (MaxAuthTries).
    """
    offered: set[bytes] = set()
    for attempt in attempts:
        if attempt.offer not in offered:
            offered.add(attempt.offer)
            yield attempt


def _offer_files(credentials: SshCredentials, held: Sequence[_AgentKey]) -> Iterator[_Attempt]:
    for path in credentials.keys:
        yield from _offer_file(path, credentials.passphrase, held)
    if credentials.keys:
        return
    for path in credentials.default_keys:
        with suppress(ConfigurationError):  # a default key may be encrypted or missing
            yield from _offer_file(path, credentials.passphrase, held)


def _offer_file(
    path: Path, passphrase: str | None, held: Sequence[_AgentKey]
) -> Iterator[_Attempt]:
    """Offer a file's certificate, then its bare key."""
    try:
        key = _load_key(path, passphrase)
    except PasswordRequiredException:
        key = _find_in_agent(path, held)
        if key is None:
            raise ConfigurationError(
                f"The key {path} is encrypted, and no passphrase was given.",
                "Give its passphrase, or add the key to the ssh-agent with `ssh-add`.",
            ) from None
    certificate = path.with_name(path.name + _CERTIFICATE)
    with suppress(FileNotFoundError):
        blob = _read_certificate(certificate)
        yield _offer_key(f"certificate {certificate}", _Key(key, blob))
    yield _offer_key(f"key {path} ({fingerprint(key.asbytes())})", _Key(key))


def _load_key(path: Path, passphrase: str | None) -> PKey:
    """Read a private key file of any type that SSH still uses."""
    text = _read_key(path)
    for kind in (Ed25519Key, ECDSAKey, RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text), passphrase)
        except PasswordRequiredException:
            raise
        except (SSHException, ValueError, IndexError, UnicodeDecodeError):
            continue
    condition = "with this passphrase " if passphrase else ""
    raise ConfigurationError(
        f"The key {path} cannot be read {condition}as an Ed25519, ECDSA or RSA key.",
        "Check its passphrase and format (`ssh-keygen -y -f FILE`); one without a comment may need"
        " one (`ssh-keygen -c -f FILE`).",  # paramiko strips padding that such a key may not have
    )


def _read_key(path: Path) -> str:
    try:
        return read_named(path, _KEY_BYTES).decode("utf-8-sig", "replace")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"The key {path} does not exist.", "Give the path of the private key."
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"The key {path} cannot be read: {error.strerror}.",
            "Check its path, owner and permissions.",
        ) from error


def _read_certificate(path: Path) -> PublicBlob:
    try:
        return PublicBlob.from_string(read_named_text(path, _KEY_BYTES))
    except FileNotFoundError:
        raise
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"{path} is not a certificate.", "Remove it or replace it."
        ) from error


def _find_in_agent(path: Path, held: Sequence[_AgentKey]) -> _AgentKey | None:
    """Find the agent's key for an encrypted file by the public key beside it."""
    try:
        _, data, *_ = read_named_text(path.with_name(f"{path.name}.pub")).split()
    except (OSError, ValueError):
        return None
    return next((key for key in held if key.get_base64() == data), None)


class _Key:
    """A key for paramiko: from a file or an agent, with or without a certificate."""

    def __init__(self, key: PKey | _AgentKey, certificate: PublicBlob | None = None) -> None:
        self._key = key
        self.public_blob = certificate

    @property
    def offer(self) -> bytes:
        """What the server sees: the certificate, or the public key."""
        return self.public_blob.key_blob if self.public_blob else self.asbytes()

    def get_name(self) -> str:
        name: str = self._key.get_name()
        return name

    def asbytes(self) -> bytes:
        blob: bytes = self._key.asbytes()
        return blob

    def sign_ssh_data(self, data: bytes, algorithm: str) -> bytes:
        """Sign, or return an invalid signature: paramiko's reading thread calls this.

        An error that an agent raises there (locked, not confirmed) would end the connection.
        """
        try:
            signature: bytes = self._key.sign_ssh_data(data, algorithm)
        except (SSHException, OSError, SshAgentError):
            return b""
        return bytes(signature)


def _offer_agent_key(key: _AgentKey) -> _Attempt:
    name = f"agent key {fingerprint(key.asbytes())} ({make_printable(key.comment)})"
    return _offer_key(name, _Key(key))


def _offer_key(name: str, key: _Key) -> _Attempt:
    def run(transport: Transport, user: str, _methods: Sequence[str]) -> Sequence[str]:
        return tuple(transport.auth_publickey(user, key))

    return _Attempt(name, key.offer, ("publickey",), run)


def _offer_password(password: str) -> _Attempt:
    def answer(_title: str, _text: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        """Answer one hidden question only: any other does not ask for the password."""
        hidden = [not shown for _, shown in prompts]
        if hidden != [True] or not unused:
            return [""] * len(prompts)
        return [unused.pop()]

    def run(transport: Transport, user: str, methods: Sequence[str]) -> Sequence[str]:
        if "password" in methods:
            return tuple(transport.auth_password(user, password, fallback=False))
        return tuple(transport.auth_interactive(user, answer))

    unused = [password]
    return _Attempt("password", b"", ("password", "keyboard-interactive"), run)
