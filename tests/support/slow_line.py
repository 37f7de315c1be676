"""A line with a send queue that empties at a rate; time passes only while it is waited for."""

import math
import socket

from airgap.transport.sending import Line

__all__ = ["SlowLine"]


class SlowLine(Line):
    """Takes bytes as Linux does: whole blocks, once a third of its queue is free."""

    def __init__(self, rate: float, capacity: int = 4 * 1024 * 1024) -> None:
        """Begin with an empty queue; ``rate`` is in bytes per second."""
        super().__init__(socket.socket())
        self._sock.close()
        self.rate = rate
        self.time = 0.0
        self.queued = 0.0
        self._capacity = capacity

    def now(self) -> float:
        return self.time

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        self.queued = max(0.0, self.queued - self.rate * seconds)

    def send(self, data: memoryview, seconds: float) -> int:
        surplus = self.queued - self._capacity * 2 / 3
        if surplus > 0:
            needed = surplus / self.rate if self.rate else math.inf
            self.pass_time(min(needed, seconds))
            if needed > seconds:
                raise TimeoutError
        size = min(len(data), int(self._capacity - self.queued))
        self.queued += size
        return size

    def unacknowledged(self) -> int:
        return math.ceil(self.queued)

    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)
