"""The machines of two years, what people carry between them, and a clock that the story sets.

Commands run in this process, so ``time.time`` is the clock. Keys are made from numbers, so that
lists that are sorted by key ids come in one order in every run.
"""

import hashlib
import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.servers.scripted import Request, Scripted, reply
from tests.support.sides import Ran, Side

SITE: Final = "ward"
CHANNEL: Final = "production"


class Authority(Protocol):
    """An authority for time stamps, whose clock is that of the story."""

    @property
    def pem(self) -> bytes:
        """The certificate of its CA."""
        ...

    def answer(self, query: bytes, at: float) -> bytes:
        """Answer a request at a time, in seconds since 1970."""
        ...


def read_time(date: str) -> int:
    """Return nine o'clock in the morning of a date, in seconds since 1970."""
    return int(datetime.fromisoformat(f"{date}T09:00:00+00:00").timestamp())


@dataclass
class Machines:
    """The office with its depot, the ward behind the gap, a witness's laptop, and a thief's."""

    top: Path
    authorities: Mapping[str, Authority]
    url: str
    now: int = 0
    sides: dict[str, Side] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("office", "ward", "witness", "thief"):
            self.sides[name] = Side(self.top / name)
            self.sides[name].top.mkdir(parents=True)
        for folder in (self.keys, self.media, self.roots, self.receipts):
            folder.mkdir(parents=True)

    @property
    def office(self) -> Side:
        return self.sides["office"]

    @property
    def ward(self) -> Side:
        return self.sides["ward"]

    @property
    def witness(self) -> Side:
        return self.sides["witness"]

    @property
    def thief(self) -> Side:
        return self.sides["thief"]

    @property
    def keys(self) -> Path:
        return self.top / "keys"

    @property
    def roots(self) -> Path:
        return self.top / "roots"

    @property
    def media(self) -> Path:
        return self.top / "media"

    @property
    def receipts(self) -> Path:
        """What may leave the ward."""
        return self.media / "receipts"

    @property
    def depot(self) -> Path:
        """The depot of the office, with every bundle as it was signed."""
        return self.top / "depot"

    def key(self, name: str) -> Path:
        return self.keys / f"{name}.key"

    def public(self, name: str) -> Path:
        return self.keys / f"{name}.pub"

    def identity(self, name: str) -> Path:
        return self.keys / f"{name}.identity"

    def recipient(self, name: str) -> str:
        return (self.keys / f"{name}.recipient").read_text().strip()

    def set_clock(self, date: str) -> None:
        """Let the clock go on to nine o'clock in the morning of a date."""
        moment = read_time(date)
        assert moment > self.now, f"{date} is in the past"
        self.now = moment

    def run(self, side: Side, *words: str | Path, code: int = 0) -> Ran:
        """Run ``airgap`` on a machine; each command takes a minute. It must exit with ``code``."""
        self.now += 60
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda: float(self.now))
            ran = side.run(*words)
        assert ran.code == code, f"{' '.join(map(str, words))}\nexit {ran.code}: {ran.out}{ran.err}"
        return ran

    def make_keys(self, *names: str) -> None:
        """Make key pairs, with nobody there to type a passphrase."""
        for name in names:
            words = ("key", "generate", name, "--dir", self.keys, "--no-passphrase")
            self.run(self.office, *words)

    def make_identities(self, *names: str) -> None:
        """Make identities of the older type, which every version of age opens."""
        for name in names:
            words = ("key", "generate", name, "--dir", self.keys, "--seal", "--algorithm", "x25519")
            self.run(self.ward, *words)


@contextmanager
def set_up(top: Path, authorities: Mapping[str, Authority]) -> Iterator[Machines]:
    """Give the machines, and a server on which each authority answers at ``/`` and its name."""
    numbers = itertools.count()

    def generate() -> ed25519.Ed25519PrivateKey:
        seed = hashlib.sha256(b"two years %d" % next(numbers)).digest()
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed)

    def answer(request: Request) -> bytes:
        stamp = authorities[request.target.removeprefix("/")].answer(request.body, machines.now)
        return reply("200 OK", stamp, Content_Type="application/timestamp-reply")

    with pytest.MonkeyPatch.context() as patch, Scripted(answer) as server:
        patch.setattr(ed25519.Ed25519PrivateKey, "generate", generate)
        machines = Machines(top, authorities, server.url)
        yield machines
