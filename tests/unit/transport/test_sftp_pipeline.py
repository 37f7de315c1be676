"""Many requests on their way: order, bounds, and what happens when one of them fails."""

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.errors import MissingError
from airgap.transport.port import TransientError
from airgap.transport.sftp import packets as wire
from airgap.transport.sftp import pipeline as sftp_pipeline
from airgap.transport.sftp.packets import pack_u64
from airgap.transport.sftp.pipeline import Flow
from airgap.transport.sftp.session import Session, SftpRefusedError
from tests.servers.sftp_double import Asked, SftpDouble, data, packet, status
from tests.support import stores

KIB = 1024
CONTENT = stores.noise(100 * KIB)


def double_of(content: bytes = CONTENT) -> SftpDouble:
    return SftpDouble({b"h": bytearray(content)})


def fetch(double: SftpDouble, span: tuple[int, int], flow: Flow | None = None) -> bytes:
    found = bytearray()
    session = Session(double)
    sent = sftp_pipeline.read(session, b"h", found.extend, span, flow or Flow(1 * KIB, 1 * KIB))
    assert sent == len(found)
    assert session.idle
    return bytes(found)


def reading(answer: Callable[[Asked], bytes]) -> Callable[[Asked], bytes | None]:
    return lambda request: answer(request) if request.kind == wire.READ else None


@given(seed=st.integers(0, 2**32), span=st.tuples(st.integers(0, 5000), st.integers(0, 12000)))
def test_answers_in_any_order_and_of_any_length_give_the_file(
    seed: int, span: tuple[int, int]
) -> None:
    chance = random.Random(seed)  # noqa: S311
    content = CONTENT[:10_000]
    double = double_of(content)
    held: list[bytes] = []

    def some(request: Asked) -> Iterator[bytes]:
        offset, length = request.read_span()
        found = content[offset : offset + chance.randint(max(1, length // 3), max(1, length))]
        held.append(data(request, found) if found else status(request, wire.EOF))
        chance.shuffle(held)
        while len(held) > 1:
            yield held.pop()

    def receive() -> memoryview:
        if not double.waiting:
            double.waiting.append(held.pop())
        return memoryview(double.waiting.popleft())

    double.instead = lambda request: some(request) if request.kind == wire.READ else None
    double.receive = receive  # type: ignore[method-assign]

    assert fetch(double, span, Flow(900, 1, requests=5)) == content[slice(*span)]


def test_requests_in_flight_grow_with_the_replies_and_are_bounded() -> None:
    flow = Flow(KIB, KIB)
    double = double_of(bytes(300 * KIB))
    double.patient = True

    fetch(double, (0, 2 * KIB), flow)
    assert double.most_waiting == 2
    fetch(double, (0, 300 * KIB), flow)

    assert double.most_waiting == 64


def test_what_waits_for_the_first_answer_is_bounded() -> None:
    double = double_of(bytes(300 * KIB))
    double.instead = lambda request: (
        [] if request.kind == wire.READ and not request.read_span()[0] else None
    )

    with pytest.raises(TransientError):
        fetch(double, (0, 300 * KIB), Flow(KIB, KIB, requests=9))

    assert double.kinds().count(wire.READ) <= 64


def test_no_more_than_8_mib_are_on_their_way() -> None:
    flow = Flow(255 * KIB, 255 * KIB)
    for _ in range(1000):
        flow.grow()

    assert flow.requests * 255 * KIB <= 8 * KIB * KIB
    assert flow.requests >= 32


@pytest.mark.parametrize("wrong", [b"", bytes(KIB + 1)])
def test_data_that_was_not_asked_for_is_refused(wrong: bytes) -> None:
    double = double_of()
    double.instead = reading(lambda request: data(request, wrong))

    with pytest.raises(TransientError, match="server sent"):
        fetch(double, (0, 10 * KIB))


def test_a_reply_to_no_request_is_refused() -> None:
    double = double_of()
    double.instead = reading(lambda request: data(Asked(0, request.number + 77, b""), b"1"))

    with pytest.raises(TransientError, match="a reply to no request"):
        fetch(double, (0, 10 * KIB))


def test_a_file_that_comes_drop_by_drop_is_given_up() -> None:
    double = double_of()
    double.instead = reading(lambda request: data(request, b"1"))

    with pytest.raises(TransientError, match="far too small"):
        fetch(double, (0, 10 * KIB))
    assert len(double.asked) < 700


def test_a_file_that_is_shorter_than_was_said_ends_where_it_ends() -> None:
    double = double_of(CONTENT[:5000])

    assert fetch(double, (0, 1 << 62), Flow(KIB, KIB, requests=20)) == CONTENT[:5000]


def test_bytes_behind_the_end_of_a_file_are_not_handed_over() -> None:
    double = double_of()
    double.instead = reading(
        lambda request: (
            status(request, wire.EOF)
            if request.read_span()[0] == 2 * KIB
            else data(request, bytes(KIB))
        )
    )

    assert fetch(double, (0, 9 * KIB), Flow(KIB, KIB, requests=9)) == bytes(2 * KIB)


@pytest.mark.parametrize(
    ("code", "error"), [(wire.FAILURE, SftpRefusedError), (wire.NO_SUCH_FILE, MissingError)]
)
def test_an_error_in_a_file_is_reported_when_all_is_answered(
    code: int, error: type[Exception]
) -> None:
    double = double_of()
    double.instead = lambda request: (
        status(request, code)
        if request.kind == wire.READ and request.read_span()[0] == 3 * KIB
        else None
    )
    found = bytearray()
    session = Session(double)

    with pytest.raises(error):
        sftp_pipeline.read(session, b"h", found.extend, (0, 9 * KIB), Flow(KIB, KIB, requests=9))
    assert session.idle
    assert found == CONTENT[: 3 * KIB]


def test_what_arrived_before_the_connection_broke_is_delivered() -> None:
    double = double_of()
    double.patient = True
    send = double.send

    def send_until_broken(data: bytes | memoryview) -> None:
        if len(double.asked) == 5:
            raise TransientError("It ended.", "Again.")
        send(data)

    double.send = send_until_broken  # type: ignore[method-assign]
    found = bytearray()

    with pytest.raises(TransientError):
        sftp_pipeline.read(
            Session(double), b"h", found.extend, (0, 99 * KIB), Flow(KIB, KIB, requests=4)
        )
    assert found == CONTENT[: 5 * KIB]


def write(session: Session, flow: Flow, offset: int = 0) -> None:
    pieces = (CONTENT[at : at + KIB] for at in range(offset, 20 * KIB, KIB))
    sftp_pipeline.write(session, b"h", pieces, offset, flow)


@pytest.mark.parametrize("patient", [True, False])
def test_pieces_are_written_in_order(patient: bool) -> None:  # noqa: FBT001
    double = double_of(CONTENT[: 3 * KIB])
    double.patient = patient
    session = Session(double)

    write(session, Flow(KIB, KIB), 3 * KIB)

    assert session.idle
    assert double.files[b"h"] == CONTENT[: 20 * KIB]


def test_after_a_failed_write_nothing_is_sent_and_no_hole_is_left() -> None:
    double = double_of(b"")
    double.patient = True
    double.instead = lambda request: (
        status(request, wire.FAILURE)
        if request.kind == wire.WRITE and pack_u64(4 * KIB) in request.body
        else None
    )
    session = Session(double)

    with pytest.raises(SftpRefusedError):
        write(session, Flow(KIB, KIB, requests=8))

    assert session.idle
    assert double.files[b"h"] == CONTENT[: 4 * KIB]
    assert double.kinds().count(wire.WRITE) < 20


def test_what_was_sent_when_its_source_stops_is_waited_for_a_little() -> None:
    double = double_of(b"")
    double.patient = True

    def pieces() -> Iterator[bytes]:
        yield CONTENT[:KIB]
        raise ZeroDivisionError

    session = Session(double)
    with pytest.raises(ZeroDivisionError):
        sftp_pipeline.write(session, b"h", pieces(), 0, Flow(KIB, KIB))

    assert session.idle
    assert double.time_limit is not None
    assert double.files[b"h"] == CONTENT[:KIB]


@pytest.mark.parametrize("kind", [wire.DATA, wire.HANDLE])
def test_a_write_is_not_done_because_of_any_answer(kind: int) -> None:
    double = double_of(b"")
    double.instead = lambda request: packet(kind, request) if request.kind == wire.WRITE else None

    with pytest.raises(TransientError):
        write(Session(double), Flow(KIB, KIB))


@pytest.mark.parametrize(
    ("said", "expected"),
    [(0, 32 * KIB), (1, KIB), (2**64 - 1, 255 * KIB), (100_000, 100_000)],
)
def test_limits_of_the_server_are_kept_within_reason(said: int, expected: int) -> None:
    double = SftpDouble(
        extensions={wire.LIMITS: "1"},
        instead=lambda request: packet(wire.EXTENDED_REPLY, request, pack_u64(said) * 4),
    )

    flow = Flow.negotiate(Session(double))

    assert (flow.read_bytes, flow.write_bytes) == (expected, expected)


def test_a_server_without_limits_gets_the_default() -> None:
    double = SftpDouble(
        extensions={wire.LIMITS: "1"}, instead=lambda request: status(request, wire.UNSUPPORTED)
    )

    assert Flow.negotiate(Session(double)) == Flow(32 * KIB, 32 * KIB)
