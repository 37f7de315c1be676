"""A gibibyte of packs over FTP with TLS, on a line that is cut again and again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.transport.retry import RetryingTransport, RetryPolicy
from tests.servers import ftp
from tests.servers.ftp import FtpServer
from tests.servers.proxy import Direction, Fault, Proxy
from tests.support import stores

pytestmark = pytest.mark.slow

PACK = 64 * 1024 * 1024
PACKS = [f"packs/{number:02}" for number in range(16)]
CUTS = 5


@pytest.fixture(
    params=["pyftpdlib", pytest.param("vsftpd", marks=pytest.mark.servers)], scope="module"
)
def server(request: pytest.FixtureRequest) -> Iterator[FtpServer]:
    """A running server with TLS."""
    with ftp.serve(request.param, "explicit") as one:
        yield one


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of every pack: servers do not look at it."""
    path = tmp_path_factory.mktemp("source") / "pack"
    path.write_bytes(stores.noise(PACK))
    return path


def open_(server: FtpServer, proxy: Proxy) -> RetryingTransport:
    return RetryingTransport(server.open("depot", proxy), RetryPolicy(wait=lambda _: None))


def cuts(direction: Direction) -> list[Fault]:
    return [Fault("cut", direction, 10_000_000 * (number + 1)) for number in range(CUTS)]


def test_five_cuts_of_an_upload_cost_less_than_a_twentieth(server: FtpServer, source: Path) -> None:
    proxy = server.proxy()
    proxy.faults += cuts("up")
    with proxy:
        transport = open_(server, proxy)
        for name in PACKS:
            transport.put(name, source, PACK)
        transport.close()

    assert [fault.times for fault in proxy.faults] == [0] * CUTS
    assert proxy.up < 1.05 * PACK * len(PACKS)
    content = source.read_bytes()
    assert all(found == content for found in server.files("depot").values())
    assert sorted(server.files("depot")) == PACKS


def test_five_cuts_of_a_download_cost_less_than_a_twentieth(
    server: FtpServer, source: Path, tmp_path: Path
) -> None:
    for name in PACKS:
        server.plant("depot", name, source.read_bytes())
    proxy = server.proxy()
    proxy.faults += cuts("down")
    with proxy:
        transport = open_(server, proxy)
        for name in PACKS:
            with (tmp_path / "came").open("wb") as file:
                assert transport.get(name, file.write, 0, PACK) == PACK
            assert (tmp_path / "came").read_bytes() == source.read_bytes()
        transport.close()

    assert [fault.times for fault in proxy.faults] == [0] * CUTS
    assert proxy.down < 1.05 * PACK * len(PACKS)
