"""FTP servers of four makers, with and without TLS, in both versions of it."""

import os
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from airgap.errors import StorageError, TransportError
from airgap.transport.ftp import tls as ftp_tls
from airgap.transport.ftp import transport as module
from airgap.transport.ftp.options import FtpOptions, Security
from airgap.transport.ftp.session import FtpSession
from airgap.transport.ftp.transport import FtpTransport
from airgap.transport.port import TransientError
from tests.servers import ftp
from tests.servers.ftp import FtpServer
from tests.support import stores

NAME = "packs/ab/abcd.pack"
CONTENT = stores.noise(2_000_000, 3)
SECURITIES: list[Security] = ["none", "explicit", "implicit"]
TLS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NUMBERS = count()


def mark(kind: str) -> tuple[pytest.MarkDecorator, ...]:
    return () if kind == "pyftpdlib" else (pytest.mark.servers,)


every = pytest.mark.parametrize(
    "server",
    [
        pytest.param((kind, security), marks=mark(kind), id=f"{kind}-{security}")
        for kind in ftp.KINDS
        for security in SECURITIES
    ],
    indirect=True,
)
each = pytest.mark.parametrize(
    "server",
    [pytest.param((kind, "explicit"), marks=mark(kind), id=kind) for kind in ftp.KINDS],
    indirect=True,
)
both = pytest.mark.parametrize("tls", ["1.2", "1.3"])


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[FtpServer]:
    """A running server: its maker, and how it is secured."""
    with ftp.serve(*request.param) as one:
        yield one


@pytest.fixture
def transport(
    server: FtpServer, tls: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FtpTransport]:
    """A connection with one version of TLS, to a folder that no other test uses."""
    if server.security == "none" and tls != "1.3":
        pytest.skip("without TLS it has no versions")

    def make(options: FtpOptions) -> ssl.SSLContext:
        context = ftp_tls.make_context(options)
        context.maximum_version = context.minimum_version = TLS[tls]
        return context

    monkeypatch.setattr(module, "make_context", make)
    one = server.open(folder())
    yield one
    one.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to be uploaded: ``CONTENT``."""
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def folder() -> str:
    return f"depot{next(_NUMBERS)}"


def fetch(transport: FtpTransport, name: str, offset: int = 0) -> bytes:
    found = bytearray()
    transport.get(name, found.extend, offset)
    return bytes(found)


@every
@both
def test_files_go_there_and_back(transport: FtpTransport, source: Path) -> None:
    assert transport.put(NAME, source, len(CONTENT)) == "stored"
    assert transport.size(NAME) == len(CONTENT)
    assert transport.list("packs", 9) == ["ab"]
    assert fetch(transport, NAME) == CONTENT
    assert fetch(transport, NAME, 1_999_999) == CONTENT[-1:]
    transport.delete(NAME)
    assert transport.list("packs/ab", 9) == []


@every
@both
def test_the_connection_is_as_secure_as_was_asked_for(
    server: FtpServer, transport: FtpTransport, tls: str
) -> None:
    transport.size(NAME)

    assert transport._session is not None
    sock = transport._session.sock
    version = sock.version() if isinstance(sock, ssl.SSLSocket) else None
    assert version == (None if server.security == "none" else f"TLSv{tls}")


@every
@both
def test_an_upload_resumes_where_it_broke(
    server: FtpServer, transport: FtpTransport, source: Path
) -> None:
    folder_name = transport._options.folder
    server.plant(folder_name, f"{NAME}.part", CONTENT[:1_234_567])

    assert transport.put(NAME, source, len(CONTENT)) == "resumed"

    assert server.files(folder_name) == {NAME: CONTENT}


@every
@both
def test_many_uploads_arrive_whole(
    server: FtpServer, transport: FtpTransport, tmp_path: Path
) -> None:
    # Servers lose the end of an upload if the client does not send TLS's close_notify and wait.
    contents = {f"packs/{number}": stores.noise(150_000 + number, number) for number in range(25)}
    for name, content in contents.items():
        (tmp_path / "source").write_bytes(content)
        transport.put(name, tmp_path / "source", len(content))

    assert server.files(transport._options.folder) == contents


@every
@both
def test_data_goes_in_the_session_of_the_control_connection(
    server: FtpServer,
    transport: FtpTransport,
    tls: str,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if server.security == "none":
        pytest.skip("no TLS")
    if (server.kind, tls) == ("pure-ftpd", "1.3"):
        pytest.skip("pure-ftpd gives no tickets to TLS 1.3")
    reused: list[bool | None] = []
    protect = FtpSession._protect

    def note(self: FtpSession, data: object) -> object:
        made = protect(self, data)  # type: ignore[arg-type]
        assert isinstance(made, ssl.SSLSocket)
        reused.append(made.session_reused)
        return made

    monkeypatch.setattr(FtpSession, "_protect", note)
    transport.put(NAME, source, len(CONTENT))
    fetch(transport, NAME)
    transport.list("packs", 9)

    assert reused == [True, True, True]


@each
def test_a_wrong_password_is_not_tried_again(server: FtpServer) -> None:
    wrong = FtpTransport(replace(server.options(), password="wr0ng"))  # noqa: S106

    with pytest.raises(TransportError) as caught:
        wrong.size(NAME)
    wrong.close()

    assert not isinstance(caught.value, TransientError)
    assert f"refused the login of {server.user}" in caught.value.message
    assert "wr0ng" not in repr(vars(caught.value))


@each
def test_a_location_may_have_any_name(server: FtpServer, source: Path) -> None:
    one = server.open("Gerät 7/モデル [neu]")

    one.put(NAME, source, len(CONTENT))

    assert one.list("packs/ab", 9) == ["abcd.pack"]
    assert fetch(one, NAME) == CONTENT
    one.close()
    assert server.files("Gerät 7/モデル [neu]") == {NAME: CONTENT}


@each
def test_a_location_may_be_absolute(server: FtpServer, source: Path) -> None:
    one = server.open("/from/the top")

    assert one.list("", 9) == []
    one.put(NAME, source, len(CONTENT))

    assert one.list("", 9) == ["packs"]
    one.close()
    assert server.files("from/the top") == {NAME: CONTENT}


@each
def test_a_folder_that_cannot_be_listed_is_not_called_empty(server: FtpServer) -> None:
    if os.geteuid() == 0 and server.kind == "pyftpdlib":
        pytest.skip("pyftpdlib runs as root here, which can read every folder")
    folder_name = folder()
    server.plant(folder_name, "bundles/aa", b"1")
    (server.home / folder_name / "bundles").chmod(0)
    one = server.open(folder_name)

    with pytest.raises(TransportError, match=r"list|all names"):
        one.list("bundles", 9)
    one.close()


@pytest.mark.parametrize(
    "server",
    [  # with TLS pyftpdlib does not answer, and the time-out ends it
        pytest.param(
            (kind, "none" if kind == "pyftpdlib" else "explicit"), marks=mark(kind), id=kind
        )
        for kind in ftp.KINDS
    ],
    indirect=True,
)
def test_a_full_disk_is_reported(server: FtpServer, source: Path) -> None:
    folder_name = folder()
    server.plant(folder_name, "small/first", b"1")
    with mounted(server, folder_name):
        one = server.open(f"{folder_name}/small")

        with pytest.raises(StorageError) as caught:
            one.put(NAME, source, len(CONTENT))
        one.close()

        assert NAME not in server.files(f"{folder_name}/small")
    assert "is full" in caught.value.message


class mounted:  # noqa: N801  (reads as what it is)
    """Half a mebibyte of disk at ``small``, for the length of the block."""

    def __init__(self, server: FtpServer, folder_name: str) -> None:
        self._top = server.home / folder_name / "small"
        self._owner = server.home.stat().st_uid

    def __enter__(self) -> None:
        options = f"size=512k,uid={self._owner}"
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "airgap-test", self._top],
            capture_output=True,
            check=False,
            timeout=120,
        )
        if made.returncode:
            pytest.skip("a small disk cannot be mounted here")

    def __exit__(self, *details: object) -> None:
        subprocess.run(["umount", "-l", self._top], check=True, timeout=120)
