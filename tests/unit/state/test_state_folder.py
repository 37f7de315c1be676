"""Which folder has airgap's state."""

from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow import config
from airgap.state import state_folder as module
from airgap.state.state_folder import describe_search, find_state_folder, state_folder


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system's folder that is not there yet, and a user without any state."""
    folder = tmp_path / "etc/airgap"
    monkeypatch.setattr(module, "_SYSTEM", folder)
    monkeypatch.delenv("AIRGAP_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return folder


def test_a_user_has_a_folder_of_their_own(system: Path, tmp_path: Path) -> None:
    assert state_folder() == tmp_path / "user/.airgap"
    assert f"{tmp_path}/user/.airgap, and {system} is not set up" in describe_search()


@pytest.mark.parametrize("content", ["trust", "config.toml"])
def test_every_user_finds_the_folder_of_the_system(system: Path, content: str) -> None:
    system.mkdir(parents=True)
    (system / content).touch()

    assert find_state_folder().path == system
    assert find_state_folder().origin == "system"
    assert str(system) in describe_search()


def test_an_empty_folder_of_the_system_does_not_count(system: Path, tmp_path: Path) -> None:
    system.mkdir(parents=True)

    assert state_folder() == tmp_path / "user/.airgap"


def test_the_config_file_of_the_system_names_its_folder(system: Path, tmp_path: Path) -> None:
    system.mkdir(parents=True)
    (system / "config.toml").write_text(f'state = "{tmp_path}/var"\njobs = 2\n')

    folder = find_state_folder()

    assert (folder.path, folder.config) == (tmp_path / "var", system / "config.toml")
    assert config.load() == {"jobs": 2}


@pytest.mark.parametrize("line", ['state = "var/airgap"', "state = 7"])
def test_a_path_that_is_not_absolute_is_refused(system: Path, line: str) -> None:
    system.mkdir(parents=True)
    (system / "config.toml").write_text(line)

    with pytest.raises(ConfigurationError, match="not an absolute path"):
        state_folder()


@pytest.mark.parametrize(("text", "reason"), [("state = ", "Invalid value"), (None, "directory")])
def test_a_config_file_that_cannot_be_read_leaves_no_folder(
    system: Path, text: str | None, reason: str
) -> None:
    """The folder that it lies in would be another one, with another history."""
    system.mkdir(parents=True)
    if text is None:
        (system / "config.toml").mkdir()
    else:
        (system / "config.toml").write_text(text)

    for read in (state_folder, config.load):
        with pytest.raises(ConfigurationError, match=reason) as refused:
            read()
        assert str(system / "config.toml") in refused.value.message


def test_a_folder_of_the_user_comes_before_the_system_s(system: Path, tmp_path: Path) -> None:
    (system / "trust").mkdir(parents=True)
    (tmp_path / "user/.airgap/trust").mkdir(parents=True)

    assert state_folder() == tmp_path / "user/.airgap"
    assert f"which comes before this system's ({system})" in describe_search()


def test_caches_of_the_user_do_not_hide_the_system_s(system: Path, tmp_path: Path) -> None:
    (system / "trust").mkdir(parents=True)
    for name in ("cache", "uploads", "manifests", "watch"):
        (tmp_path / "user/.airgap" / name).mkdir(parents=True)

    assert state_folder() == system


def test_the_variable_comes_first(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (system / "trust").mkdir(parents=True)
    (tmp_path / "user/.airgap/trust").mkdir(parents=True)
    monkeypatch.setenv("AIRGAP_HOME", "/a")

    assert state_folder() == Path("/a")
    assert describe_search() == "/a, which AIRGAP_HOME names"


def test_a_user_without_a_home_folder_uses_the_system_s(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(ConfigurationError, match="has no home folder") as refused:
        state_folder()
    assert "Set AIRGAP_HOME" in refused.value.hint

    (system / "trust").mkdir(parents=True)
    assert state_folder() == system
