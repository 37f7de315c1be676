"""A state folder for all users of a system."""

import grp
import os
import stat
from pathlib import Path

import pytest

import airgap
from airgap.errors import ConfigurationError, ConflictError, StorageError, UsageError
from airgap.flow.trust import system as system_state
from airgap.flow.trust.system import make_system_folder
from airgap.state import state_folder as module
from airgap.state.state_folder import find_state_folder
from tests.support.sides import Site, run_cli

GROUP = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system's folder that is not there yet, and a user without any state."""
    folder = tmp_path / "etc/airgap"
    monkeypatch.setattr(module, "_SYSTEM", folder)
    monkeypatch.setattr(system_state, "_STATE", tmp_path / "var/lib/airgap")
    monkeypatch.delenv("AIRGAP_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return folder


def test_it_is_found_by_every_user_and_shared_by_the_group(system: Path) -> None:
    state = make_system_folder(GROUP)

    assert find_state_folder().path == state
    assert stat.S_IMODE(state.stat().st_mode) == 0o3770
    assert stat.S_IMODE((system / "config.toml").stat().st_mode) == 0o644


def test_the_same_again_changes_nothing(system: Path, tmp_path: Path) -> None:
    system.mkdir(parents=True)
    (system / "config.toml").write_text("[export]\njobs = 2\n")
    make_system_folder(GROUP)
    before = (system / "config.toml").read_bytes()

    make_system_folder(GROUP)

    assert (system / "config.toml").read_bytes() == before
    assert before == f'state = "{tmp_path}/var/lib/airgap"\n[export]\njobs = 2\n'.encode()


def test_a_group_that_does_not_exist_is_refused(system: Path) -> None:
    with pytest.raises(UsageError, match="no group nobody-here"):
        make_system_folder("nobody-here")
    assert not system.exists()


def test_it_is_refused_where_this_user_would_not_use_it(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user/.airgap/trust").mkdir(parents=True)
    with pytest.raises(ConflictError, match=r"own state folder .*/user/\.airgap"):
        make_system_folder(GROUP)

    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path / "other"))
    with pytest.raises(ConflictError, match="AIRGAP_HOME names"):
        make_system_folder(GROUP)
    assert not system.exists()


@pytest.mark.usefixtures("system")
def test_another_folder_of_the_system_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_system_folder(GROUP)

    monkeypatch.setattr(system_state, "_STATE", tmp_path / "elsewhere")
    with pytest.raises(ConflictError, match="names another state folder"):
        make_system_folder(GROUP)


def test_a_config_file_that_cannot_be_used_stays(system: Path) -> None:
    system.mkdir(parents=True)
    (system / "config.toml").write_text("state = ")

    with pytest.raises(ConfigurationError, match="cannot be used"):
        make_system_folder(GROUP)
    assert (system / "config.toml").read_text() == "state = "


@pytest.mark.usefixtures("system")
def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file")

    with pytest.raises(StorageError):
        make_system_folder(GROUP)


def test_a_root_is_trusted_for_the_whole_system(system: Path, tmp_path: Path, site: Site) -> None:
    words = ("trust", "init", site.root, "--fingerprint", site.fingerprint)

    assert run_cli([*words, "--system"], {}).code == 2
    ran = run_cli([*words, "--system", "--group", GROUP, "--json"], {})

    assert (ran.code, ran.json["state"]) == (0, str(tmp_path / "var/lib/airgap/trust"))
    assert run_cli(["trust", "show", "--json"], {}).json["site"] == "ward"
    assert stat.S_IMODE((tmp_path / "var/lib/airgap/trust").stat().st_mode) == 0o2750
    assert stat.S_IMODE((tmp_path / "var/lib/airgap/sites/ward").stat().st_mode) == 0o2770
    assert stat.S_IMODE((tmp_path / "var/lib/airgap/sites/ward/ledger").stat().st_mode) == 0o660
    assert system.is_dir()


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["verify", "."],
            ["import", "."],
            ["log"],
            ["trust", "show"],
            ["pull", "a", "."],
        ),
        *(["trust", "reset-state"], ["trust", "update", "."], ["watch", ".", "--once"]),
    ],
    ids=" ".join,
)
def test_who_trusts_nobody_sees_where_a_root_was_looked_for(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "depot/bundles").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "depot")

    ran = run_cli(words, {})

    assert ran.code == 3, ran.err
    assert f"There is no root in {tmp_path}/user/.airgap, and {system} is not set up." in ran.err


def test_python_sees_where_a_root_was_looked_for(system: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        airgap.verify(tmp_path)
    assert f"{tmp_path}/user/.airgap, and {system} is not set up" in refused.value.hint


def test_the_folder_that_a_variable_names_is_named_with_it() -> None:
    assert "in /a, which AIRGAP_HOME names. " in run_cli(["log"], {"AIRGAP_HOME": "/a"}).err
