"""Roads that break on the way: cut cables, flipped bits, and what they cost."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from airgap.flow.location import connector
from airgap.transport.retry import RetryPolicy
from tests.servers import kinds
from tests.servers.addresses import Address, address_of
from tests.servers.folder_on_server import FolderOnServer, Server
from tests.servers.proxy import Direction, Fault, Proxy
from tests.servers.s3 import wait_until
from tests.support import stores
from tests.support.sides import Side, Site

_NUMBERS = count()
CUTS = 5
SMALL, LARGE = 24_000_000, 1 << 30
_REAL = [pytest.param(name, marks=pytest.mark.servers) for name in kinds.REAL]
_QUICK = [name for name in kinds.QUICK if name not in kinds.LOCAL]
_TRUE = [name for name in _QUICK if not name.startswith("fake")]  # those are no match for so much


@pytest.fixture(scope="module", params=[*_QUICK, *_REAL])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A running server of each kind."""
    start = {**kinds.QUICK, **kinds.REAL}[request.param]
    with start(tmp_path_factory.mktemp(str(request.param))) as one:
        yield one


@pytest.fixture
def remote_folder(server: Server) -> FolderOnServer:
    """A folder of that server which no other test uses."""
    return FolderOnServer(server, f"road{next(_NUMBERS)}")


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A way to it that can be broken."""
    one = server.proxy()
    assert one is not None
    with one:
        yield one


@pytest.fixture
def address(
    remote_folder: FolderOnServer, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Address:
    """What leads through the proxy; retries do not wait."""
    config = tmp_path / "server.toml"
    found = address_of(remote_folder.server, remote_folder.folder, config, proxy)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(connector, "RetryPolicy", partial(RetryPolicy, wait=lambda _: None))
    return found


def fill(side: Side, size: int) -> None:
    """Put a model of so many bytes into a store, and a Bento that names it."""
    files = {"weights.bin": b"".join(stores.noise(1 << 20, one) for one in range(size >> 20))}
    stores.add_model(side, "ranker:v1", files)
    stores.add_bento(side, "shop:v1", {"src/x": b"1"}, models=["ranker:v1"])


def fill_packs(side: Side, count: int) -> None:
    """Put a Bento with so many models of 3 MiB into a store: each has a pack of its own."""
    models = [f"m{number}:v1" for number in range(count)]
    for number, tag in enumerate(models):
        stores.add_model(side, tag, {"x": stores.noise(3 << 20, number)})
    stores.add_bento(side, "shop:v1", {"src/x": b"1"}, models=models)


def export(side: Side, site: Site, location: str) -> None:
    words = ("--key", site.key(), "--jobs", "2", "--json")
    ran = side.run("export", "shop:v1", "-o", location, *words)
    assert ran.code == 0, ran.err


def fetch(side: Side, location: str) -> None:
    ran = side.run("import", location, "--jobs", "2", "--json")
    assert ran.code == 0, ran.err


def cuts(direction: Direction, size: int) -> Fault:
    """Cut connections, each after an eighth of the bytes or 5 MB, whichever comes first."""
    return Fault("cut", direction, min(size // 8, 5_000_000), CUTS)


def stored(files: dict[str, bytes]) -> int:
    return sum(map(len, files.values()))


def test_an_upload_that_is_cut_five_times_arrives(
    connected: Side, site: Site, remote_folder: FolderOnServer, proxy: Proxy, address: Address
) -> None:
    fill(connected, SMALL)
    proxy.faults.append(cuts("up", SMALL))

    export(connected, site, str(address))

    assert proxy.faults[0].times == 0
    files = remote_folder.files()
    for name, data in files.items():
        assert not name.endswith(".part")
        assert not name.endswith(".pack") or hashlib.sha256(data).hexdigest() in name
    # What was on its way is lost, at most an eighth each time; nothing that had arrived is.
    assert 0.9 * SMALL < stored(files) < proxy.up < 1.7 * stored(files)


def test_a_download_that_is_cut_five_times_arrives(
    connected: Side,
    site: Site,
    isolated: Side,
    remote_folder: FolderOnServer,
    proxy: Proxy,
    address: Address,
) -> None:
    fill(connected, SMALL)
    export(connected, site, str(address))
    proxy.faults.append(cuts("down", SMALL))
    proxy.down = 0

    fetch(isolated, str(address))

    assert proxy.faults[0].times == 0
    # What was on its way is lost each time; of a gibibyte (below) that is next to nothing.
    assert proxy.down < 1.2 * stored(remote_folder.files())


@pytest.mark.slow
@pytest.mark.parametrize("server", [*_TRUE, *_REAL], indirect=True)
def test_a_gibibyte_that_is_cut_five_times_each_way_costs_little_more(
    connected: Side,
    site: Site,
    isolated: Side,
    remote_folder: FolderOnServer,
    proxy: Proxy,
    address: Address,
) -> None:
    fill(connected, LARGE)
    proxy.faults.append(cuts("up", LARGE))
    export(connected, site, str(address))
    sent, proxy.down = proxy.up, 0
    proxy.faults.append(cuts("down", LARGE))
    fetch(isolated, str(address))
    whole = stored(remote_folder.files())
    print(f"\nsent {sent / whole:.4f}, fetched {proxy.down / whole:.4f}")  # noqa: T201

    assert [one.times for one in proxy.faults] == [0, 0]
    assert whole > 0.95 * LARGE
    assert sent < 1.05 * whole
    assert proxy.down < 1.05 * whole


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_flipped_bit_costs_one_pack(
    direction: Direction,
    connected: Side,
    site: Site,
    isolated: Side,
    remote_folder: FolderOnServer,
    proxy: Proxy,
    address: Address,
) -> None:
    """Where the protocol does not see it itself, the digest of the pack does."""
    fill_packs(connected, 4)
    flip = Fault("flip", direction, 2 << 20)
    if direction == "up":
        proxy.faults.append(flip)
    words = ("--key", site.key(), "--jobs", "2", "--json", "--verify-after-write")
    ran = connected.run("export", "shop:v1", "-o", str(address), *words)
    assert ran.code == 0, ran.err
    sent, proxy.down = proxy.up, 0
    if direction == "down":
        proxy.faults.append(flip)

    fetch(isolated, str(address))

    assert flip.times == 0
    for name, data in remote_folder.files().items():
        assert not name.endswith(".pack") or hashlib.sha256(data).hexdigest() in name
    cost = (sent if direction == "up" else proxy.down) - stored(remote_folder.files())
    assert cost < 1.3 * (3 << 20)


@pytest.mark.parametrize("server", ["pyftpdlib-tls", "sshd"], indirect=True)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_ctrl_c_ends_what_a_stalled_server_holds(
    direction: Direction,
    connected: Side,
    site: Site,
    isolated: Side,
    proxy: Proxy,
    address: Address,
) -> None:
    fill_packs(connected, 6)
    words: list[str | Path] = ["import", str(address), "--jobs", "1"]
    if direction == "up":
        words = ["export", "shop:v1", "-o", str(address), "--key", site.key(), "--jobs", "1"]
    else:
        export(connected, site, str(address))
    stall = Fault("stall", direction, 2_000_000, 9)
    proxy.faults.append(stall)
    side = connected if direction == "up" else isolated
    command = [sys.executable, "-m", "airgap", *map(str, words)]
    with subprocess.Popen(
        command,
        env={**os.environ, **side.environment},
        stderr=subprocess.PIPE,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509  (it does nothing that could wait)
    ) as process:
        wait_until(lambda: stall.times < 9, "a stall")
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)

    assert process.returncode == 130, said
    assert time.monotonic() - began < 10
    assert b"Traceback" not in said


def _heed_interrupts() -> None:
    """Undo what a shell does for jobs in the background (as CI's may be): they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
