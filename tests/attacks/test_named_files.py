"""Files that a person names: a FIFO is not waited for, a device is not read without end."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from paramiko import RSAKey

from airgap.disk import named_files
from airgap.disk.named_files import (
    copy_named,
    open_named,
    read_named,
    read_named_text,
    require_named,
)
from airgap.errors import ConfigurationError
from airgap.flow.location import credentials
from airgap.transport.ftp import tls as ftp_tls
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.s3 import client as s3_client
from airgap.transport.s3.credentials import read_keys
from airgap.transport.s3.options import S3Options
from airgap.transport.sftp import login
from airgap.transport.url import parse
from tests.support.sides import Side, Site

LIMIT = 1000


def _make_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def _make_link_to_zeros(folder: Path) -> Path:
    (folder / "zeros").symlink_to("/dev/zero")
    return folder / "zeros"


def _make_hole(folder: Path) -> Path:
    with (folder / "hole").open("wb") as file:
        file.truncate(2**40)
    return folder / "hole"


KINDS = [_make_fifo, _make_link_to_zeros, _make_hole]
each_kind = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)


@each_kind
def test_what_is_no_small_file_is_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)

    with pytest.raises(OSError, match=r"not a regular file|longer than 1,000 bytes"):
        read_named(path, LIMIT)


def test_folders_and_missing_files_have_their_own_errors(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_named(tmp_path)
    with pytest.raises(FileNotFoundError):
        require_named(tmp_path / "nothing")


def test_a_file_of_the_limit_is_read_and_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * LIMIT)
    (tmp_path / "link").symlink_to("file")

    assert read_named(tmp_path / "link", LIMIT) == b"x" * LIMIT
    with pytest.raises(OSError, match="longer than 999 bytes"):
        read_named(tmp_path / "link", LIMIT - 1)


def test_null_is_an_empty_file() -> None:
    assert read_named(Path("/dev/null"), LIMIT) == b""


def test_a_pipe_that_the_shell_has_opened_is_read_to_its_end() -> None:
    reader, writer = os.pipe()

    def go_on() -> None:
        os.write(writer, b" more")
        os.close(writer)

    try:
        os.write(writer, b"some")
        thread = threading.Thread(target=go_on, daemon=True)
        with open_named(Path(f"/dev/fd/{reader}")) as file:
            thread.start()
            assert file.read(4) + file.read(100) + file.read(100) == b"some more"
        thread.join(60)
    finally:
        os.close(reader)


def test_text_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")

    assert read_named_text(tmp_path / "config.toml") == "a = 1\nb = 2\n"


def test_a_descriptor_is_closed_when_its_file_is_refused(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(5):
        with pytest.raises(OSError, match="directory"):
            open_named(tmp_path)

    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "{path}"),
        ("inspect", "{path}"),
        ("verify", "{path}"),
        ("diff", "{path}", "{depot}"),
        ("import", "{depot}", "--depot", "{path}"),
        ("import", "{depot}", "--waiver", "{path}"),
        ("export", "shop:v1", "-o", "{top}/out", "--key", "{path}"),
        ("export", "shop:v1", "-o", "{top}/out", "--for", "{path}"),
        ("key", "fingerprint", "{path}"),
        ("serve", "dropbox", "--config", "{path}", "--check"),
        ("trust", "update", "{path}"),
        ("root", "show", "{path}"),
        ("list", "ftp://127.0.0.1:1/?password_file={path}"),
    ],
    ids=" ".join,
)
@each_kind
def test_a_command_refuses_it_with_a_sentence(
    make: Callable[[Path], Path],
    arguments: tuple[str, ...],
    depot: Path,
    isolated: Side,
    tmp_path: Path,
) -> None:
    names = {"path": make(tmp_path), "depot": depot, "top": tmp_path}
    ran = isolated.run(*(argument.format(**names) for argument in arguments))

    assert ran.code not in (0, 1), ran.err
    assert "Traceback" not in ran.err


@each_kind
def test_a_config_file_that_is_none_is_refused(
    make: Callable[[Path], Path],
    depot: Path,
    isolated: Side,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(named_files, "TEXT_BYTES", LIMIT)
    monkeypatch.setenv("AIRGAP_CONFIG", str(make(tmp_path)))
    ran = isolated.run("list", depot)

    assert ran.code == 3
    assert "cannot be used" in ran.err


@each_kind
def test_findings_that_are_none_are_refused(
    make: Callable[[Path], Path], depot: Path, isolated: Side, site: Site, tmp_path: Path
) -> None:
    path = make(tmp_path)
    ran = isolated.run(
        *("attest", depot, "--role", "scanner", "--findings", path, "--key", site.key())
    )

    assert ran.code not in (0, 1), ran.err


def _load_client(path: Path) -> None:
    options = FtpOptions("host", client_certificate=path, client_key=path)
    ftp_tls.make_context(options)


def _find_netrc(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETRC", str(path))
        credentials.log_in(parse("ftp://host"), credentials.Credentials(), {}, print)


READERS: dict[str, Callable[[Path], object]] = {
    "the CA of FTP": lambda path: ftp_tls.make_context(FtpOptions("host", ca_file=path)),
    "the client certificate of FTP": _load_client,
    "the CA of S3": lambda path: s3_client.make_tls(S3Options("bucket", ca_file=path)),
    "keys for S3": read_keys,
    "an SSH key": lambda path: [*login._offer_file(path, None, ())],
    ".netrc": _find_netrc,
}


@pytest.mark.parametrize("reader", READERS)
@each_kind
def test_a_file_for_a_server_that_is_none_is_refused(
    make: Callable[[Path], Path], reader: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    if not path.is_symlink():
        path.chmod(0o600)

    with pytest.raises(ConfigurationError, match=r"cannot be (read|used)|Other users"):
        READERS[reader](path)


@each_kind
def test_a_certificate_beside_a_key_that_is_none_is_refused(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    RSAKey.generate(1024).write_private_key_file(str(tmp_path / "key"))
    make(tmp_path).rename(tmp_path / "key-cert.pub")

    with pytest.raises(ConfigurationError, match=r"key-cert\.pub is not a certificate"):
        READERS["an SSH key"](tmp_path / "key")


def test_a_copy_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"some")

    with copy_named(tmp_path / "file", 4) as path:
        assert Path(path).read_bytes() == Path(path).read_bytes() == b"some"
    assert not Path(path).exists()
    with pytest.raises(OSError, match="longer than 3 bytes"), copy_named(tmp_path / "file", 3):
        pass


def test_an_ssh_key_may_come_from_a_pipe_and_has_a_limit(tmp_path: Path) -> None:
    key = RSAKey.generate(1024)
    key.write_private_key_file(str(tmp_path / "key"))
    reader, writer = os.pipe()
    os.write(writer, (tmp_path / "key").read_bytes())
    os.close(writer)

    try:
        assert login._load_key(Path(f"/dev/fd/{reader}"), None) == key
    finally:
        os.close(reader)
    with (tmp_path / "key").open("ab") as file:
        file.truncate(login._KEY_BYTES + 1)
    with pytest.raises(ConfigurationError, match="longer than 65,536 bytes"):
        login._load_key(tmp_path / "key", None)
