"""The doctor: one thing wrong at a time, told with what to do, and nothing touched."""

import errno
import fcntl
import importlib
import importlib.metadata
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from airgap.flow.doctor import fips as doctor_fips
from airgap.flow.doctor import installation, site_state
from airgap.flow.doctor.finding import Finding
from airgap.format.root import Root
from airgap.signing import private_keys
from airgap.store import health
from tests.support import fips, sides, stores
from tests.support.faults import Fault, Launcher
from tests.support.sides import Ran, Side, Site, run_cli


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key lies in the current folder, and no setting of the person who runs the tests counts."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for name in ("AIRGAP_KEY", "AIRGAP_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def findings(ran: Ran, level: str, about: str = "") -> list[dict[str, Any]]:
    return [
        one for one in ran.json["findings"] if one["level"] == level and about in ("", one["about"])
    ]


def the_problem(side: Side, about: str) -> str:
    """Run the doctor, which must find exactly one problem; return all it says of it."""
    before = stores.snapshot(side.top)
    ran = side.run("doctor", "--json")
    assert ran.code == 3
    assert ran.json["error"]["exit_code"] == 3
    (found,) = findings(ran, "problem")
    assert found["about"] == about
    assert found["hint"]
    assert stores.snapshot(side.top) == before
    return f"{found['message']} {found['hint']}"


def the_note(side: Side, about: str) -> str:
    """Run the doctor, which must find no problem and one note about something."""
    ran = side.run("doctor", "--json")
    assert ran.code == 0, ran.out
    (found,) = findings(ran, "note", about)
    return f"{found['message']} {found['hint']}"


def test_a_machine_that_is_set_up_is_healthy(isolated: Side, site: Site) -> None:
    ran = isolated.run("doctor", "--json")

    assert ran.code == 0
    assert ran.json["healthy"]
    assert not findings(ran, "problem")
    (root,) = findings(ran, "ok", "root")
    assert site.fingerprint in root["message"]


def test_people_see_what_to_do_within_80_columns(isolated: Side) -> None:
    bento = isolated.bentoml / "bentos" / "shop" / "v1"
    bento.mkdir(parents=True)

    ran = isolated.run("doctor")

    assert ran.code == 3
    assert "problem" in ran.out
    assert f"Remove it (rm -r {bento})" in " ".join(ran.out.split())
    assert ran.out.endswith("1 problem, no notes.\n")
    longer = [line.split() for line in ran.out.splitlines() if len(line) > 80]
    assert all(len(words) <= 2 for words in longer), "only what cannot be broken may be longer"


def test_quiet_keeps_to_problems(isolated: Side) -> None:
    ran = isolated.run("doctor", "--quiet")

    assert ran.out == "no problems, no notes.\n"


def test_a_machine_that_trusts_nobody_is_told_how_to(connected: Side) -> None:
    assert "airgap trust init" in the_note(connected, "root")


def test_a_root_that_was_changed_on_disk_is_a_problem(isolated: Side) -> None:
    (pinned,) = (isolated.state / "trust").glob("*.msgpack")
    pinned.write_bytes(pinned.read_bytes()[:-1])

    assert the_problem(isolated, "root")


@pytest.mark.parametrize(
    ("days", "level"), [(-1, "problem"), (0, "problem"), (29, "note"), (31, "ok")]
)
def test_the_expiry_of_the_root_is_foreseen(days: int, level: str) -> None:
    now = 1_800_000_000
    expiring = Root("ward", 1, (), {}, {}, not_after=now + days * 86400)

    (found,) = site_state._check_expiry(expiring, "SHA256:00", now)

    assert found.level == level
    assert "expire" in found.message


def test_a_broken_config_file_is_found_and_does_not_stop_the_doctor(isolated: Side) -> None:
    (isolated.state / "config.toml").write_text("key = [")

    assert "config.toml" in the_problem(isolated, "config")


def test_a_config_file_that_can_be_read_is_named(isolated: Side) -> None:
    (isolated.state / "config.toml").write_text("jobs = 2\n")

    (found,) = findings(isolated.run("doctor", "--json"), "ok", "config")

    assert str(isolated.state / "config.toml") in found["message"]


def test_a_config_variable_that_leads_nowhere_is_a_problem(
    isolated: Side, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRGAP_CONFIG", str(tmp_path / "gone.toml"))

    assert "gone.toml" in the_problem(isolated, "config")


@pytest.mark.parametrize("where", ["here", "state", "variable", "config"])
def test_a_private_key_that_others_can_read_is_found(
    where: str, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"here": Path.cwd(), "state": isolated.state}.get(where, tmp_path)
    key = folder / "builder.key"
    key.write_text("secret")
    key.chmod(0o640)
    if where == "variable":
        monkeypatch.setenv("AIRGAP_KEY", str(key))
    if where == "config":
        (isolated.state / "config.toml").write_text(f"[export]\nkey = '{key}'\n")

    assert f"chmod 600 {key}" in the_problem(isolated, "keys")


def test_a_private_key_of_its_owner_only_is_fine(isolated: Side) -> None:
    assert isolated.run("key", "generate", "builder", "--no-passphrase").code == 0

    (found,) = findings(isolated.run("doctor", "--json"), "ok", "keys")

    assert str(Path.cwd() / "builder.key") in found["message"]


def test_a_key_that_is_named_but_not_there_is_a_problem(
    isolated: Side, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRGAP_KEY", str(tmp_path / "gone.key"))

    assert "AIRGAP_KEY" in the_problem(isolated, "keys")


@pytest.mark.parametrize(("part", "mode"), [(".", 0o777), ("trust", 0o770), ("sites", 0o707)])
def test_state_that_others_can_write_is_a_problem(part: str, mode: int, isolated: Side) -> None:
    (isolated.state / part).chmod(mode)

    assert "chmod go-w" in the_problem(isolated, "state")


def test_state_that_a_group_shares_is_no_problem_but_others_may_not_write(isolated: Side) -> None:
    isolated.state.chmod(0o2770)
    assert "may change whom this machine trusts" in the_note(isolated, "state")

    isolated.state.chmod(0o3770)
    (found,) = findings(isolated.run("doctor", "--json"), "ok", "state")
    assert f"its group (gid {isolated.state.stat().st_gid}) imports" in found["message"]

    (isolated.state / "trust").chmod(0o707)
    assert "chmod o-w" in the_problem(isolated, "state")


def test_state_without_a_root_yet_is_fine(connected: Side) -> None:
    connected.state.mkdir()

    assert connected.run("doctor", "--json").code == 0


def test_state_that_is_no_folder_is_a_problem(connected: Side) -> None:
    connected.state.write_text("")

    ran = connected.run("doctor", "--json")

    assert ran.code == 3
    assert findings(ran, "problem", "state")


def test_a_store_that_is_no_folder_is_a_problem(isolated: Side) -> None:
    isolated.hugging_face.write_text("")

    assert str(isolated.hugging_face) in the_problem(isolated, "stores")


def test_a_nearly_full_disk_is_noted(isolated: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(isolated.top)._replace(free=5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    ran = isolated.run("doctor", "--json")

    assert len(findings(ran, "note", "stores")) == 2


def test_a_store_in_two_file_systems_is_a_problem(
    isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated.bentoml / "bentos").mkdir(parents=True)
    real = health.inspect_disk

    def inspect_disk(store: Path, parts: tuple[str, ...] = ()) -> health.Disk:
        disk = real(store, parts)
        return health.Disk(store, disk.exists, disk.writable, disk.free, (store / "bentos",))

    monkeypatch.setattr(health, "inspect_disk", inspect_disk)
    ran = isolated.run("doctor", "--json")

    assert "is on another file system than" in findings(ran, "problem", "stores")[0]["message"]


@pytest.mark.skipif(not Path("/proc").is_mount(), reason="needs /proc, a second file system")
def test_a_part_of_a_store_on_another_disk_is_seen(tmp_path: Path) -> None:
    (tmp_path / "bentos").symlink_to("/proc")
    (tmp_path / "models").mkdir()

    assert health.inspect_disk(tmp_path, ("bentos", "models", "absent")).detached == (
        tmp_path / "bentos",
    )


def test_what_a_cut_off_import_left_is_told_with_its_size(isolated: Side) -> None:
    left = isolated.bentoml / ".airgap" / "staging" / ("ab" * 32)
    stores.write_files(left, {"bento/shop/v1/weights": stores.noise(1_000_000)})

    told = the_note(isolated, "staging")

    assert f"rm -r {left}" in told
    assert re.search(r"left 1\.\d MB", told)


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        (["unsigned/a"], "an archive without a signature was interrupted", "The next such import"),
        (["wheels-1-linux/wheelhouse/a"], "export that collects packages", "same export again"),
        (
            ["wheels-1-linux/a", "wheels-1-linux.lock"],
            "export that collects",
            "wheels-1-linux.lock",
        ),
        (["wheels-1-linux.lock"], "export that collects packages", "rm -r "),
        (["my notes/a"], "that airgap did not make", "rm -r '"),
        ([f"{'ab' * 32}/a", f"{'ab' * 32}/seen.json"], "waits for more volumes", "same import"),
    ],
)
def test_each_leftover_in_staging_is_called_what_it_is(
    files: list[str], message: str, hint: str, isolated: Side
) -> None:
    stores.write_files(isolated.bentoml / ".airgap" / "staging", dict.fromkeys(files, b"a"))

    (told,) = findings(isolated.run("doctor", "--json"), "note", "staging")

    assert message in told["message"]
    assert hint in told["hint"]


def test_the_packages_that_an_export_collects_are_left_alone(isolated: Side) -> None:
    staging = isolated.bentoml / ".airgap" / "staging"
    stores.write_files(staging, {"wheels-1-linux/a": b"a", "wheels-1-linux.lock": b""})
    with (staging / "wheels-1-linux.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        (told,) = findings(isolated.run("doctor", "--json"), "note", "staging")

    assert told["message"] == f"An export collects packages in {staging / 'wheels-1-linux'}."
    assert "rm" not in told["hint"]


def test_the_only_copy_of_an_item_is_not_to_be_removed(isolated: Side) -> None:
    old = f"{'ab' * 32}/model/ranker/v1~old"
    staging = isolated.bentoml / ".airgap" / "staging"
    stores.write_files(staging, {f"{old}/model.yaml": b"", f"{'ab' * 32}/bento/x/v1~old/a": b""})
    stores.write_files(isolated.bentoml, {"bentos/x/v1/a": b"new"})

    (lost,) = findings(isolated.run("doctor", "--json"), "problem", "staging")

    message = "An import was killed while it replaced the model ranker:v1: its only copy is"
    assert lost["message"] == f"{message} {staging / old}."
    final = isolated.bentoml / "models/ranker/v1"
    assert shlex.split(lost["hint"])[-3:] == ["mv", str(staging / old), str(final)]
    assert not findings(isolated.run("doctor", "--json"), "note", "staging")
    stores.write_files(isolated.bentoml, {"models/ranker/v1/a": b"new"})
    (told,) = findings(isolated.run("doctor", "--json"), "note", "staging")
    assert told["hint"].endswith(f"rm -r {staging / ('ab' * 32)}")


def test_the_staging_of_an_import_at_work_is_left_alone(isolated: Side) -> None:
    private = isolated.bentoml / ".airgap"
    stores.write_files(private, {"staging/abc/file": b"x", "lock": b""})
    with (private / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        told = the_note(isolated, "staging")

    assert "is running" in told
    assert "rm -r" not in told


def test_the_lock_of_an_import_that_died_is_not_at_work(isolated: Side) -> None:
    stores.write_files(isolated.bentoml / ".airgap", {"lock": b""})

    assert not health.is_importing(isolated.bentoml)


@pytest.mark.parametrize("kind", ["bentos", "models"])
def test_a_folder_without_its_yaml_breaks_listing(kind: str, isolated: Side) -> None:
    (isolated.bentoml / kind / "shop" / "v1").mkdir(parents=True)
    (isolated.bentoml / kind / "stray file").write_text("")

    told = the_problem(isolated, "items")

    assert "breaks `bentoml" in told
    assert f"rm -r {isolated.bentoml / kind / 'shop' / 'v1'}" in told


def test_a_yaml_that_bentoml_did_not_write_is_not_to_be_removed_blindly(isolated: Side) -> None:
    stores.write_files(isolated.bentoml / "bentos/shop/v1", {"bento.yaml": b"{"})

    assert "rm -r" not in the_problem(isolated, "items")


def test_a_renamed_item_is_a_problem(isolated: Side) -> None:
    stores.add_model(isolated, "ranker:v1", {}).rename(isolated.bentoml / "models/ranker/v2")
    (isolated.bentoml / "models/ranker/latest").unlink()

    assert "ranker:v1" in the_problem(isolated, "items")


@pytest.mark.parametrize("installed", [True, False])
def test_half_a_model_in_a_bento_is_a_problem_and_is_kept(
    installed: bool,  # noqa: FBT001
    isolated: Side,
) -> None:
    bento = stores.add_bento(isolated, "shop:v1", {"models/ranker/v1/half": b"x"})
    if installed:
        stores.add_model(isolated, "ranker:v1", {})

    told = the_problem(isolated, "items")

    assert f"{bento / 'models/ranker'} has no file latest" in told
    assert ("mv " in told) is installed
    assert "rm " not in told


def test_a_bento_that_holds_its_models_is_only_noted(isolated: Side) -> None:
    bento = stores.add_bento(isolated, "shop:v1", {}, models=["ranker:v1"])
    stores.add_model(isolated, "ranker:v1", {}).parent.rename(bento / "ranker")
    (bento / "models").mkdir()
    (bento / "ranker").rename(bento / "models" / "ranker")

    told = the_note(isolated, "items")

    assert "holds the model ranker:v1 itself" in told
    assert "not on this machine" not in told


def test_what_is_no_model_in_the_models_of_a_bento_is_a_problem(isolated: Side) -> None:
    bento = stores.add_bento(isolated, "shop:v1", {"models/notes.txt": b"x"})

    assert f"{bento / 'models/notes.txt'} is not part of a model" in the_problem(isolated, "items")


def test_a_dangling_latest_is_noted(isolated: Side) -> None:
    stores.add_bento(isolated, "shop:v1", {})
    (isolated.bentoml / "bentos" / "shop" / "latest").write_text("v9")

    assert "'v9'" in the_note(isolated, "items")


@pytest.mark.parametrize("there", [True, False])
def test_a_model_that_a_bento_lacks_is_noted(there: bool, isolated: Side) -> None:  # noqa: FBT001
    stores.add_bento(isolated, "shop:v1", {}, models=["ranker:v1"])
    if there:
        stores.add_model(isolated, "ranker:v1", {})

    ran = isolated.run("doctor", "--json")

    assert ran.code == 0
    assert ["ranker:v1" in one["message"] for one in findings(ran, "note", "items")] == (
        [] if there else [True]
    )


def test_a_clock_before_this_version_was_made_is_a_problem() -> None:
    assert [one.level for one in site_state.check_clock(0)] == ["problem"]
    assert [one.level for one in site_state.check_clock(1_800_000_000)] == ["ok"]


def test_the_doctor_knows_every_package_that_airgap_needs() -> None:
    project = tomllib.loads((sides.REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[>=<]", one)[0] for one in project["dependencies"]}

    assert set(installation.MODULES) == needed | {"bcrypt"}


def test_a_package_that_cannot_be_imported_is_a_problem() -> None:
    found = levels(installation.check_packages({"click": "click", "nothing": "no_such_module"}))

    assert found == ["problem", "ok"]


def test_a_package_that_is_too_old_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.requires", lambda _name: ["click>=999.1"])

    (found, _) = installation.check_packages({"click": "click"})

    assert found.level == "problem"
    assert "click>=999.1" in found.hint


def test_airgap_run_from_a_folder_has_no_versions_to_compare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", absent)

    assert levels(installation.check_packages({"click": "click"})) == ["ok"]


@pytest.mark.parametrize(
    ("version", "level"),
    [("1.3.9", "problem"), ("1.4.0", "ok"), ("1.99rc1", "ok"), ("2.0.0a1", "problem")],
)
def test_a_bentoml_whose_store_is_unknown_is_a_problem(
    version: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _name: version)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: re.__spec__)
    monkeypatch.setenv("PATH", "")

    assert levels(installation.check_bentoml()) == [level]


def test_a_python_without_bentoml_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")

    (found,) = installation.check_bentoml()

    assert found.level == "note"
    assert "bento-airgap[bentoml]" in found.hint


def test_another_bentoml_on_the_path_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "bentoml"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert str(other) in [*installation.check_bentoml()][1].message


def levels(found: Iterable[Finding]) -> list[str]:
    return [one.level for one in found]


def test_an_import_that_was_killed_after_its_entry_is_noted(
    isolated: Side, depot: Path, launcher: Launcher
) -> None:
    fault = Fault(before=r"^rename .*models/ranker/v1")
    assert launcher.run(isolated, "import", depot, fault=fault).killed

    assert "ended before all items were in place" in the_note(isolated, "history")

    assert isolated.run("import", depot).code == 0
    assert not findings(isolated.run("doctor", "--json"), "note", "history")


def test_an_import_that_failed_after_its_entry_is_noted_with_the_reason(
    isolated: Side, depot: Path, launcher: Launcher
) -> None:
    fault = Fault(before=r"^rename .*models/ranker/v1", error=errno.EIO)
    assert launcher.run(isolated, "import", depot, fault=fault).code == 15

    assert "Input/output error" in the_note(isolated, "history")

    assert isolated.run("import", depot).code == 0
    assert not findings(isolated.run("doctor", "--json"), "note", "history")


def fips_findings(side: Side) -> dict[str, Finding]:
    """Return the doctor's findings of FIPS mode by what they are about, in the current folder."""
    with side.here():
        return {one.message.split(" (")[0]: one for one in doctor_fips.check_fips(Path.cwd())}


def test_a_machine_without_fips_mode_is_only_said_to_be_so(isolated: Side) -> None:
    assert list(fips_findings(isolated)) == ["This machine is not in FIPS mode."]


def test_in_fips_mode_each_key_is_judged(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [("ed", "ed25519", None, False), ("good", "ecdsa-p384-sha384", b"12345678", True)]
    kinds += [("bcrypt", "ecdsa-p256-sha256", b"1234", False), ("ml", "ml-dsa-65", b"1", False)]
    for name, algorithm, secret, is_fips in kinds:
        private_keys.generate(Path.cwd(), name, algorithm, secret, fips=is_fips)
    private_keys.generate(Path.cwd(), "plain", "ml-dsa-65", None)
    private_keys.generate(Path.cwd(), "alone", "ecdsa-p384-sha384", b"12345678", fips=True)
    Path("alone.pub").unlink()
    fips.switch_on(monkeypatch, tmp_path)
    fips.refuse_unapproved(monkeypatch)

    found = fips_findings(isolated)

    levels = {path.stem: found[f"The key file {path}"].level for path in Path.cwd().glob("*.key")}
    assert levels == {
        "ed": "problem",
        "good": "ok",
        "bcrypt": "note",
        "ml": "problem",
        "plain": "note",
        "alone": "note",
    }
    mode, *of_root = [one for message, one in found.items() if "The key file" not in message]
    assert mode.level == "ok"
    assert "This machine is in FIPS mode, and airgap computes with" in mode.message
    assert [one.level for one in of_root] == ["problem", "problem"]
    assert all("builder key" in one.message or "root key" in one.message for one in of_root)
    assert all("--fips" in one.hint for one in found.values() if one.level != "ok")


def test_an_openssl_that_came_with_cryptography_knows_nothing_of_the_mode(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_keys.generate(Path.cwd(), "ml", "ml-dsa-65", b"1")
    fips.switch_on(monkeypatch, tmp_path)

    found = list(fips_findings(isolated).values())

    assert found[0].level == "note"
    assert "OpenSSL" in found[0].message
    assert "--no-binary" in found[0].hint
    assert [one.level for one in found[1:]] == ["note", "note", "note"]


def test_what_is_no_key_and_no_root_is_left_to_other_checks(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("folder.key").mkdir()
    (pinned,) = (isolated.state / "trust").glob("*.msgpack")
    pinned.write_bytes(b"changed")
    fips.switch_on(monkeypatch, tmp_path)

    (mode,) = fips_findings(isolated).values()

    assert mode.level == "note"


def test_a_package_that_fails_in_fips_mode_is_named_with_its_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("an algorithm is missing")

    monkeypatch.setattr(importlib, "import_module", fail)
    found, _ = installation.check_packages({"paramiko": "paramiko"})

    assert found.level == "problem"
    assert "sftp://" in found.hint


def test_a_user_without_a_home_or_a_temporary_folder_gets_findings_and_no_crash(
    isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", fail)
    assert "TMPDIR" in the_note(isolated, "temporary")

    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    ran = run_cli(["doctor", "--json"], {"AIRGAP_HOME": str(isolated.state)})
    assert ran.code == 3
    texts = [found["message"] for found in findings(ran, "problem")]
    assert any("has no home folder, and BENTOML_HOME is not set" in text for text in texts)
