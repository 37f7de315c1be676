"""Proving to an SSH server who we are: keys, certificates, an agent, a password.

Nothing here runs before the server's host key has been accepted.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey, Transport
from paramiko.agent import Agent
from paramiko.pkey import PublicBlob
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    PasswordRequiredException,
    SSHException,
)

from airgap.errors import ConfigurationError, TransportError
from airgap.transport.sftp.known_hosts import fingerprint

__all__ = ["SshCredentials", "log_in"]

_CERTIFICATE: Final = "-cert.pub"
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
    """What may be offered to the server, and to no other."""

    keys: tuple[Path, ...] = ()
    """Private key files, each of which must be there. If there are some, no others are offered."""
    usual_keys: tuple[Path, ...] = ()
    """Files that are offered without being named, if they are there and can be read."""
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    agent: bool = True
    """Whether the ssh-agent is asked: for all its keys, or, if keys are named, for those."""


@dataclass(frozen=True)
class _Attempt:
    """One thing to try."""

    name: str
    """For messages: it never holds a secret."""
    offer: bytes
    """What the server sees of it: nothing is offered twice."""
    methods: tuple[str, ...]
    run: Callable[[Transport, str, Sequence[str]], Sequence[str]]
    """Returns the methods that are still wanted, none when we are in."""


def log_in(transport: Transport, host: str, user: str, credentials: SshCredentials) -> None:
    """Offer what the server takes, one thing after another, until it lets us in.

    Raises:
        TransportError: it took nothing of what there is; its details tell what was tried.
        ConfigurationError: a key that was named cannot be read.
        SSHException: it hung up, or was silent, before it refused anything.
    """
    tried: list[str] = []
    with _collect_attempts(credentials) as attempts:
        wanted = _ask_methods(transport, user)
        for one in attempts:
            if not wanted:
                return
            if not set(one.methods) & set(wanted):
                tried.append(f"{one.name}: not offered, it takes {_format_methods(wanted)} only")
                continue
            try:
                wanted = one.run(transport, user, wanted)
                tried.append(
                    f"{one.name}: accepted, and {_format_methods(wanted)} asked for besides"
                )
            except AuthenticationException as error:
                _check_refusal(transport, error, host, tried)
                tried.append(f"{one.name}: refused")
    if wanted:
        raise TransportError(
            f"{host} does not let {user} in: it takes {_format_methods(wanted)}, and"
            f" {'nothing offered was right' if tried else 'there is nothing to offer'}.",
            "Name the user, and a key, an agent or a password that the server knows.",
            tried,
        )


def _ask_methods(transport: Transport, user: str) -> Sequence[str]:
    """Ask which methods the server takes, so that it is not sent what it does not want."""
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
    """Tell a refusal from a server that has gone, or that has had enough of our attempts."""
    if transport.is_active() and str(error) != _AUTHENTICATION_TIMEOUT:
        return
    if not tried:
        raise error
    raise TransportError(  # no retry: that is how accounts are locked
        f"{host} hung up at try {len(tried) + 1} to log in.",
        "Name the one key to be used, and turn off the agent if it holds many.",
        tried,
    ) from error


def _format_methods(methods: Sequence[str]) -> str:
    """Name methods, as far as they have names: a server may write anything there."""
    named = [one for one in methods if one in _METHODS]
    return ", ".join(named + ["others"] * (len(named) < len(methods)))


@contextmanager
def _collect_attempts(credentials: SshCredentials) -> Iterator[list[_Attempt]]:
    """Collect what can be tried, in order. Agent keys sign until the block ends."""
    agent = _open_agent() if credentials.agent else None
    try:
        held = agent.get_keys() if agent else ()
        found = [*_offer_files(credentials, held)]
        if not credentials.keys:
            found += map(_offer_agent_key, held)
        if credentials.password is not None:
            found.append(_offer_password(credentials.password))
        yield list(_drop_repeats(found))
    finally:
        if agent:
            agent.close()


def _open_agent() -> Agent | None:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return None
    try:
        return Agent()
    except SSHException:  # it is no agent: then there are no keys in it
        return None


def _drop_repeats(attempts: Sequence[_Attempt]) -> Iterator[_Attempt]:
    """Leave out what was offered before.

    A file's key is often in the agent too, and servers count (MaxAuthTries).
    """
    offered: set[bytes] = set()
    for one in attempts:
        if one.offer not in offered:
            offered.add(one.offer)
            yield one


def _offer_files(credentials: SshCredentials, held: Sequence[PKey]) -> Iterator[_Attempt]:
    for path in credentials.keys:
        yield from _offer_file(path, credentials.passphrase, held)
    if credentials.keys:
        return
    for path in credentials.usual_keys:
        with suppress(ConfigurationError):  # nobody named it: it may be encrypted, or not be there
            yield from _offer_file(path, credentials.passphrase, held)


def _offer_file(path: Path, passphrase: str | None, held: Sequence[PKey]) -> Iterator[_Attempt]:
    """Offer a file's certificate, then its bare key."""
    try:
        key = _load_key(path, passphrase)
    except PasswordRequiredException:
        key = _find_in_agent(path, held)
        if key is None:
            raise ConfigurationError(
                f"The key {path} is encrypted, and there is no passphrase for it.",
                "Give its passphrase, or add it to the ssh-agent with `ssh-add`.",
            ) from None
    certificate = path.with_name(path.name + _CERTIFICATE)
    if certificate.is_file():
        yield _offer_key(f"certificate {certificate}", _Key(key, certificate))
    yield _offer_key(f"key {path} ({fingerprint(key.asbytes())})", _Key(key))


def _load_key(path: Path, passphrase: str | None) -> PKey:
    """Read a private key file of any type that SSH still uses."""
    if not path.is_file():
        raise ConfigurationError(f"There is no key at {path}.", "Name the private key's file.")
    for kind in (Ed25519Key, ECDSAKey, RSAKey):
        try:
            return kind.from_private_key_file(str(path), passphrase)
        except PasswordRequiredException:
            raise
        except (SSHException, ValueError, IndexError, UnicodeDecodeError):
            continue
        except OSError as error:
            raise ConfigurationError(
                f"The key {path} cannot be read: {error.strerror}.", "Check who owns it."
            ) from error
    right = "with this passphrase " if passphrase else ""
    raise ConfigurationError(
        f"The key {path} cannot be read {right}as an Ed25519, ECDSA or RSA key.",
        "Check its passphrase and format (`ssh-keygen -y -f FILE`); one without a comment may need"
        " one (`ssh-keygen -c -f FILE`).",  # paramiko takes its padding away even if it has none
    )


def _find_in_agent(path: Path, held: Sequence[PKey]) -> PKey | None:
    """Find the agent's key for an encrypted file, by the public key beside it."""
    try:
        _, data, *_ = path.with_name(f"{path.name}.pub").read_text("ascii").split()
    except (OSError, ValueError):
        return None
    return next((one for one in held if one.get_base64() == data), None)


class _Key:
    """What paramiko takes for a key: one from a file or an agent, alone or with its certificate."""

    def __init__(self, key: PKey, certificate: Path | None = None) -> None:
        self._key = key
        try:
            self.public_blob = certificate and PublicBlob.from_file(str(certificate))
        except (ValueError, OSError) as error:
            raise ConfigurationError(
                f"{certificate} is not a certificate.", "Remove it or replace it."
            ) from error

    @property
    def shown(self) -> bytes:
        """What the server sees: the certificate, or the public key."""
        return self.public_blob.key_blob if self.public_blob else self.asbytes()

    def get_name(self) -> str:
        name: str = self._key.get_name()
        return name

    def asbytes(self) -> bytes:
        blob: bytes = self._key.asbytes()
        return blob

    def sign_ssh_data(self, data: bytes, algorithm: str) -> bytes:
        """Sign, or return what the server refuses: the thread that reads calls this.

        What an agent raises there (locked, not confirmed) would end the connection.
        """
        try:
            made: bytes = self._key.sign_ssh_data(data, algorithm)
        except (SSHException, OSError):
            return b""
        return bytes(made)


def _offer_agent_key(key: PKey) -> _Attempt:
    comment = "".join(one if one.isprintable() else "?" for one in key.comment)
    return _offer_key(f"agent key {fingerprint(key.blob)} ({comment})", _Key(key))


def _offer_key(name: str, key: _Key) -> _Attempt:
    def run(transport: Transport, user: str, _wanted: Sequence[str]) -> Sequence[str]:
        return tuple(transport.auth_publickey(user, key))

    return _Attempt(name, key.shown, ("publickey",), run)


def _offer_password(password: str) -> _Attempt:
    def answer(_title: str, _text: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        """Answer one hidden question: a second one, or one whose answer shows, is another's."""
        hidden = [not shown for _, shown in prompts]
        if hidden != [True] or not unused:
            return [""] * len(prompts)
        return [unused.pop()]

    def run(transport: Transport, user: str, wanted: Sequence[str]) -> Sequence[str]:
        if "password" in wanted:
            return tuple(transport.auth_password(user, password, fallback=False))
        return tuple(transport.auth_interactive(user, answer))

    unused = [password]
    return _Attempt("password", b"", ("password", "keyboard-interactive"), run)
