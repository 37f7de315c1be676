"""How a command learns a passphrase: by variable, descriptor or prompt; never by its arguments."""

import os
from pathlib import Path

import pytest

from airgap.signing import private_keys
from tests.support.sides import Ran, Side
from tests.support.terminal import run_at_terminal

SECRET = "correct horse"  # noqa: S105  (a test's)
NEW, AGAIN, OLD = "Passphrase for the new key k: ", "Again: ", "locked.key: "


@pytest.fixture
def locked_key(connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key that is encrypted with SECRET, cheaply; no variable tells it afterwards."""
    monkeypatch.setattr(private_keys, "_ROUNDS", 1)
    monkeypatch.setenv("SECRET_OF_TEST", SECRET)
    told = ("--passphrase-env", "SECRET_OF_TEST")
    assert connected.run("key", "generate", "locked", "--dir", tmp_path, *told).code == 0
    monkeypatch.delenv("SECRET_OF_TEST")
    return tmp_path / "locked.key"


def sign(side: Side, depot: Path, key: Path, *options: str) -> Ran:
    return side.run("sign", depot, "--key", key, *options)


def test_an_encrypted_key_says_so(locked_key: Path) -> None:
    text = locked_key.read_bytes()

    assert b"OPENSSH PRIVATE KEY" in text
    assert SECRET.encode() not in text
    assert locked_key.stat().st_mode & 0o777 == 0o600


def test_the_default_variable_tells_it(
    locked_key: Path, depot: Path, connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", SECRET)

    assert sign(connected, depot, locked_key).code == 0


def test_a_named_variable_tells_it(
    locked_key: Path, depot: Path, connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSEWHERE", SECRET)

    assert sign(connected, depot, locked_key, "--passphrase-env", "ELSEWHERE").code == 0


def test_a_named_variable_that_is_not_set_is_told(
    locked_key: Path, depot: Path, connected: Side
) -> None:
    ran = sign(connected, depot, locked_key, "--passphrase-env", "ELSEWHERE")

    assert ran.code == 3
    assert "The variable ELSEWHERE is not set." in ran.err


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_descriptor_tells_it(end: str, locked_key: Path, depot: Path, connected: Side) -> None:
    reading, writing = os.pipe()
    os.write(writing, (SECRET + end).encode())
    os.close(writing)

    assert sign(connected, depot, locked_key, "--passphrase-fd", str(reading)).code == 0


def test_a_descriptor_that_is_not_open_is_told(
    locked_key: Path, depot: Path, connected: Side
) -> None:
    ran = sign(connected, depot, locked_key, "--passphrase-fd", "987")

    assert ran.code == 3
    assert "Descriptor 987 cannot be read: Bad file descriptor." in ran.err


def test_a_negative_descriptor_is_a_usage_error(
    locked_key: Path, depot: Path, connected: Side
) -> None:
    assert sign(connected, depot, locked_key, "--passphrase-fd", "-1").code == 2


def test_bytes_beyond_unicode_are_a_passphrase(
    depot: Path, connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "p\udcff")

    assert connected.run("key", "generate", "odd", "--dir", tmp_path).code == 0
    assert sign(connected, depot, tmp_path / "odd.key").code == 0


def test_the_wrong_passphrase_is_a_configuration_error(
    locked_key: Path, depot: Path, connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "wrong")

    ran = sign(connected, depot, locked_key)

    assert ran.code == 3
    assert "key, from the variable AIRGAP_PASSPHRASE, is wrong." in ran.err


def test_a_wrong_passphrase_names_the_descriptor_that_it_came_from(
    locked_key: Path, connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", SECRET)  # a descriptor comes before it
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    words = ("key", "export-public", locked_key, "-o", tmp_path / "copy.pub")
    descriptor = os.open(secret, os.O_RDONLY)

    ran = connected.run(*words, "--passphrase-fd", str(descriptor))

    assert ran.code == 3
    assert f"{locked_key}, from descriptor {descriptor}, is wrong." in ran.err
    assert f"Check what descriptor {descriptor} holds." in ran.err


def test_a_wrong_passphrase_that_was_typed_has_no_source(
    locked_key: Path, depot: Path, connected: Side
) -> None:
    words = ("sign", depot, "--key", locked_key)

    ran = run_at_terminal(connected, *words, answers=[(OLD, "wrong\n")] * 3, columns=300)

    assert ran.code == 3
    assert "from" not in ran.err
    assert "type it again" in ran.err
    assert ran.err.count("is wrong.") == 3


def test_a_wrong_passphrase_may_be_typed_again(
    locked_key: Path, depot: Path, connected: Side
) -> None:
    words = ("sign", depot, "--key", locked_key)
    answers = [(OLD, "wrong\n"), (OLD, f"{SECRET}\n"), ("as builder?", "y\n")]

    ran = run_at_terminal(connected, *words, answers=answers)

    assert ran.code == 0


def test_a_key_that_is_not_encrypted_asks_for_none(
    depot: Path, connected: Side, tmp_path: Path
) -> None:
    assert connected.run("key", "generate", "k", "--dir", tmp_path, "--no-passphrase").code == 0

    words = ("sign", depot, "--key", tmp_path / "k.key")
    assert run_at_terminal(connected, *words, answers=[("as builder?", "y\n")]).code == 0


def test_without_a_terminal_there_is_no_question(
    locked_key: Path, depot: Path, connected: Side
) -> None:
    ran = connected.process("sign", depot, "--key", locked_key)

    assert ran.returncode == 3
    assert b"There is no terminal to ask" in ran.stderr


def test_without_a_terminal_no_new_key_is_made(connected: Side, tmp_path: Path) -> None:
    ran = connected.process("key", "generate", "k", "--dir", tmp_path)

    assert ran.returncode == 3
    assert not (tmp_path / "k.key").exists()


def test_a_terminal_is_asked_without_echo(locked_key: Path, depot: Path, connected: Side) -> None:
    answers = [(OLD, f"{SECRET}\n"), ("as builder?", "y\n")]

    ran = run_at_terminal(connected, "sign", depot, "--key", locked_key, answers=answers)

    assert ran.code == 0
    assert SECRET not in ran.err


def test_a_new_passphrase_is_asked_twice(depot: Path, connected: Side, tmp_path: Path) -> None:
    answers = [(NEW, f"{SECRET}\n"), (AGAIN, f"{SECRET}\n")]

    ran = run_at_terminal(connected, "key", "generate", "k", "--dir", tmp_path, answers=answers)

    assert ran.code == 0
    assert sign(connected, depot, tmp_path / "k.key").code == 3


def test_two_different_new_passphrases_make_no_key(connected: Side, tmp_path: Path) -> None:
    answers = [(NEW, "one\n"), (AGAIN, "other\n")] * 3

    ran = run_at_terminal(connected, "key", "generate", "k", "--dir", tmp_path, answers=answers)

    assert ran.code == 2
    assert not (tmp_path / "k.key").exists()


def test_an_empty_new_passphrase_makes_no_key(connected: Side, tmp_path: Path) -> None:
    answers = [(NEW, "\n"), (AGAIN, "\n")]

    ran = run_at_terminal(connected, "key", "generate", "k", "--dir", tmp_path, answers=answers)

    assert ran.code == 3
    assert "--no-passphrase if you mean it" in ran.err
    assert not (tmp_path / "k.key").exists()


def test_the_end_of_input_is_no_passphrase(locked_key: Path, depot: Path, connected: Side) -> None:
    ran = run_at_terminal(connected, "sign", depot, "--key", locked_key, answers=[(OLD, "\x04")])

    assert ran.code == 3
    assert "Nothing was typed." in ran.err


def test_an_empty_variable_makes_no_key(
    connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_PASSPHRASE", "")

    assert connected.run("key", "generate", "k", "--dir", tmp_path).code == 3
    assert not (tmp_path / "k.key").exists()
