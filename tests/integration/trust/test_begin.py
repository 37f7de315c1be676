"""The first bundle: two commands on each side, and an ``init`` that finishes what was killed."""

import errno
import signal
import tomllib
from functools import partial
from pathlib import Path

import pytest

from airgap.disk import durable
from airgap.errors import ConflictError, NotTrustedError, StorageError, UsageError
from airgap.format.fingerprints import group_digits
from airgap.signing import private_keys
from tests.support import refusals, store_invariants, stores
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side, run_cli
from tests.support.terminal import run_at_terminal

INIT = ("init", "hospital-north", "--no-passphrase")
SECRET = "correct horse"  # noqa: S105  (a test's)


@pytest.fixture
def other(tmp_path: Path) -> Side:
    """A machine that trusts nobody."""
    side = Side(tmp_path / "other")
    side.top.mkdir()
    return side


@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_the_first_bundle_takes_two_commands_on_each_side(
    form: str, small: Side, other: Side, tmp_path: Path
) -> None:
    location = tmp_path / form

    begun = small.run(*INIT)
    first, second = group_digits(
        small.run("root", "show", keys(small) / "root.msgpack", "--json").json["fingerprint"]
    )
    assert small.run("export", "shop:v1", "-o", location).code == 0
    answers = [("first line", f"{first}\n"), ("Second line", f"{second}\n")]
    trusted = run_at_terminal(other, "trust", "init", location, answers=answers)
    imported = other.run("import", location, "--json")

    assert f"    {first}\n    {second}\n" in begun.out
    assert trusted.code == 0, trusted.err
    assert "now trusts the builders of site hospital-north" in trusted.out
    assert imported.json["channel"] == "production"
    assert store_invariants.items(other) == store_invariants.items(small)


def test_each_new_passphrase_is_asked_for_by_the_name_of_its_key(connected: Side) -> None:
    answers = [
        ("Id of the site", "ward\n"),
        ("new key site: ", "one\n"),
        ("Again: ", "one\n"),
        ("new key builder: ", "two\n"),
        ("Again: ", "two\n"),
    ]

    ran = run_at_terminal(connected, "init", answers=answers)

    assert ran.code == 0, ran.err
    for name, secret in (("site", b"one"), ("builder", b"two")):
        path = keys(connected) / f"{name}.key"
        assert private_keys.load(path, partial(_tell, secret)).key.id
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_terminal_is_needed_for_what_is_not_given(
    connected: Side, other: Side, tmp_path: Path
) -> None:
    refusals.expect_refusal(connected, "init", error=UsageError)
    refusals.expect_refusal(other, "trust", "init", tmp_path, error=UsageError)


@pytest.mark.parametrize("words", [("No",), ("north", "--channel", "a/b")])
def test_names_that_cannot_be_are_refused(words: tuple[str, ...], connected: Side) -> None:
    refusals.expect_refusal(connected, "init", *words, "--no-passphrase", error=UsageError)


def test_a_machine_that_is_set_up_is_left_as_it_is(connected: Side) -> None:
    first = connected.run(*INIT, "--json")
    before = store_invariants.content(connected.state)

    again = connected.run(*INIT, "--channel", "test", "--json")
    words = ("init", "north", "--no-passphrase")
    refused = refusals.expect_refusal(connected, *words, error=ConflictError)

    assert again.json == {**first.json, "new": False}
    assert store_invariants.content(connected.state) == before
    assert "keys of site hospital-north already" in refused.json["error"]["message"]


def test_keys_that_were_made_by_hand_are_left_as_they_are(connected: Side) -> None:
    keys(connected).mkdir(parents=True)

    refusals.expect_refusal(connected, *INIT, error=ConflictError)


def test_a_config_file_keeps_what_it_has(connected: Side) -> None:
    config = keys(connected).parent / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('# ours\njobs = 3\n[export]\nlabel = ["a=b"]')

    ran = connected.run(*INIT, "--json")

    document = tomllib.loads(config.read_text())
    assert config.read_text().startswith("# ours\n")
    assert document["export"] == {"label": ["a=b"]}
    assert document["push"]["channel"] == "production"
    assert ran.json["config_lacks"][0] == "[export]"
    assert tomllib.loads("\n".join(ran.json["config_lacks"]))["export"]["key"].endswith(
        "builder.key"
    )


def test_one_that_is_killed_is_finished_by_the_next(launcher: Launcher, tmp_path: Path) -> None:
    step = 0  # every third: what is written are files of a folder that is renamed when it is whole
    while True:
        side = Side(tmp_path / str(step))
        side.top.mkdir()
        ended = launcher.run(side, *INIT, fault=Fault(signal.SIGKILL, step))
        if not ended.killed:
            break
        again = side.run(*INIT)
        assert again.code == 0, f"{ended.last}: {again.err}"
        assert sorted(path.name for path in keys(side).parent.iterdir()) == ["config.toml", "keys"]
        assert len(list(keys(side).iterdir())) == 6, ended.last
        step += 3

    assert ended.code == 0, ended.err
    assert step > 30


def test_the_fingerprint_of_the_file_is_never_printed(
    small: Side, other: Side, tmp_path: Path
) -> None:
    fingerprint = small.run(*INIT, "--json").json["fingerprint"]
    assert small.run("export", "shop:v1", "-o", tmp_path / "depot").code == 0
    typed = fingerprint[:-4] + ("0000" if fingerprint[-4:] != "0000" else "1111")

    words = ("trust", "init", tmp_path / "depot", "--fingerprint", typed)
    refused = refusals.expect_refusal(other, *words, error=NotTrustedError)

    assert f"group 16 ({typed[-4:]})" in refused.json["error"]["message"]
    assert fingerprint[-4:] not in refused.out + refused.err


def _tell(secret: bytes, _: str) -> bytes:
    return secret


def keys(side: Side) -> Path:
    return Path(side.environment["AIRGAP_HOME"]) / "keys"


@pytest.mark.parametrize("home", ["missing/home", "file"])
def test_a_home_that_cannot_be_used_is_refused_with_what_to_set(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / home))
    monkeypatch.delenv("AIRGAP_HOME", raising=False)
    before = stores.snapshot(tmp_path)

    ran = run_cli(INIT, {})

    assert ran.code == (3 if home == "file" else 13)
    assert "set AIRGAP_HOME to a folder in which you can write" in ran.err
    assert stores.snapshot(tmp_path) == before


def test_a_home_that_is_not_writable_is_refused_with_what_to_set(
    other: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(durable, "make_folder", refuse)

    ran = refusals.expect_refusal(other, *INIT, error=StorageError)

    assert f"{other.state}: Permission denied." in ran.json["error"]["message"]
    assert "set AIRGAP_HOME" in ran.json["error"]["hint"]


def test_a_full_disk_is_not_blamed_on_the_home(
    other: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, "make_folder", refuse)

    ran = refusals.expect_refusal(other, *INIT, error=StorageError)

    assert "Free some space" in ran.json["error"]["hint"]
