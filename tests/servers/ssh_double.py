"""An SSH server in this process that takes note of whatever it is offered, and stalls when told."""

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

__all__ = ["Desk", "SshDouble", "known_line"]

Stall = Literal["", "banner", "key exchange", "login", "channel", "subsystem"]


@dataclass
class Desk:
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


class _Reception(paramiko.ServerInterface):  # type: ignore[misc]  # paramiko has no types
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.rounds = desk.rounds

    def get_allowed_auths(self, username: str) -> str:
        del username
        return self.desk.methods

    def check_auth_none(self, username: str) -> int:
        self._note(f"none by {username}")
        return int(AUTH_FAILED)

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        del username
        self._note(f"key {key.fingerprint}")
        if self.desk.two_factors:
            self.desk.methods = "password"
            return int(AUTH_PARTIALLY_SUCCESSFUL)
        return int(AUTH_FAILED)

    def check_auth_password(self, username: str, password: str) -> int:
        del username
        self._note(f"password {password}")
        return self._judge(password)

    def check_auth_interactive(self, username: str, submethods: str) -> InteractiveQuery:
        del username, submethods
        return self._question()

    def check_auth_interactive_response(self, responses: list[str]) -> "InteractiveQuery | int":
        self._note(f"answers {responses}")
        self.rounds -= 1
        return self._question() if self.rounds else self._judge(*responses)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del kind, chanid
        if self.desk.stall == "channel":
            self.desk.over.wait(10)
        return int(OPEN_SUCCEEDED)

    def check_channel_subsystem_request(self, channel: Channel, name: str) -> bool:
        del channel, name
        if self.desk.stall == "subsystem":
            self.desk.over.wait(10)
        return False

    def _question(self) -> InteractiveQuery:
        return InteractiveQuery("", "", *self.desk.prompts)

    def _judge(self, *answers: str) -> int:
        right = answers == (self.desk.password,)
        return int(AUTH_SUCCESSFUL if right else AUTH_FAILED)

    def _note(self, what: str) -> None:
        self.desk.offered.append(what)
        if self.desk.stall == "login":
            self.desk.over.wait(10)


class SshDouble:
    """Listens on loopback; use it as a context manager."""

    def __init__(self, desk: Desk, *host_keys: PKey) -> None:
        self.desk = desk
        self._keys = host_keys
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._open: list[Any] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.desk.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            if self.desk.stall in {"banner", "key exchange"}:
                self._open.append(one)
                if self.desk.stall == "key exchange":
                    one.sendall(b"SSH-2.0-Double\r\n")
                continue
            transport = paramiko.Transport(one)
            for key in self._keys:
                transport.add_server_key(key)
            self._open.append(transport)
            with suppress(paramiko.SSHException, EOFError):
                transport.start_server(threading.Event(), _Reception(self.desk))


def known_line(port: int, key: PKey) -> str:
    """Write a host's key as known_hosts has it."""
    return f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n"
