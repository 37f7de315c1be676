"""The drop box and the clients that people have: curl, lftp, rclone, ours; and 50 of them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from airgap.transport.ftp.transport import FtpOptions, FtpTransport
from tests.support import drop_box, sides, store_invariants, stores
from tests.support.drop_box import PASSWORD, Client, RunningDropBox, run_drop_box
from tests.support.sides import Side

pytestmark = pytest.mark.servers
CLIENTS = 50


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drop_box.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def box(isolated: Side, certificate: Path, tmp_path: Path) -> Iterator[RunningDropBox]:
    limits = "connections_per_user = 100\nconnections_per_address = 100"
    path = drop_box.write_config(
        tmp_path, certificate, limits=limits, listen="implicit_port = 0", user="max_files = 100000"
    )
    with run_drop_box(isolated, path, certificate) as served:
        yield served


def _need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")


def _lftp(box: RunningDropBox, *commands: str) -> "subprocess.CompletedProcess[str]":
    settings = [
        f"set ssl:ca-file {box.certificate}",
        "set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set net:max-retries 2",
        f"open -u ann,'{PASSWORD}' ftp://127.0.0.1:{box.port}",
    ]
    command = ["lftp", "-c", "; ".join([*settings, *commands])]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _transport(box: RunningDropBox) -> "closing[FtpTransport]":
    options = FtpOptions(
        host="127.0.0.1",
        port=box.port,
        user="ann",
        password=PASSWORD,
        security="explicit",
        ca_file=box.certificate,
    )
    return closing(FtpTransport(options))


def test_curl_delivers(archive: Path, box: RunningDropBox) -> None:
    _need("curl")
    ran = box.curl("-T", archive)

    assert ran.returncode == 0, ran.stderr
    assert box.wait_for_event("imported")


def test_curl_delivers_over_implicit_tls_into_new_folders(
    archive: Path, box: RunningDropBox
) -> None:
    _need("curl")
    url = f"ftps://127.0.0.1:{box.drop_box.ports[1]}/some/where/"
    ran = box.curl("-T", archive, "--ftp-create-dirs", url=url)

    assert ran.returncode == 0, ran.stderr
    assert box.wait_for_event("imported")


def test_curl_resumes_an_upload(archive: Path, box: RunningDropBox) -> None:
    _need("curl")
    with box.log_in() as client:
        client.cut("shop.airgap", archive.read_bytes()[:150_000])
    ran = box.curl("-C", "-", "-T", archive)

    assert ran.returncode == 0, ran.stderr
    assert box.wait_for_event("imported")


def test_curl_cannot_list_or_read(archive: Path, box: RunningDropBox) -> None:
    _need("curl")
    with box.log_in() as client:
        client.deliver("shop.airgap.part", archive.read_bytes())

    assert box.curl().stdout == ""
    url = f"ftp://127.0.0.1:{box.port}/shop.airgap.part"
    assert box.curl(url=url).returncode != 0


def test_lftp_resumes_an_upload(archive: Path, box: RunningDropBox) -> None:
    _need("lftp")
    with box.log_in() as client:
        client.cut("shop.airgap", archive.read_bytes()[:150_000])
    ran = _lftp(box, f"put -c {archive}")

    assert ran.returncode == 0, ran.stderr
    assert box.wait_for_event("imported")


def test_lftp_mirrors_a_depot(
    depot: Path, box: RunningDropBox, small: Side, isolated: Side
) -> None:
    _need("lftp")
    ran = _lftp(box, f"mirror -R {depot} team")

    assert ran.returncode == 0, ran.stderr
    box.wait_for_event("imported")
    assert store_invariants.items(isolated) == store_invariants.items(small)


def _rclone(
    box: RunningDropBox, config: Path, *words: str | Path
) -> "subprocess.CompletedProcess[str]":
    """Run rclone as it comes, but for the login."""
    obscure = ["rclone", "obscure", PASSWORD]
    hidden = subprocess.run(
        obscure, capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()
    options = ["--ftp-host", "127.0.0.1", "--ftp-port", str(box.port), "--ftp-user", "ann"]
    options += ["--ftp-pass", hidden, "--ftp-explicit-tls"]
    trusting = {"SSL_CERT_FILE": str(box.certificate), "RCLONE_CONFIG": str(config)}
    command = ["rclone", *map(str, words), *options]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **trusting},
        timeout=120,
    )


def _asks_for_names() -> bool:
    """Tell whether rclone asks for a file by its name (MLST), which it does from 1.63 on.

    Older ones look for it in a listing, which is empty, and report an error for a delivered file.
    """
    ran = subprocess.run(
        ["rclone", "version"], capture_output=True, text=True, check=True, timeout=120
    )
    version = re.search(r"v(\d+)\.(\d+)", ran.stdout)
    assert version
    return (int(version[1]), int(version[2])) >= (1, 63)


def test_rclone_delivers(archive: Path, box: RunningDropBox, tmp_path: Path) -> None:
    _need("rclone")
    ran = _rclone(box, tmp_path / "none", "copyto", archive, ":ftp:/shop.airgap")

    assert (ran.returncode == 0) is _asks_for_names(), ran.stderr
    assert box.wait_for_event("imported")


def test_rclone_copies_a_depot(
    depot: Path, box: RunningDropBox, small: Side, isolated: Side, tmp_path: Path
) -> None:
    _need("rclone")
    ran = _rclone(box, tmp_path / "none", "copy", depot, ":ftp:depot")

    assert (ran.returncode == 0) is _asks_for_names(), ran.stderr
    box.wait_for_event("imported")
    assert store_invariants.items(isolated) == store_invariants.items(small)


def test_lftp_delivers_under_a_temporary_name(archive: Path, box: RunningDropBox) -> None:
    _need("lftp")
    ran = _lftp(box, "set xfer:use-temp-file yes", f"put {archive}")

    assert ran.returncode == 0, ran.stderr
    assert box.wait_for_event("imported")


def test_our_own_client_pushes_a_depot_twice(depot: Path, box: RunningDropBox) -> None:
    files = [path for path in sorted(depot.rglob("*")) if path.is_file()]
    files.sort(key=lambda path: path.name == "manifest.msgpack")
    with _transport(box) as transport:
        for count in (1, 2):
            for path in files:
                name = path.relative_to(depot).as_posix()
                if path.suffix == ".pack":
                    outcome = transport.put(name, path, path.stat().st_size)
                    assert outcome == ("stored" if count == 1 else "exists")
                else:
                    assert transport.publish(name, path.read_bytes())
            box.wait_for_event("imported", count)


def test_our_own_client_resumes_an_upload(archive: Path, box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.cut("shop.airgap.part", archive.read_bytes()[:150_000])
    with _transport(box) as transport:
        assert transport.put("shop.airgap", archive, archive.stat().st_size) == "resumed"

    assert box.wait_for_event("imported")


def test_fifty_clients_at_once_lose_nothing(
    connected: Side, site: sides.Site, box: RunningDropBox, isolated: Side, tmp_path: Path
) -> None:
    stores.add_model(connected, "big:v1", {"weights.bin": stores.noise(2_000_000)})
    file = tmp_path / "big.airgap"
    ran = connected.run("export", "--model", "big:v1", "-o", file, "--key", site.key())
    assert ran.code == 0, ran.err
    data = file.read_bytes()

    def deliver(number: int) -> None:
        with box.log_in() as client:
            if number % 2:
                client.cut(f"{number}.airgap", data[: 20_000 * number])
                size = client.size(f"{number}.airgap") or 0
                client.deliver(f"{number}.airgap", data[size:], rest=size)
            else:
                client.deliver(f"{number}.airgap.part", data)
                client.rename(f"{number}.airgap.part", f"{number}.airgap")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(deliver, range(CLIENTS)))
    box.wait_for_event("imported", CLIENTS)

    assert len(box.log("imported")) == CLIENTS
    assert not box.log("quarantined")
    assert store_invariants.items(isolated) == store_invariants.items(connected)
    assert not [path for path in box.home.rglob("*") if path.is_file()]


def test_a_full_disk_is_reported_and_nothing_is_lost(
    archive: Path, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(state)],
        check=False,
        capture_output=True,
        timeout=120,
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        with run_drop_box(
            isolated, drop_box.write_config(tmp_path, certificate), certificate
        ) as box:
            with box.log_in() as client:
                connection = client.begin("shop.airgap")
                with suppress(OSError):
                    connection.sendall(archive.read_bytes())
                assert client.expect_refusal(client.voidresp).startswith("452")
                size = client.size("shop.airgap") or 0
                assert 0 < size < archive.stat().st_size
            subprocess.run(["mount", "-o", "remount,size=4m", str(state)], check=True, timeout=120)
            with Client(box) as client:
                client.auth()
                client.login("ann", PASSWORD)
                client.prot_p()
                client.deliver("shop.airgap", archive.read_bytes()[size:], rest=size)
            box.wait_for_event("imported")
    finally:
        subprocess.run(["umount", str(state)], check=True, timeout=120)
