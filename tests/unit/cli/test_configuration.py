"""Flags, then variables, then the config file, then defaults."""

from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow import config
from tests.support import refusals
from tests.support.sides import Side, Site


def _configure(side: Side, text: str) -> None:
    side.state.mkdir(exist_ok=True)
    (side.state / "config.toml").write_text(text)


def _channel(side: Side, depot: Path) -> object:
    return side.run("inspect", depot, "--json").json["channel"]


@pytest.mark.parametrize(
    ("flag", "variable", "expected"),
    [
        ("", "", "from-file"),
        ("", "from-variable", "from-variable"),
        ("from-flag", "from-variable", "from-flag"),
    ],
)
def test_flags_then_variables_then_the_config_file(
    *,
    flag: str,
    variable: str,
    expected: str,
    small: Side,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _configure(small, f'[export]\nchannel = "from-file"\nkey = "{site.key()}"\n')
    if variable:
        monkeypatch.setenv("AIRGAP_EXPORT_CHANNEL", variable)

    ran = small.run("export", "shop", "-o", tmp_path / "d", *(["--channel", flag] if flag else []))

    assert ran.code == 0, ran.err
    assert _channel(small, tmp_path / "d") == expected


def test_a_config_file_may_come_from_windows(small: Side, site: Site, tmp_path: Path) -> None:
    text = f'[export]\r\nchannel = "from-file"\r\nkey = "{site.key()}"\r\n'
    small.state.mkdir(exist_ok=True)
    (small.state / "config.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert small.run("export", "shop", "-o", tmp_path / "depot").code == 0
    assert _channel(small, tmp_path / "depot") == "from-file"
    assert small.run("remote", "add", "store", "ftp://gateway.example/in").code == 0
    assert (small.state / "config.toml").read_bytes().startswith(b"[export]\n")


def test_a_config_file_may_be_named_with_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISK", str(tmp_path))
    monkeypatch.setenv("AIRGAP_CONFIG", "$DISK/config.toml")

    assert config.config_path() == tmp_path / "config.toml"


def test_an_option_is_written_as_its_flag_is(small: Side, site: Site, tmp_path: Path) -> None:
    _configure(small, f'[export]\nmodel = ["ranker:v1"]\noutput = "{tmp_path / "d"}"\n')

    ran = small.run("export", "--key", site.key(), "--json")

    assert [item["tag"] for item in ran.json["items"]] == ["ranker:v1"]


def test_a_common_value_reaches_commands_below_a_group(connected: Side, tmp_path: Path) -> None:
    _configure(connected, f'algorithm = "ecdsa-p256-sha256"\ndir = "{tmp_path}"\n')

    ran = connected.run("key", "generate", "k", "--no-passphrase", "--json")

    assert ran.json["algorithm"] == "ecdsa-p256-sha256"
    assert (tmp_path / "k.key").exists()


def test_a_common_key_to_sign_with_does_not_hide_the_command_key(
    connected: Side, site: Site
) -> None:
    _configure(connected, f'key = "{site.key()}"\n')

    assert connected.run("key", "fingerprint", site.folder / "site.pub").code == 0


@pytest.mark.parametrize(
    "text",
    ["[exprot]\njobs = 1\n", "[verify]\nsequence = 1\n", "[verify]\njson = true\n", "[verify\n"],
)
def test_a_config_file_that_says_nothing_sensible_is_refused(text: str, connected: Side) -> None:
    _configure(connected, text)

    ran = refusals.expect_refusal(connected, "verify", "x", error=ConfigurationError)

    assert "config file" in ran.json["error"]["message"]


def test_nobody_is_let_in_by_a_variable_or_a_file(isolated: Side, tmp_path: Path) -> None:
    _configure(isolated, "[import]\ninsecure_allow_unsigned = true\n")

    words = ("import", tmp_path / "shop.bento")

    ran = refusals.expect_refusal(isolated, *words, error=ConfigurationError)

    assert "insecure_allow_unsigned" in ran.json["error"]["message"]


def test_a_config_file_that_is_nested_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("a = " + "[" * 20_000)
    monkeypatch.setenv("AIRGAP_CONFIG", str(tmp_path / "config.toml"))
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        config.load()
