"""A kit: made on the connected side with real uv and pip, installed from by Python alone."""

import ast
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airgap.errors import ConflictError, UsageError
from airgap.flow.kit import install as installer
from airgap.flow.kit import wheelhouses
from airgap.format.kinds import WHEELHOUSE
from airgap.store.item_kind import Source
from airgap.store.source_tree import scan
from tests.support import environments, kits
from tests.support.package_index import serve
from tests.support.refusals import expect_refusal
from tests.support.sides import Side, Site


def test_a_kit_has_a_wheelhouse_for_each_target_and_each_wheel_once(
    kit_of_tiny_wheels: Path,
) -> None:
    printed = json.loads(kit_of_tiny_wheels.with_name("printed.json").read_text())

    targets = [item["tag"].partition(":")[0] for item in printed["items"]]
    assert targets == sorted([environments.host_target(), kits.OTHER_TARGET])
    assert {item["kind"] for item in printed["items"]} == {"wheelhouse"}
    packed = b"".join(path.read_bytes() for path in kit_of_tiny_wheels.rglob("*.pack"))
    assert packed.count(b"\nsmall==1.0 --hash=") == 2
    for wheel in kits.make_index().files.values():
        assert packed.count(wheel[-100:]) == 1  # the directory of the zip file


def test_what_is_to_be_compared_on_paper_is_printed(kit_of_tiny_wheels: Path) -> None:
    printed = json.loads(kit_of_tiny_wheels.with_name("printed.json").read_text())

    for name in ("install.py", "verify.py", "curves.py"):
        raw = (kit_of_tiny_wheels / name).read_bytes()
        assert printed["programs"][name] == hashlib.sha256(raw).hexdigest()
    assert printed["programs"]["verify.py"] in (kit_of_tiny_wheels / "install.py").read_text()


def test_it_is_installed_without_a_network_and_told_what_is_next(
    kit_of_tiny_wheels: Path, site: Site, tmp_path: Path
) -> None:
    folder, prefix = tmp_path / "deep" / "airgap", environments.without_network()

    done = kits.install(kit_of_tiny_wheels, site.fingerprint, folder, prefix=prefix)
    again = kits.install(kit_of_tiny_wheels, site.fingerprint, folder, prefix=prefix)

    assert done.returncode == 0, done.stderr
    root = kit_of_tiny_wheels / "roots" / "1.root.msgpack"
    assert f"airgap 9.9 is installed in {folder}" in done.stdout
    assert f"airgap trust init {root} --fingerprint {site.fingerprint}" in done.stdout
    ran = subprocess.run(
        [folder / "bin" / "python", "-c", "import small, part, bento_airgap"],
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0
    assert not list(folder.glob(".airgap*"))
    assert again.returncode == 0, again.stderr
    assert "already" in again.stdout


def test_it_is_installed_without_openssl(
    kit_of_tiny_wheels: Path, site: Site, tmp_path: Path
) -> None:
    done = kits.install(
        kit_of_tiny_wheels, site.fingerprint, tmp_path / "airgap", path=str(tmp_path)
    )

    assert done.returncode == 0, done.stderr
    assert "no openssl: curves.py checks the signatures" in done.stdout


def test_the_root_may_lie_in_another_place(kit: Path, site: Site, tmp_path: Path) -> None:
    shutil.rmtree(kit / "roots")

    without = kits.install(kit, site.fingerprint, tmp_path / "airgap")
    named = kits.install(kit, site.fingerprint, tmp_path / "airgap", "--root", site.root)

    assert (without.returncode, named.returncode) == (11, 0)
    assert "--root FILE" in without.stderr


def test_without_a_fingerprint_nothing_is_done(kit_of_tiny_wheels: Path, tmp_path: Path) -> None:
    for words in (["--fingerprint", "SHA256:12"], []):
        done = subprocess.run(
            [sys.executable, kit_of_tiny_wheels / "install.py", tmp_path / "airgap", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert done.returncode == 2
        assert "fingerprint" in done.stderr
        assert not (tmp_path / "airgap").exists()


def test_a_wrong_python_is_refused_with_what_the_kit_has(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        {"kind": "wheelhouse", "name": name}
        for name in ("cp312-manylinux_2_28_x86_64", "cp313-manylinux_2_28_x86_64")
    ]
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "python3.13" else None)
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.13")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(installer, "find_libc", lambda: ("manylinux", (2, 36)))
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))

    with pytest.raises(installer.Failure) as refused:
        installer.choose_item(items)

    assert str(refused.value) == (
        "This is Python 3.10.13 on x86_64 with glibc 2.36; the kit has Python 3.12 and 3.13, for"
        " manylinux_2_28_x86_64."
    )
    assert refused.value.hint == "Run it with another Python, such as python3.13 install.py."
    assert refused.value.code == 13


@pytest.mark.parametrize(
    ("libc", "machine", "fits"),
    [
        (("manylinux", (2, 36)), "x86_64", "cp311-manylinux_2_34_x86_64"),
        (("manylinux", (2, 28)), "x86_64", "cp311-manylinux_2_28_x86_64"),
        (("manylinux", (2, 17)), "x86_64", None),
        (("musllinux", (1, 2)), "aarch64", "cp311-musllinux_1_2_aarch64"),
        (("", (0, 0)), "x86_64", None),
    ],
)
def test_of_several_wheelhouses_the_one_for_this_machine_is_taken(
    libc: tuple[str, tuple[int, int]],
    machine: str,
    fits: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"cp311-manylinux_2_{minor}_x86_64" for minor in (28, 34)]
    names += ["cp312-manylinux_2_17_x86_64", "cp311-musllinux_1_2_aarch64"]
    monkeypatch.setattr(installer, "find_libc", lambda: libc)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "version_info", (3, 11, 2))
    items = [{"kind": "wheelhouse", "name": name} for name in names]

    if fits is None:
        with pytest.raises(installer.Failure):
            installer.choose_item(items)
    else:
        assert installer.choose_item(items)["name"] == fits


def test_a_folder_that_is_not_its_own_is_left_alone(
    kit_of_tiny_wheels: Path, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "file").write_text("mine")

    for name in ("full", "link", "file"):
        done = kits.install(kit_of_tiny_wheels, site.fingerprint, tmp_path / name)
        assert done.returncode == 14, done.stderr

    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_another_kit_in_the_folder_is_not_replaced(
    kit_of_tiny_wheels: Path, site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "airgap"
    assert kits.install(kit_of_tiny_wheels, site.fingerprint, folder).returncode == 0
    description = json.loads((folder / "airgap-kit.json").read_text())
    (folder / "airgap-kit.json").write_text(json.dumps({**description, "bundle": "0" * 64}))

    done = kits.install(kit_of_tiny_wheels, site.fingerprint, folder)

    assert done.returncode == 14
    assert "of another kit" in done.stderr


def test_one_that_is_killed_is_made_anew(
    kit_of_tiny_wheels: Path, site: Site, tmp_path: Path
) -> None:
    folder, wait = tmp_path / "airgap", tmp_path / "airgap.wait"
    wait.touch()
    words = [sys.executable, str(kit_of_tiny_wheels / "install.py"), str(folder)]
    killed = subprocess.Popen(
        [*words, "--fingerprint", site.fingerprint], stdout=subprocess.DEVNULL
    )
    pip = wait_for_number(wait, killed)
    killed.kill()
    killed.wait(30)
    try:
        while_pip_goes_on = kits.install(kit_of_tiny_wheels, site.fingerprint, folder)
    finally:
        os.kill(pip, signal.SIGKILL)
        wait.unlink()

    assert while_pip_goes_on.returncode == 14
    assert "Another process installs" in while_pip_goes_on.stderr
    again = until_released(kit_of_tiny_wheels, site, folder)
    assert again.returncode == 0, again.stderr
    assert not list(folder.glob(".airgap*"))


def wait_for_number(path: Path, process: "subprocess.Popen[bytes]") -> int:
    """Wait until a process below has written its number."""
    end = time.monotonic() + 200
    while not path.read_text():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(path.read_text())


def until_released(kit: Path, site: Site, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Install as soon as the killed pip is gone."""
    end = time.monotonic() + 200
    while True:
        done = kits.install(kit, site.fingerprint, folder)
        if done.returncode != 14 or time.monotonic() > end:
            return done


def test_its_programs_run_on_old_pythons(kit_of_tiny_wheels: Path) -> None:
    for name, version in (("install.py", (3, 7)), ("curves.py", (3, 9))):
        text = (kit_of_tiny_wheels / name).read_text()
        ast.parse(text, feature_version=version)
        words = (line.split() for line in text.splitlines())
        imported = {
            line[1].partition(".")[0] for line in words if line[:1] in (["import"], ["from"])
        }
        assert imported <= {*sys.stdlib_module_names}


def test_a_whole_kit_or_other_files_are_not_written_over(
    kit: Path, connected: Side, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")

    for folder in (kit, tmp_path / "other"):
        expect_refusal(connected, "kit", "-o", folder, "--key", site.key(), error=ConflictError)


def test_one_that_was_interrupted_goes_on_in_its_folder(
    kit: Path, connected: Side, site: Site, tmp_path: Path
) -> None:
    """All is there but the manifest, which comes last."""
    for path in kit.glob("bundles/*/manifest.msgpack"):
        path.unlink()
    options = ("--target", kits.OTHER_TARGET, "--wheel", kits.own_wheel(tmp_path))

    with serve(kits.make_index()) as index:
        ran = kits.make(connected, site, index, kit, *options)

    assert ran.code == 0, ran.err
    (folder,) = kit.glob("bundles/*")
    assert folder.name == ran.json["bundle"], "the same wheels give the same bundle"
    assert (folder / "manifest.msgpack").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--python", "2.7"),
        ("--python", "3.11,"),
        ("--target", "cp311-windows"),
        ("--extra", "everything"),
        ("--index", "http://joe:secret@127.0.0.1/simple"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: tuple[str, str], connected: Side, site: Site, tmp_path: Path
) -> None:
    expect_refusal(
        *(connected, "kit", "-o", tmp_path / "kit", "--key", site.key(), *options),
        error=UsageError,
    )

    assert not (tmp_path / "kit").exists()


def test_a_wheel_that_nothing_needs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "needed.whl").touch()
    source = Source(WHEELHOUSE.name, "n", "v", 0, scan(tmp_path))

    wheelhouses.refuse_unused([Path("needed.whl")], [source])
    with pytest.raises(UsageError, match=r"can be unneeded\.whl"):
        wheelhouses.refuse_unused([Path("unneeded.whl")], [source])


@pytest.mark.parametrize("text", ["[]", "7", '"a"', "null", "{", "[" * 100_000, "\udcff"])
def test_a_description_of_another_form_is_that_of_an_installation_that_was_cut(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / installer.DONE).write_bytes(text.encode(errors="surrogateescape"))

    assert not installer.is_installed(tmp_path, "id", "small:1")
