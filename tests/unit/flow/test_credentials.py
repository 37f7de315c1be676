"""Where a password comes from, in which order, and that it goes nowhere else."""

# ruff: noqa: S105, S106  (passwords of tests)

import os
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow.location.credentials import Credentials, log_in
from airgap.flow.redaction import redact
from airgap.transport import url as places
from airgap.transport.secrets import register_secret

PLACE = places.parse("ftpes://anna@host/x")


def ignore(_: str) -> None:
    """Let a warning pass."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a .netrc for ``host`` and nothing else that could tell a password."""
    monkeypatch.delenv("AIRGAP_PASSWORD", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("OTHER", "from-variable")
    (tmp_path / "netrc").write_text("machine host login anna password from-netrc\n")
    (tmp_path / "netrc").chmod(0o600)
    (tmp_path / "file").write_text("from file: ümlaut \n")
    return tmp_path


def test_each_source_outdoes_those_after_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def password(url: str, credentials: Credentials, **settings: str) -> str | None:
        return log_in(places.parse(url), credentials, settings, ignore).password

    monkeypatch.setenv("AIRGAP_PASSWORD", "from-airgap")
    url, kept = "ftp://anna:from-url@host/x", {"password_env": "OTHER"}

    assert password(url, Credentials(password="said", password_env="OTHER"), **kept) == "said"
    assert password(url, Credentials(password_env="OTHER"), **kept) == "from-variable"
    assert password(url, Credentials(password_file=home / "file"), **kept) == "from file: ümlaut "
    assert password(url, Credentials(), **kept) == "from-url"
    assert password("ftp://anna@host/x", Credentials(), **kept) == "from-variable"
    assert password("ftp://anna@host/x", Credentials()) == "from-airgap"
    monkeypatch.delenv("AIRGAP_PASSWORD")
    assert password("ftp://anna@host/x", Credentials()) == "from-netrc"


def test_netrc_tells_the_user_too() -> None:
    assert log_in(places.parse("ftp://host/x"), Credentials(), {}, ignore).user == "anna"


def test_netrc_of_another_user_does_not_count() -> None:
    with pytest.raises(ConfigurationError, match="no password for otto"):
        log_in(places.parse("ftp://otto@host/x"), Credentials(), {}, ignore)


def test_a_netrc_that_others_may_read_is_refused(home: Path) -> None:
    (home / "netrc").chmod(0o644)

    with pytest.raises(ConfigurationError, match="Others on this machine may read"):
        log_in(PLACE, Credentials(), {}, ignore)


def test_a_netrc_that_is_broken_does_not_show_its_words(home: Path) -> None:
    (home / "netrc").write_text("machine host login anna pasword hunter2\n")

    with pytest.raises(ConfigurationError) as told:
        log_in(PLACE, Credentials(), {}, ignore)

    assert "hunter2" not in f"{told.value.message}{told.value.hint}{told.value.__cause__}"
    assert told.value.__suppress_context__


def test_a_person_is_asked_last(home: Path) -> None:
    (home / "netrc").unlink()
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return "typed"

    assert log_in(PLACE, Credentials(ask=ask), {}, ignore).password == "typed"
    assert prompts == ["Password of anna at host: "]


def test_nobody_is_asked_for_what_may_not_be_needed(home: Path) -> None:
    (home / "netrc").unlink()

    for url in ("sftp://anna@host/x", "s3://bucket/x", "ftp://host/x", "ftp://anonymous@host/x"):
        assert log_in(places.parse(url), Credentials(), {}, ignore).password is None


@pytest.mark.parametrize(
    ("credentials", "match"),
    [
        (Credentials(password_env="NOT_THERE"), "NOT_THERE is not set"),
        (Credentials(password_file=Path("/nowhere/at/all")), "cannot be read"),
        (Credentials(password_file=Path("/dev/zero")), "not a regular file"),
        (Credentials(password_file=Path("/proc/cpuinfo")), "more than a password"),
    ],
)
def test_what_was_named_must_be_there(credentials: Credentials, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        log_in(PLACE, credentials, {}, ignore)


@pytest.mark.parametrize("content", [b"one\ntwo\n", b"a\0b", b"\xff\xfe", b"x" * 5000])
def test_a_password_file_has_one_line(content: bytes, home: Path) -> None:
    (home / "file").write_bytes(content)

    with pytest.raises(ConfigurationError) as told:
        log_in(PLACE, Credentials(password_file=home / "file"), {}, ignore)
    assert told.value.__context__ is None or told.value.__suppress_context__


def test_a_password_comes_whole_from_a_pipe() -> None:
    reader, writer = os.pipe2(os.O_DIRECT)  # each read returns what one write wrote
    for piece in (b"correct ", b"horse", b"\n"):
        os.write(writer, piece)
    os.close(writer)

    login = log_in(PLACE, Credentials(password_file=Path(f"/dev/fd/{reader}")), {}, ignore)

    os.close(reader)
    assert login.password == "correct horse"


def test_a_password_in_a_url_is_warned_of() -> None:
    told: list[str] = []

    log_in(places.parse("ftp://anna:hunter2@host/x"), Credentials(), {}, told.append)

    assert len(told) == 1
    assert "hunter2" not in told[0]


def test_what_was_fetched_is_known_as_a_secret() -> None:
    login = log_in(PLACE, Credentials(password_env="OTHER"), {}, ignore)

    assert "from-variable" not in f"{login} {Credentials(password='from-variable')}"
    assert redact("530 from-variable is wrong") == "530 *** is wrong"


def test_short_words_are_no_secrets() -> None:
    register_secret("a")
    register_secret("")

    assert redact("a banana") == "a banana"


def test_what_netrc_says_of_any_host_is_not_for_buckets(home: Path) -> None:
    (home / "netrc").write_text("default login anybody password from-netrc\n")

    assert log_in(places.parse("ftp://models/x"), Credentials(), {}, ignore).user == "anybody"
    assert log_in(places.parse("s3://models/x"), Credentials(), {}, ignore).user is None
