"""Named remotes, as they are kept in the config file."""

from pathlib import Path

import pytest

from airgap.errors import AirgapError, ConfigurationError, ConflictError, MissingError, UsageError
from tests.support import refusals
from tests.support.sides import Side, Site


@pytest.fixture
def config(connected: Side) -> Path:
    """The config file, with something in it."""
    connected.state.mkdir()
    (connected.state / "config.toml").write_text("# mine\njobs = 2\n\n[export]\nchannel = 'x'\n")
    return connected.state / "config.toml"


def add(side: Side, *words: str | Path) -> None:
    ran = side.run("remote", "add", *words)
    assert ran.code == 0, ran.err


def test_a_remote_is_kept_and_shown(config: Path, connected: Side) -> None:
    before = config.read_text()
    add(connected, "vendor", "ftpes://host/depot", "--user", "anna", "--option", "ca=/x \"y'.pem")

    shown = connected.run("remote", "show", "vendor", "--json").json

    assert shown == {
        "name": "vendor",
        "url": "ftpes://host/depot",
        "settings": {"user": "anna", "ca": "/x \"y'.pem"},
    }
    assert connected.run("remote", "list", "--json").json == {"remotes": [shown]}
    assert config.read_text().startswith(before)


def test_a_remote_that_is_removed_leaves_every_other_line(config: Path, connected: Side) -> None:
    before = config.read_text()
    add(connected, "one", "sftp://host/1")
    middle = config.read_text()
    add(connected, "two", "sftp://host/2")

    assert connected.run("remote", "remove", "two").code == 0
    assert config.read_text().rstrip() == middle.rstrip()
    assert connected.run("remote", "remove", "@one").code == 0
    assert config.read_text().rstrip() == before.rstrip()


def test_without_a_config_file_there_are_none(connected: Side) -> None:
    assert connected.run("remote", "list").out == "There are no remotes yet.\n"
    add(connected, "one", "sftp://host/1")
    assert connected.run("remote", "list").out == "@one  sftp://host/1\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["a b", "sftp://host/x"], UsageError),
        (["a]", "sftp://host/x"], UsageError),
        (["x", "/local/path"], UsageError),
        (["x", "ftp://anna:hunter2@host/x"], UsageError),
        (["x", "ftp://host/x#01234567"], UsageError),
        (["x", "ftp://host/x", "--option", "region=eu"], UsageError),
        (["x", "ftp://host/x?region=eu"], UsageError),
        (["x", "ftp://host/x", "--option", "password=hunter2"], UsageError),
        (["x", "ftp://host/x", "--option", "nonsense"], UsageError),
        (["there", "ftp://host/x"], ConflictError),
    ],
)
def test_what_cannot_be_kept_is_refused(
    words: list[str], error: type[AirgapError], config: Path, connected: Side
) -> None:
    add(connected, "there", "sftp://host/1")
    assert config.exists()

    ran = refusals.expect_refusal(connected, "remote", "add", *words, error=error)

    assert "hunter2" not in ran.out + ran.err


def test_a_path_is_no_url_and_the_answer_shows_one(connected: Side) -> None:
    ran = refusals.expect_refusal(
        connected, "remote", "add", "disk", "/media/disk", error=UsageError
    )

    assert "sftp://host/srv/folder" in ran.json["error"]["hint"]


def test_a_remote_that_is_not_there_is_missing(connected: Side) -> None:
    for words in (["remote", "show", "x"], ["remote", "remove", "x"], ["inspect", "@x"]):
        refusals.expect_refusal(connected, *words, error=MissingError)


@pytest.mark.parametrize(
    "text",
    [
        "[remotes.x]\n",
        "[remotes]\nx = 'ftp://host'\n",
        "remotes = 1\n",
        "[remotes.x]\nurl = 'ftp://a:hunter2@host/x'\n",
        "[remotes.x]\nurl = 'ftp://host/x'\npassword = 'hunter2'\n",
        "[remotes.x]\nurl = 'ftp://host/x'\nregion = 'eu'\n",
    ],
)
def test_what_is_no_remote_in_the_config_file_is_told(text: str, connected: Side) -> None:
    connected.state.mkdir()
    (connected.state / "config.toml").write_text(text)

    ran = refusals.expect_refusal(connected, "inspect", "@x", error=ConfigurationError)

    assert "hunter2" not in ran.out + ran.err


def test_a_remote_stands_for_its_place(
    connected: Side, depot: Path, archive: Path, isolated: Side
) -> None:
    add(isolated, "disk", f"file://{depot.parent}")
    bundle = isolated.run("inspect", depot, "--json").json["bundle"]

    for location in (
        f"@disk/{depot.name}",
        f"@disk/{archive.name}",
        f"@disk/{depot.name}#{bundle[:8]}",
    ):
        ran = isolated.run("inspect", location, "--json")
        assert (ran.code, ran.json.get("bundle")) == (0, bundle), ran.err
    assert connected.run("inspect", f"file://{archive}").code == 0


def test_a_bundle_is_exported_to_a_remote(small: Side, site: Site, tmp_path: Path) -> None:
    add(small, "disk", f"file://{tmp_path}/disk")

    ran = small.run("export", "shop:v1", "-o", "@disk/sub", "--key", site.key())

    assert ran.code == 0, ran.err
    assert small.run("inspect", tmp_path / "disk" / "sub").code == 0


@pytest.mark.parametrize("url", ["gs://models/ward", "sftp:///x", "/local/path", "ftp://h/\\u0000"])
def test_a_remote_that_cannot_be_used_is_named_and_spoils_no_other(
    url: str, config: Path, connected: Side
) -> None:
    config.write_text(f'[remotes.old]\nurl = "{url}"\n\n[remotes.good]\nurl = "sftp://host/1"\n')

    ran = refusals.expect_refusal(connected, "inspect", "@old", error=ConfigurationError)

    assert f"The remote old in {config} cannot be used: " in ran.err
    assert connected.run("remote", "show", "good").code == 0
    add(connected, "new", "sftp://host/2")
    assert connected.run("remote", "remove", "old").code == 0
    assert len(connected.run("remote", "list", "--json").json["remotes"]) == 2
