"""Depots on web servers that know nothing of airgap, and over TLS."""

import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from airgap.errors import ConfigurationError, CorruptError, NotTrustedError, TransportError
from airgap.transport.web.options import WebOptions
from airgap.transport.web.transport import WebTransport
from tests.servers import fake_web
from tests.servers.certificates import Authority, Issued, self_signed
from tests.servers.scripted import Scripted, reply
from tests.support import refusals
from tests.support.mirrors import find_pack, flip_byte
from tests.support.sides import Side


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Patient(http.server.ThreadingHTTPServer):
    daemon_threads = False  # so that leaving it waits for them

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients go when they have what they want."""


@contextmanager
def python_serving(folder: Path) -> Iterator[str]:
    """Serve a folder as ``python -m http.server`` does: without ranges."""
    handler = partial(_Quiet, directory=str(folder))
    with _Patient(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(60)


@pytest.mark.parametrize("words", [("verify",), ("import",), ("pull", "shop"), ("list",)])
def test_a_depot_is_read_from_a_server_without_ranges(
    words: tuple[str, ...], depot: Path, isolated: Side
) -> None:
    with python_serving(depot.parent) as url:
        ran = isolated.run(*words, f"{url}/{depot.name}")
    assert ran.code == 0, ran.err
    if words[0] in ("import", "pull"):
        assert (isolated.top / "bentoml/bentos/shop/v1/bento.yaml").is_file()


def test_a_file_is_read_from_a_server_without_ranges(
    depot: Path, isolated: Side, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    ran = isolated.run("copy", depot, folder / "shop.airgap")
    assert ran.code == 0, ran.err
    with python_serving(folder) as url:
        ran = isolated.run("import", f"{url}/shop.airgap")
    assert ran.code == 0, ran.err


def test_a_server_that_changes_a_byte_is_found_out(depot: Path, isolated: Side) -> None:
    flip_byte(find_pack(depot))
    with python_serving(depot.parent) as url:
        location = f"{url}/{depot.name}"
        refusals.expect_refusal(isolated, "import", location, error=CorruptError, staging=True)


def test_a_page_in_the_place_of_every_file_is_refused(isolated: Side) -> None:
    page = b"<html><title>Log in to the guest network</title></html>"
    with Scripted(lambda _: reply("200 OK", page, Content_Type="text/html")) as server:
        refusals.expect_refusal(isolated, "import", server.url, error=TransportError)


def open_over_tls(server: Scripted, ca: Path | None, host: str = "127.0.0.1") -> WebTransport:
    port = int(server.url.rpartition(":")[2])
    return WebTransport(WebOptions(host, "d", port, ca_file=ca, timeout=5))


@contextmanager
def tls_serving(issued: Issued) -> Iterator[Scripted]:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    with Scripted(lambda _: fake_web.answer_range(b"123", None), tls=context) as server:
        yield server


def test_a_certificate_can_be_of_a_private_ca_or_pinned(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued, own = authority.issue("server"), self_signed(tmp_path, "own")
    for certificate, ca in ((issued, authority.file), (own, own.certificate)):
        with tls_serving(certificate) as server:
            transport = open_over_tls(server, ca)
            assert transport.size("a") == 3
            transport.close()


def test_a_wrong_certificate_is_refused_before_a_token_is_sent(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    right, wrong_host = authority.issue("server"), authority.issue("host", ["mirror.example"])
    expired = authority.issue("old", days=(-9, -2))
    for issued, ca in (
        (right, other.file),
        (right, None),
        (wrong_host, authority.file),
        (expired, authority.file),
    ):
        with tls_serving(issued) as server:
            transport = open_over_tls(server, ca)
            with pytest.raises(TransportError, match="no certificate that is trusted") as caught:
                transport.size("a")
            transport.close()
            assert "--option ca=FILE" in caught.value.hint
            assert server.seen == []


def test_another_machine_is_not_asked_in_clear(isolated: Side) -> None:
    location = "http://mirror.example/depot"
    refusals.expect_refusal(isolated, "import", location, error=ConfigurationError)


def test_a_bundle_of_strangers_is_not_trusted_because_of_tls(depot: Path, isolated: Side) -> None:
    for envelope in depot.rglob("builder.*.dsse"):
        envelope.unlink()
    with python_serving(depot.parent) as url:
        refusals.expect_refusal(isolated, "import", f"{url}/{depot.name}", error=NotTrustedError)
