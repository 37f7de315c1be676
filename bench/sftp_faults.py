"""What airgap's and paramiko's SFTP clients make of servers that fail, or mean harm.

python bench/sftp_faults.py

No network: both talk to the same double of a server (tests/servers/sftp_double.py). Paramiko's
client reads with a prefetch of 64 requests and writes pipelined, by its public interface.
"""

import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from paramiko import SFTPClient

sys.path.insert(0, str(Path(__file__).parent.parent))
from airgap.transport.sftp import pipeline, session
from airgap.transport.sftp.pipeline import Flow
from airgap.transport.sftp.session import Session
from tests.servers.sftp_double import Asked, SftpDouble, data, name_list, status

KIB: Final = 1024
REQUEST: Final = 32 * KIB
SIZE: Final = 16 * 1024 * KIB
LIMIT_NAMES: Final = 1000
SENT_NAMES: Final = 200_000
SILENCE_SECONDS: Final = 1
Get = Callable[[SftpDouble], int]
Put = Callable[[SftpDouble, bytes], None]


class Socket:
    """The double as what paramiko takes for a channel."""

    def __init__(self, double: SftpDouble) -> None:
        self._double = double
        self._rest = b""

    def send(self, packet: bytes) -> int:
        self._double.send(packet)
        return len(packet)

    def recv(self, size: int) -> bytes:
        end = time.monotonic() + SILENCE_SECONDS
        while not self._rest and time.monotonic() < end:
            if self._double.waiting:
                self._rest = bytes(self._double.waiting.popleft())
            else:
                time.sleep(0.001)  # the thread that prefetches may not have asked yet
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def recv_ready(self) -> bool:
        return bool(self._rest or self._double.waiting)

    def get_name(self) -> str:
        return "double"

    def close(self) -> None:
        pass


def airgap_get(double: SftpDouble) -> int:
    flow = Flow(REQUEST, REQUEST, requests=64)
    return pipeline.read(Session(double), b"h", len, (0, SIZE), flow)


def airgap_put(double: SftpDouble, content: bytes) -> None:
    pieces = (content[at : at + REQUEST] for at in range(0, len(content), REQUEST))
    pipeline.write(Session(double), b"h", pieces, 0, Flow(REQUEST, REQUEST, requests=64))


def paramiko_get(double: SftpDouble) -> int:
    count = 0
    with SFTPClient(Socket(double)).open("h", "rb") as file:
        file.prefetch(SIZE, 64)
        while piece := file.read(REQUEST):
            count += len(piece)
    return count


def paramiko_put(double: SftpDouble, content: bytes) -> None:
    with SFTPClient(Socket(double)).open("h", "r+") as file:
        file.set_pipelined(True)
        for at in range(0, len(content), REQUEST):
            file.write(content[at : at + REQUEST])


def main() -> None:
    cases: dict[str, tuple[Callable[[Any], str], Any, Any]] = {
        "one write of many fails": (failed_write, airgap_put, paramiko_put),
        "reads are answered in halves": (halves, airgap_get, paramiko_get),
        "the first read is answered last": (first_last, airgap_get, paramiko_get),
        "a packet holds less than it says": (short_packet, airgap_get, paramiko_get),
        "the connection ends halfway": (broken, airgap_get, paramiko_get),
        "a folder has no end": (endless, airgap_list, paramiko_list),
    }
    for name, (case, *clients) in cases.items():
        print(name)
        for label, client in zip(("airgap", "paramiko"), clients, strict=True):
            print(f"  {label:9} {case(client)}")


def failed_write(put: Put) -> str:
    content = b"x" * (64 * REQUEST)
    double = SftpDouble({b"h": bytearray()}, patient=True)
    failing = session.pack_u64(32 * REQUEST)
    double.instead = lambda request: (
        status(request, session.FAILURE)
        if request.kind == session.WRITE and failing in request.body[:64]
        else None
    )
    outcome = attempt(lambda: put(double, content))
    stored = double.files[b"h"]
    holes = stored.count(0)
    return f"{outcome}; stored {len(stored) // KIB:,} KiB, of which {holes // KIB} KiB are a hole"


def halves(get: Get) -> str:
    alone = total = 0

    def answer(request: Asked) -> bytes:
        nonlocal alone, total
        total += 1
        alone += not double.waiting
        offset, length = request.read_span()
        return data(request, bytes((min(length, SIZE - offset) + 1) // 2))

    double = reading(answer)
    outcome = measured(lambda: get(double))
    return f"{outcome}; {alone:,} of {total:,} requests sent alone"


def first_last(get: Get) -> str:
    held: list[bytes] = []

    def answer(request: Asked) -> Iterator[bytes]:
        offset, length = request.read_span()
        reply = data(request, bytes(min(length, SIZE - offset)))
        if offset == 0:
            held.append(reply)
            return
        yield reply
        if offset + length >= SIZE:
            yield from held

    return measured(lambda: get(reading(lambda request: list(answer(request)))))


def short_packet(get: Get) -> str:
    def answer(request: Asked) -> bytes:
        body = (
            bytes([session.DATA])
            + session.pack_u32(request.number)
            + session.pack_u32(REQUEST)
            + b"x"
        )
        return session.pack_u32(len(body)) + body

    return attempt(lambda: get(reading(answer)))


def broken(get: Get) -> str:
    def answer(request: Asked) -> bytes | list[bytes]:
        offset, length = request.read_span()
        return data(request, bytes(length)) if offset < SIZE // 2 else []

    before = threading.active_count()
    outcome = attempt(lambda: get(reading(answer)))
    left = threading.active_count() - before
    return f"{outcome}; threads left that never end: {left}"


def endless(names: Get) -> str:
    double = SftpDouble()
    sent = iter(range(0, SENT_NAMES, 100))

    def answer(request: Asked) -> bytes | None:
        if request.kind != session.READDIR:
            return None
        first = next(sent, None)
        if first is None:
            return status(request, session.EOF)
        return name_list(request, *(b"%d" % number for number in range(first, first + 100)))

    double.instead = answer
    return measured(lambda: names(double))


def airgap_list(double: SftpDouble) -> int:
    return len(Session(double).list_names(b"h", LIMIT_NAMES))


def paramiko_list(double: SftpDouble) -> int:
    return len(SFTPClient(Socket(double)).listdir("h"))


def reading(answer: Callable[[Asked], bytes | list[bytes]]) -> SftpDouble:
    double = SftpDouble({b"h": bytearray()})

    def read(request: Asked) -> bytes | list[bytes] | None:
        if request.kind != session.READ:
            return None
        at_end = request.read_span()[0] >= SIZE
        return status(request, session.EOF) if at_end else answer(request)

    double.instead = read
    return double


def measured(run: Callable[[], int | None]) -> str:
    tracemalloc.start()
    outcome = attempt(run)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return f"{outcome}; peak memory {peak / 1e6:.0f} MB"


def attempt(run: Callable[[], int | None]) -> str:
    try:
        result = run()
    except Exception as error:  # noqa: BLE001  (any error is an outcome here)
        return f"{type(error).__name__}: {error}"
    return "no error" if result is None else f"no error, took {result:,}"


if __name__ == "__main__":
    main()
