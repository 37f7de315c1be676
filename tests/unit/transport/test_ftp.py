"""What servers do that the four we run do not, or only in some of their settings."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    MissingError,
    StorageError,
    TransportError,
)
from airgap.transport.ftp.options import FtpOptions, Security
from airgap.transport.ftp.replies import explain_login, explain_reply
from airgap.transport.ftp.tls import explain_tls, make_context
from airgap.transport.ftp.transport import FtpTransport
from airgap.transport.port import TransientError
from tests.servers.certificates import Authority
from tests.servers.scripted_ftp import Reply, ScriptedFtp

NAME = "packs/x"
PART = "packs/x.part"


@contextmanager
def reached(server: ScriptedFtp, folder: str = "", timeout: float = 10) -> Iterator[FtpTransport]:
    with server:
        options = FtpOptions(
            "127.0.0.1", server.port, "anna", folder=folder, security="none", timeout=timeout
        )
        transport = FtpTransport(options)
        try:
            yield transport
        finally:
            transport.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to be uploaded: ten bytes."""
    path = tmp_path / "source"
    path.write_bytes(b"0123456789")
    return path


# Uploads


@pytest.mark.parametrize("verb", ["REST", "STOR"])
@pytest.mark.parametrize("reply", [b"451 not permitted, try again\r\n", b"502 no\r\n"])
def test_where_uploads_cannot_be_resumed_they_begin_again(
    verb: str, reply: bytes, source: Path
) -> None:
    server = ScriptedFtp({PART: b"01234"}, refuses_resuming={verb: reply})
    with reached(server) as transport:
        assert transport.put(NAME, source, 10) == "stored"

    assert server.files == {NAME: b"0123456789"}


@pytest.mark.parametrize("verb", ["REST", "STOR"])
def test_a_server_that_has_to_break_off_keeps_the_part(verb: str, source: Path) -> None:
    server = ScriptedFtp({PART: b"01234"}, refuses_resuming={verb: b"421 shutting down\r\n"})
    with reached(server) as transport, pytest.raises(TransientError):
        transport.put(NAME, source, 10)

    assert server.files == {PART: b"01234"}


def test_where_a_name_cannot_be_taken_twice_it_is_freed_first(source: Path) -> None:
    server = ScriptedFtp({NAME: b"old"}, renames_over=False)
    with reached(server) as transport:
        assert transport.put(NAME, source, 10) == "stored"
        assert transport.publish(NAME, b"newer", replace=True)

    assert server.files == {NAME: b"newer"}


def test_a_name_that_another_took_in_between_is_left_to_them() -> None:
    server = ScriptedFtp({NAME: b"theirs"}, renames_over=False, hides=[NAME])
    with reached(server) as transport:
        assert transport.publish(NAME, b"ours") is False

    assert server.files == {NAME: b"theirs"}


@pytest.mark.parametrize(
    "reply",
    [b"452 no", b"552 no", b"451 Failure writing to local file.", b"426 Disk full", b"550 Quota"],
)
@pytest.mark.parametrize("verb", ["STOR", "done"])
def test_a_full_disk_is_reported_and_nothing_published_stays(verb: str, reply: bytes) -> None:
    server = ScriptedFtp(says={verb: reply + b"\r\n"})
    with reached(server) as transport, pytest.raises(StorageError) as caught:
        transport.publish(NAME, b"ours")

    assert caught.value.hint
    assert server.files == {}


def test_after_an_upload_the_server_has_more_time_to_answer(source: Path) -> None:
    server = ScriptedFtp()

    def late() -> Iterator[bytes]:
        server.over.wait(0.5)
        yield b"226 complete\r\n"

    server.says["done"] = late()
    with reached(server, timeout=0.3) as transport:
        assert transport.put(NAME, source, 10) == "stored"


def test_a_file_that_was_truncated_is_reported(source: Path) -> None:
    server = ScriptedFtp()
    with reached(server) as transport, pytest.raises(StorageError, match="truncated"):
        transport.put(NAME, source, 11)

    assert NAME not in server.files


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with reached(ScriptedFtp()) as transport, pytest.raises(StorageError, match="nowhere"):
        transport.put(NAME, tmp_path / "nowhere", 11)


def test_a_file_of_many_blocks_is_sent_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.certificate, issued.key)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 600_000)
    counts: list[int] = []
    with ScriptedFtp(tls=tls) as server:
        transport = FtpTransport(FtpOptions("127.0.0.1", server.port, ca_file=authority.file))
        transport.put(NAME, source, 600_000, None, counts.append)
        with pytest.raises(StorageError, match="truncated"):
            transport.put("packs/y", source, 600_001)
        transport.close()

    assert server.files[NAME] == b"x" * 600_000
    assert len(counts) == 3


# Downloads


def test_a_download_that_is_not_allowed_is_not_called_missing() -> None:
    server = ScriptedFtp({NAME: b"1"}, says={"RETR": b"550 Permission denied.\r\n"})
    with reached(server) as transport, pytest.raises(TransportError, match="was refused"):
        transport.get(NAME, len)


@pytest.mark.parametrize("reply", [b"554 Restart beyond the end\r\n", b"551 no\r\n"])
def test_beyond_the_end_there_is_nothing(reply: bytes) -> None:
    server = ScriptedFtp({NAME: b"1"}, says={"REST": reply})
    with reached(server) as transport:
        assert transport.get(NAME, len, 1) == 0
        assert transport.get(NAME, len, 5) == 0


def test_a_missing_file_is_reported_with_its_location() -> None:
    with reached(ScriptedFtp(), "depot") as transport, pytest.raises(MissingError) as caught:
        transport.get(NAME, len)

    assert f"/depot/{NAME} does not exist" in caught.value.message


@pytest.mark.parametrize("reply", [b"150 once more\r\n", b"350 hm\r\n", b"451 no\r\n"])
def test_a_download_that_does_not_end_well_broke(reply: bytes) -> None:
    server = ScriptedFtp({NAME: b"12345"}, says={"done": reply})
    found = bytearray()
    with reached(server) as transport, pytest.raises(TransientError):
        transport.get(NAME, found.extend)

    assert found == b"12345"


# Listings


@pytest.mark.parametrize(
    "listing",
    [
        b"aa\r\nbb\r\n",
        b"aa\nbb\n",
        b"/depot/bundles/aa\r\n/depot/bundles/bb\r\n",
        b"aa/\r\nbb/\r\n",
        b".\r\n..\r\naa\r\nbb\r\n",
    ],
)
def test_listings_come_in_many_forms(listing: bytes) -> None:
    sends: dict[str, Reply] = {"NLST": listing}
    with reached(ScriptedFtp(sends=sends)) as transport:
        assert transport.list("bundles", 2) == ["aa", "bb"]


@pytest.mark.parametrize("reply", [b"550 No files found.\r\n", b"450 No files found\r\n"])
def test_an_empty_folder_may_be_told_as_an_error(reply: bytes) -> None:
    with reached(ScriptedFtp(says={"NLST": reply})) as transport:
        assert transport.list("bundles", 10) == []


@pytest.mark.parametrize(
    ("listing", "reply"),
    [
        (b"aa\r\nb", b"226 complete\r\n"),
        (b"aa\r\n", b"226 Output truncated to 1 matches\r\n"),
        (b"", b"226 Transfer done (but failed to open directory).\r\n"),
    ],
)
def test_a_listing_that_lacks_names_is_not_taken_for_whole(listing: bytes, reply: bytes) -> None:
    server = ScriptedFtp(sends={"NLST": listing}, says={"done": reply})
    with reached(server) as transport, pytest.raises(TransportError, match="all names"):
        transport.list("bundles", 10)


def test_a_folder_that_may_not_be_entered_is_not_taken_for_empty() -> None:
    server = ScriptedFtp({"bundles": b""}, says={"CWD": b"550 Failed to change directory.\r\n"})
    with reached(server) as transport, pytest.raises(TransportError, match="cannot be listed"):
        transport.list("bundles", 10)


# Places and logins


@pytest.mark.parametrize(
    ("folder", "asked"),
    [("", "packs/x"), ("a/b", "a/b/packs/x"), ("a/b/", "a/b/packs/x"), ("/", "/packs/x")],
)
def test_names_are_below_the_folder(folder: str, asked: str) -> None:
    server = ScriptedFtp({asked: b"12"})
    with reached(server, folder) as transport:
        assert transport.size(NAME) == 2


@pytest.mark.parametrize(
    ("security", "port", "folder", "url"),
    [
        ("none", 0, "", "ftp://depot"),
        ("explicit", 2121, "a b/ü", "ftpes://depot:2121/a%20b/%C3%BC"),
        ("implicit", 0, "/srv", "ftps://depot//srv"),
    ],
)
def test_a_location_is_shown_as_a_url(security: Security, port: int, folder: str, url: str) -> None:
    options = FtpOptions("depot", port, "anna", "secret", folder=folder, security=security)

    assert options.url == url


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert FtpOptions("::1", 21, security="none").url == "ftp://[::1]:21"


@pytest.mark.parametrize(("security", "port"), [("none", 21), ("explicit", 21), ("implicit", 990)])
def test_each_scheme_has_its_port(security: Security, port: int) -> None:
    assert FtpOptions("depot", security=security).address == ("depot", port)


def test_a_server_that_requires_tls_is_reported_as_such() -> None:
    server = ScriptedFtp(says={"USER": b"530 Non-anonymous sessions must use encryption.\r\n"})
    with reached(server) as transport, pytest.raises(TransportError) as caught:
        transport.size(NAME)

    assert "ftpes://" in caught.value.hint


@pytest.mark.parametrize("reply", [b"421 Too many connections\r\n", b"450 later\r\n"])
def test_a_server_that_is_busy_is_asked_again(reply: bytes) -> None:
    with (
        reached(ScriptedFtp(says={"PASS": reply})) as transport,
        pytest.raises(TransientError) as caught,
    ):
        transport.size(NAME)

    assert caught.value.details


def test_after_an_error_there_is_a_fresh_connection() -> None:
    server = ScriptedFtp({NAME: b"12"}, says={"RNFR": b"426 broken\r\n"})
    with reached(server) as transport:
        with pytest.raises(TransientError):
            transport.publish("other", b"1")
        assert transport.size(NAME) == 2

    assert server.verbs().count("USER") == 2


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), TransientError, "connection refused"),
        (TimeoutError(), TransientError, "timed out"),
        (socket.gaierror(socket.EAI_AGAIN, "Try again"), TransientError, "try again"),
        (socket.gaierror(socket.EAI_NONAME, "Unknown"), TransportError, "cannot be resolved"),
    ],
)
def test_a_host_that_cannot_be_reached_is_reported(
    error: OSError,
    expected: type[TransportError],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(expected, match=words) as caught:
        FtpTransport(FtpOptions("depot.invalid", security="none")).size(NAME)

    assert type(caught.value) is expected
    assert caught.value.hint


def test_a_closed_port_is_reported_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(TransientError) as caught:
        FtpTransport(FtpOptions("depot.invalid", security="none")).size(NAME)

    assert caught.value.hint.startswith("Check the host and the port")


# What replies mean


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("452 full", StorageError),
        ("552 full", StorageError),
        ("421 bye", TransientError),
        ("425 no data connection", TransientError),
        ("450 busy", TransientError),
        ("500 what?", TransportError),
        ("550 no", TransportError),
        ("", TransportError),
    ],
)
def test_replies_have_a_meaning(reply: str, error: type[AirgapError]) -> None:
    explained = explain_reply(reply, FtpOptions("depot"), "asking")

    assert isinstance(explained, error)
    assert isinstance(explained, TransientError) == (error is TransientError)
    assert explained.hint


# TLS


def test_a_ca_file_that_is_invalid_is_reported(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("nothing")
    for path in (tmp_path / "ca", tmp_path / "nowhere"):
        with pytest.raises(ConfigurationError, match="cannot be read as certificates"):
            make_context(FtpOptions("depot", ca_file=path))


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued, client = authority.issue("server"), authority.issue("client")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(issued.certificate, issued.key)
    with ScriptedFtp({NAME: b"12"}, tls=tls) as server:
        options = FtpOptions(
            "127.0.0.1",
            server.port,
            ca_file=authority.file,
            client_certificate=client.certificate,
            client_key=client.key,
            timeout=10,
        )
        transport = FtpTransport(options)
        assert transport.get(NAME, len) == 2
        transport.close()
        without = FtpTransport(
            FtpOptions("127.0.0.1", server.port, ca_file=authority.file, timeout=10)
        )
        with pytest.raises(TransportError):
            without.size(NAME)
        without.close()


def test_a_key_that_does_not_fit_is_reported(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        make_context(FtpOptions("depot", client_certificate=one.certificate, client_key=other.key))


def test_tls_1_2_may_be_refused() -> None:
    assert make_context(FtpOptions("depot")).minimum_version == ssl.TLSVersion.TLSv1_2
    newest = make_context(FtpOptions("depot", minimum_tls="1.3"))
    assert newest.minimum_version == ssl.TLSVersion.TLSv1_3


def test_only_transient_tls_errors_are_tried_again() -> None:
    broken = ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] it")
    broken.reason = "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
    lasting = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] it")
    lasting.reason = "WRONG_VERSION_NUMBER"

    assert isinstance(explain_tls(broken, "ftps://depot"), TransientError)
    assert not isinstance(explain_tls(lasting, "ftps://depot"), TransientError)


@pytest.mark.parametrize(("user", "hint"), [("anonymous", "--user"), ("ann", "the user name")])
def test_a_refused_login_has_a_hint(user: str, hint: str) -> None:
    error = explain_login("530 Login incorrect.", FtpOptions("gateway.example", user=user))

    assert hint in error.hint
