"""A server that is far too slow ends a transfer; what the bytes are used for may take its time."""

import itertools
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from airgap.errors import TransportError
from airgap.transport.ftp.data import receive
from airgap.transport.least_speed import LEAST_BYTES_PER_SECOND, WINDOW_SECONDS, LeastSpeed
from airgap.transport.port import TransientError
from airgap.transport.sftp import packets, pipeline
from airgap.transport.sftp.session import Session
from tests.servers.sftp_double import Asked, SftpDouble, data, name_list


class Clock:
    """A time that moves when it is told to."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def wait(speed: LeastSpeed, clock: Clock, seconds: float, size: int) -> None:
    with speed.waiting():
        clock.now += seconds
    speed.count(size)


def test_a_byte_a_second_is_too_slow() -> None:
    clock = Clock()
    speed = LeastSpeed("sftp://host/~", clock)

    for _ in range(299):
        wait(speed, clock, 1, 1)
    with pytest.raises(TransportError, match=r"is too slow: 300 bytes in 300 s") as caught:
        wait(speed, clock, 1, 1)

    assert clock.now == WINDOW_SECONDS
    assert not isinstance(caught.value, TransientError)
    assert "resumes" in caught.value.hint


def test_the_least_speed_is_enough_for_ever() -> None:
    clock = Clock()
    speed = LeastSpeed("x", clock)

    for _ in range(10_000):
        wait(speed, clock, 10, 10 * LEAST_BYTES_PER_SECOND)


def test_silence_of_minutes_is_made_up_for_within_five() -> None:
    clock = Clock()
    speed = LeastSpeed("x", clock)

    for _ in range(100):
        wait(speed, clock, WINDOW_SECONDS - 1, 0)
        wait(speed, clock, 1, 1_000_000)


def test_the_time_between_waits_does_not_count() -> None:
    clock = Clock()
    speed = LeastSpeed("x", clock)

    for _ in range(1000):
        wait(speed, clock, 0, 1)
        clock.now += 3600


def test_another_request_begins_again() -> None:
    clock = Clock()
    speed = LeastSpeed("x", clock)

    for _ in range(100):
        wait(speed, clock, WINDOW_SECONDS - 1, 1)
        speed.restart()


class DrippingSocket(socket.socket):
    """A connection over which one byte arrives at a time."""

    def recv_into(self, buffer: memoryview, *_: object) -> int:  # type: ignore[override]
        buffer[:1] = b"x"
        return 1


def test_a_download_over_ftp_that_drips_ends() -> None:
    speed = LeastSpeed("ftp://host", Clock(10))

    with (
        DrippingSocket() as drips,
        closing(receive(drips, None, speed)) as pieces,
        pytest.raises(TransportError, match="ftp://host is too slow"),
    ):
        next(pieces)


def dripping(answer: Callable[[Asked], bytes]) -> Callable[[Asked], list[bytes]]:
    """Send an answer byte by byte."""

    def pieces(request: Asked) -> list[bytes]:
        whole = answer(request)
        return [whole[at : at + 1] for at in range(len(whole))]

    return pieces


def test_a_download_over_sftp_that_drips_ends() -> None:
    double = SftpDouble(
        {b"h": bytearray(10_000)},
        instead=lambda request: (
            dripping(lambda asked: data(asked, bytes(1000)))(request)
            if request.kind == packets.READ
            else None
        ),
    )
    dripped = Session(double, LeastSpeed("sftp://host", Clock(10)))

    with pytest.raises(TransportError, match="sftp://host is too slow"):
        pipeline.read(dripped, b"h", len, (0, 10_000), pipeline.Flow(1000, 1000))


def test_an_upload_over_sftp_to_a_slow_disk_goes_on() -> None:
    double = SftpDouble({b"h": bytearray()})
    slow = Session(double, LeastSpeed("sftp://host", Clock(10)))
    pieces = [bytes(20_000)] * 200

    pipeline.write(slow, b"h", pieces, 0, pipeline.Flow(20_000, 20_000))

    assert len(double.files[b"h"]) == 4_000_000


def test_a_listing_over_sftp_that_drips_ends() -> None:
    numbers = itertools.count()
    double = SftpDouble(
        instead=lambda request: (
            name_list(request, b"%d" % next(numbers)) if request.kind == packets.READDIR else None
        )
    )
    dripped = Session(double, LeastSpeed("sftp://host", Clock(60)))

    with pytest.raises(TransportError, match="sftp://host is too slow"):
        dripped.list_names(b"d", 100_000)
