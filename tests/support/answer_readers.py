"""Readers of what servers and agents answer: the bytes are all that comes over a connection.

The readers are fed at their sockets, so that limits in bytes, items and time are part of what is
read.
"""

import itertools
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Final
from unittest import mock

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    MissingError,
    StorageError,
    TransportError,
)
from airgap.signing import ssh_agent as agent_signing
from airgap.signing.ssh_agent import AgentSigner
from airgap.ssh_agent import AgentKey, SshAgent
from airgap.transport.ftp import data as ftp_data
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.ftp.transport import FtpTransport
from airgap.transport.least_speed import LEAST_BYTES_PER_SECOND, WINDOW_SECONDS, LeastSpeed
from airgap.transport.port import TransientError
from airgap.transport.s3.options import S3Options
from airgap.transport.s3.transport import S3Transport
from airgap.transport.sftp import packets as sftp
from airgap.transport.sftp.packets import pack_string, pack_u32, pack_u64
from airgap.transport.sftp.session import Session
from tests.support.reader import Reader
from tests.support.wires import Clock, Wire, connecting, make_wire

__all__ = ["FTP_LOGIN", "READERS", "REFUSES", "S3_LISTING", "request_ftp", "request_s3"]

MOST_REQUESTS: Final = 3000
NAMES: Final = 50
"""The limit of names that a folder is listed with here."""
_LISTING_BYTES: Final = 256 * 1024
"""The limit of a listing here: it is reached sooner than the real one."""


# ---- ssh-agents


def _ssh(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


@contextmanager
def _agent(raw: bytes) -> Iterator[None]:
    clock = Clock()

    def connect() -> SshAgent:
        wire = make_wire(raw[:-1], raw[-1:], clock, most=_AGENT_BYTES)
        wire.patience = _AGENT_SECONDS
        return SshAgent(wire)  # type: ignore[arg-type]

    with (
        mock.patch.object(SshAgent, "connect", connect),
        mock.patch("airgap.ssh_agent.time", SimpleNamespace(monotonic=clock)),
    ):
        yield


_AGENT_BYTES: Final = 256 * 1024 + 4
_AGENT_SECONDS: Final = 150.0
_AGENT_KEYS: Final = 500


def _read_agent_keys(raw: bytes) -> None:
    """List the agent's keys, and look for its only one."""
    with _agent(raw):
        keys = SshAgent.connect().list_keys()
        assert len(keys) <= _AGENT_KEYS, "keys without end are listed"
        assert all(len(key.comment) <= 100 and key.kind.isprintable() for key in keys)
        agent_signing.find("")


_ED25519: Final = b"\x58" + b"\x66" * 31
_P256: Final = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_CURVE_KEY: Final = _ssh(b"ecdsa-sha2-nistp256", b"nistp256", _P256)


def _read_agent_signature(raw: bytes) -> None:
    """Let the agent sign; what it signs does not verify."""
    signer = AgentSigner(AgentKey(_CURVE_KEY, "me"))
    with _agent(raw):
        signer._sign_bytes(b"a document")


def _agent_answer(body: bytes) -> bytes:
    return _ssh(body) + b"\0"


def _agent_key_seeds() -> list[bytes]:
    """Answer with one key, and with 401: after the first, an agent repeats one without end."""
    key, other = _ssh(_ssh(b"ssh-ed25519", _ED25519), b"me"), _ssh(_ssh(b"a"), b"")
    many = struct.pack(">IBI", 16 * 1024, 0x0C, 401) + key + other
    return [
        _agent_answer(b"\x0c" + struct.pack(">I", 1) + key),
        many + bytes([len(other)]),
    ]


def _agent_signature(*numbers: bytes) -> bytes:
    return _agent_answer(b"\x0e" + _ssh(_ssh(b"ecdsa-sha2-nistp256", _ssh(*numbers))))


# ---- S3


_S3_OPTIONS: Final = S3Options("bucket", "top", endpoint="http://127.0.0.1:9")
_S3_ADDRESS: Final = ("127.0.0.1", 9)
_S3_REQUESTS: Final = 500
_S3_NEXT: Final = b"\n\n\n"
_ROOM: Final = 1024 * 1024
"""What a caller takes of an object, in bytes."""


def _read_s3(raw: bytes) -> None:
    """Make a request, by the first byte, and read responses: each connection gets the next one.

    The last one is repeated.
    """
    request_s3(raw[0] if raw else 0, raw[1:-1].split(_S3_NEXT), raw[-1:])


def request_s3(choice: int, responses: Sequence[bytes], flags: bytes) -> None:
    """Make one of five requests; the flags tell how responses end (``make_wire``)."""
    clock = Clock()

    def connect() -> Iterator[Wire]:
        for number in range(_S3_REQUESTS):
            yield make_wire(responses[min(number, len(responses) - 1)], flags, clock)
        raise AssertionError("a request without end")

    with (
        connecting(connect(), _S3_ADDRESS),
        mock.patch("airgap.transport.sending.time", SimpleNamespace(monotonic=clock)),
        mock.patch("airgap.transport.s3.client.LeastSpeed", partial(LeastSpeed, clock=clock)),
        mock.patch("airgap.transport.s3.client._LISTING_BYTES", _LISTING_BYTES),
    ):
        transport = S3Transport(_S3_OPTIONS)
        try:
            _request_s3(transport, choice, responses[0])
        finally:
            transport.close()


def _request_s3(transport: S3Transport, choice: int, sent: bytes) -> None:
    stored: list[bytes] = []

    def store(piece: memoryview) -> None:
        stored.append(bytes(piece))
        if sum(map(len, stored)) > _ROOM:
            raise CorruptError("The object is too long.", "Copy it again.")

    requests: tuple[Callable[[], object], ...] = (
        lambda: transport.size("a"),
        lambda: _list_s3(transport),
        lambda: transport.get("a", store),
        lambda: transport.get("a", store, 2, 9),
        lambda: transport.delete("a"),
    )
    requests[choice % 5]()
    assert choice % 5 != 3 or sum(map(len, stored)) <= 9, "more comes than was requested"
    if stored:
        head = re.split(rb"\n\r?\n", sent, maxsplit=1)[0]
        assert b"\ntransfer-encoding:" not in head.lower(), "heads of chunks are not the object's"


def _list_s3(transport: S3Transport) -> None:
    listed = transport.list("", NAMES)
    assert len(listed) <= NAMES
    assert all("/" not in name and name.isprintable() for name in listed)
    assert not {"", ".", ".."}.intersection(listed)


def _http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


S3_LISTING: Final = (
    b"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>top/a&amp;b</Key><Size>1</Size></Contents></ListBucketResult>"
)
_S3_WORDS: Final = (
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: ", b"Content-Range: bytes 2-4/9\r\n"),
    *(b"HTTP/1.1 206 x\r\n", b"HTTP/1.1 404 x\r\n", b"HTTP/1.1 100 x\r\n\r\n", b"\r\n\r\n"),
    *(b"<IsTruncated>true</IsTruncated>", b"<NextContinuationToken>t</NextContinuationToken>"),
    *(b"<Contents><Key>top/a</Key></Contents>", b"<Error><Code>NoSuchKey</Code></Error>"),
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b" encoding='utf-16'", b"&amp;", b"Connection: close\r\n"),
    *(b"HTTP/1.1 307 x\r\nLocation: http://b/\r\n", b"Content-Length: 9999999\r\n\r\n"),
)


def _s3_seeds() -> list[bytes]:
    ranged = _http("206 Partial Content", b"234", "Content-Range: bytes 2-4/9")
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(S3_LISTING), S3_LISTING)
    seeds = [b"\0" + _http("200 OK", b""), b"\1" + _http("200 OK", S3_LISTING)]
    seeds += [b"\1" + _http("200 OK", chunks, "Transfer-Encoding: chunked")]
    first = b"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    pages = (b"<ListBucketResult>" + first + b"</ListBucketResult>", S3_LISTING)
    seeds += [b"\1" + _S3_NEXT.join(_http("200 OK", page) for page in pages)]
    seeds += [b"\1HTTP/1.1 200 OK\r\n\r\n" + S3_LISTING]  # until the connection is closed
    seeds += [b"\2" + _http("200 OK", b"object"), b"\3" + ranged, b"\4" + _http("204 x", b"")]
    return [seed + b"\0" for seed in seeds]


# ---- SFTP


@dataclass
class Packets:
    """Fills ``Stream`` with what a connection sends; that is what it is, answers or not."""

    wire: Wire

    def send(self, data: bytes | memoryview) -> None:
        self.wire.send(memoryview(data))

    def receive(self) -> memoryview:
        piece = self.wire.recv(_PACKET_BYTES)
        if not piece:
            raise TransientError("It ended.", "Again.")
        return memoryview(piece)

    def ready(self) -> bool:
        return bool(self.wire.sent)

    def limit_time(self, seconds: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Answers(Packets):
    """Answers each request with the next of some packets, and the last one for ever.

    Each answer has the number of its request.
    """

    wire: Wire = field(default_factory=lambda: Wire(b""))
    number: int = 0
    requests: int = 0
    packets: list[tuple[int, bytes]] = field(default_factory=list)

    def send(self, data: bytes | memoryview) -> None:
        sent = bytes(data)
        if sent[4] == sftp.INIT:
            self.waiting = pack_u32(5) + bytes([sftp.VERSION]) + pack_u32(3)
            return
        kind, payload = self.packets[min(self.requests, len(self.packets) - 1)]
        self.requests += 1
        assert self.requests <= MOST_REQUESTS, "a folder without end is listed without end"
        body = bytes([kind]) + sent[5:9] + payload
        self.waiting = pack_u32(len(body)) + body

    def receive(self) -> memoryview:
        return memoryview(self.waiting)


def _list_sftp(session: Session) -> None:
    listed = session.list_names(b"f", NAMES)
    assert len(listed) <= NAMES
    assert all(name not in (b"", b".", b"..") and b"/" not in name for name in listed)
    assert not any(b"\0" in name for name in listed)


_PACKET_BYTES: Final = 32 * 1024
_SESSION_BYTES: Final = 4 * 1024 * 1024
"""More than the answers to a few requests may have together."""


def _read_sftp_packets(raw: bytes) -> None:
    """Open a session, ask about a file, list a folder."""
    clock = Clock()
    wire = make_wire(raw[:-1], raw[-1:], clock, most=_SESSION_BYTES)
    session = Session(Packets(wire), LeastSpeed("The SSH connection", clock))
    session.stat(b"a")
    session.limits()
    session.free_bytes(b"a")
    session.handle_size(session.open(b"a", sftp.FOR_READING, "read a file"))
    _list_sftp(session)


def _read_sftp_folder(raw: bytes) -> None:
    """List a folder whose server repeats its last answer for ever."""
    packets = [(part[0], part[1:]) for part in raw.split(b"\n\n") if part]
    if packets:
        _list_sftp(Session(Answers(packets=packets)))


def _names(*names: bytes) -> bytes:
    entries = (pack_string(name) + pack_string(b"") + pack_u32(0) for name in names)
    return pack_u32(len(names)) + b"".join(entries)


def _sftp_seeds() -> list[bytes]:
    hello = bytes([sftp.VERSION]) + pack_u32(3)
    hello += b"".join(map(pack_string, (sftp.LIMITS.encode(), b"1", sftp.STATVFS.encode(), b"2")))
    size = pack_u32(1) + pack_u64(9)
    answers = [
        (sftp.ATTRIBUTES, size),
        (sftp.EXTENDED_REPLY, pack_u64(9) * 4),
        (sftp.EXTENDED_REPLY, pack_u64(9) * 11),
        (sftp.HANDLE, pack_string(b"h")),
        (sftp.ATTRIBUTES, size),
        (sftp.HANDLE, pack_string(b"h")),
        (sftp.NAME, _names(b".", b"..", b"a")),
        (sftp.STATUS, pack_u32(sftp.EOF)),
        (sftp.STATUS, pack_u32(sftp.OK)),
    ]
    packets = [hello]
    packets += [bytes([kind]) + pack_u32(n) + body for n, (kind, body) in enumerate(answers, 1)]
    return [b"".join(map(pack_string, packets)) + b"\0"]


def _sftp_folder_seeds() -> list[bytes]:
    answers = [
        bytes([sftp.HANDLE]) + pack_string(b"h"),
        bytes([sftp.NAME]) + _names(b".", b"..", b"a"),
        bytes([sftp.STATUS]) + pack_u32(sftp.EOF),
        bytes([sftp.STATUS]) + pack_u32(sftp.OK),
    ]
    return [b"\n\n".join(answers)]


# ---- FTP


_FTP_OPTIONS: Final = FtpOptions("127.0.0.1", 9, "ann", "secret", security="none")


def _read_ftp(raw: bytes) -> None:
    """Log in and make a request, by the first byte; data is what follows the replies.

    The second and the third byte tell how replies and data end.
    """
    control, _, data = raw[3:].partition(b"\0\0")
    request_ftp(raw[0] if raw else 0, (control, raw[1:2]), (data, raw[2:3]))


def request_ftp(choice: int, control: tuple[bytes, bytes], data: tuple[bytes, bytes]) -> None:
    """Log in and make one of five requests, with replies and data, and the flags of each."""
    clock = Clock()
    wires = itertools.chain(
        [make_wire(*control, clock)], (make_wire(*data, clock) for _ in range(NAMES))
    )
    speed = partial(LeastSpeed, clock=clock)
    transport = FtpTransport(_FTP_OPTIONS)
    try:
        with (
            connecting(wires, ("127.0.0.1", None)),
            mock.patch("airgap.transport.ftp.session.time", SimpleNamespace(monotonic=clock)),
            mock.patch("airgap.transport.ftp.transport.LeastSpeed", speed),
            mock.patch("airgap.transport.ftp.transport._LISTING_BYTES", _LISTING_BYTES),
        ):
            _request_ftp(transport, choice)
    except AirgapError as error:
        texts = (error.message, error.hint, *error.details)
        assert all(text.isprintable() and "secret" not in text for text in texts)
        raise
    finally:
        transport.close()


def _request_ftp(transport: FtpTransport, choice: int) -> None:
    taken = 0

    def take(piece: memoryview) -> None:
        nonlocal taken
        taken += len(piece)
        if taken > _ROOM:
            raise CorruptError("The file is too long.", "Copy it again.")

    match choice % 5:
        case 0:
            transport.size("a")
        case 3:
            assert transport.get("a", take, 2, 9) <= 9, "more comes than was requested"
        case 4:
            transport.get("a", take)
        case other:
            assert len(transport.list("b" if other == 2 else "", NAMES)) <= NAMES


FTP_LOGIN: Final = b"220-Hello\r\n of 2 lines\r\n220 Go\r\n331 Password\r\n230 In\r\n200 Binary\r\n"
_PASSIVE: Final = b"227 Passive (127,0,0,1,4,1)\r\n150 Here\r\n226 Done\r\n"
_FTP_WORDS: Final = (
    *(b"227 Passive (127,0,0,1,4,1)\r\n", b"229 x (|||9|)\r\n", b"150 x\r\n", b"226 x\r\n"),
    *(b"550 no files\r\n", b"213 9\r\n", b'257 "/"\r\n', b"250 x\r\n", b"350 x\r\n", b"421 x\r\n"),
    *(b"220-x\r\n", b"220 x\r\n", b"\0\0", b"a\r\n", b"secret", b"\x1b[2J", b"426 None;"),
)


def _ftp_seeds() -> list[bytes]:
    folder = b'257 "/home" is here\r\n250 Entered\r\n' + _PASSIVE + b"250 Left\r\n"
    ranged = _PASSIVE.replace(b"150", b"350 From 2\r\n150")
    return [
        b"\0\0\0" + FTP_LOGIN + b"213 9\r\n",
        b"\1\0\0" + FTP_LOGIN + _PASSIVE + b"\0\0a\r\nb\r\n",
        b"\2\0\0" + FTP_LOGIN + folder + b"\0\0b/a\r\n",
        b"\3\0\0" + FTP_LOGIN + ranged + b"\0\0data",
        b"\1\0\x80" + FTP_LOGIN + _PASSIVE + b"\0\0a\r\nb\r\n",
        b"\3\0\x80" + FTP_LOGIN + ranged + b"\0\0data",
        b"\4\0\0" + FTP_LOGIN + _PASSIVE + b"\0\0data",
    ]


# ---- how slow a server may be


@dataclass
class SlowWire(Wire):
    """A socket on which each piece takes its time: pairs of seconds and bytes, over and over."""

    steps: bytes = b""
    at: int = 0
    seconds: float = 0.0

    def recv_into(self, buffer: memoryview) -> int:
        seconds, count = self.steps[self.at], self.steps[self.at + 1]
        self.at = (self.at + 2) % (len(self.steps) - 1)
        self.seconds += seconds % 60
        count = min(len(buffer), count)
        self.taken += count
        spare = self.taken / LEAST_BYTES_PER_SECOND + 2 * WINDOW_SECONDS
        assert self.seconds <= spare, "a server that is far too slow is waited for"
        return count


def _read_slowly(raw: bytes) -> None:
    """Receive a file of 100,000 bytes from a server that sends as slowly as it likes."""
    if len(raw) < 2:
        return
    wire = SlowWire(b"", steps=raw)
    speed = LeastSpeed("ftp://host", lambda: wire.seconds)
    for _ in ftp_data.receive(wire, 100_000, speed):  # type: ignore[arg-type]
        pass


REFUSES: Final = (TransportError, MissingError, CorruptError, StorageError)

READERS: Final[dict[str, Reader]] = {
    "keys of an ssh-agent": Reader(_read_agent_keys, (ConfigurationError,), _agent_key_seeds),
    "signature of an ssh-agent": Reader(
        _read_agent_signature,
        (ConfigurationError,),
        lambda: [_agent_signature(b"\1" * 32, b"\2" * 32)],
    ),
    "response of S3": Reader(_read_s3, REFUSES, _s3_seeds, _S3_WORDS),
    "packets of SFTP": Reader(_read_sftp_packets, REFUSES, _sftp_seeds),
    "folder of SFTP": Reader(_read_sftp_folder, REFUSES, _sftp_folder_seeds),
    "replies of FTP": Reader(_read_ftp, REFUSES, _ftp_seeds, _FTP_WORDS),
    "speed of a server": Reader(_read_slowly, (TransportError,), lambda: [b"\0\xff"]),
}
