"""An upload goes on as long as the other end acknowledges bytes, however slowly a queue empties."""

import io
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from airgap.errors import TransportError
from airgap.transport.ftp.data import send
from airgap.transport.http import _LimitedSocket
from airgap.transport.least_speed import LEAST_BYTES_PER_SECOND, WINDOW_SECONDS, LeastSpeed
from airgap.transport.port import TransientError
from airgap.transport.sending import Line, Upload
from airgap.transport.sftp.socket import GuardedSocket
from tests.servers.certificates import self_signed
from tests.support.slow_line import SlowLine

STALL = 60.0
MIB = 1024 * 1024


def upload_over(line: SlowLine) -> Upload:
    return Upload(line, LeastSpeed("ftp://host"), STALL)


def test_a_slow_line_takes_megabytes() -> None:
    line = SlowLine(2 * LEAST_BYTES_PER_SECOND)
    upload = upload_over(line)

    for _ in range(8):
        upload.send(bytes(MIB))
    upload.wait_until_acknowledged()

    assert line.queued == 0
    assert line.time >= 8 * MIB / line.rate


def test_a_byte_a_second_is_given_up() -> None:
    line = SlowLine(1)
    upload = upload_over(line)

    with pytest.raises(TransportError, match=r"ftp://host is too slow: \d+ bytes in") as caught:
        upload.send(bytes(8 * MIB))

    assert not isinstance(caught.value, TransientError)
    assert line.time <= WINDOW_SECONDS + 2


def test_a_byte_a_second_is_given_up_when_everything_is_in_the_queue() -> None:
    line = SlowLine(1)
    upload = upload_over(line)
    upload.send(bytes(MIB))

    with pytest.raises(TransportError, match="is too slow"):
        upload.wait_until_acknowledged()

    assert line.time <= WINDOW_SECONDS + 2


@pytest.mark.parametrize("size", [1, 8 * MIB])
def test_a_line_that_takes_nothing_has_stalled(size: int) -> None:
    line = SlowLine(0)
    upload = upload_over(line)

    with pytest.raises(TimeoutError):  # noqa: PT012  (a small one is only noticed at the end)
        upload.send(bytes(size))
        upload.wait_until_acknowledged()

    assert STALL <= line.time <= STALL + 2


def test_pauses_of_the_sender_are_not_the_lines() -> None:
    line = SlowLine(MIB)
    upload = upload_over(line)

    for _ in range(10):
        line.pass_time(3600)
        upload.send(bytes(MIB))


def test_another_request_begins_again() -> None:
    line = SlowLine(0)
    upload = upload_over(line)
    upload.send(b"x")

    for _ in range(10):
        upload.restart()
        assert not upload.look(STALL - 1)


class SilentLine(SlowLine):
    """A line on a system that does not say what was acknowledged."""

    def unacknowledged(self) -> int:
        return 0


@pytest.mark.parametrize("rate", [0, 1])
def test_a_system_that_does_not_tell_notices_a_stall_all_the_same(rate: float) -> None:
    line = SilentLine(rate)

    with pytest.raises(TimeoutError):
        upload_over(line).send(bytes(8 * MIB))

    assert line.time <= STALL + 2


def test_a_system_that_does_not_tell_is_believed() -> None:
    line = SilentLine(2 * MIB)
    upload = upload_over(line)

    upload.send(bytes(8 * MIB))
    upload.wait_until_acknowledged()

    assert line.queued > 0


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection, of which the second takes little before it reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(listener.getsockname()) as ours:
            theirs, _ = listener.accept()
            with theirs:
                yield ours, theirs


def fill(line: Line) -> int:
    """Send until the queue is full; return how many bytes that took."""
    sent = 0
    with suppress(TimeoutError):
        while True:
            sent += line.send(memoryview(bytes(MIB)), 0.01)
    return sent


def test_what_the_other_end_has_not_acknowledged_is_counted(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = connection
    line = Line(ours)
    assert line.unacknowledged() == 0

    left = fill(line)
    assert 0 < line.unacknowledged() <= left

    while left:
        left -= len(theirs.recv(MIB))
    while line.unacknowledged():
        line.wait(0.001)


def test_under_tls_one_record_is_sent_at_a_time(
    connection: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    issued = self_signed(tmp_path, "server")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(issued.certificate, issued.key)
    client = ssl.create_default_context(cafile=str(issued.certificate))
    client.check_hostname = False
    ours, theirs = connection
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(server.wrap_socket, theirs, server_side=True)
        secured = client.wrap_socket(ours)
        with accepted.result(60), secured:
            assert Line(secured).send(memoryview(bytes(MIB)), 10) == 16 * 1024


def test_a_closed_line_has_no_queue(connection: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = connection
    fill(Line(ours))
    ours.close()
    assert Line(ours).unacknowledged() == 0


def test_a_line_that_breaks_is_not_waited_for(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = connection
    line = Line(ours)
    fill(line)
    theirs.close()  # with bytes that nobody has read

    with pytest.raises(ConnectionError):
        line.wait(10)


# The protocols


def test_an_upload_over_ftp_ends_when_the_server_has_acknowledged_it() -> None:
    line = SlowLine(2 * LEAST_BYTES_PER_SECOND)

    pieces = send(upload_over(line), io.BytesIO(bytes(4 * MIB)), 0, 4 * MIB)

    assert sum(pieces) == 4 * MIB
    assert line.queued == 0


def test_an_upload_over_ftp_that_drips_ends() -> None:
    pieces = send(upload_over(SlowLine(1)), io.BytesIO(bytes(4 * MIB)), 0, 4 * MIB)

    with pytest.raises(TransportError, match="is too slow"):
        list(pieces)


class SilentSocket:
    """Receives nothing until its line's queue is empty, and some time has passed after that."""

    def __init__(self, line: SlowLine, after: float) -> None:
        self._line = line
        self._after = after
        self._seconds = 0.1

    def settimeout(self, seconds: float) -> None:
        self._seconds = seconds

    def send(self, data: bytes) -> int:
        return self._line.send(memoryview(data), self._seconds)

    def recv_into(self, buffer: memoryview) -> int:
        if self._line.queued or self._after > self._seconds:
            self._after -= 0 if self._line.queued else self._seconds
            self._line.pass_time(self._seconds)
            raise TimeoutError
        self._line.pass_time(self._after)
        buffer[:1] = b"x"
        return 1

    def close(self) -> None:
        """Do nothing."""


def sock_over(line: SlowLine, after: float) -> socket.socket:
    return cast("socket.socket", SilentSocket(line, after))


def request_over(line: SlowLine, after: float) -> _LimitedSocket:
    """Send a part of an object; 100 seconds are allowed for the response."""
    stream = _LimitedSocket(sock_over(line, after), line, upload_over(line))
    stream.begin_request()
    stream.sendall(bytes(8 * MIB))
    stream.limit(100, 1000)
    return stream


def test_a_response_of_s3_may_come_long_after_the_request_was_queued() -> None:
    line = SlowLine(2 * LEAST_BYTES_PER_SECOND)

    assert request_over(line, 90).receive_into(memoryview(bytearray(10))) == 1
    assert line.time > 8 * MIB / line.rate


def test_a_response_of_s3_must_come_soon_after_the_request_arrived() -> None:
    line = SlowLine(2 * LEAST_BYTES_PER_SECOND)

    with pytest.raises(TimeoutError):
        request_over(line, 110).receive_into(memoryview(bytearray(10)))


def test_a_part_for_s3_that_drips_ends() -> None:
    with pytest.raises(TransportError, match="is too slow"):
        request_over(SlowLine(1), 0)


def send_piece(guard: GuardedSocket) -> None:
    """Send as paramiko does, which tries again after each time-out."""
    with guard.limit_silence(STALL, sending=True):
        while True:
            with suppress(TimeoutError):
                guard.send(bytes(32 * 1024))
                return


def send_for_ever(guard: GuardedSocket) -> None:
    while True:
        send_piece(guard)


def test_megabytes_go_out_over_sftp_on_a_slow_line() -> None:
    line = SlowLine(2 * LEAST_BYTES_PER_SECOND)
    guard = GuardedSocket(sock_over(line, 0), line=line)

    for _ in range(256):
        send_piece(guard)

    assert line.time > STALL
    assert not guard.expired


def write_over(line: SlowLine, after: float, alive: float = 0) -> GuardedSocket:
    """Send a piece over SFTP and wait for its reply; something is sent every ``alive`` seconds."""
    guard = GuardedSocket(sock_over(line, after), line=line)
    for _ in range(8):
        send_piece(guard)
    with guard.limit_silence(STALL, sending=False):
        next_sign = line.time + alive
        while True:
            if alive and line.time >= next_sign:
                guard.send(b"still there?")
                next_sign += alive
            with suppress(TimeoutError):
                guard.recv(1)
                return guard


def test_a_reply_over_sftp_may_come_long_after_the_piece_was_queued() -> None:
    line = SlowLine(2 * LEAST_BYTES_PER_SECOND)

    assert not write_over(line, STALL - 5).expired
    assert line.time > 256 * 1024 / line.rate


@pytest.mark.parametrize("alive", [0, 30])
def test_a_reply_over_sftp_must_come_soon_after_the_piece_arrived(alive: float) -> None:
    line = SlowLine(20 * LEAST_BYTES_PER_SECOND)

    with pytest.raises(EOFError):
        write_over(line, 10 * STALL, alive)

    assert line.time < 256 * 1024 / line.rate + STALL + 5


def test_an_upload_over_sftp_that_drips_ends() -> None:
    line = SlowLine(1)
    guard = GuardedSocket(sock_over(line, 0), line=line)

    with pytest.raises(EOFError):
        send_for_ever(guard)

    assert guard.failure
    assert "is too slow" in guard.failure.message
    assert line.time <= WINDOW_SECONDS + 2


def test_waiting_for_a_download_over_sftp_is_no_slow_upload() -> None:
    line = SlowLine(MIB)
    guard = GuardedSocket(sock_over(line, 0), line=line)

    for _ in range(100):
        guard.send(b"read")
        with guard.limit_silence(STALL, sending=False):
            line.pass_time(STALL - 1)
            assert guard.recv(1) == b"x"

    assert guard.failure is None
