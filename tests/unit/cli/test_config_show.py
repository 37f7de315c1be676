"""``airgap config show``: what is in force, and why."""

import json
from pathlib import Path

import pytest

from airgap.cli.settings import Option, Sources, find_lines, find_problems, find_settings
from airgap.errors import ConfigurationError, UsageError
from airgap.state import state_folder as module
from tests.support.sides import Side, run_cli

TEXT = """\
# defaults
jobs = 4
colour = true

[export]
key = "/etc/builder.key"
chanel = "x"
"label" = ["a=1", "b=2"]

[key.generate]
algorithm = "ecdsa-p384-sha384"

[exprot]
key = "x"

[ remotes.vendor ]
url = "sftp://depot.example/srv"
identity = "/etc/id"
"""


@pytest.fixture
def configured(isolated: Side) -> Side:
    (isolated.state / "config.toml").write_text(TEXT)
    return isolated


def test_each_value_is_shown_with_the_file_and_line_that_it_is_from(configured: Side) -> None:
    file = configured.state / "config.toml"

    ran = configured.run("config", "show", "--json")

    settings = {(row["flag"], row["where"]): row for row in ran.json["settings"]}
    assert settings["--key", f"{file}:6"]["commands"] == ["export"]
    assert settings["--label", f"{file}:8"]["value"] == "a=1, b=2"
    assert settings["--algorithm", f"{file}:11"]["commands"] == ["key generate"]
    assert {"export", "import", "verify"} <= set(settings["--jobs", f"{file}:2"]["commands"])
    assert ran.json["remotes"] == [
        {
            "name": "vendor",
            "url": "sftp://depot.example/srv",
            "settings": {"identity": "/etc/id"},
        }
    ]


def test_a_variable_comes_before_the_file(
    configured: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_EXPORT_KEY", "/other.key")
    monkeypatch.setenv("AIRGAP_KEY", "/all.key")

    rows = configured.run("config", "show", "--json").json["settings"]

    row = next(row for row in rows if row["flag"] == "--key" and "export" in row["commands"])
    assert (row["value"], row["where"], row["origin"]) == ("/all.key", "AIRGAP_KEY", "variable")
    assert row["hidden"] == ["AIRGAP_EXPORT_KEY", f"{configured.state}/config.toml:6"]
    lines = configured.run("config", "show").out
    assert f"[AIRGAP_KEY, before AIRGAP_EXPORT_KEY, {configured.state}/config.toml:6]" in lines


def test_names_that_nothing_has_are_named_with_what_was_meant(
    configured: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = configured.state / "config.toml"
    monkeypatch.setenv("AIRGAP_EXPORT_CHANEL", "x")

    ran = configured.run("config", "show", "--json")

    assert ran.code == ConfigurationError.exit_code
    problems = {row["where"]: row["hint"] for row in ran.json["problems"]}
    assert problems[f"{file}:7"] == "Did you mean channel?"
    assert problems[f"{file}:13"] == "Did you mean export?"
    assert problems["AIRGAP_EXPORT_CHANEL"] == "Did you mean AIRGAP_EXPORT_CHANNEL?"
    assert f"{file}:3" in problems
    assert f"problem: {file}:7: export.chanel is not an option of export." in (
        configured.run("config", "show").out
    )


def test_every_command_says_what_was_meant(isolated: Side, depot: Path) -> None:
    (isolated.state / "config.toml").write_text("[verify]\ndepots = 'x'\n")

    ran = isolated.run("verify", depot)

    assert ran.code == ConfigurationError.exit_code
    assert f"{isolated.state}/config.toml sets verify.depots" in ran.err
    assert "Did you mean depot?" in ran.err


def test_passwords_are_not_shown(configured: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "geheim-1")
    monkeypatch.setenv("AIRGAP_PASSWORD", "geheim-2")
    monkeypatch.setenv("DEPOT_PASSWORD", "geheim-3")
    monkeypatch.setenv("AIRGAP_DEPOT", "ftp://bob:geheim-4@host/x")
    monkeypatch.setenv("AIRGAP_GET_PASSWORD_ENV", "AIRGAP_MINE")
    monkeypatch.setenv("AIRGAP_MINE", "geheim-5")

    ran, as_json = configured.run("config", "show"), configured.run("config", "show", "--json")

    for shown in (ran, as_json):
        assert "geheim" not in shown.out + shown.err
        assert "AIRGAP_PASSWORD" in shown.out
    assert "AIRGAP_MINE" not in [row["where"] for row in as_json.json["problems"]]


def test_where_things_lie_is_shown_with_the_reason(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = isolated.run("config", "show", "--json").json["paths"]
    assert paths["state folder"] == {"path": str(isolated.state), "why": "AIRGAP_HOME names it"}
    assert paths["BentoML home"]["why"] == "BENTOML_HOME names it"
    assert paths["pinned root"]["path"] == str(isolated.state / "trust")
    assert paths["config file"]["why"].endswith("it does not exist")

    monkeypatch.setattr(module, "_SYSTEM", tmp_path / "etc/airgap")
    (tmp_path / "etc/airgap").mkdir(parents=True)
    (tmp_path / "etc/airgap/config.toml").write_text(f'state = "{tmp_path}/var"\n')
    monkeypatch.delenv("AIRGAP_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    paths = run_cli(["config", "show", "--json"], {}).json["paths"]
    assert paths["state folder"]["path"] == f"{tmp_path}/var"
    assert str(tmp_path / "etc/airgap") in paths["state folder"]["why"]
    assert paths["config file"]["path"] == f"{tmp_path}/etc/airgap/config.toml"

    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.setattr(module, "_SYSTEM", tmp_path / "nothing")
    lost = run_cli(["config", "show", "--json"], {})
    assert lost.code == ConfigurationError.exit_code
    assert "no home folder" in lost.json["paths"]["state folder"]["why"]
    assert "no home folder" in lost.json["paths"]["config file"]["why"]
    assert "unknown user" in json.dumps(lost.json["paths"])
    assert "problem: This user " in run_cli(["config", "show"], {}).out


@pytest.mark.parametrize("text", ["jobs = ", "[remotes]\nx = 1\n"])
def test_a_file_that_cannot_be_used_is_a_problem_and_the_rest_is_shown(
    text: str, isolated: Side
) -> None:
    (isolated.state / "config.toml").write_text(text)

    ran = isolated.run("config", "show", "--json")

    assert ran.code == ConfigurationError.exit_code
    assert ran.json["problems"]
    assert ran.json["paths"]["state folder"]["path"] == str(isolated.state)


def test_one_command_s_options_are_shown_with_their_defaults(isolated: Side) -> None:
    ran = isolated.run("config", "show", "gc", "--defaults", "--json")

    rows = {row["flag"]: row for row in ran.json["settings"]}
    assert {row["commands"][0] for row in rows.values()} == {"gc"}
    assert (rows["--older-than"]["value"], rows["--older-than"]["origin"]) == ("24h", "default")
    assert rows["--quiet"]["value"] == "no"
    assert isolated.run("config", "show", "exprot").code == UsageError.exit_code


def test_the_group_alone_shows_its_help(isolated: Side) -> None:
    ran = isolated.run("config")

    assert ran.code == UsageError.exit_code
    assert "show" in ran.err


def test_lines_of_keys_are_found_in_any_spelling() -> None:
    lines = find_lines('a = 1\n[ b . "c" ]\n  "d-e" = 2\nf=3\n')

    assert lines == {("a",): 1, ("b", "c"): 2, ("b", "c", "d-e"): 3, ("b", "c", "f"): 4}


def test_a_key_without_a_line_is_in_the_file() -> None:
    option = Option(("get",), "--key", "key", (), "")
    sources = Sources({"get": {"key": True}}, "f.toml", {}, {})

    (setting,) = find_settings([option], sources, with_defaults=False)

    assert (setting.value, setting.where) == ("yes", "f.toml")
    assert find_problems([option], sources, []) == []


def test_a_remote_is_listed_with_its_options(isolated: Side) -> None:
    words = ("remote", "add", "vendor", "sftp://host/x", "--user", "bob")
    assert isolated.run(*words, "--option", "identity=/etc/id").code == 0

    listed = isolated.run("remote", "list").out

    assert listed == "@vendor  sftp://host/x\n  user = bob\n  identity = /etc/id\n"


def test_a_variable_that_no_option_has_is_not_called_a_problem(
    isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AIRGAP_PKCS11_MODULE", "AIRGAP_IDENTITY", "AIRGAP_RECORDER_KEY", "AIRGAP_OURS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AIRGAP_SIGN_PASSPHRASE_ENV", "AIRGAP_OURS")

    assert isolated.run("config", "show", "--json").json["problems"] == []
    assert isolated.run("list").err == ""
