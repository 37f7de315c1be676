"""A server that takes every connection and never answers, as a network that drops packets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread


@dataclass
class SilentEndpoint:
    """Where it listens, and how many have connected."""

    url: str
    requests: int = 0


@contextmanager
def endpoint() -> Iterator[SilentEndpoint]:
    """Listen on the loopback until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = SilentEndpoint(f"http://127.0.0.1:{listener.getsockname()[1]}")
        connections: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    connections.append(listener.accept()[0])
                    silent.requests += 1

        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield silent
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(60)
            for connection in connections:
                connection.close()
