import os
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.transport.open_transport import Login, open_transport
from airgap.transport.s3.options import S3Keys, S3Options
from airgap.transport.s3.transport import S3Transport
from airgap.transport.url import parse


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home without anything of Amazon's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [*os.environ]:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


def opened(url: str, login: Login | None = None, **options: str) -> S3Options:
    transport = open_transport(parse(url), login or Login(), options)
    assert isinstance(transport, S3Transport)
    return transport._options


def test_keys_that_were_said_are_used() -> None:
    found = opened("s3://models/ward/a", Login("id", "secret"), region="eu-west-1")

    assert found == S3Options("models", "ward/a", keys=S3Keys("id", "secret"), region="eu-west-1")


def test_keys_that_were_said_lose_their_line_break() -> None:
    assert opened("s3://models", Login("id\n", "secret\n")).keys == S3Keys("id", "secret")


def test_keys_are_found_in_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert opened("s3://models").keys == S3Keys("id", "secret")


def test_without_keys_nothing_is_asked() -> None:
    with pytest.raises(ConfigurationError, match="No keys") as caught:
        opened("s3://models")

    assert "anonymous" in caught.value.hint


def test_anybody_can_be_said() -> None:
    assert opened("s3://models", anonymous="yes").keys is None


def test_the_bucket_can_be_in_the_host() -> None:
    found = opened("s3://models", anonymous="yes", endpoint="https://s3.ward", virtual_hosted="yes")

    assert found.endpoint_url == "https://models.s3.ward"


def test_an_unencrypted_endpoint_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not encrypted"):
        opened("s3://models", anonymous="yes", endpoint="http://s3.ward")


@pytest.mark.parametrize("how", ["the login", "anonymous", "a file"])
def test_an_endpoint_of_this_machine_serves_keys_from_everywhere(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.ward")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    (tmp_path / "keys").write_text("[default]\naws_access_key_id = i\naws_secret_access_key = s\n")
    (tmp_path / "keys").chmod(0o600)
    options = {
        "the login": {},
        "anonymous": {"anonymous": "yes"},
        "a file": {"credentials": str(tmp_path / "keys")},
    }[how]

    found = opened("s3://models", Login("id", "secret") if how == "the login" else None, **options)

    assert (found.endpoint, found.region) == ("https://s3.ward", "eu-west-1")
