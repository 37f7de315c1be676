"""An SSH server in this process that records what it is offered, and stalls on demand."""

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import paramiko
from paramiko import Channel, InteractiveQuery, PKey
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    OPEN_SUCCEEDED,
)

__all__ = ["LoginScript", "SshDouble", "known_line"]

Stall = Literal["", "banner", "key exchange", "login", "channel", "subsystem"]


@dataclass
class LoginScript:
    """What clients offered, and what is right."""

    methods: str = "publickey,password,keyboard-interactive"
    password: str = ""
    prompts: Sequence[tuple[str, bool]] = (("Password: ", False),)
    rounds: int = 1
    two_factors: bool = False
    """Whether a key is taken, and is not enough."""
    offered: list[str] = field(default_factory=list)
    stall: Stall = ""
    over: threading.Event = field(default_factory=threading.Event)


class _LoginRecorder(paramiko.ServerInterface):  # type: ignore[misc]  # paramiko has no types
    def __init__(self, script: LoginScript) -> None:
        self.script = script
        self.rounds = script.rounds

    def get_allowed_auths(self, username: str) -> str:
        del username
        return self.script.methods

    def check_auth_none(self, username: str) -> int:
        self._record(f"none by {username}")
        return int(AUTH_FAILED)

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        del username
        self._record(f"key {key.fingerprint}")
        if self.script.two_factors:
            self.script.methods = "password"
            return int(AUTH_PARTIALLY_SUCCESSFUL)
        return int(AUTH_FAILED)

    def check_auth_password(self, username: str, password: str) -> int:
        del username
        self._record(f"password {password}")
        return self._check_answers(password)

    def check_auth_interactive(self, username: str, submethods: str) -> InteractiveQuery:
        del username, submethods
        return self._ask()

    def check_auth_interactive_response(self, responses: list[str]) -> "InteractiveQuery | int":
        self._record(f"answers {responses}")
        self.rounds -= 1
        return self._ask() if self.rounds else self._check_answers(*responses)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del kind, chanid
        if self.script.stall == "channel":
            self.script.over.wait(10)
        return int(OPEN_SUCCEEDED)

    def check_channel_subsystem_request(self, channel: Channel, name: str) -> bool:
        del channel, name
        if self.script.stall == "subsystem":
            self.script.over.wait(10)
        return False

    def _ask(self) -> InteractiveQuery:
        return InteractiveQuery("", "", *self.script.prompts)

    def _check_answers(self, *answers: str) -> int:
        right = answers == (self.script.password,)
        return int(AUTH_SUCCESSFUL if right else AUTH_FAILED)

    def _record(self, what: str) -> None:
        self.script.offered.append(what)
        if self.script.stall == "login":
            self.script.over.wait(10)


class SshDouble:
    """Listens on loopback; use it as a context manager."""

    def __init__(self, script: LoginScript, *host_keys: PKey) -> None:
        self.script = script
        self._keys = host_keys
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._open: list[Any] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.script.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.script.stall in {"banner", "key exchange"}:
                self._open.append(connection)
                if self.script.stall == "key exchange":
                    connection.sendall(b"SSH-2.0-Double\r\n")
                continue
            transport = paramiko.Transport(connection)
            for key in self._keys:
                transport.add_server_key(key)
            self._open.append(transport)
            with suppress(paramiko.SSHException, EOFError):
                transport.start_server(threading.Event(), _LoginRecorder(self.script))


def known_line(port: int, key: PKey) -> str:
    """Write a host's key as known_hosts has it."""
    return f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n"
