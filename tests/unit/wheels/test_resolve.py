"""What uv says when it finds no solution, in sentences that say what to do."""

import importlib
import importlib.util
from pathlib import Path

import pytest

from airgap.errors import AirgapError, ConfigurationError, MissingError, TransportError
from airgap.wheels import programs
from airgap.wheels.resolve import Question, resolve
from airgap.wheels.targets import format_for_uv, read_target

TARGET = read_target("cp311-musllinux_1_2_aarch64")
QUESTION = Question(["a"], ["a==1"], TARGET, title="The packages of shop:v1")


def make_uv(folder: Path, says: str = "", lock: str = "") -> tuple[str, ...]:
    """A uv that fails with these words, or writes this lock."""
    (folder / "says").write_text(says)
    (folder / "lock").write_text(lock)
    uv = folder / "uv"
    uv.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/arguments\n"
        + (f"cp {folder}/lock pylock.toml\n" if lock else f"cat {folder}/says >&2; exit 1\n")
    )
    uv.chmod(0o755)
    return (str(uv),)


@pytest.mark.parametrize(
    ("says", "error", "message"),
    [
        (
            "cause: Because there is no version of a==1 and you require a==1, we can conclude",
            *(MissingError, f"The packages of shop:v1 cannot be resolved for {TARGET}."),
        ),
        (
            "cause: Because b.c==4.9.3 has no usable wheels and you require b.c==4.9.3, we",
            *(MissingError, f"b.c 4.9.3 has no wheel for {TARGET}."),
        ),
        (
            "cause: Because b==1 has no wheels with a matching platform tag (e.g., `x`) and",
            *(MissingError, f"b 1 has no wheel for {TARGET}."),
        ),
        (
            "hint: Wheels are required for `b` because building from source is disabled",
            *(MissingError, f"b has no wheel for {TARGET}."),
        ),
        (
            "error: Failed to fetch: `https://joe:pw@pypi.example/simple/a/`\n  cause: dns error",
            *(
                TransportError,
                "A package index cannot be read: https://***@pypi.example/simple/a/.",
            ),
        ),
        (
            "  cause: HTTP status client error (401 Unauthorized) for url (https://x.example/a)",
            *(TransportError, "A package index cannot be read: https://x.example/a."),
        ),
    ],
)
def test_a_failure_of_uv_is_a_sentence(
    tmp_path: Path, says: str, error: type[AirgapError], message: str
) -> None:
    with pytest.raises(error) as refused:
        resolve(QUESTION, make_uv(tmp_path, says), {"PATH": "/bin:/usr/bin"}, tmp_path)
    assert refused.value.message == message
    assert refused.value.hint
    assert "pw@" not in str(refused.value.details)


def test_uv_is_asked_for_the_target_and_runs_no_code(tmp_path: Path) -> None:
    lock = '[[packages]]\nname = "a"\nversion = "1"\nsdist = {url = "https://x.example/a-1.zip"}\n'
    (found,) = resolve(QUESTION, make_uv(tmp_path, lock=lock), {"PATH": "/bin:/usr/bin"}, tmp_path)
    assert (found.name, found.wheels) == ("a", ())
    assert (tmp_path / "requirements.in").read_text() == "a\n"
    assert (tmp_path / "constraints.txt").read_text() == "a==1\n"
    arguments = (tmp_path / "arguments").read_text().split("\n")
    for option in (format_for_uv(TARGET), "3.11", "--no-config", "--generate-hashes", ":all:"):
        assert option in arguments


def test_a_program_that_is_not_installed_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ConfigurationError, match="uv is not installed") as refused:
        programs.find_programs()
    assert "bento-airgap[wheels]" in refused.value.hint
    with pytest.raises(ConfigurationError, match="packaging is not installed"):
        programs.load_packaging("packaging.tags")


def test_pip_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pip is not installed"):
        programs.find_programs()
