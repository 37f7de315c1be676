"""What scanners say, as their adapters read it."""

from pathlib import Path

import pytest

from airgap.errors import ConfigurationError
from airgap.flow.scanning import confined, scanners
from airgap.flow.scanning.confined import ScannerAnswer
from airgap.flow.scanning.policy import Scanner, ScanPolicy, add_command

PATHS = ["/s/a", "/s/b"]


def read(adapter: str, code: int, output: str) -> dict[str, str]:
    return dict(scanners._ADAPTERS[adapter].read(ScannerAnswer(code, output), PATHS))


@pytest.mark.parametrize(
    ("adapter", "code", "output", "expected"),
    [
        ("exit", 0, "", {"/s/a": "clean", "/s/b": "clean"}),
        ("exit", 2, "", dict.fromkeys(PATHS, "it ended with 2")),
        ("clamav", 2, "/s/a: OK\n", dict.fromkeys(PATHS, "it ended with 2")),
        ("clamav", 0, "/s/a: OK\n/s/b: Empty file\nnoise\n", dict.fromkeys(PATHS, "clean")),
        ("clamav", 1, "/s/a: X FOUND\n/s/a: OK\n", {"/s/a": "X FOUND"}),
        ("clamav", 0, "/s/a: Excluded\n", {"/s/a": "Excluded"}),
        ("json", 0, '{"path": "/s/a", "verdict": "clean"}\n', {"/s/a": "clean"}),
        (
            "json",
            1,
            '{"path": "/s/a", "verdict": "bad"}\n{"path": "/s/a", "verdict": "clean"}\n',
            {"/s/a": "bad"},
        ),
        ("json", 3, '{"path": "/s/a", "verdict": "clean"}\n', {}),
        ("json", 0, "[]\n", {}),
        ("json", 0, "{\n", {}),
    ],
)
def test_an_answer_is_read(adapter: str, code: int, output: str, expected: dict[str, str]) -> None:
    assert read(adapter, code, output) == expected


def test_a_scanner_is_named_by_its_command() -> None:
    policy = add_command(ScanPolicy(()), "/usr/bin/clamscan -d x")
    assert policy.scanners[0].adapter == "clamav"
    for command in ("", "/usr/bin/clamscan"):
        with pytest.raises(ConfigurationError):
            add_command(policy, command)


def test_what_is_said_is_one_short_line() -> None:
    assert scanners.clip_answer("a\nb\x1b" + "c" * 300) == "a?b?" + "c" * 196


def test_a_host_without_namespaces_runs_no_scanner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scanner = Scanner("x", ("true",), "exit")
    monkeypatch.setattr(confined, "_PREFIXES", (("no-such-program",),))
    with pytest.raises(ConfigurationError, match="cannot be confined"):
        confined.run_confined(scanner, (), tmp_path)


def test_a_scanner_that_is_too_slow_or_says_too_much_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(confined, "_PREFIXES", (("env",),))
    monkeypatch.setattr(confined, "_SCRIPT", 'shift 2; exec "$@"')
    folder = tmp_path
    slow = Scanner("x", ("sleep", "20"), "exit", seconds=0)
    assert "longer than" in confined.run_confined(slow, (), folder).problem
    monkeypatch.setattr(confined, "_OUTPUT_BYTES", 3)
    loud = Scanner("x", ("echo", "hello"), "exit")
    assert "said more than" in confined.run_confined(loud, (), folder).problem
    said = scanners.ask_scanner(loud, folder, {"a": 1})
    assert said == {"a": "it said more than 3 bytes"}
    assert scanners.ask_version(loud, folder) == ""
    clam = Scanner("x", ("sh", "-c", "echo 1.2"), "clamav")
    monkeypatch.setattr(confined, "_OUTPUT_BYTES", 300)
    assert scanners.ask_version(clam, folder) == "1.2"
