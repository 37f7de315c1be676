"""The proxy of the tests harms what it was told to harm, and nothing else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.servers.proxy import ELSEWHERE, Fault, Proxy
from tests.support import stores

SENT = stores.noise(1_000_000)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def answer(one: socket.socket) -> None:
        with one, suppress(OSError):
            while piece := one.recv(65536):
                one.sendall(piece)

    def listen() -> None:
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True)
                threads.append(thread)
                thread.start()

    main = threading.Thread(target=listen, daemon=True)
    main.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    main.join(60)
    for thread in threads:
        thread.join(60)
    listener.close()


def exchange(port: int, address: str = "127.0.0.1") -> bytes:
    """Send everything, and return what came back until the end."""
    found = bytearray()
    with socket.create_connection((address, port), timeout=20) as one:

        def send() -> None:
            with suppress(OSError):
                one.sendall(SENT)
                one.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            while piece := one.recv(65536):
                found += piece
        finally:
            thread.join(60)
    return bytes(found)


def test_bytes_pass_and_are_counted(echo: int) -> None:
    with Proxy([echo]) as proxy:
        assert exchange(proxy.port) == SENT

    assert (proxy.up, proxy.down, proxy.connections) == (len(SENT), len(SENT), 1)


@pytest.mark.parametrize("after", [0, 1, 300_000])
def test_a_cut_ends_after_exactly_so_many_bytes(after: int, echo: int) -> None:
    with Proxy([echo], faults=[Fault("cut", "down", after)]) as proxy:
        with suppress(ConnectionResetError):  # it was sending
            assert exchange(proxy.port) == SENT[:after]
        assert exchange(proxy.port) == SENT

    assert proxy.down == after + len(SENT)


def test_a_reset_is_an_error(echo: int) -> None:
    with Proxy([echo], faults=[Fault("reset", "up", 300_000)]) as proxy:
        with pytest.raises(ConnectionResetError):
            exchange(proxy.port)
        assert exchange(proxy.port) == SENT


def test_one_bit_is_flipped(echo: int) -> None:
    with Proxy([echo], faults=[Fault("flip", "up", 500_000)]) as proxy:
        found = exchange(proxy.port)

    assert [at for at in range(len(SENT)) if SENT[at] != found[at]] == [500_000]


def test_a_stalled_connection_stays_open(echo: int) -> None:
    with (
        Proxy([echo], faults=[Fault("stall", "down", 5)]) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as one,
    ):
        one.sendall(b"0123456789")
        one.settimeout(0.2)
        assert one.recv(5) == b"01234"
        with pytest.raises(TimeoutError):
            one.recv(5)


def test_open_connections_are_severed(echo: int) -> None:
    with (
        Proxy([echo]) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as one,
    ):
        one.sendall(b"0123456789")
        assert one.recv(10) == b"0123456789"
        proxy.sever()
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        assert exchange(proxy.port) == SENT


def test_it_can_have_the_ports_of_the_server(echo: int) -> None:
    with Proxy({echo: echo}, ELSEWHERE) as proxy:
        assert exchange(echo, ELSEWHERE) == SENT

    assert proxy.connections == 1
