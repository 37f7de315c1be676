"""FTP servers that lie, and people between us and honest ones (threat model: transports)."""

import itertools
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import AirgapError, ConfigurationError, CorruptError, TransportError
from airgap.transport.ftp.options import FtpOptions, Security
from airgap.transport.ftp.transport import FtpTransport
from airgap.transport.port import TransientError
from tests.servers.certificates import Authority, Issued, self_signed
from tests.servers.scripted_ftp import Reply, ScriptedFtp

PASSWORD = "correct horse battery"  # noqa: S105
FILES = {"packs/x": b"0123456789"}
SHORT = 0.3  # seconds: long enough on loopback, short enough to wait for


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that the client trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> ssl.SSLContext:
    """What an honest server has."""
    return context(authority.issue("good"))


def context(issued: Issued) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(issued.certificate, issued.key)
    return made


@contextmanager
def reached(
    server: ScriptedFtp,
    ca: Authority | None = None,
    *,
    host: str = "127.0.0.1",
    timeout: float = 10,
) -> Iterator[FtpTransport]:
    """Run a server, and give a transport to it."""
    security: Security = "none" if ca is None else "implicit" if server.implicit else "explicit"
    with server:
        options = FtpOptions(
            host=host,
            port=server.port,
            user="anna",
            password=PASSWORD,
            security=security,
            ca_file=ca.file if ca else None,
            timeout=timeout,
        )
        transport = FtpTransport(options)
        try:
            yield transport
        finally:
            transport.close()


def fetch(transport: FtpTransport, offset: int = 0, length: int | None = None) -> bytes:
    found = bytearray()
    transport.get("packs/x", found.extend, offset, length)
    return bytes(found)


def ask_and_fetch(transport: FtpTransport) -> None:
    assert transport.size("packs/x") == 10
    fetch(transport)


def format_error(error: BaseException) -> str:
    """Everything that anybody could read of an error."""
    text = "".join(traceback.format_exception(error))
    if isinstance(error, AirgapError):
        text += error.message + error.hint + "".join(error.details)
    return text


# Where data comes from


@pytest.mark.parametrize("host", [b"127,0,0,2", b"10,1,2,3", b"0,0,0,0", b"255,255,255,255"])
def test_a_foreign_address_in_a_reply_to_pasv_is_not_followed(host: bytes) -> None:
    with reached(ScriptedFtp(dict(FILES), passive=b"227 (" + host + b",%d,%d)\r\n")) as transport:
        assert fetch(transport) == b"0123456789"


@pytest.mark.parametrize("start", [b"|1|127.0.0.2|", b"|2|2001:db8::1|", b"!!!"])
def test_a_foreign_address_in_a_reply_to_epsv_is_not_followed(start: bytes) -> None:
    end = start[:1]
    server = ScriptedFtp(
        dict(FILES),
        says={"PASV": b"502 no\r\n"},
        extended=b"229 (" + start + b"%d" + end + b")\r\n",
    )
    with reached(server) as transport:
        assert fetch(transport) == b"0123456789"


@pytest.mark.parametrize(
    "reply",
    [
        b"227 no numbers\r\n",
        b"227 (1,2,3,4,5)\r\n",
        b"227 (127,0,0,1,256,1)\r\n",
        b"227 (127,0,0,1,1,999)\r\n",
        b"227 (127,0,0,1,0,0)\r\n",
        b"227 (127,0,0,1,1,%s)\r\n" % (b"9" * 5000),
        "227 (127,0,0,1,4,\N{ARABIC-INDIC DIGIT FOUR})\r\n".encode(),
        b"200 (127,0,0,1,4,4)\r\n",
    ],
)
def test_a_reply_to_pasv_that_names_no_port_is_refused(reply: bytes) -> None:
    with (
        reached(ScriptedFtp(dict(FILES), says={"PASV": reply})) as transport,
        pytest.raises(TransportError, match="a reply that is not FTP"),
    ):
        fetch(transport)


@pytest.mark.parametrize(
    "reply", [b"229 (|||0|)", b"229 (|||65536|)", b"229 (|||-1|)", b"229 (||||)", b"229 (|||x|)"]
)
def test_a_reply_to_epsv_that_names_no_port_is_refused(reply: bytes) -> None:
    says: dict[str, Reply] = {"PASV": b"502 no\r\n", "EPSV": reply + b"\r\n"}
    with (
        reached(ScriptedFtp(dict(FILES), says=says)) as transport,
        pytest.raises(TransportError, match="a reply that is not FTP"),
    ):
        fetch(transport)


# More commands than meant


@pytest.mark.parametrize("field", ["host", "user", "password", "folder"])
@pytest.mark.parametrize("bad", ["a\r\nDELE x", "a\nDELE x", "a\rDELE x", "a\0b"])
def test_nothing_that_is_sent_can_hold_a_second_command(field: str, bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replace(FtpOptions("depot"), **{field: bad})  # type: ignore[arg-type]

    assert bad not in format_error(caught.value)


def test_a_name_with_a_second_command_is_not_sent() -> None:
    server = ScriptedFtp(dict(FILES))
    with reached(server) as transport, pytest.raises(TransportError):
        transport.size("x\r\nDELE packs/x")

    assert server.commands == []
    assert server.files == FILES


@pytest.mark.parametrize(
    "home", [b'257-"/\r\nDELE packs/x\r\n257 " is it\r\n', b'257 "/\rDELE packs/x" is it\r\n']
)
def test_a_home_with_a_second_command_is_not_sent_back(home: bytes) -> None:
    server = ScriptedFtp(dict(FILES), says={"PWD": home})
    with reached(server) as transport, pytest.raises(TransportError):
        transport.list("packs", 10)

    assert "DELE" not in server.verbs()


# No end


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda: itertools.repeat(b"x" * 9999), id="one line"),
        pytest.param(lambda: itertools.repeat(b"220-welcome\r\n" * 99), id="many lines"),
        pytest.param(lambda: itertools.repeat(b"\n" * 999), id="empty lines"),
    ],
)
@pytest.mark.parametrize("when", ["banner", "PASS", "SIZE", "PASV", "done"])
def test_an_endless_reply_is_given_up(when: str, reply: Callable[[], Iterator[bytes]]) -> None:
    with (
        reached(ScriptedFtp(dict(FILES), says={when: reply()})) as transport,
        pytest.raises(TransportError) as caught,
    ):
        ask_and_fetch(transport)

    assert not isinstance(caught.value, TransientError), "it was waited for"


def test_an_endless_listing_is_given_up() -> None:
    sends: dict[str, Reply] = {"NLST": itertools.repeat(b"packs\r\n" * 999)}
    with (
        reached(ScriptedFtp(sends=sends)) as transport,
        pytest.raises(CorruptError, match="more than 5 names"),
    ):
        transport.list("", 5)


def test_an_endless_name_in_a_listing_is_given_up() -> None:
    sends: dict[str, Reply] = {"NLST": itertools.repeat(b"x" * 999_999)}
    with reached(ScriptedFtp(sends=sends)) as transport, pytest.raises(CorruptError):
        transport.list("", 5)


def test_of_an_endless_download_comes_as_much_as_was_asked_for() -> None:
    sends: dict[str, Reply] = {"RETR": itertools.repeat(b"x" * 9999)}
    with reached(ScriptedFtp(dict(FILES), sends=sends)) as transport:
        assert fetch(transport, length=20) == b"x" * 20
        assert transport.size("packs/x") == 10


@pytest.mark.parametrize("when", ["banner", "PASS", "SIZE", "RETR", "done"])
def test_a_reply_that_never_comes_is_not_waited_for_long(when: str) -> None:
    server = ScriptedFtp(dict(FILES), says={when: b""})
    with reached(server, timeout=SHORT) as transport, pytest.raises(TransientError):
        ask_and_fetch(transport)


def test_a_reply_that_drips_is_given_up_as_a_whole() -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(60_000):
            yield b"2"
            pause.wait(SHORT / 4)

    server = ScriptedFtp(dict(FILES), says={"SIZE": drip()})
    pause = server.over
    with (
        reached(server, timeout=SHORT) as transport,
        pytest.raises(TransientError, match="timed out"),
    ):
        transport.size("packs/x")


def test_data_that_stalls_is_not_waited_for_long() -> None:
    def stall() -> Iterator[bytes]:
        yield b"01234"
        server.over.wait(60)

    server = ScriptedFtp(dict(FILES), sends={"RETR": stall()})
    found = bytearray()
    with reached(server, timeout=SHORT) as transport, pytest.raises(TransientError):
        transport.get("packs/x", found.extend)

    assert found == b"01234"


# Lies


def test_a_download_that_was_cut_is_not_called_complete() -> None:
    server = ScriptedFtp(dict(FILES), sends={"RETR": b"0123"})
    with reached(server) as transport:
        assert transport.get("packs/x", len) == 4


def test_an_upload_that_was_cut_is_not_called_complete(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"0123456789")
    server = ScriptedFtp(keeps=4)
    with reached(server) as transport, pytest.raises(TransientError, match="is incomplete"):
        transport.put("packs/x", tmp_path / "source", 10)

    assert server.files == {"packs/x.part": b"0123"}


@pytest.mark.parametrize(
    "size", [b"-1", b"1e3", b"0x10", b"", b"10 bytes", "²".encode(), b"9" * 5000, b"1_0", b"+1"]
)
def test_a_size_that_is_invalid_is_refused(size: bytes) -> None:
    with (
        reached(ScriptedFtp(says={"SIZE": b"213 " + size + b"\r\n"})) as transport,
        pytest.raises(TransportError, match="a reply that is not FTP"),
    ):
        transport.size("packs/x")


@pytest.mark.parametrize("reply", [b"\r\n", b"ssh\r\n", b"999 what\r\n", b"HTTP/1.1 400\r\n"])
def test_what_is_no_ftp_server_is_reported(reply: bytes) -> None:
    server = ScriptedFtp(says={"banner": reply})
    with reached(server) as transport, pytest.raises(TransportError) as caught:
        transport.size("packs/x")

    assert not isinstance(caught.value, TransientError)
    assert server.commands == []


@pytest.mark.parametrize("when", ["USER", "PASS", "TYPE", "SIZE"])
@pytest.mark.parametrize("code", [b"421", b"500", b"530", b"550", b"999"])
def test_a_password_that_the_server_repeats_is_not_shown(when: str, code: bytes) -> None:
    said = code + b" your password is " + PASSWORD.encode() + b"\x1b[2J\r\n"
    with reached(ScriptedFtp(says={when: said})) as transport:
        if (when, code) == ("SIZE", b"550"):
            assert transport.size("packs/x") is None
            return
        with pytest.raises(TransportError) as caught:
            transport.size("packs/x")

    assert PASSWORD not in format_error(caught.value)
    assert "\x1b" not in format_error(caught.value)
    assert caught.value.hint


def test_options_do_not_show_the_password() -> None:
    assert PASSWORD not in repr(FtpOptions("depot", password=PASSWORD))
    assert PASSWORD not in FtpOptions("depot", password=PASSWORD).url


# An attacker on the way


@pytest.mark.parametrize("security", ["explicit", "implicit"])
def test_an_honest_server_is_let_through(
    security: Security, authority: Authority, good: ssl.SSLContext
) -> None:
    server = ScriptedFtp(dict(FILES), tls=good, implicit=security == "implicit")
    with reached(server, authority) as transport:
        assert fetch(transport) == b"0123456789"

    assert ("AUTH" in server.verbs()) is (security == "explicit")
    assert server.verbs().index("PROT") < server.verbs().index("PASV")


CERTIFICATES: dict[str, tuple[Callable[[Path, Authority], Issued], str]] = {
    "expired": (lambda _, ca: ca.issue("expired", days=(-9, -1)), "has expired"),
    "not yet": (lambda _, ca: ca.issue("later", days=(1, 9)), "is not valid yet"),
    "host": (lambda _, ca: ca.issue("host", ["depot.example"]), "for another address"),
    "self": (lambda top, _: self_signed(top, "self"), "self-signed"),
    "stranger": (lambda top, _: Authority(top, "bad").issue("x"), "a CA that is not trusted"),
}


@pytest.mark.parametrize("security", ["explicit", "implicit"])
@pytest.mark.parametrize("which", CERTIFICATES)
def test_a_wrong_certificate_ends_it_before_the_password(
    which: str, security: Security, authority: Authority, tmp_path: Path
) -> None:
    make, meaning = CERTIFICATES[which]
    tls = context(make(tmp_path, authority))
    server = ScriptedFtp(tls=tls, implicit=security == "implicit")
    with reached(server, authority) as transport, pytest.raises(TransportError) as caught:
        transport.size("packs/x")

    assert meaning in caught.value.message
    assert caught.value.hint
    assert not isinstance(caught.value, TransientError), "it would be tried again"
    assert set(server.verbs()) <= {"AUTH"}


def test_a_certificate_for_another_host_name_ends_it_before_the_password(
    authority: Authority,
) -> None:
    server = ScriptedFtp(tls=context(authority.issue("name", ["depot.example", "127.0.0.1"])))
    with (
        reached(server, authority, host="localhost") as transport,
        pytest.raises(TransportError, match="for another host name"),
    ):
        transport.size("packs/x")

    assert set(server.verbs()) <= {"AUTH"}


@pytest.mark.parametrize("issuer", ["itself", "a stranger"])
def test_a_server_may_be_trusted_by_its_own_certificate(issuer: str, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    issued = self_signed(tmp_path, "own") if issuer == "itself" else stranger.issue("own")
    with ScriptedFtp(dict(FILES), tls=context(issued)) as server:
        transport = FtpTransport(
            FtpOptions("127.0.0.1", server.port, ca_file=issued.certificate, timeout=10)
        )
        assert transport.size("packs/x") == 10
        transport.close()


@pytest.mark.parametrize("reply", [b"500 what?\r\n", b"200 fine\r\n", b"431 not now\r\n"])
def test_without_tls_nothing_more_is_sent(
    reply: bytes, authority: Authority, good: ssl.SSLContext
) -> None:
    server = ScriptedFtp(tls=good, says={"AUTH": reply})
    with (
        reached(server, authority) as transport,
        pytest.raises(TransportError, match="does not offer TLS"),
    ):
        transport.size("packs/x")

    assert server.verbs() == ["AUTH"]


def test_plain_text_after_the_agreement_is_not_taken_for_an_answer(
    authority: Authority, good: ssl.SSLContext
) -> None:
    server = ScriptedFtp(tls=good, says={"AUTH": b"234 go on\r\n230 you are in\r\n"})
    with (
        reached(server, authority) as transport,
        pytest.raises(TransportError, match="plain text"),
    ):
        transport.size("packs/x")

    assert server.verbs() == ["AUTH"]


@pytest.mark.parametrize("reply", [b"534 no\r\n", b"331 hm\r\n"])
def test_data_that_may_not_be_encrypted_is_not_asked_for(
    reply: bytes, authority: Authority, good: ssl.SSLContext
) -> None:
    server = ScriptedFtp(dict(FILES), tls=good, says={"PROT": reply})
    with reached(server, authority) as transport, pytest.raises(TransportError):
        fetch(transport)

    assert "PASV" not in server.verbs()


def test_data_that_comes_without_tls_is_not_taken(
    authority: Authority, good: ssl.SSLContext
) -> None:
    server = ScriptedFtp(dict(FILES), tls=good, clear_data=True)
    found = bytearray()
    with reached(server, authority) as transport, pytest.raises(TransportError):
        transport.get("packs/x", found.extend)

    assert not found


def test_a_listing_over_tls_that_is_cut_is_not_taken_for_whole(
    authority: Authority, good: ssl.SSLContext
) -> None:
    sends: dict[str, Reply] = {"NLST": b"aa\r\n"}
    server = ScriptedFtp(tls=good, sends=sends, hangs_up=True)
    with reached(server, authority) as transport, pytest.raises(TransientError):
        transport.list("", 10)


def test_a_stranger_on_the_data_port_gets_nothing(
    authority: Authority, good: ssl.SSLContext, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"0123456789")
    thief = context(self_signed(tmp_path, "thief"))
    server = ScriptedFtp(tls=good, data_tls=thief)
    with (
        reached(server, authority) as transport,
        pytest.raises(TransportError, match="self-signed"),
    ):
        transport.put("packs/x", tmp_path / "source", 10)

    assert server.files == {}
