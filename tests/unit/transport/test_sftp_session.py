"""SFTP's packets, against servers that do not keep to it."""

from collections.abc import Callable

import pytest

from airgap.errors import CorruptError, MissingError
from airgap.transport.port import TransientError
from airgap.transport.sftp import packets as wire
from airgap.transport.sftp.packets import pack_string, pack_u32, pack_u64
from airgap.transport.sftp.session import Session, SftpRefusedError
from tests.servers.sftp_double import Asked, SftpDouble, name_list, packet, status

HELLO = pack_u32(5) + bytes([wire.VERSION]) + pack_u32(3)


def version(number: int) -> bytes:
    return HELLO[:-4] + pack_u32(number)


def only(kind: int, answer: Callable[[Asked], bytes]) -> Callable[[Asked], bytes | None]:
    """Answer one kind of request; the double is honest about the others."""
    return lambda request: answer(request) if request.kind == kind else None


@pytest.mark.parametrize(
    "hello",
    [
        version(2),
        version(6),
        pack_u32(0),
        pack_u32(1) + b"\x02",
        b"This account is not available.\r\n",
        pack_u32(256 * 1024 + 1),
        pack_u32(5) + bytes([wire.STATUS]) + pack_u32(3),
        b"",
    ],
)
def test_what_is_not_version_3_is_no_sftp(hello: bytes) -> None:
    with pytest.raises(TransientError) as caught:
        Session(SftpDouble(hello=hello or pack_u32(5)))
    assert caught.value.hint


def test_extensions_are_known() -> None:
    session = Session(SftpDouble(extensions={wire.FSYNC: "1", "other": "2"}))

    assert session.extensions == {wire.FSYNC: b"1", "other": b"2"}


def test_more_extensions_than_anybody_has_are_not_kept() -> None:
    session = Session(SftpDouble(extensions={str(number): "" for number in range(1000)}))

    assert len(session.extensions) == 100


def test_a_hello_that_comes_byte_by_byte_is_understood() -> None:
    double = SftpDouble(hello=HELLO[:1])
    receive = double.receive

    def receive_all() -> memoryview:
        double.receive = receive  # type: ignore[method-assign]
        found = receive()
        double.waiting.extend(HELLO[at : at + 1] for at in range(1, len(HELLO)))
        return found

    double.receive = receive_all  # type: ignore[method-assign]

    assert Session(double).idle


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: packet(wire.ATTRIBUTES, Asked(0, request.number + 1, b""), pack_u32(0)),
        lambda request: packet(wire.ATTRIBUTES, request, pack_u32(1), b"\0\0"),
        lambda request: packet(wire.ATTRIBUTES, request, pack_u32(0x80000000), pack_u32(2**32 - 1)),
        lambda request: packet(wire.HANDLE, request, pack_string(b"x")),
        lambda request: packet(99, request),
        lambda request: packet(wire.STATUS, request),
        lambda _: pack_u32(0),
        lambda _: pack_u32(2**32 - 1),
        lambda _: HELLO,
    ],
)
def test_an_answer_that_makes_no_sense_ends_the_connection(
    answer: Callable[[Asked], bytes],
) -> None:
    session = Session(SftpDouble(instead=only(wire.STAT, answer)))

    with pytest.raises(TransientError, match="server sent"):
        session.stat(b"a")


@pytest.mark.parametrize("kind", [wire.DATA, wire.NAME, wire.HANDLE])
def test_a_request_is_not_done_because_of_any_answer(kind: int) -> None:
    session = Session(SftpDouble(instead=lambda request: packet(kind, request, pack_u32(0))))

    with pytest.raises(TransientError):
        session.make_folder(b"a")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (wire.NO_SUCH_FILE, MissingError),
        (wire.PERMISSION_DENIED, SftpRefusedError),
        (wire.FAILURE, SftpRefusedError),
        (wire.CONNECTION_LOST, TransientError),
        (2**32 - 1, SftpRefusedError),
    ],
)
def test_errors_are_distinguished(code: int, error: type[Exception]) -> None:
    session = Session(SftpDouble(instead=lambda request: status(request, code)))

    with pytest.raises(error):
        session.open(b"a", wire.FOR_READING, "read a file")


@pytest.mark.parametrize(
    ("code", "full"), [(wire.FAILURE, False), (14, True), (15, True), (wire.UNSUPPORTED, False)]
)
def test_a_full_disk_may_have_a_code_of_its_own(code: int, full: bool) -> None:  # noqa: FBT001
    session = Session(SftpDouble(instead=lambda request: status(request, code)))

    with pytest.raises(SftpRefusedError) as caught:
        session.truncate(b"h", 0)
    assert caught.value.disk_full is full


@pytest.mark.parametrize("name", [b"a/b", b"/etc/passwd", b"../a", b"a\0b", b""])
def test_a_listing_with_a_name_that_cannot_be_is_refused(name: bytes) -> None:
    double = SftpDouble(
        instead=only(wire.READDIR, lambda request: name_list(request, b"good", name))
    )
    session = Session(double)

    with pytest.raises(CorruptError):
        session.list_names(b"d", 10)
    assert double.kinds()[-1] == wire.CLOSE


def test_dots_are_no_names() -> None:
    pages = [[b".", b".."], [b"a", b"..b"]]
    answer = only(
        wire.READDIR,
        lambda request: name_list(request, *pages.pop(0)) if pages else status(request, wire.EOF),
    )
    session = Session(SftpDouble(instead=answer))

    assert session.list_names(b"d", 10) == [b"a", b"..b"]


def test_an_endless_listing_is_given_up_at_the_limit() -> None:
    double = SftpDouble(instead=only(wire.READDIR, lambda request: name_list(request, b"a", b"b")))
    session = Session(double)

    with pytest.raises(CorruptError, match="more than 5 names"):
        session.list_names(b"d", 5)
    assert double.kinds().count(wire.READDIR) == 3
    assert double.kinds()[-1] == wire.CLOSE


@pytest.mark.parametrize("count", [0, 2, 2**32 - 1])
def test_a_listing_that_lies_about_its_length_is_given_up(count: int) -> None:
    entry = pack_string(b"a") + pack_string(b"") + pack_u32(0)
    answer = only(wire.READDIR, lambda request: packet(wire.NAME, request, pack_u32(count), entry))
    session = Session(SftpDouble(instead=answer))

    with pytest.raises(TransientError):
        session.list_names(b"d", 10)


def test_without_posix_rename_what_is_replaced_is_removed_first() -> None:
    double = SftpDouble({b"old": bytearray(b"1"), b"new": bytearray(b"2")})

    Session(double).replace(b"new", b"old")

    assert double.files == {b"old": b"2"}


def test_with_posix_rename_nothing_is_removed() -> None:
    double = SftpDouble(extensions={wire.POSIX_RENAME: "1"})

    Session(double).replace(b"new", b"old")

    assert double.kinds() == [wire.EXTENDED]


def test_without_extensions_nothing_is_asked_for_in_vain() -> None:
    double = SftpDouble()
    session = Session(double)

    session.sync(b"h")
    assert session.free_bytes(b"d") is None
    assert session.limits() == (0, 0)
    assert double.asked == []


def test_free_space_is_reported_in_bytes() -> None:
    numbers = [pack_u64(request) for request in (4096, 1024, 999, 888, 777, 6, 5, 4, 3, 2, 1)]
    double = SftpDouble(
        extensions={wire.STATVFS: "2"},
        instead=lambda request: packet(wire.EXTENDED_REPLY, request, *numbers),
    )

    assert Session(double).free_bytes(b"d") == 1024 * 777


@pytest.mark.parametrize("names", [(b".", b".."), (b"same",), (b".",)])
def test_a_folder_that_repeats_itself_ends(names: tuple[bytes, ...]) -> None:
    """What is counted is what came, not what is kept: `.` and `..` are left out."""
    double = SftpDouble(instead=only(wire.READDIR, lambda request: name_list(request, *names)))
    session = Session(double)

    with pytest.raises(CorruptError, match="again and again"):
        session.list_names(b"d", 1_000_000)

    assert double.kinds().count(wire.READDIR) <= 1002


def test_a_full_folder_may_list_itself_and_its_parent_too() -> None:
    parts = iter([(b".", b".."), tuple(b"%d" % number for number in range(1000))])
    double = SftpDouble(
        instead=lambda request: (
            name_list(request, *part)
            if request.kind == wire.READDIR and (part := next(parts, None))
            else None
        )
    )

    assert len(Session(double).list_names(b"d", 1000)) == 1000
