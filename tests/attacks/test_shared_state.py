"""What a member of the group puts into a shared state folder is neither followed nor trusted."""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from airgap.disk import durable, locks, permissions, sharing
from airgap.disk.descriptors import name_folder
from airgap.errors import ConflictError, CorruptError, NotTrustedError
from airgap.format.ledger import Entry
from airgap.ledger.check import Consistent
from airgap.ledger.log import LedgerStore
from airgap.state import installed_manifests, manifest_cache, removals, upload_marks
from airgap.store import modes, private_folder
from airgap.store.bentoml_home import home
from airgap.store.unsigned_staging import UnsignedStaging
from tests.support import stores
from tests.support.sides import Ran, Site
from tests.support.users import Machine, User, open_folder, start_machine

GROUP = 41900
ALICE, BOB = 41001, 41002
BUNDLE = "a" * 64


@dataclass(frozen=True)
class Server:
    """A machine before root has trusted anybody; ``lib`` and ``etc`` are its /var/lib and /etc."""

    top: Path
    machine: Machine
    site: Site

    @property
    def state(self) -> Path:
        return self.top / "lib/airgap"

    def run(self, uid: int, *words: str | Path, script: bool = False) -> Ran:
        environment = {"HOME": "/nonexistent", "BENTOML_HOME": f"{self.top}/bentoml"}
        group = GROUP if uid else 0
        user = User(uid, group, (group,), 0o022, environment)
        return self.machine.run(user, *words, script=script)

    def script(self, uid: int, text: str) -> str:
        path = self.top / "script.py"
        path.write_text(f"import os, stat\nSTATE = '/var/lib/airgap'\n{text}")
        ran = self.run(uid, path, script=True)
        assert ran.code == 0, ran.err
        return ran.out

    def trust(self, fingerprint: str) -> Ran:
        words = ("trust", "init", self.site.root, "--fingerprint", fingerprint)
        return self.run(0, *words, "--system", "--group", "airgap", "--json")


@pytest.fixture(scope="module")
def started(site: Site) -> Iterator[Server]:
    with open_folder() as top:
        for folder in ("etc", "lib", "victim"):
            (top / folder).mkdir()
        (top / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (top / "etc/group").write_text(f"root:x:0:\nairgap:x:{GROUP}:\n")
        shutil.copytree(site.root.parent, top / "keys")
        moved = replace(site, folder=top / "keys")
        binds = [(top / "etc", Path("/etc")), (top / "lib", Path("/var/lib"))]
        with start_machine(binds=binds) as machine:
            yield Server(top, machine, moved)


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    yield started
    for path in (started.state, started.top / "etc/airgap"):
        if path.is_symlink():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)


def open_to_group(server: Server) -> None:
    server.state.mkdir()
    shutil.chown(server.state, 0, GROUP)
    server.state.chmod(0o3770)


OPENED = {
    "folder": "os.mkdir(path, 0o2770)",
    "link": "os.symlink('/var/lib', path)",
    "fifo": "os.mkfifo(path)",
}


@pytest.mark.parametrize("kind", OPENED)
@pytest.mark.parametrize("name", ["trust", "sites", "uploads"])
def test_what_a_member_has_prepared_is_not_where_a_root_is_pinned(
    server: Server, name: str, kind: str
) -> None:
    open_to_group(server)
    server.script(ALICE, f"path = f'{{STATE}}/{name}'\n{OPENED[kind]}")
    before = (server.top / "lib").stat().st_mode

    ran = server.trust(server.site.fingerprint)

    if (name, kind) == ("uploads", "folder"):  # a member's own, from before
        assert ran.code == 0, ran.err
        return
    assert ran.code == ConflictError.exit_code, (ran.out, ran.err)
    assert f"/var/lib/airgap/{name}" in ran.json["error"]["message"]
    assert not (server.top / "etc/airgap").exists()
    assert (server.top / "lib").stat().st_mode == before


def test_a_state_folder_of_another_user_is_refused(server: Server) -> None:
    server.state.mkdir()
    shutil.chown(server.state, ALICE, GROUP)
    ran = server.trust(server.site.fingerprint)
    assert ran.code == ConflictError.exit_code
    assert f"another user (uid {ALICE})" in ran.json["error"]["message"]

    server.state.rmdir()
    server.state.symlink_to(server.top / "victim")
    ran = server.trust(server.site.fingerprint)
    assert ran.code == ConflictError.exit_code
    assert "is a link" in ran.json["error"]["message"]
    assert not [*(server.top / "victim").iterdir()]


def test_nothing_is_opened_to_the_group_before_the_fingerprint_was_right(server: Server) -> None:
    ran = server.trust("SHA256:" + "0" * 64)

    assert ran.code == NotTrustedError.exit_code
    assert not os.path.lexists(server.state)
    assert not (server.top / "etc/airgap").exists()

    assert server.trust(server.site.fingerprint).code == 0
    listed = {path.name: stat.S_IMODE(path.stat().st_mode) for path in server.state.iterdir()}
    shared = dict.fromkeys(("sites", "manifests", "uploads", "cache"), 0o2770)
    assert listed == shared | {"trust": 0o2750}
    assert {path.stat().st_uid for path in server.state.iterdir()} == {0}


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_pinned_root_of_a_member_is_not_trusted(server: Server, kind: str) -> None:
    assert server.trust(server.site.fingerprint).code == 0
    real = server.top / "real"
    shutil.copytree(server.state / "trust", real)
    shutil.rmtree(server.state / "trust")
    for path in (real, *real.iterdir()):
        shutil.chown(path, ALICE, GROUP)
    real.chmod(0o2750)
    if kind == "link":
        (server.state / "trust").symlink_to(real)
    else:
        real.rename(server.state / "trust")
    text = "is a link" if kind == "link" else f"another user (uid {ALICE})"

    ran = server.run(BOB, "trust", "show", "--json")
    assert ran.code == 3
    assert text in ran.json["error"]["message"]
    assert text in server.run(BOB, "doctor").out
    shutil.rmtree(real, ignore_errors=True)


def test_members_record_removals_in_one_file_that_none_of_them_may_rename(server: Server) -> None:
    open_to_group(server)
    code = (
        "os.environ['AIRGAP_HOME'] = STATE\n"
        "from airgap.state import removals\n"
        "removals._BYTES = 100\n"
        "line = {'at': 'x' * 90, 'event': 'removed', 'user': str(os.getuid()), 'items': []}\n"
        "removals.record_removal(line)\n"
        "print([line['user'] for line in removals.list_removals()])\n"
    )
    assert server.script(ALICE, code.replace("= 100", "= 1000")) == f"['{ALICE}']\n"
    assert server.script(BOB, code.replace("= 100", "= 300")) == f"['{ALICE}', '{BOB}']\n"
    assert server.script(BOB, code.replace("= 100", "= 300")).count(str(BOB)) == 2

    server.script(ALICE, code)  # its owner renames it
    assert sorted(path.name for path in server.state.iterdir()) == ["removals.jsonl.1"]


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder and store that a group shares, of this process's user."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2770)
    monkeypatch.setenv("AIRGAP_HOME", str(folder))
    monkeypatch.setenv("BENTOML_HOME", str(folder))
    return folder


def begin_ledger(folder: Path) -> None:
    ledger = LedgerStore("ward", folder / "sites/ward", folder / "witness")
    ledger.create(Entry("ward", "begun", 1, 0, 1, b""))


def reset_ledger(folder: Path) -> None:
    (folder / "sites/ward").mkdir(parents=True)
    (folder / "sites").chmod(0o2770)
    store = LedgerStore("ward", folder / "sites/ward", folder / "witness")
    with store.lock(lambda: None) as writer:
        writer.reset(Entry("ward", "reset", 1, 0, 1, b""))


def put_copy_in_place(folder: Path, victim: Path) -> Path:
    """As a member does who may write to the folder above: rename, and link to another folder."""
    moved = folder.with_name("moved")
    folder.rename(moved)
    shutil.copytree(moved, victim)
    folder.symlink_to(victim)
    return moved


def test_a_ledger_is_written_where_it_was_checked_whoever_takes_its_name(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_ledger(shared)
    ledger, victim = shared / "sites/ward", tmp_path / "victim"
    store = LedgerStore("ward", ledger)
    real = durable.append
    moved = []

    def append_later(path: Path, size: int, data: bytes) -> None:
        moved.append(put_copy_in_place(ledger, victim))
        real(path, size, data)

    monkeypatch.setattr(durable, "append", append_later)
    with store.lock(lambda: None) as writer:
        checked, _ = writer.store.check()
        assert isinstance(checked, Consistent)
        before = stores.snapshot(ledger)
        writer.append(checked, Entry("ward", "refused", 2, 0, 1, b"", bundle=b"a" * 32))

    assert list(stores.snapshot(victim).values()) == list(before.values())
    after = LedgerStore("ward", moved[0]).check()[0]
    assert isinstance(after, Consistent)
    assert after.state.entries == checked.state.entries + 1


def test_a_link_of_a_member_in_the_place_of_a_ledger_is_not_written_through(
    shared: Path, tmp_path: Path
) -> None:
    begin_ledger(shared)
    put_copy_in_place(shared / "sites/ward", tmp_path / "victim")

    with (
        pytest.raises(OSError, match=r"Not a directory|symbolic"),
        LedgerStore("ward", shared / "sites/ward").lock(lambda: None),
    ):
        pass


def test_a_ledger_without_proc_is_reached_by_its_name(tmp_path: Path) -> None:
    assert name_folder(10**6, tmp_path) == tmp_path  # no such descriptor, as without /proc


MAKERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "state": ("cache", lambda folder: sharing.make_own_folder(folder / "cache")),
    "ledger": (".ward.part", begin_ledger),
    "aside": (".ward~reset-1.part", reset_ledger),
    "store": ("bentoml", lambda folder: private_folder.make_store(folder / "bentoml")),
    "item": ("models", lambda folder: modes.make_folder(folder, folder / "models")),
    "unsigned": ("unsigned", lambda _: UnsignedStaging(home())),
    "unsigned folder": (
        "a",
        lambda _: UnsignedStaging(home()).write("a/b", 1, [b"x"]),
    ),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_folder_that_a_link_replaces_at_once_changes_no_other_folder(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, maker: str
) -> None:
    """As a member of the group does by renaming what another one has just made."""
    victim = tmp_path / "victim"
    victim.mkdir()
    victim.chmod(0o711)
    name, make = MAKERS[maker]
    real = os.mkdir
    replaced = []

    def make_and_replace(path: Path | str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real(path, mode, dir_fd=dir_fd)
        if Path(path).name == name:
            os.rename(path, f"{path}~old", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.symlink(victim, path, dir_fd=dir_fd)
            replaced.append(path)

    monkeypatch.setattr(os, "mkdir", make_and_replace)
    with pytest.raises((OSError, CorruptError), match=r"Not a directory|symbolic|as a folder"):
        make(shared)

    assert replaced
    assert stat.S_IMODE(victim.stat().st_mode) == 0o711
    assert not [*victim.iterdir()]


def test_a_mode_is_given_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("victim")

    with pytest.raises(OSError, match="symbolic"):
        permissions.set_mode(tmp_path / "link", 0o2770)
    assert stat.S_IMODE((tmp_path / "victim").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's link")
def test_a_folder_behind_a_link_of_a_member_is_not_used(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (shared / "cache").symlink_to(tmp_path / "victim")
    sharing.make_own_folder(shared / "cache")  # this user's own link is

    os.chown(shared / "cache", ALICE, GROUP, follow_symlinks=False)
    with pytest.raises(OSError, match="link of another user"):
        sharing.make_own_folder(shared / "cache/manifests")
    assert not [*(tmp_path / "victim").iterdir()]


def give_to_member(slot: Path, victim: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    slot.write_bytes(victim.read_bytes())
    os.chown(slot, ALICE, GROUP)


SLOTS: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda slot, victim: slot.symlink_to(victim),
    "hard link": lambda slot, victim: slot.hardlink_to(victim),
    "fifo": lambda slot, _: os.mkfifo(slot),
    "other owner": give_to_member,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", SLOTS)
def test_the_mark_of_uploads_is_written_into_no_other_file(
    shared: Path, tmp_path: Path, kind: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"root:x:0:0:root:/root:/bin/sh\n")
    sharing.make_own_folder(shared / "uploads")
    SLOTS[kind](shared / "uploads/0", victim)

    mark = upload_marks.hold_mark()

    assert victim.read_bytes() == b"root:x:0:0:root:/root:/bin/sh\n"
    assert (shared / "uploads/1").read_bytes() == mark.encode()
    if kind == "other owner":
        assert (shared / "uploads/0").read_bytes() == victim.read_bytes()


@pytest.mark.timeout(20)
def test_a_fifo_in_the_state_folder_is_not_waited_for(shared: Path) -> None:
    for path in ("cache/manifests", "manifests"):
        sharing.make_own_folder(shared / path)
    for path in (f"cache/manifests/{BUNDLE}", f"manifests/{BUNDLE}.msgpack", "removals.jsonl"):
        os.mkfifo(shared / path)

    assert manifest_cache.load(BUNDLE) is None
    assert installed_manifests.load_manifest(BUNDLE) is None
    assert not list(installed_manifests.load())
    assert not list(removals.list_removals())
    assert not locks.is_locked(shared / "removals.jsonl")
    with pytest.raises(OSError, match="No such device"):  # nobody reads it
        removals.record_removal({"at": ""})
    with (shared / "removals.jsonl").open("r+b", buffering=0) as reader:
        with pytest.raises(OSError, match="not a regular file"):
            removals.record_removal({"at": ""})
        os.set_blocking(reader.fileno(), False)
        assert reader.read(1) is None


def test_a_line_of_a_removal_is_written_whole(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    line = {"at": "now", "event": "removed", "user": "ann", "items": []}

    removals.record_removal(line)

    assert json.loads((shared / "removals.jsonl").read_text()) == line
