"""The drop box over real sockets: what its accounts can do, and all that they cannot."""

import fcntl
import ftplib
import json
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from airgap.errors import StorageError
from airgap.server.intake import event_log
from airgap.server.intake.decisions import Verdict
from tests.support import drop_box, sides, store_invariants, stores
from tests.support.drop_box import Client, RunningDropBox, run_drop_box, wait_until
from tests.support.sides import Side


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drop_box.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def box(isolated: Side, certificate: Path, tmp_path: Path) -> Iterator[RunningDropBox]:
    with run_drop_box(
        isolated, drop_box.write_config(tmp_path, certificate), certificate
    ) as served:
        yield served


# ---- what arrives is imported


def test_a_file_under_its_own_name_is_imported(
    archive: Path, box: RunningDropBox, small: Side, isolated: Side
) -> None:
    with box.log_in() as client:
        assert client.deliver("shop.airgap", archive.read_bytes()).startswith("226")
        box.wait_for_event("imported")
        assert client.size("shop.airgap") == archive.stat().st_size

    assert store_invariants.items(isolated) == store_invariants.items(small)
    assert not [path for path in box.home.rglob("*") if path.is_file()]
    # What was imported is removed after the event is logged.
    wait_until(lambda: not [*box.state.glob("working/*/*")])


@pytest.mark.parametrize(
    "passing", ["shop.airgap.part", "shop.airgap.1a2b3c4d.partial", "shop.airgap.filepart"]
)
def test_a_renamed_part_is_imported(passing: str, archive: Path, box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.deliver(passing, archive.read_bytes())
        assert not box.log("taken")
        client.rename(passing, "shop.airgap")

    assert box.wait_for_event("imported")[0]["user"] == "ann"


def test_a_depot_is_imported_and_its_packs_stay_for_the_next_bundle(
    depot: Path, box: RunningDropBox, small: Side, isolated: Side
) -> None:
    with box.log_in() as client:
        client.deliver_depot(depot, "team/")
        box.wait_for_event("imported")
        for pack in depot.glob("packs/*/*"):
            name = f"team/{pack.relative_to(depot)}"
            assert client.size(name) == pack.stat().st_size

    assert store_invariants.items(isolated) == store_invariants.items(small)
    assert not [*box.home.glob("team/bundles/*")]


def test_a_depot_uploaded_under_final_names_in_the_wrong_order_is_imported(
    depot: Path, box: RunningDropBox
) -> None:
    files = sorted(path for path in depot.rglob("*") if path.is_file())
    with box.log_in() as client:
        for top in ("bundles", "packs"):
            client.make_folders(top, *{f"{top}/{path.name}" for path in depot.glob(f"{top}/*")})
        for path in files:
            client.deliver(path.relative_to(depot).as_posix(), path.read_bytes())

    box.wait_for_event("imported")


def test_the_commands_of_rclone_deliver_a_depot(depot: Path, box: RunningDropBox) -> None:
    """It renames each upload, and asks for the size before and after; files may go in any order."""
    files = sorted(path for path in depot.rglob("*") if path.is_file())
    with box.log_in() as client:
        for path in files:
            name = path.relative_to(depot).as_posix()
            for parent in [*Path(name).parents][-2::-1]:
                _ignore_errors(client.mkd, parent.as_posix())
            assert client.expect_refusal(client.sendcmd, f"MLST {name}").startswith("550")
            client.deliver(f"{name}.1a2b3c4d.partial", path.read_bytes())
            size = f"size={path.stat().st_size};"
            assert size in client.sendcmd(f"MLST {name}.1a2b3c4d.partial")
            client.rename(f"{name}.1a2b3c4d.partial", name)
            assert size in client.sendcmd(f"MLST {name}")
        box.wait_for_event("imported")
        for path in files:
            name = path.relative_to(depot).as_posix()
            assert f"size={path.stat().st_size};" in client.sendcmd(f"MLST {name}"), name


def test_a_folder_of_bundles_can_be_asked_for(box: RunningDropBox) -> None:
    """rclone asks whether its destination is a file."""
    with box.log_in() as client:
        for name in ("depot", "con", "a/.b", "depot/x.bin"):
            assert client.expect_refusal(client.sendcmd, f"MLST {name}").startswith("550")
            assert client.expect_refusal(client.size, name).startswith("550")


def test_a_manifest_uploaded_before_its_packs_waits(depot: Path, box: RunningDropBox) -> None:
    with box.log_in() as client:
        for path in sorted(depot.glob("bundles/*/*")):
            name = path.relative_to(depot).as_posix()
            for folder in ("bundles", f"bundles/{path.parent.name}"):
                _ignore_errors(client.mkd, folder)
            client.deliver(f"{name}.part", path.read_bytes())
            client.rename(f"{name}.part", name)
        (waiting,) = wait_until(
            lambda: [entry for entry in _waiting(box) if entry["state"] == "arriving"]
        )

    assert "2 of 2 packs are still to come" in waiting["what"]
    assert {"bento shop:v1", "model ranker:v1"} == set(waiting["items"])


def test_held_bundles_are_verified_and_kept(
    archive: Path, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, 'on_arrival = "hold"')
    with run_drop_box(isolated, path, certificate) as box:
        with box.log_in() as client:
            client.deliver("shop.airgap", archive.read_bytes())
        box.wait_for_event("held")
        (held,) = wait_until(lambda: [*box.state.glob("held/ann/*/shop.airgap")])
        wait_until(lambda: box.status()["held"])

    assert not isolated.bentoml.exists()
    assert isolated.run("import", held).code == 0


# ---- what broke off goes on


def test_an_interrupted_upload_gets_a_reply_and_can_be_resumed(
    archive: Path, box: RunningDropBox
) -> None:
    data = archive.read_bytes()
    with box.log_in() as client:
        assert client.cut("shop.airgap", data[:100_000]).startswith("426")
        size = client.size("shop.airgap")
        assert size is not None
        assert 0 < size <= 100_000
        client.deliver("shop.airgap", data[size:], rest=size)

    assert box.wait_for_event("imported")


def test_an_upload_can_be_resumed_by_appending(archive: Path, box: RunningDropBox) -> None:
    data = archive.read_bytes()
    with box.log_in() as client:
        client.deliver("shop.airgap", data[:70_000])
        client.deliver("shop.airgap", data[70_000:], command="APPE")

    assert box.wait_for_event("imported")


def test_an_interrupted_upload_can_be_restarted(archive: Path, box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.cut("shop.airgap", b"\0" * 1000)
        client.deliver("shop.airgap", archive.read_bytes())

    assert box.wait_for_event("imported")


def test_an_interrupted_upload_of_every_byte_is_complete(
    archive: Path, box: RunningDropBox
) -> None:
    with box.log_in() as client:
        client.cut("shop.airgap", archive.read_bytes())
        size = client.size("shop.airgap")

    assert size != archive.stat().st_size or box.wait_for_event("imported")


# ---- what is refused goes to quarantine


def test_a_damaged_bundle_goes_to_quarantine_with_the_reason(
    archive: Path, box: RunningDropBox, isolated: Side
) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    with box.log_in() as client:
        client.deliver("shop.airgap.part", bytes(data))
        client.rename("shop.airgap.part", "shop.airgap")
    reason = box.wait_for_quarantine()

    assert reason["kind"] == "corrupt"
    assert reason["user"] == "ann"
    assert reason["digest"].startswith("sha256:")
    assert {"at", "message", "hint", "name", "bundle"} <= reason.keys()
    assert store_invariants.items(isolated) == {}


def test_a_bundle_signed_by_an_unknown_key_goes_to_quarantine(
    small: Side, box: RunningDropBox, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = sides.make_site(tmp_path / "other")
    file = tmp_path / "theirs.airgap"
    assert small.run("export", "shop:v1", "-o", file, "--key", other.key()).code == 0
    with box.log_in() as client:
        client.deliver("theirs.airgap", file.read_bytes())

    assert box.wait_for_quarantine()["kind"] == "not-trusted"


def test_a_file_that_is_not_a_bundle_goes_to_quarantine(box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.deliver("photo.airgap", b"GIF89a" + bytes(2000))

    assert box.wait_for_quarantine()["kind"] == "corrupt"


def test_an_incomplete_bundle_that_its_sender_finished_goes_to_quarantine(
    archive: Path, box: RunningDropBox
) -> None:
    with box.log_in() as client:
        client.deliver("shop.airgap.part", archive.read_bytes()[:-100_000])
        client.rename("shop.airgap.part", "shop.airgap")

    assert box.wait_for_quarantine()["kind"] == "missing"


def test_a_wrong_pack_can_be_sent_again(depot: Path, box: RunningDropBox) -> None:
    pack = max(depot.glob("packs/*/*"), key=lambda path: path.stat().st_size)
    good = pack.read_bytes()
    pack.write_bytes(bytes(len(good)))
    with box.log_in() as client:
        client.deliver_depot(depot)
        assert box.wait_for_quarantine()["kind"] == "corrupt"
        pack.write_bytes(good)
        client.sendcmd("TYPE I")
        name = pack.relative_to(depot).as_posix()
        assert client.expect_refusal(client.size, name).startswith("550")
        for path in [pack, *sorted(depot.glob("bundles/*/*"))]:
            _ignore_errors(client.mkd, f"bundles/{path.parent.name}")
            name = path.relative_to(depot).as_posix()
            client.deliver(f"{name}.part", path.read_bytes())
            client.rename(f"{name}.part", name)

    box.wait_for_event("imported")


def test_a_conflict_goes_to_quarantine_and_can_be_imported_by_hand(
    archive: Path, box: RunningDropBox, isolated: Side
) -> None:
    stores.add_model(isolated, "ranker:v1", {"weights.bin": b"other"})
    with box.log_in() as client:
        client.deliver("shop.airgap", archive.read_bytes())

    assert box.wait_for_quarantine()["kind"] == "conflict"
    (file,) = box.state.glob("quarantine/ann/*/shop.airgap")
    assert isolated.run("import", file, "--replace").code == 0


# ---- accounts can deliver, and nothing else


def test_nothing_can_be_listed_or_read(archive: Path, box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.deliver("shop.airgap.part", archive.read_bytes())
        for command in ("LIST", "NLST", "MLSD", "LIST -la"):
            with client.transfercmd(command) as connection:
                assert connection.recv(100) == b""
            client.voidresp()
        for command in ("RETR shop.airgap.part", "STAT shop.airgap.part", "MDTM shop.airgap.part"):
            assert client.expect_refusal(client.sendcmd, command).startswith("550")


@pytest.mark.parametrize(
    "command",
    [
        *("PORT 127,0,0,1,9,9", "EPRT |1|127.0.0.1|2313|", "STOU", "SITE CHMOD 777 x", "SITE HELP"),
        *("REIN", "RMD packs", "MFMT 20200101000000 x.airgap", "ACCT x", "SMNT /", "XMD5 x"),
    ],
)
def test_unneeded_commands_are_refused(command: str, box: RunningDropBox) -> None:
    with box.log_in() as client:
        assert client.expect_refusal(client.sendcmd, command)[:3] in ("500", "550")


def test_a_finished_upload_cannot_be_replaced_renamed_or_removed(
    depot: Path, box: RunningDropBox
) -> None:
    pack = next(depot.glob("packs/*/*"))
    name = pack.relative_to(depot).as_posix()
    with box.log_in() as client:
        client.make_folders("packs", f"packs/{pack.parent.name}")
        client.deliver(f"{name}.part", b"first")
        client.rename(f"{name}.part", name)
        for refused in (f"STOR {name}", f"APPE {name}", f"RNFR {name}", f"DELE {name}"):
            client.sendcmd("TYPE I")
            assert client.expect_refusal(client.transfercmd, refused)[0] == "5"
        assert client.expect_refusal(client.deliver, f"{name}.part", b"longer").startswith("553")
        client.deliver("x.airgap.part", b"x")
        assert client.expect_refusal(client.rename, "x.airgap.part", name).startswith("553")
        assert client.expect_refusal(client.rename, "x.airgap.part", "y.airgap").startswith("553")
        client.delete("x.airgap.part")

    assert (box.home / name).read_bytes() == b"first"
    assert [path for path in box.home.rglob("*") if path.is_file()] == [box.home / name]


HOSTILE = [
    *("../x.airgap", "a/../../x.airgap", "/../../../etc/x.airgap", "x\x00.airgap", "con.airgap"),
    *("x.airgap\x1b[2J", "x\u202egpj.airgap", ".x.airgap", "x" * 300 + ".airgap", "~/x.airgap/y"),
    *("d/" * 40 + "x.airgap", "index.html", "x.airgap.unfinished", ".ssh/authorized_keys", "x:y"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_and_leaves_nothing(name: str, box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.sendcmd("TYPE I")
        for command in ("STOR", "APPE", "RNFR", "SIZE", "MLST", "DELE"):
            client.putline(f"{command} {name}")
            code = "553" if command in ("STOR", "APPE") else "550"
            assert client.expect_refusal(client.getresp).startswith(code), command
        assert client.pwd() == "/"

    assert not [*box.home.iterdir()]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "x\x00", "nul", ".ssh", "a\tb", "x.airgap"])
def test_a_hostile_name_for_a_folder_is_refused(name: str, box: RunningDropBox) -> None:
    with box.log_in() as client:
        assert client.expect_refusal(client.sendcmd, f"MKD {name}").startswith("553")

    assert not [*box.home.iterdir()]


def test_names_that_are_not_utf_8_are_refused(box: RunningDropBox) -> None:
    with box.log_in() as client:
        assert client.sock is not None
        client.sock.sendall(b"SIZE \xff\xfe.airgap\r\n")
        assert client.expect_refusal(client.getresp).startswith("501")
        assert client.voidcmd("NOOP")


def test_users_do_not_see_each_other(archive: Path, box: RunningDropBox) -> None:
    with box.log_in() as ann, box.log_in("bob") as bob:
        ann.deliver("shop.airgap.part", archive.read_bytes())
        assert bob.expect_refusal(bob.size, "shop.airgap.part").startswith("550")
        bob.deliver("shop.airgap", archive.read_bytes())

    assert [event["user"] for event in box.wait_for_event("imported")] == ["bob"]


def test_two_uploads_of_one_name_do_not_mix(archive: Path, box: RunningDropBox) -> None:
    with box.log_in() as first, box.log_in() as second:
        connection = first.begin("shop.airgap.part")
        connection.sendall(b"first")
        assert second.expect_refusal(second.deliver, "shop.airgap.part", b"second").startswith(
            "450"
        )
        connection.unwrap()
        connection.close()
        first.voidresp()
        second.deliver("shop.airgap.part", archive.read_bytes())


def test_ascii_mode_is_refused(box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.sendcmd("TYPE A")
        assert "binary" in client.expect_refusal(client.transfercmd, "STOR x.airgap")


# ---- passwords and TLS


def test_a_wrong_password_is_refused_and_an_address_that_guesses_is_blocked(
    isolated: Side, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.dropbox.control.ControlConnection.auth_failed_timeout", 0)
    path = drop_box.write_config(tmp_path, certificate, limits="login_failures = 2")
    with run_drop_box(isolated, path, certificate) as box:
        for user, password in (("ann", "wrong"), ("nobody", drop_box.PASSWORD)):
            with Client(box) as client:
                assert client.expect_refusal(client.login, user, password).startswith("530")
        with pytest.raises(ftplib.Error, match="421 Too many failed logins"):
            Client(box)


def test_login_without_tls_is_refused(box: RunningDropBox) -> None:
    with ftplib.FTP() as client:
        client.connect("127.0.0.1", box.port, timeout=60)
        with pytest.raises(ftplib.error_perm, match=r"550 SSL/TLS required"):
            client.login("ann", drop_box.PASSWORD)


def test_upload_without_tls_is_refused(box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.prot_c()
        with pytest.raises(ftplib.error_perm, match=r"550 SSL/TLS required"):
            client.ntransfercmd("STOR x.airgap")


def test_commands_sent_before_tls_are_discarded(box: RunningDropBox) -> None:
    with Client(box) as client:
        assert client.sock is not None
        client.sock.sendall(b"AUTH TLS\r\nUSER ann\r\n")  # as somebody on the way would do
        assert client.getresp().startswith("234")
        client.sock = client.context.wrap_socket(client.sock, server_hostname="127.0.0.1")
        client.file = client.sock.makefile(mode="r", encoding="utf-8")
        assert client.expect_refusal(client.sendcmd, f"PASS {drop_box.PASSWORD}").startswith("503")


def test_plain_ftp_works_if_configured(archive: Path, isolated: Side, tmp_path: Path) -> None:
    with run_drop_box(isolated, drop_box.write_config(tmp_path, None), None) as box:
        with ftplib.FTP() as client:
            client.connect("127.0.0.1", box.port, timeout=60)
            client.login("ann", drop_box.PASSWORD)
            with archive.open("rb") as stream:
                client.storbinary("STOR shop.airgap", stream)
        box.wait_for_event("imported")


# ---- limits


def test_an_exceeded_quota_is_reported_and_enforced(
    archive: Path, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, user='max_bytes = "200 kB"\nmax_files = 3')
    with run_drop_box(isolated, path, certificate) as box, box.log_in() as client:
        connection = client.begin("shop.airgap")
        _ignore_errors(connection.sendall, archive.read_bytes())
        assert client.expect_refusal(client.voidresp).startswith("552")
        client.make_folders("a", "b")
        assert client.expect_refusal(client.mkd, "c").startswith("550")
        stored = sum(path.stat().st_size for path in box.home.rglob("*") if path.is_file())

    assert stored <= 200_000


def test_concurrent_uploads_share_one_quota(
    isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, user='max_bytes = "300 kB"')
    with run_drop_box(isolated, path, certificate) as box:
        clients = [box.log_in() for _ in range(4)]
        connections = [
            client.begin(f"{number}.airgap.part") for number, client in enumerate(clients)
        ]
        for _ in range(10):
            for connection in connections:
                _ignore_errors(connection.sendall, bytes(20_000))
        for connection in connections:
            _ignore_errors(connection.unwrap)
            connection.close()
        replies = [_reply(client) for client in clients]
        stored = sum(path.stat().st_size for path in box.home.rglob("*") if path.is_file())
        for client in clients:
            client.close()

    assert any(reply.startswith("552") for reply in replies)
    assert stored <= 300_000


def test_connections_beyond_the_limits_are_refused(
    isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    limits = "connections_per_user = 1\nconnections_per_address = 3"
    path = drop_box.write_config(tmp_path, certificate, limits=limits)
    with run_drop_box(isolated, path, certificate) as box, box.log_in() as first:
        with Client(box) as second:
            second.auth()
            reply = second.expect_refusal(second.login, "ann", drop_box.PASSWORD)
            assert "421 Too many connections for this user" in reply
        with Client(box), Client(box), pytest.raises(ftplib.Error, match="421"):
            Client(box)
        assert first.voidcmd("NOOP")


def test_a_client_that_does_not_log_in_is_disconnected(
    isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, limits="login_seconds = 1")
    with (
        run_drop_box(isolated, path, certificate) as box,
        socket.create_connection(("127.0.0.1", box.port), timeout=60) as silent,
    ):
        silent.sendall(b"US")
        assert silent.recv(100).startswith(b"220")
        assert silent.recv(100) == b""


def test_a_stalled_upload_is_disconnected_and_frees_its_name(
    isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, limits="stall_seconds = 1")
    with run_drop_box(isolated, path, certificate) as box, box.log_in() as client:
        client.begin("shop.airgap")
        assert client.expect_refusal(client.voidresp).startswith("421")
        wait_until(lambda: [line for line in box.lines if line["event"] == "broken off"])
        with box.log_in() as other:
            other.begin("shop.airgap")


def test_no_port_outside_the_range_is_opened(
    isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        path = drop_box.write_config(
            tmp_path, certificate, listen=f'passive_ports = "{port}-{port}"'
        )
        with run_drop_box(isolated, path, certificate) as box, box.log_in() as client:
            assert client.expect_refusal(client.sendcmd, "PASV").startswith("425")
            assert client.voidcmd("NOOP")


def test_clients_get_the_masquerade_address(
    isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, listen='masquerade = "203.0.113.7"')
    with run_drop_box(isolated, path, certificate) as box, box.log_in() as client:
        assert "(203,0,113,7," in client.sendcmd("PASV")


# ---- stopping


def test_sessions_are_answered_while_a_bundle_is_read(
    archive: Path, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    go_on = Event()

    def slow(_operation: str, _location: object, _depots: object) -> Verdict:
        assert go_on.wait(60)
        return Verdict("corrupt", "It took too long.", "Be quicker.")

    path = drop_box.write_config(tmp_path, certificate)
    with run_drop_box(isolated, path, certificate, slow) as box, box.log_in() as client:
        client.deliver("shop.airgap", archive.read_bytes())
        box.wait_for_event("importing")
        assert client.voidcmd("NOOP")
        go_on.set()
        box.wait_for_quarantine()


def test_two_drop_boxes_do_not_share_their_folders(
    box: RunningDropBox, isolated: Side, tmp_path: Path
) -> None:
    ran = isolated.run("serve", "dropbox", "--config", tmp_path / "dropbox.toml")

    assert ran.code == 14
    assert str(box.state) in ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_drop_box_stops_on_a_signal(
    number: int, archive: Path, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate)
    command = [sys.executable, "-m", "airgap", "serve", "dropbox", "--config", str(path), "--json"]
    with (
        isolated.here(),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        port = next(_port(line) for line in lines if '"serving"' in line)
        _deliver(certificate, port, archive)
        assert any('"imported"' in line for line in lines)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out == '{"stopped": true}\n'


def test_a_config_file_is_checked_without_serving(
    isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    ran = isolated.run(
        "serve", "dropbox", "--config", drop_box.write_config(tmp_path, certificate), "--check"
    )

    assert ran.code == 0
    assert "user ann" in ran.out
    assert not (tmp_path / "state").exists()


def test_a_machine_that_trusts_nobody_does_not_serve(certificate: Path, tmp_path: Path) -> None:
    side = Side(tmp_path / "nobody")
    path = drop_box.write_config(tmp_path, certificate)

    assert side.run("serve", "dropbox", "--config", path, "--check").code == 3
    assert side.run("serve", "dropbox", "--config", path).code == 3


def _deliver(certificate: Path, port: int, archive: Path) -> None:
    server = RunningDropBox(Path(), certificate, drop_box=None)  # type: ignore[arg-type]
    with Client(server, port=port) as client:
        client.auth()
        client.login("ann", drop_box.PASSWORD)
        client.prot_p()
        client.deliver("shop.airgap", archive.read_bytes())


def _port(line: str) -> int:
    return int(json.loads(line)["ports"][0])


def _waiting(box: RunningDropBox) -> list[dict[str, Any]]:
    return list(box.status()["waiting"]) if (box.state / "status.json").exists() else []


def _reply(client: Client) -> str:
    try:
        return client.voidresp()
    except ftplib.Error as error:
        return str(error)


def _ignore_errors(call: Any, *arguments: Any) -> None:  # noqa: ANN401
    try:
        call(*arguments)
    except (OSError, ftplib.Error):
        return


def test_an_import_left_by_a_killed_drop_box_is_waited_for(
    archive: Path, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    path = drop_box.write_config(tmp_path, certificate)
    with (state / "working.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as the import does that it has started
        with run_drop_box(isolated, path, certificate) as box, box.log_in() as client:
            client.deliver("shop.airgap", archive.read_bytes())
            wait_until(lambda: [line for line in box.lines if line["event"] == "waiting"])
            assert not box.log()
            fcntl.flock(held, fcntl.LOCK_UN)
            box.wait_for_event("imported")


def test_an_open_upload_is_not_taken(archive: Path, box: RunningDropBox) -> None:
    with box.log_in() as client:
        connection = client.begin("shop.airgap")
        connection.sendall(archive.read_bytes())
        upload = box.home / "shop.airgap.unfinished"
        wait_until(lambda: upload.exists() and upload.stat().st_size == archive.stat().st_size)
        assert not any(box.drop_box._intake._folder.find_candidates("ann"))
        connection.unwrap()
        connection.close()
        client.voidresp()
        box.wait_for_event("imported")


def test_a_reset_connection_does_not_end_a_file_without_tls(
    archive: Path, isolated: Side, tmp_path: Path
) -> None:
    with (
        run_drop_box(isolated, drop_box.write_config(tmp_path, None), None) as box,
        ftplib.FTP() as client,
    ):
        client.connect("127.0.0.1", box.port, timeout=60)
        client.login("ann", drop_box.PASSWORD)
        client.voidcmd("TYPE I")
        with client.transfercmd("STOR shop.airgap") as connection:
            connection.sendall(archive.read_bytes()[:1000])
            wait_until(lambda: (box.home / "shop.airgap.unfinished").stat().st_size == 1000)
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with pytest.raises(ftplib.error_temp, match="426"):
            client.voidresp()


def test_an_upload_above_the_rate_limit_is_slowed_down(
    archive: Path, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    path = drop_box.write_config(tmp_path, certificate, limits='rate = "1 MiB"')
    with run_drop_box(isolated, path, certificate) as box, box.log_in() as client:
        client.deliver("shop.airgap", archive.read_bytes())
        box.wait_for_event("imported")


def test_commands_sent_ahead_of_the_login_are_executed(archive: Path, box: RunningDropBox) -> None:
    with Client(box) as client:
        client.auth()
        assert client.sock is not None
        client.sock.sendall(f"USER ann\r\nPASS {drop_box.PASSWORD}\r\nPWD\r\nTYPE I\r\n".encode())
        replies = [client.getresp()[:3] for _ in range(4)]
        client.prot_p()
        client.deliver("shop.airgap", archive.read_bytes())

    assert replies == ["331", "230", "257", "200"]
    box.wait_for_event("imported")


def test_size_and_mlst_report_a_known_name(box: RunningDropBox) -> None:
    with box.log_in() as client:
        client.deliver("x.airgap.part", b"some")
        assert client.size("x.airgap.part") == 4
        assert " type=file;size=4;" in client.sendcmd("MLST x.airgap.part")
        assert client.expect_refusal(client.sendcmd, "MLST y.airgap").startswith("550")
        client.sendcmd("TYPE A")
        assert client.expect_refusal(client.sendcmd, "SIZE x.airgap.part").startswith("550")
        assert client.expect_refusal(client.sendcmd, "LIST nothing").startswith("550")


def test_two_clients_can_upload_the_same_pack(depot: Path, box: RunningDropBox) -> None:
    pack = next(depot.glob("packs/*/*"))
    name, data = pack.relative_to(depot).as_posix(), pack.read_bytes()
    with box.log_in() as first, box.log_in() as second:
        first.deliver(f"{name}.0123456789abcdef.part", data)
        second.deliver(f"{name}.fedcba9876543210.part", data)
        first.rename(f"{name}.0123456789abcdef.part", name)
        second.rename(f"{name}.fedcba9876543210.part", name)
        assert first.size(name) == len(data)

    assert [path for path in box.home.rglob("*") if path.is_file()] == [box.home / name]


def test_an_open_upload_cannot_be_renamed_or_removed(box: RunningDropBox) -> None:
    with box.log_in() as first, box.log_in() as second:
        first.begin("x.airgap.part")
        assert second.expect_refusal(second.rename, "x.airgap.part", "x.airgap").startswith("550")
        assert second.expect_refusal(second.delete, "x.airgap.part").startswith("550")


def test_a_wrong_certificate_or_a_port_in_use_is_reported(
    box: RunningDropBox, isolated: Side, certificate: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    path = drop_box.write_config(other, certificate)
    text = path.read_text()
    path.write_text(text.replace("port = 0", f"port = {box.port}"))
    in_use = isolated.run("serve", "dropbox", "--config", path)
    path.write_text(text.replace(str(certificate), str(certificate.with_name("key.pem"))))
    wrong = isolated.run("serve", "dropbox", "--config", path, "--check")

    assert (in_use.code, wrong.code) == (3, 3)
    assert "Cannot listen on" in in_use.err
    assert "are not a certificate" in wrong.err


def test_an_unwritable_log_stops_nothing(archive: Path, box: RunningDropBox) -> None:
    (box.state / "log.jsonl").mkdir()
    with box.log_in() as client:
        client.deliver("shop.airgap", archive.read_bytes())
    wait_until(lambda: [line for line in box.lines if line["event"] == "imported"])


def test_temporary_disk_errors_lose_nothing(
    archive: Path,
    isolated: Side,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airgap.server.intake.decisions.FIRST_DELAY", 0.1)
    path = drop_box.write_config(tmp_path, certificate)
    refusals = iter([StorageError("Full.", "Free some."), OSError(5, "Input/output error")])
    real = event_log.write_json

    def refusing(target: Path, value: Mapping[str, Any]) -> None:
        for error in refusals:
            raise error
        real(target, value)

    monkeypatch.setattr("airgap.server.dropbox.folders.write_json", refusing)
    with run_drop_box(isolated, path, certificate) as box:
        with box.log_in() as client:
            client.deliver("shop.airgap", archive.read_bytes())
        box.wait_for_event("imported")
        wait_until(lambda: not [*box.state.glob("working/*/*")])
        assert len([line for line in box.lines if line["event"] == "trouble"]) == 2
        assert len(box.log("importing")) == 1


def test_a_bug_stops_the_drop_box_and_is_reported(
    isolated: Side, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr("airgap.server.intake.intake.Intake.tick", broken)
    path = drop_box.write_config(tmp_path, certificate)

    ran = isolated.run("serve", "dropbox", "--config", path, "--json")

    assert ran.code == 1
    assert '"bug"' in ran.err
