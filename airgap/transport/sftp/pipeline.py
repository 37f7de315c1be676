"""Reads and writes files with many requests in flight at once, and a limit on how many.

Without it every piece would cost a round trip. A server may answer in any order; the sink gets the
pieces in the file's order.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from airgap.errors import AirgapError, MissingError, TransportError
from airgap.transport.port import Sink, TransientError
from airgap.transport.sftp import packets
from airgap.transport.sftp.packets import Reply, pack_string, pack_u32, pack_u64, protocol_error
from airgap.transport.sftp.session import EndOfFileError, Session, SftpRefusedError

__all__ = ["Flow", "read", "write"]

_DEFAULT_BYTES: Final = 32 * 1024  # what every server must accept (filexfer-02 §3)
_MAX_BYTES: Final = 255 * 1024  # OpenSSH's limit
_MIN_BYTES: Final = 1024
_MAX_PARTS: Final = 64
_FIRST_REQUESTS: Final = 2
_MAX_REQUESTS: Final = 64  # as OpenSSH's sftp
_MAX_BYTES_IN_FLIGHT: Final = 8 * 1024 * 1024
_SETTLE_SECONDS: Final = 2


@dataclass
class Flow:
    """How many requests one connection may have in flight: few at first, one more per answer.

    A server that is slow, or a connection that breaks soon, is not sent megabytes before anything
    is confirmed; a good one reaches the limit after a few round trips.
    """

    read_bytes: int
    write_bytes: int
    requests: int = _FIRST_REQUESTS

    @classmethod
    def negotiate(cls, session: Session) -> "Flow":
        """Ask the server for its limits; one without ``limits@openssh.com`` gets the default."""
        try:
            read_bytes, write_bytes = session.limits()
        except SftpRefusedError:
            read_bytes = write_bytes = 0
        return cls(_clamp(read_bytes), _clamp(write_bytes))

    def grow(self) -> None:
        """Allow one more request, up to the limits in requests and in bytes."""
        most = _MAX_BYTES_IN_FLIGHT // max(self.read_bytes, self.write_bytes)
        self.requests = min(self.requests + 1, _MAX_REQUESTS, most)


@dataclass(eq=False)
class _Piece:
    """A part of a file that was requested."""

    offset: int
    missing: int
    received: list[memoryview] = field(default_factory=list)
    parts: int = 0


class _ReadPipeline:
    """One download."""

    def __init__(self, session: Session, handle: bytes, flow: Flow) -> None:
        self._session = session
        self._handle = pack_string(handle)
        self._flow = flow
        self._pending: dict[int, _Piece] = {}
        self._in_order: deque[_Piece] = deque()
        self._next = self._end = 0
        self._error: SftpRefusedError | MissingError | None = None

    def run(self, sink: Sink, offset: int, end: int) -> int:
        """Send a range to the sink, or what exists of it; return how many bytes that was."""
        sent = 0
        self._session.speed.restart()
        self._next, self._end = offset, end
        disconnected: TransientError | None = None
        while True:
            try:
                if disconnected is None:
                    self._request_pieces()
            except TransientError as error:  # what arrived before is still good
                disconnected = error
            if not self._pending:
                break
            self._accept(self._session.receive())
            self._flow.grow()
            sent += self._deliver(sink)
        if failure := disconnected or self._error:
            raise failure
        return sent

    def _request_pieces(self) -> None:
        """Send requests up to the limit. A piece that waits for an earlier one counts too."""
        while self._next < self._end and len(self._in_order) < self._flow.requests:
            piece = _Piece(self._next, min(self._flow.read_bytes, self._end - self._next))
            self._request(piece)
            self._in_order.append(piece)
            self._next += piece.missing

    def _request(self, piece: _Piece) -> None:
        span = (pack_u64(piece.offset), pack_u32(piece.missing))
        self._pending[self._session.send(packets.READ, self._handle, *span)] = piece

    def _accept(self, reply: Reply) -> None:
        piece = self._pending.pop(reply.number, None)
        if piece is None:
            raise protocol_error("a reply to no request")
        if reply.kind == packets.STATUS:
            self._end_file(piece, reply)
            return
        data = self._session.expect(reply, packets.DATA, "read a file").string()
        if not 0 < len(data) <= piece.missing:
            raise protocol_error(f"{len(data):,} bytes where {piece.missing:,} were requested")
        if piece not in self._in_order:
            return
        piece.received.append(data)
        piece.offset += len(data)
        piece.missing -= len(data)
        piece.parts += 1
        if piece.missing:  # a server may send less than requested, but not byte by byte
            if piece.parts > _MAX_PARTS:
                raise protocol_error("a file in pieces that are far too small")
            self._request(piece)

    def _end_file(self, piece: _Piece, reply: Reply) -> None:
        """End the file at this piece; what arrives for later pieces is dropped."""
        if piece not in self._in_order:
            return
        try:
            self._session.expect(reply, packets.DATA, "read a file")
        except EndOfFileError:
            self._error = None
        except (SftpRefusedError, MissingError) as error:
            self._error = error
        self._end = piece.offset
        while self._in_order[-1] is not piece:
            self._in_order.pop()
        piece.missing = 0

    def _deliver(self, sink: Sink) -> int:
        """Give the sink all data that is next in order; return how many bytes."""
        sent = 0
        while self._in_order:
            piece = self._in_order[0]
            for data in piece.received:
                sink(data)
                sent += len(data)
            piece.received.clear()
            if piece.missing:
                break
            self._in_order.popleft()
        return sent


def read(session: Session, handle: bytes, sink: Sink, span: tuple[int, int], flow: Flow) -> int:
    """Send the bytes of an open file from the first offset to the second to a sink.

    Returns how many there were. Raises as ``Transport.get``.
    """
    offset, end = span
    return _ReadPipeline(session, handle, flow).run(sink, offset, end)


def write(
    session: Session,
    handle: bytes,
    pieces: Iterable[bytes | memoryview],
    offset: int,
    flow: Flow,
) -> None:
    """Write consecutive pieces, none longer than the flow's ``write_bytes``, into an open file.

    After an error nothing more is sent, and the file is cut at the first piece that failed: a
    resumed upload must not find a hole.

    Raises:
        SftpRefusedError: the first error.
        TransientError: the connection ended.
    """
    pipeline = _WritePipeline(session, handle, flow)
    try:
        pipeline.run(pieces, offset)
    except BaseException:  # the source failed, or the caller stops: let what is in flight arrive
        with suppress(AirgapError):
            session.limit_time(_SETTLE_SECONDS)
            pipeline.settle()
        raise
    pipeline.settle()
    if pipeline.errors:
        first, error = min(pipeline.errors, key=lambda failed: failed[0])
        with suppress(SftpRefusedError):
            session.truncate(handle, first)
        raise error


class _WritePipeline:
    """One upload."""

    def __init__(self, session: Session, handle: bytes, flow: Flow) -> None:
        self._session = session
        self._handle = pack_string(handle)
        self._flow = flow
        self._pending: dict[int, tuple[int, int]] = {}  # offset and size, by request
        self.errors: list[tuple[int, TransportError | MissingError]] = []
        """The offset of each piece that failed, and why."""

    def run(self, pieces: Iterable[bytes | memoryview], offset: int) -> None:
        """Send pieces until one has failed, and take replies as they arrive."""
        pending, session = self._pending, self._session
        session.speed.restart()
        for piece in pieces:
            head = (self._handle, pack_u64(offset), pack_u32(len(piece)))
            pending[session.send(packets.WRITE, *head, piece)] = offset, len(piece)
            offset += len(piece)
            while len(pending) >= self._flow.requests or (pending and session.ready()):
                self._accept(session.receive())
            if self.errors:
                return

    def settle(self) -> None:
        """Wait for all replies."""
        while self._pending:
            self._accept(self._session.receive())

    def _accept(self, reply: Reply) -> None:
        if reply.number not in self._pending:
            raise protocol_error("a reply to no request")
        offset, size = self._pending.pop(reply.number)
        self._session.speed.count(size)
        try:
            self._session.expect_ok(reply, "write a file")
        except (SftpRefusedError, MissingError) as error:
            self.errors.append((offset, error))
        self._flow.grow()


def _clamp(limit: int) -> int:
    return max(_MIN_BYTES, min(limit or _DEFAULT_BYTES, _MAX_BYTES))
