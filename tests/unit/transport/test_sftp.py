"""The depot over SFTP, with a server that lies, or is full."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, MissingError, StorageError, TransportError
from airgap.transport.open_transport import Login, open_transport
from airgap.transport.port import TransientError
from airgap.transport.sftp import packets as wire
from airgap.transport.sftp.options import SftpOptions
from airgap.transport.sftp.packets import pack_u32, pack_u64
from airgap.transport.sftp.ssh_stream import SshStream
from airgap.transport.sftp.transport import SftpTransport
from airgap.transport.url import parse
from tests.servers.sftp_double import Asked, SftpDouble, packet, status

CONTENT = bytes(range(256)) * 1000


@dataclass
class Connector:
    """The double that the next connection gets, and how many there were."""

    double: SftpDouble = field(default_factory=SftpDouble)
    connections: int = 0


@pytest.fixture
def connector(monkeypatch: pytest.MonkeyPatch) -> Connector:
    """Connections lead to a double."""
    made = Connector()

    def connect(*_: object) -> SftpDouble:
        made.connections += 1
        return made.double

    monkeypatch.setattr(SshStream, "open", connect)
    return made


@pytest.fixture
def transport(connector: Connector, tmp_path: Path) -> Iterator[SftpTransport]:
    del connector
    (tmp_path / "known").touch()
    request = SftpTransport(
        SftpOptions("host", folder="top", known_hosts=tmp_path / "known", config=None)
    )
    yield request
    request.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def with_size(size: int) -> bytes:
    return pack_u32(1) + pack_u64(size)


@pytest.mark.parametrize(
    ("options", "location"),
    [
        (SftpOptions("host"), "sftp://host/~"),
        (SftpOptions("host", folder="a/b"), "sftp://host/~/a/b"),
        (SftpOptions("host", 2222, "me", folder="/srv/x/"), "sftp://host:2222/srv/x"),
        (SftpOptions("::1", password="secret"), "sftp://[::1]/~"),  # noqa: S106
    ],
)
def test_its_location_is_a_url_without_secrets(options: SftpOptions, location: str) -> None:
    assert SftpTransport(options).location == location


def test_options_do_not_show_their_secrets() -> None:
    shown = repr(SftpOptions("host", password="hidden1", passphrase="hidden2"))  # noqa: S106

    assert "hidden" not in shown


@pytest.mark.parametrize("what", ["host", "user", "folder"])
def test_a_line_break_in_a_name_is_refused(what: str) -> None:
    options = {"host": "host", "user": "me", "folder": "x"}
    with pytest.raises(ConfigurationError, match=what):
        SftpOptions(**{**options, what: "a\nb"})  # type: ignore[arg-type]


def test_a_file_that_has_another_length_than_was_sent_is_not_named(
    connector: Connector, transport: SftpTransport, source: Path
) -> None:
    sizes = [0, 5]
    connector.double.instead = lambda request: (
        packet(wire.ATTRIBUTES, request, with_size(sizes.pop(0)))
        if request.kind == wire.FSTAT
        else None
    )

    with pytest.raises(TransientError, match="does not have the size"):
        transport.put("packs/a", source, len(CONTENT))
    assert connector.double.files.keys() == {b"top/packs/a.part"}


def test_a_part_that_is_too_long_is_begun_again(
    connector: Connector, transport: SftpTransport, source: Path
) -> None:
    connector.double.files[b"top/packs/a.part"] = bytearray(len(CONTENT) + 1)

    assert transport.put("packs/a", source, len(CONTENT)) == "stored"

    assert connector.double.files == {b"top/packs/a": CONTENT}


def test_a_part_without_a_size_is_no_reason_to_send_anything(
    connector: Connector, transport: SftpTransport, source: Path
) -> None:
    connector.double.instead = lambda request: (
        packet(wire.ATTRIBUTES, request, pack_u32(0)) if request.kind == wire.FSTAT else None
    )

    with pytest.raises(TransientError):
        transport.put("packs/a", source, len(CONTENT))
    assert wire.WRITE not in connector.double.kinds()


@pytest.mark.parametrize("mode", [0o040755, 0o120777, 0o010644])
def test_what_is_no_file_has_no_size(
    mode: int, connector: Connector, transport: SftpTransport
) -> None:
    connector.double.instead = lambda request: packet(
        wire.ATTRIBUTES, request, pack_u32(5) + pack_u64(7) + pack_u32(mode)
    )

    assert transport.size("packs/a") is None


def full(free: int) -> SftpDouble:
    """Say "failure" to every write, and report this much free space."""

    def answer(request: Asked) -> bytes | None:
        if request.kind == wire.EXTENDED:
            return packet(
                wire.EXTENDED_REPLY, request, *map(pack_u64, (1, 1, 9, 9, free, 0, 0, 0, 0, 0, 0))
            )
        return status(request, wire.FAILURE) if request.kind == wire.WRITE else None

    return SftpDouble(instead=answer, extensions={wire.STATVFS: "2"})


def test_a_failure_on_a_full_disk_is_reported_as_that(
    connector: Connector, transport: SftpTransport, source: Path
) -> None:
    connector.double = full(len(CONTENT) - 1)

    with pytest.raises(StorageError, match="is full") as caught:
        transport.put("packs/a", source, len(CONTENT))
    assert "Free space" in caught.value.hint


def test_a_failure_with_room_enough_is_reported_as_it_is(
    connector: Connector, transport: SftpTransport, source: Path
) -> None:
    connector.double = full(len(CONTENT))

    with pytest.raises(TransportError, match="refused to write a file: general failure"):
        transport.put("packs/a", source, len(CONTENT))


@pytest.mark.parametrize("code", [14, 15])
def test_a_server_may_say_itself_that_it_is_full(
    code: int, connector: Connector, transport: SftpTransport
) -> None:
    connector.double.instead = lambda request: (
        status(request, code) if request.kind == wire.WRITE else None
    )

    with pytest.raises(StorageError):
        transport.publish("manifest", CONTENT)
    assert connector.double.files == {}


def test_a_small_file_that_was_refused_leaves_nothing_behind(
    connector: Connector, transport: SftpTransport
) -> None:
    connector.double.instead = lambda request: (
        status(request, wire.PERMISSION_DENIED) if request.kind == wire.RENAME else None
    )

    with pytest.raises(TransportError, match="permission denied"):
        transport.publish("manifest", CONTENT)
    assert connector.double.files == {}


def test_the_second_writer_publishes_nothing(
    connector: Connector, transport: SftpTransport
) -> None:
    def rename(request: Asked) -> bytes | None:
        if request.kind == wire.RENAME:  # another was faster
            connector.double.files[b"top/manifest"] = bytearray(b"theirs")
        return None

    connector.double.instead = rename

    assert transport.publish("manifest", b"ours") is False
    assert connector.double.files == {b"top/manifest": b"theirs"}


def test_a_source_that_was_truncated_is_reported(
    connector: Connector, transport: SftpTransport, source: Path
) -> None:
    with pytest.raises(StorageError, match="truncated"):
        transport.put("packs/a", source, len(CONTENT) + 1)
    assert b"top/packs/a" not in connector.double.files


def test_a_source_that_is_gone_is_reported(transport: SftpTransport, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        transport.put("packs/a", tmp_path / "missing", 5)


def test_one_connection_does_until_it_breaks(
    connector: Connector, transport: SftpTransport
) -> None:
    connector.double.files[b"top/packs/a"] = bytearray(b"12345")
    for _ in range(3):
        assert transport.size("packs/a") == 5
        with pytest.raises(MissingError, match=r"sftp://host/~/top \(packs/b\)"):
            transport.get("packs/b", len)
    assert connector.connections == 1

    connector.double.instead = lambda _: b""
    with pytest.raises(TransientError):
        transport.size("packs/a")
    assert connector.double.closed
    connector.double = SftpDouble()
    assert transport.size("packs/a") is None
    assert connector.connections == 2


def test_a_connection_that_owes_answers_is_not_used_again(
    connector: Connector, transport: SftpTransport
) -> None:
    connector.double.files[b"top/packs/a"] = bytearray(CONTENT)

    def refuse(_: memoryview) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transport.get("packs/a", refuse)
    assert connector.double.closed
    assert transport.size("packs/a") == len(CONTENT)
    assert connector.connections == 2


def test_names_that_are_no_text_are_shown_as_they_can_be(
    connector: Connector, transport: SftpTransport
) -> None:
    pages = [[b"\xff", "ü".encode(), b"a"]]

    def answer(request: Asked) -> bytes | None:
        if request.kind != wire.READDIR or not pages:
            return None
        entries = (
            wire.pack_string(name) + wire.pack_string(b"") + pack_u32(0) for name in pages.pop()
        )
        return packet(wire.NAME, request, pack_u32(3), *entries)

    connector.double.instead = answer

    assert transport.list("packs", 10) == ["\\xff", "a", "ü"]


def test_where_paramiko_cannot_be_loaded_sftp_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it is with an OpenSSL in FIPS mode that lacks an algorithm which paramiko tries."""
    monkeypatch.setitem(sys.modules, "airgap.transport.sftp.transport", None)

    with pytest.raises(ConfigurationError, match="SFTP cannot be used here") as refused:
        open_transport(parse("sftp://host/depot"), Login(), {})

    assert "ftpes://" in refused.value.hint
