"""A TCP proxy on loopback that harms what passes: cuts, stalls, slows down, flips bytes.

It listens on ports of its own choice or, for protocols that name ports (FTP), on the very ports of
the server at another loopback address. A fault strikes the first connection whose bytes in its
direction reach ``after``; ``times`` says how many connections suffer it.
"""

import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

Direction = Literal["up", "down"]
Kind = Literal["cut", "reset", "stall", "flip"]
PIECE = 64 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST
ELSEWHERE = "127.0.0.2"


@dataclass
class Fault:
    """What happens to a connection after so many bytes in one direction (``up`` is to the server).

    ``cut`` ends both directions as if the program at the other end had closed: FIN, and RST for
    a client that is still sending; ``reset`` does it with RST alone; ``stall`` lets nothing more
    pass and keeps the connection open until the proxy is closed; ``flip`` inverts the lowest bit of
    the next byte and continues.
    """

    kind: Kind
    direction: Direction
    after: int
    times: int = 1


@dataclass
class Proxy:
    """Forwards its ports to those of a server at 127.0.0.1; use it as a context manager."""

    targets: Mapping[int, int] | Iterable[int]
    """Server ports; or listening port to server port, where a listening port of 0 is chosen."""
    address: str = "127.0.0.1"
    faults: list[Fault] = field(default_factory=list)
    rate: float | None = None
    """Bytes per second of each direction of each connection; None is as fast as it goes."""
    up: int = 0
    """Bytes that went to the server, over all connections."""
    down: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[_Pair] = set()
        self._stalled = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._woken, self._wake = socket.socketpair()
        self._pumps: list[threading.Thread] = []
        self._loop = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        targets = self.targets
        pairs = targets.items() if isinstance(targets, Mapping) else ((0, one) for one in targets)
        for own, port in pairs:
            listener = socket.create_server((self.address, own), backlog=128)
            self._listeners.append(listener)
            self._selector.register(listener, selectors.EVENT_READ, port)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._loop.start()
        return self

    def __exit__(self, *details: object) -> None:
        if self._stalled.is_set():  # a test left it before its fixture does
            return
        self._wake.send(b"x")
        self._loop.join(60)
        self._stalled.set()
        for one in (*self._listeners, self._woken, self._wake):
            one.close()
        self._selector.close()
        with self._lock:
            for pair in self._open:
                pair.end(reset=False)
        for pump in self._pumps:
            pump.join(60)

    @property
    def port(self) -> int:
        """The first port it listens on."""
        number: int = self._listeners[0].getsockname()[1]
        return number

    def sever(self) -> None:
        """Reset every connection that is open now."""
        with self._lock:
            for pair in self._open:
                pair.end(reset=True)

    def _accept(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                self._forward(listener.accept()[0], key.data)

    def _forward(self, client: socket.socket, port: int) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(client, server)
        with self._lock:
            self._open.add(pair)
            self.connections += 1
        for direction in ("up", "down"):
            pump = threading.Thread(target=self._pump, args=(pair, direction), daemon=True)
            self._pumps.append(pump)
            pump.start()

    def _pump(self, pair: "_Pair", direction: Direction) -> None:
        source, sink = (
            (pair.client, pair.server) if direction == "up" else (pair.server, pair.client)
        )
        passed = 0
        try:
            while (piece := source.recv(PIECE)) and not pair.over:
                passed = self._pass_on(pair, direction, passed, bytearray(piece))
            if not pair.over:
                sink.shutdown(socket.SHUT_WR)
        except (OSError, _CutError):
            if not pair.over:  # a cut must not become a reset: that loses what was passed on
                pair.end(reset=False)
        finally:
            self._done(pair)

    def _pass_on(self, pair: "_Pair", direction: Direction, passed: int, piece: bytearray) -> int:
        """Forward a piece, or what a fault leaves of it; return how many bytes have passed."""
        fault = self._strike(direction, passed, len(piece))
        keep = len(piece) if fault is None else fault.after - passed
        if fault is not None and fault.kind == "flip":
            piece[keep] ^= 1
            keep = len(piece)
        sink = pair.server if direction == "up" else pair.client
        sink.sendall(piece[:keep])
        with self._lock:
            if direction == "up":
                self.up += keep
            else:
                self.down += keep
        if self.rate:
            time.sleep(keep / self.rate)
        if fault is not None and fault.kind == "stall":
            self._stalled.wait(60)
        if fault is not None and fault.kind != "flip":
            pair.end(reset=fault.kind == "reset")
            raise _CutError
        return passed + keep

    def _strike(self, direction: Direction, passed: int, more: int) -> Fault | None:
        """Take the fault that falls into the next bytes of a connection, if there is one."""
        with self._lock:
            for fault in self.faults:
                within = passed <= fault.after < passed + more
                if fault.direction == direction and fault.times and within:
                    fault.times -= 1
                    return fault
        return None

    def _done(self, pair: "_Pair") -> None:
        """Close both sockets when both pumps are through."""
        with self._lock:
            pair.pumps -= 1
            if pair.pumps:
                return
            self._open.discard(pair)
        pair.client.close()
        pair.server.close()


@dataclass(eq=False)
class _Pair:
    client: socket.socket
    server: socket.socket
    pumps: int = 2
    over: bool = False

    def end(self, *, reset: bool) -> None:
        """End both connections, and wake the threads that read from them.

        A reset is sent by the close that follows; a shutdown in both directions would send FIN
        before it.
        """
        self.over = True
        for one in (self.client, self.server):
            with suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)


class _CutError(Exception):
    """This connection was cut on purpose."""
