"""Operators of one group, and a container's arbitrary user, import into one store."""

import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.format.root import fingerprint
from tests.support import stores
from tests.support.sides import Ran, Side, Site, make_site
from tests.support.users import Machine, User, open_folder, start_machine

GROUP = 41900
ALICE, BOB, CAROL = 41001, 41002, 41003


ATTEMPTS = """
import os
state = "/var/lib/airgap"
trust = state + "/trust"
first = trust + "/" + sorted(os.listdir(trust))[0]
for attempt in (
    lambda: os.rename(trust, trust + ".old"),
    lambda: os.rename(state + "/sites", state + "/sites.old"),
    lambda: os.rename(state, state + ".old"),
    lambda: open(trust + "/new", "x"),
    lambda: open(trust + "/fingerprint", "a"),
    lambda: open(first, "a"),
    lambda: os.unlink(trust + "/fingerprint"),
    lambda: os.unlink(first),
    lambda: os.symlink("/", trust + "/link"),
    lambda: os.chmod(trust, 0o2770),
    lambda: os.rmdir(trust),
):
    try:
        attempt()
    except PermissionError:
        print("refused")
"""


class Hospital:
    """A machine whose state folder is the system's; bundles 1, 2 and 3 lie there."""

    def __init__(self, top: Path, machine: Machine, site: Site) -> None:
        self.top, self.machine, self.site = top, machine, site
        self.store = top / "bentoml"

    def user(self, uid: int, umask: int, *groups: int) -> User:
        home = self.top / f"home/{uid}"
        home.mkdir(parents=True, exist_ok=True)
        shutil.chown(home, uid, uid)
        environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        environment |= {"BENTOML_HOME": str(self.store)}
        return User(uid, uid, groups, umask, environment)

    def run(self, user: User, *words: str | Path) -> Ran:
        return self.machine.run(user, *words)


def export(top: Path, site: Site, numbers: int) -> None:
    """Make bundles of one channel: a Bento with a model of its own in each."""
    office = Side(top / "office")
    for number in range(1, numbers + 1):
        stores.add_model(office, f"ranker:v{number}", {"weights.bin": stores.noise(60_000)})
        stores.add_bento(office, f"shop:v{number}", {"a.py": b"1"}, models=[f"ranker:v{number}"])
        words = ("export", f"shop:v{number}", "-o", top / f"depot{number}", "--key", site.key())
        assert office.run(*words, "--sequence", str(number), "--channel", "stable").code == 0


@pytest.fixture(scope="module")
def stock() -> Iterator[tuple[Path, Site]]:
    """Bundles, and what the machine has in the place of /etc and /var/lib."""
    with open_folder() as top:
        (top / "keys").mkdir()
        site = make_site(top / "keys")
        export(top, site, 4)
        for path in top.glob("depot*"):
            path.chmod(0o755)
        yield top, site


@pytest.fixture
def hospital(stock: tuple[Path, Site]) -> Iterator[Hospital]:
    """A machine that root has set up for a group."""
    bundles, site = stock
    with open_folder() as top:
        for folder in ("etc", "lib"):
            (top / folder).mkdir()
        (top / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (top / "etc/group").write_text(f"root:x:0:\nairgap:x:{GROUP}:\n")
        store = top / "bentoml"
        store.mkdir()
        shutil.chown(store, 0, GROUP)
        store.chmod(0o2775)
        for path in bundles.glob("depot*"):
            (top / path.name).symlink_to(path)
        binds = [(top / "etc", Path("/etc")), (top / "lib", Path("/var/lib"))]
        with start_machine(binds=binds) as machine:
            made = Hospital(top, machine, site)
            root = User(0, 0, (), 0o077, {"HOME": "/nonexistent", "BENTOML_HOME": str(store)})
            words = ("trust", "init", site.root, "--fingerprint", site.fingerprint)
            ran = made.run(root, *words, "--system", "--group", "airgap")
            assert ran.code == 0, ran.err
            yield made


@pytest.mark.parametrize(("first", "second"), [(0o077, 0o077), (0o022, 0o077)])
def test_two_operators_share_one_store_and_one_ledger(
    hospital: Hospital, first: int, second: int
) -> None:
    alice = hospital.user(ALICE, first, GROUP)
    bob = hospital.user(BOB, second, GROUP)
    depots = [hospital.top / f"depot{number}" for number in range(5)]

    for user, number in ((alice, 1), (bob, 1), (bob, 2), (alice, 3), (bob, 3)):
        ran = hospital.run(user, "import", depots[number])
        assert ran.code == 0, ran.err
    assert hospital.run(alice, "import", depots[1]).code == 12  # a replay, whoever imported last

    logs = [hospital.run(user, "log", "--json") for user in (alice, bob)]
    assert logs[0].json == logs[1].json
    assert [entry["event"] for entry in logs[0].json["entries"]] == [
        *("refused", "imported", "imported", "imported", "begun")
    ]
    for words in (
        ("check",),
        ("remove", "shop:v1", "--yes"),  # alice's item
        ("prune", "--keep", "1", "--yes"),
        ("doctor",),
        ("trust", "show"),
        ("verify", depots[4]),
    ):
        ran = hospital.run(bob, *words)
        assert ran.code == 0, (words, ran.out, ran.err)
    assert hospital.run(alice, "import", depots[4]).code == 0
    assert hospital.run(bob, "check").code == 0


def test_an_operator_goes_on_with_what_another_has_begun(hospital: Hospital) -> None:
    alice, bob = (hospital.user(uid, 0o077, GROUP) for uid in (ALICE, BOB))
    depot = hospital.top / "broken"
    shutil.copytree((hospital.top / "depot1").resolve(), depot)
    packs = sorted(depot.glob("packs/*/*.pack"))
    packs[-1].write_bytes(b"damaged")

    assert hospital.run(alice, "import", depot).code == 10
    assert list((hospital.store / ".airgap/staging").rglob("*"))

    ran = hospital.run(bob, "import", hospital.top / "depot1")
    assert ran.code == 0, ran.err
    assert not (hospital.store / ".airgap/staging").exists()


def test_only_the_owner_of_the_pinned_root_changes_it(hospital: Hospital) -> None:
    alice = hospital.user(ALICE, 0o022, GROUP)
    trust = hospital.top / "lib/airgap/trust"
    before = stores.snapshot(trust)
    script = hospital.top / "replace.py"
    script.write_text(ATTEMPTS)

    ran = hospital.machine.run(alice, script, script=True)

    assert ran.out == "refused\n" * 11, ran.err
    assert stores.snapshot(trust) == before
    with open_folder() as top:
        other = make_site(top)
        replaced = ("trust", "init", other.root, "--fingerprint", other.fingerprint)
        successor = top / "2.msgpack"
        office = Side(top / "office")
        for words in (
            ("set-expiry", hospital.site.root, "2y", "-o", successor),
            ("sign", successor, "--key", hospital.site.folder / "site.key", "--fingerprint"),
        ):
            pin = [fingerprint(successor.read_bytes())] if words[0] == "sign" else []
            made = office.run("root", *words, *pin)
            assert made.code == 0, made.err
        for arguments in (replaced, ("trust", "update", successor)):
            for path in top.glob("*.*"):
                path.chmod(0o644)
            ran = hospital.run(alice, *arguments)
            assert ran.code in (14, 15), (arguments, ran.out, ran.err)
    assert stores.snapshot(trust) == before


def test_a_user_outside_the_group_is_told_so(hospital: Hospital) -> None:
    carol = hospital.user(CAROL, 0o022)

    for words in (("import", hospital.top / "depot1"), ("log",), ("trust", "show")):
        ran = hospital.run(carol, *words, "--json")
        assert ran.code == 3, ran.err
        assert "may not read /var/lib/airgap/trust" in ran.json["error"]["message"]
        assert "group" in ran.json["error"]["hint"]


@pytest.mark.parametrize("home", ["/", None])
def test_an_arbitrary_user_of_a_container_imports_with_a_read_only_root(
    stock: tuple[Path, Site], home: str | None
) -> None:
    bundles, site = stock
    with open_folder() as volume:
        shutil.chown(volume, 0, 0)
        volume.chmod(0o2775)
        environment = {"AIRGAP_HOME": f"{volume}/state", "BENTOML_HOME": f"{volume}/bentoml"}
        environment |= {"PATH": "/usr/bin:/bin"} | (
            {"HOME": home} if home else {"HF_HUB_CACHE": f"{volume}/hub"}
        )
        user = User(1_000_670_000, 0, (0,), 0o022, environment)
        other = replace(user, uid=1_000_680_000, umask=0o077)
        with start_machine(read_only_but=volume) as machine:
            trusted = ("trust", "init", site.root, "--fingerprint", site.fingerprint)
            for who, words in (
                (user, trusted),
                (user, ("import", bundles / "depot1")),
                (other, ("import", bundles / "depot1")),
                (other, ("import", bundles / "depot2")),
                (other, ("check",)),
                (other, ("log",)),
                (other, ("list",)),
                (other, ("remove", "shop:v1", "--yes")),
                *([] if home else [(user, ("doctor",))]),  # a note: no temporary folder
            ):
                ran = machine.run(who, *words)
                assert ran.code == 0, (who.uid, words, ran.out[-1500:], ran.err)
            for lacking, code, text in (
                ({"HOME": "/"}, 15, "/.airgap"),
                ({}, 3, "This user (uid 1000670000) has no home folder, and /etc/airgap is not"),
            ):
                refused = machine.run(replace(user, environment=lacking), *trusted)
                assert refused.code == code, refused.err
                assert text in refused.err
            nowhere = replace(user, environment={"AIRGAP_HOME": f"{volume}/state"})
            refused = machine.run(nowhere, "import", bundles / "depot1")
            assert refused.code == 3
            assert "BENTOML_HOME is not set" in refused.err


def test_modes_do_not_depend_on_the_umask(hospital: Hospital) -> None:
    alice = hospital.user(ALICE, 0o077, GROUP)
    assert hospital.run(alice, "import", hospital.top / "depot1").code == 0

    state = hospital.top / "lib/airgap"
    for path in (*state.rglob("*"), *hospital.store.rglob("*")):
        status = path.lstat()
        if path.is_relative_to(state / "trust"):
            continue
        assert status.st_gid == GROUP, path
        if path.name == "ward" and path.parent.name == "witness":
            continue  # it is replaced by a rename
        wanted = 0o2070 if stat.S_ISDIR(status.st_mode) else 0o060
        assert status.st_mode & wanted == wanted, (path, oct(status.st_mode))
