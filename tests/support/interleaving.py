"""Actors that take turns at every call of a transport, in an order that a test chooses.

Each actor is a thread, but only one runs at a time: it runs until its next call, and goes on when
it is its turn. So a test can try every order that matters, and finds the same again.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from airgap.errors import AirgapError
from airgap.flow.publishing.sweep import Clock
from airgap.transport.port import Pace, Sink, Stored, Transport
from tests.servers.in_memory import MemoryFiles, MemoryTransport

__all__ = ["Actor", "Killed", "Stage", "inline"]

_LEAP_SECONDS = 200.0


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Actor:
    """Somebody who does one thing, call by call."""

    def __init__(self, stage: "Stage", work: Callable[["Actor"], None]) -> None:
        self.stage = stage
        self.transport = GatedTransport(self)
        self.clock = Clock(lambda: stage.seconds, self._wait)
        self.began = self.ended = -1
        """At which step of the stage."""
        self.done = self.killed = self.is_removing = self.waits = False
        self.next = ""
        """The call that comes with the next turn."""
        self.refused: AirgapError | None = None
        self._work = work
        self._go = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return self.ended >= 0

    def turn(self) -> None:
        """Go on until the next call, or to the end."""
        if self.began < 0:
            self.began = self.stage.steps
        self._go.release()
        self.stage.back.acquire()
        if self.is_over:
            self._thread.join(60)

    def until(self, call: str) -> None:
        """Go on until a call that begins so is next, this one waits for others, or has ended."""
        while not self.is_over and not self.waits and not self.next.startswith(call):
            self.stage.turn(self)

    def finish(self) -> None:
        """Go on to the end, or until this one waits for others."""
        self.until("the end")

    def gate(self, call: str = "wait") -> None:
        """Wait for the next turn."""
        self.next = call
        self.stage.back.release()
        self._go.acquire()
        if self.killed:
            raise Killed

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self.killed:
                self._work(self)
                self.done = True
        except Killed:
            pass
        except AirgapError as error:
            self.refused = error
        finally:
            self.ended = self.stage.steps
            self.stage.back.release()

    def _wait(self, _: float) -> None:
        """Let time pass, but not while a file is being removed: no request takes so long."""
        self.waits = True
        self.gate()
        self.waits = False
        if not any(one.is_removing and not one.is_over for one in self.stage.actors):
            self.stage.seconds += _LEAP_SECONDS


class Stage:
    """A depot in memory, and who works on it."""

    def __init__(self) -> None:
        self.shop = MemoryFiles()
        self.actors: list[Actor] = []
        self.back = threading.Semaphore(0)
        self.steps = 0
        self.seconds = 0.0

    def enter(self, work: Callable[[Actor], None]) -> Actor:
        self.actors.append(Actor(self, work))
        return self.actors[-1]

    def play(self, turns: Sequence[int]) -> None:
        """Let actors take these turns, and then all in turn until everybody is done."""
        for number in turns:
            self.turn(self.actors[number % len(self.actors)])
        while any(not one.is_over for one in self.actors):
            for one in self.actors:
                self.turn(one)

    def turn(self, actor: Actor) -> None:
        self.steps += 1
        if not actor.is_over:
            actor.turn()


class GatedTransport(MemoryTransport):
    """A transport that waits for its actor's turn before every call."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor.stage.shop)
        self._actor = actor

    def size(self, name: str) -> int | None:
        self._actor.gate(f"size {name}")
        return super().size(name)

    def list(self, folder: str, limit: int) -> list[str]:
        self._actor.gate(f"list {folder}")
        return super().list(folder, limit)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        self._actor.gate(f"get {name}")
        return super().get(name, sink, offset, length)

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        self._actor.gate(f"put {name}")
        return super().put(name, source, size, part, pace)

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        self._actor.gate(f"publish {name}")
        return super().publish(name, data, replace=replace)

    def delete(self, name: str) -> None:
        self._actor.is_removing = True
        self._actor.gate(f"delete {name}")
        super().delete(name)
        self._actor.is_removing = False

    def clone(self) -> Transport:
        return self

    def close(self) -> None:
        """The actor has but one."""


def inline(pool: object, work: Callable[[Transport], object]) -> "Future[object]":
    """Do at once what ``Lanes.submit`` would let a thread do."""
    future: Future[object] = Future()
    try:
        future.set_result(work(pool._transport))  # type: ignore[attr-defined]
    except AirgapError as error:
        future.set_exception(error)
    return future
