"""The config file is changed by airgap: it stays one that can be read, by those who could."""

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow import config
from airgap.flow.location.named_remotes import add_remote, list_remotes, remove_remote
from airgap.state import state_folder as module


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A config file that everybody may read, and a user whose new files nobody may."""
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path))
    file = tmp_path / "config.toml"
    file.write_text('[export]\nchannel = "x"\n')
    file.chmod(0o644)
    before = os.umask(0o077)
    yield file
    os.umask(before)


@pytest.mark.parametrize(
    "value", ["/home/\N{GRINNING FACE}/key", 'a"b\\c\t\n\x00\x1b\x7f\x85é', ["a", "\x7f"], ""]
)
def test_a_value_is_read_as_it_was_written(value: str | list[str]) -> None:
    assert tomllib.loads(f"a = {config.quote_value(value)}") == {"a": value}


def test_what_is_not_utf_8_is_refused(file: Path) -> None:
    before = file.read_bytes()

    with pytest.raises(ConfigurationError, match=r"is not UTF-8"):
        add_remote("v", "sftp://host/x", {"identity": "/a\udcff"})
    assert file.read_bytes() == before


def test_a_remote_may_name_every_path(file: Path) -> None:
    identity = "/home/\N{GRINNING FACE}/key"

    add_remote("v", "sftp://host/x", {"identity": identity})

    assert [dict(remote.settings) for remote in list_remotes()] == [{"identity": identity}]
    assert config.load()["export"] == {"channel": "x"}
    assert file.read_text().startswith('[export]\nchannel = "x"\n')


def test_lines_that_do_not_go_together_are_not_written(file: Path) -> None:
    file.write_text("remotes = {}\n")

    with pytest.raises(ConfigurationError, match="was not changed") as refused:
        add_remote("v", "sftp://host/x", {})
    assert str(file) in refused.value.message
    assert file.read_text() == "remotes = {}\n"


def test_whoever_could_read_it_still_can(file: Path) -> None:
    add_remote("v", "sftp://host/x", {})
    assert stat.S_IMODE(file.stat().st_mode) == 0o644

    file.chmod(0o640)
    remove_remote("v")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_its_owner_and_group_stay(file: Path) -> None:
    os.chown(file, 1234, 4321)

    add_remote("v", "sftp://host/x", {})

    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 4321)


def test_a_new_one_of_the_system_is_for_all_users(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.unlink()
    monkeypatch.setattr(module, "_SYSTEM", file.parent)

    add_remote("v", "sftp://host/x", {})

    assert stat.S_IMODE(file.stat().st_mode) == 0o644
