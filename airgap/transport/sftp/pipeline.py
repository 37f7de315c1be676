"""Reading and writing files with many requests on their way at once, and a bound on how many.

Without it every piece would cost a round trip. Pieces may be answered in any order; the sink gets
them in the file's.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from airgap.errors import AirgapError, MissingError, TransportError
from airgap.transport.port import Sink, TransientError
from airgap.transport.sftp import session as sftp_session
from airgap.transport.sftp.session import (
    EndOfFileError,
    Reply,
    Session,
    SftpRefusedError,
    pack_u32,
    pack_u64,
    protocol_error,
)

__all__ = ["Flow", "read", "write"]

_DEFAULT_BYTES: Final = 32 * 1024  # what every server must take (filexfer-02 §3)
_MAX_BYTES: Final = 255 * 1024  # OpenSSH's limit
_MIN_BYTES: Final = 1024
_MAX_PARTS: Final = 64
_FIRST_REQUESTS: Final = 2
_MAX_REQUESTS: Final = 64  # as OpenSSH's sftp
_MAX_BYTES_IN_FLIGHT: Final = 8 * 1024 * 1024
_SETTLE_SECONDS: Final = 2


@dataclass
class Flow:
    """How much one connection asks for at once: a little at first, more with every answer.

    A server that is slow, or a road that breaks soon, is not sent megabytes ahead of the first
    confirmation; a good one has its full flow after a few round trips.
    """

    read_bytes: int
    write_bytes: int
    requests: int = _FIRST_REQUESTS

    @classmethod
    def of(cls, session: Session) -> "Flow":
        """Ask the server (``limits@openssh.com``); one without limits gets what all must take."""
        try:
            reading, writing = session.limits()
        except SftpRefusedError:
            reading = writing = 0
        return cls(_clamp(reading), _clamp(writing))

    def answered(self) -> None:
        """Ask for one more at once, up to a bound in requests and in bytes."""
        most = _MAX_BYTES_IN_FLIGHT // max(self.read_bytes, self.write_bytes)
        self.requests = min(self.requests + 1, _MAX_REQUESTS, most)


@dataclass(eq=False)
class _Piece:
    """A part of a file that was asked for."""

    offset: int
    missing: int
    came: list[memoryview] = field(default_factory=list)
    parts: int = 0


class _ReadPipeline:
    """One download."""

    def __init__(self, session: Session, handle: bytes, flow: Flow) -> None:
        self._session = session
        self._handle = sftp_session.pack_string(handle)
        self._flow = flow
        self._asked: dict[int, _Piece] = {}
        self._in_order: deque[_Piece] = deque()
        self._next = self._end = 0
        self._error: SftpRefusedError | MissingError | None = None

    def run(self, sink: Sink, offset: int, end: int) -> int:
        """Send a range to the sink, or what there is of it; return how much that was."""
        sent = 0
        self._next, self._end = offset, end
        lost: TransientError | None = None
        while True:
            try:
                if lost is None:
                    self._ask_more()
            except TransientError as error:  # what has arrived before is still good
                lost = error
            if not self._asked:
                break
            self._take(self._session.receive())
            self._flow.answered()
            sent += self._hand_over(sink)
        if failed := lost or self._error:
            raise failed
        return sent

    def _ask_more(self) -> None:
        while self._next < self._end and len(self._in_order) < self._flow.requests:
            piece = _Piece(self._next, min(self._flow.read_bytes, self._end - self._next))
            self._ask(piece)
            self._in_order.append(piece)
            self._next += piece.missing

    def _ask(self, piece: _Piece) -> None:
        where = (pack_u64(piece.offset), pack_u32(piece.missing))
        self._asked[self._session.send(sftp_session.READ, self._handle, *where)] = piece

    def _take(self, answer: Reply) -> None:
        piece = self._asked.pop(answer.number, None)
        if piece is None:
            raise protocol_error("an answer to nothing that was asked")
        if answer.kind == sftp_session.STATUS:
            self._end_at(piece, answer)
            return
        data = self._session.expect(answer, sftp_session.DATA, "read a file").string()
        if not 0 < len(data) <= piece.missing:
            raise protocol_error(f"{len(data):,} bytes where {piece.missing:,} were asked for")
        if piece not in self._in_order:
            return
        piece.came.append(data)
        piece.offset += len(data)
        piece.missing -= len(data)
        piece.parts += 1
        if piece.missing:  # it may send less than was asked for, but not drop by drop
            if piece.parts > _MAX_PARTS:
                raise protocol_error("a file in far too small pieces")
            self._ask(piece)

    def _end_at(self, piece: _Piece, answer: Reply) -> None:
        """Let the file end here: what comes for later pieces is dropped."""
        if piece not in self._in_order:
            return
        try:
            self._session.expect(answer, sftp_session.DATA, "read a file")
        except EndOfFileError:
            self._error = None
        except (SftpRefusedError, MissingError) as error:
            self._error = error
        self._end = piece.offset
        while self._in_order[-1] is not piece:
            self._in_order.pop()
        piece.missing = 0

    def _hand_over(self, sink: Sink) -> int:
        """Give the sink what can be given in order."""
        sent = 0
        while self._in_order:
            piece = self._in_order[0]
            for data in piece.came:
                sink(data)
                sent += len(data)
            piece.came.clear()
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
    """Write pieces, none longer than the flow's, into an open file, one behind the other.

    After an error nothing more is sent, and what lies behind the first piece that failed is cut
    off: an upload that is resumed must not find a hole.

    Raises:
        RefusedError: the first error.
        BrokenOffError: the connection ended.
    """
    writing = _WritePipeline(session, handle, flow)
    try:
        writing.run(pieces, offset)
    except BaseException:  # whoever paces it wants to stop: what is on its way shall arrive
        with suppress(AirgapError):
            session.hurry(_SETTLE_SECONDS)
            writing.settle()
        raise
    writing.settle()
    if writing.failed:
        first, error = min(writing.failed, key=lambda one: one[0])
        with suppress(SftpRefusedError):
            session.truncate(handle, first)
        raise error


class _WritePipeline:
    """One upload."""

    def __init__(self, session: Session, handle: bytes, flow: Flow) -> None:
        self._session = session
        self._handle = sftp_session.pack_string(handle)
        self._flow = flow
        self._asked: dict[int, int] = {}
        self.failed: list[tuple[int, TransportError | MissingError]] = []

    def run(self, pieces: Iterable[bytes | memoryview], offset: int) -> None:
        """Send pieces until one has failed, taking answers as they come."""
        asked, session = self._asked, self._session
        for piece in pieces:
            where = (self._handle, pack_u64(offset), pack_u32(len(piece)))
            asked[session.send(sftp_session.WRITE, *where, piece)] = offset
            offset += len(piece)
            while len(asked) >= self._flow.requests or (asked and session.ready()):
                self._take(session.receive())
            if self.failed:
                return

    def settle(self) -> None:
        """Wait for all answers."""
        while self._asked:
            self._take(self._session.receive())

    def _take(self, answer: Reply) -> None:
        offset = self._asked.pop(answer.number, None)
        if offset is None:
            raise protocol_error("an answer to nothing that was asked")
        try:
            self._session.expect_ok(answer, "write a file")
        except (SftpRefusedError, MissingError) as error:
            self.failed.append((offset, error))
        self._flow.answered()


def _clamp(limit: int) -> int:
    return max(_MIN_BYTES, min(limit or _DEFAULT_BYTES, _MAX_BYTES))
