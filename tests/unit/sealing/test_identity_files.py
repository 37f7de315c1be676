"""Identities in files: whose they are, and who can read them (format §34.2)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.disk import new_file
from airgap.errors import AirgapError, ConfigurationError, StorageError
from airgap.flow.redaction import redact
from airgap.sealing import identity_files
from airgap.sealing.age_keys import generate_identity
from airgap.sealing.identity_files import generate, read_identities, read_recipient


@pytest.mark.parametrize("post_quantum", [True, False])
def test_a_pair_is_made_and_read_again(tmp_path: Path, *, post_quantum: bool) -> None:
    secret, public, recipient = generate(tmp_path / "keys", "site", post_quantum=post_quantum)
    assert (secret.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0o600, 0o644)
    (identity,) = read_identities([str(secret)])
    assert identity.recipient.text == recipient.text == public.read_text().strip()
    assert read_recipient(str(public)).text == read_recipient(recipient.text).text
    with pytest.raises(ConfigurationError, match="never overwritten"):
        generate(tmp_path / "keys", "site", post_quantum=post_quantum)


def test_an_identity_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret, _, _ = generate(tmp_path, "site", post_quantum=False)
    secret.chmod(0o640)
    with pytest.raises(StorageError, match=r"can be read by others \(mode 0640\)"):
        read_identities([str(secret)])


def test_a_descriptor_gives_an_identity(tmp_path: Path) -> None:
    secret, _, recipient = generate(tmp_path, "site", post_quantum=False)
    descriptor = os.open(secret, os.O_RDONLY)
    try:
        (identity,) = read_identities([f"fd:{descriptor}"])
    finally:
        os.close(descriptor)
    assert identity.recipient.text == recipient.text


@pytest.mark.parametrize("source", ["fd:", "fd:x", "fd:9999", "/no/such/file", "/"])
def test_where_there_is_no_identity_is_refused(source: str) -> None:
    with pytest.raises(ConfigurationError):
        read_identities([source])


def test_other_content_is_refused_without_printing_it(tmp_path: Path) -> None:
    path = tmp_path / "other"
    for content in ("", "# only a comment\n", "AGE-SECRET-KEY-1SECRET\n"):
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(ConfigurationError) as refused:
            read_identities([str(path)])
        assert "1SECRET" not in refused.value.message
    path.write_text("\n")
    with pytest.raises(ConfigurationError, match="not hold one age recipient"):
        read_recipient(str(path))
    with pytest.raises(ConfigurationError, match="not an age recipient"):
        read_recipient("age1nonsense")


@pytest.mark.parametrize("post_quantum", [True, False])
def test_an_identity_that_stands_in_the_wrong_place_is_not_printed(
    tmp_path: Path, *, post_quantum: bool
) -> None:
    text = generate_identity(post_quantum=post_quantum).text
    path = tmp_path / "site.identity"
    path.write_text(f"{text}\n")
    calls: list[Callable[[], object]] = [
        lambda: read_recipient(str(path)),
        lambda: read_recipient(text),
        lambda: read_recipient(text.lower()),
        lambda: read_identities([text]),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="A secret age identity was given") as refused:
            call()
        printed = f"{refused.value.message} {refused.value.hint}".upper()
        assert "AGE-SECRET-KEY-" not in printed
    assert redact(f"no file {text}.") == "no file AGE-SECRET-KEY-***."
    assert redact(f"no file {text.lower()}.") == "no file age-secret-key-***."


def test_too_many_identities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_text(f"{generate_identity(post_quantum=False).text}\n" * 101)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="101 identities"):
        read_identities([str(path)])


def test_nothing_is_left_of_a_pair_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = new_file.create_file

    def fail(path: Path, content: bytes, mode: int) -> None:
        if path.suffix == ".recipient":
            raise StorageError("full", "wait")
        create(path, content, mode)

    monkeypatch.setattr(identity_files, "create_file", fail)
    with pytest.raises(AirgapError, match="full"):
        generate(tmp_path, "site", post_quantum=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageError, match="cannot be written"):
        create(Path("/proc/none/site"), b"", 0o600)
