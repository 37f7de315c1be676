"""Commands around the services: passwords for the config file, and lines for people."""

import getpass
import io
import json
import sys

import pytest

from airgap.cli import events
from airgap.server.dropbox.passwords import PasswordHash
from tests.support.sides import Side


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("s3cret\nmore\n"))


@pytest.mark.usefixtures("piped")
def test_a_password_that_is_piped_is_hashed(connected: Side) -> None:
    ran = connected.run("serve", "hash-password", "--json")

    assert ran.code == 0
    assert PasswordHash.parse(ran.json["password"]).matches("s3cret")


@pytest.mark.usefixtures("piped")
def test_what_is_printed_is_a_line_of_the_config_file(connected: Side) -> None:
    ran = connected.run("serve", "hash-password")

    assert ran.out.startswith('password = "$scrypt$')
    assert "s3cret" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("typed", "code"), [(["one", "one"], 0), (["one", "two"], 2), (["", ""], 2)]
)
def test_a_password_is_typed_twice(
    typed: list[str], code: int, connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    answers = iter(typed)
    monkeypatch.setattr(getpass, "getpass", lambda _: next(answers))

    assert connected.run("serve", "hash-password").code == code


def test_what_clients_choose_makes_no_lines_of_its_own() -> None:
    line = {"at": "t", "event": "login failed", "user": "a\nt imported x", "address": "1.2.3.4"}

    text = events._plain(line)

    assert "\n" not in text
    assert text.startswith("t login failed user='a\\nt imported x' address=1.2.3.4")


def test_empty_fields_are_left_out_for_people() -> None:
    line = {"at": "t", "event": "seen", "user": "", "name": "x y", "bundle": None, "tries": 2}

    assert events._plain(line) == "t seen name='x y' tries=2"
    assert json.loads(json.dumps(line)) == line


def test_what_was_imported_is_said_in_short() -> None:
    items = [{"tag": "shop:v1", "outcome": "installed"}, {"tag": "ranker:v1"}]
    line = {"at": "t", "event": "imported", "bundle": "0" * 64, "items": items}

    text = events._plain({**line, "signed_by": ["1" * 64]})

    assert text == (
        f"t imported bundle={'0' * 64} items='shop:v1 installed, ranker:v1' signed_by={'1' * 64}"
    )
