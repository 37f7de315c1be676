"""The Pythons of this host, and which wheelhouses are for them."""

import glob
import json
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from packaging import tags

from airgap.flow.environment import describe_python as script
from airgap.flow.environment.pythons import (
    Python,
    describe_python,
    explain_misfit,
    find_python,
    list_versions,
)
from airgap.format.wheelhouse import Target, parse_target
from tests.support import environments

HOST = Python(Path("/usr/bin/python3.11"), (3, 11, 7), "x86_64", "manylinux", (2, 28))
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def target(text: str) -> Target:
    parsed = parse_target(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "misfit"),
    [
        ("cp311-manylinux_2_28_x86_64", ""),
        ("cp311-manylinux_2_17_x86_64", ""),
        ("cp311-manylinux_2_34_x86_64", "needs glibc 2.34 or newer; this host has glibc 2.28"),
        ("cp311-manylinux_3_1_x86_64", "needs glibc 3.1 or newer; this host has glibc 2.28"),
        ("cp311-manylinux_2_28_aarch64", "is for aarch64; this host is x86_64"),
        ("cp311-musllinux_1_2_x86_64", "is for musl; /usr/bin/python3.11 uses glibc"),
    ],
)
def test_a_target_fits_a_host_that_is_as_new(text: str, misfit: str) -> None:
    assert explain_misfit(target(text), HOST) == misfit


def test_the_target_of_this_host_is_one_that_packaging_names() -> None:
    own = target(environments.host_target())

    platforms = {tag.platform for tag in tags.sys_tags()}

    assert own.platform in platforms
    assert str(own) == environments.host_target()


def test_an_interpreter_is_asked_and_not_its_name(tmp_path: Path) -> None:
    with environments.only_on_path(tmp_path / "path", "python3.9", "python3"):
        assert find_python("3.9") is None
        found = find_python(OWN)
        assert list_versions() == [OWN]

    assert found is not None
    assert found.minor == OWN
    assert os.path.realpath(found.path) == os.path.realpath(sys.executable)


@pytest.mark.parametrize(
    "text",
    [
        "exit 127",
        "echo nothing",
        "echo '[]'",
        "echo '{}'",
        "echo '{\"version\": [2, 7, 18]}'",
        "kill -9 $$",
    ],
)
def test_what_is_not_a_python_is_passed_over(text: str, tmp_path: Path) -> None:
    program = tmp_path / "python3.11"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)

    assert describe_python(program) is None
    assert describe_python(tmp_path / "absent") is None


def test_a_python_without_its_global_lock_is_not_what_wheels_are_for(tmp_path: Path) -> None:
    document = {
        "architecture": "x86_64",
        "executable": "/usr/bin/python3.13t",
        "free_threaded": True,
        "implementation": "cpython",
        "libc": "manylinux",
        "libc_version": [2, 36],
        "version": [3, 13, 0],
    }
    program = tmp_path / "python3.13"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(document)}'\n")
    program.chmod(0o755)

    python = describe_python(program)

    assert python is not None
    assert (python.minor, python.is_usual) == ("3.13", False)
    with environments.only_on_path(tmp_path / "path"):
        (tmp_path / "path" / "python3.13").symlink_to(program)
        assert find_python("3.13") is None


def test_musl_is_known_by_its_loader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loader = tmp_path / "ld-musl-x86_64.so.1"
    loader.write_text("#!/bin/sh\necho 'musl libc (x86_64)\nVersion 1.2.3' >&2\nexit 1\n")
    loader.chmod(0o755)
    monkeypatch.setattr(os, "confstr", lambda _: None)
    monkeypatch.setattr(glob, "glob", lambda _: [str(loader)])

    assert script.find_libc() == ("musllinux", [1, 2])

    monkeypatch.setattr(glob, "glob", lambda _: [])
    assert script.find_libc() == ("", [0, 0])


def test_a_narrow_python_on_a_wide_kernel_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert script.find_architecture() == "x86_64"
    monkeypatch.setattr(struct, "calcsize", lambda _: 4)
    assert script.find_architecture() == "i686"


def test_the_script_needs_nothing_but_a_python() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", script.__file__],
        capture_output=True,
        check=True,
        env={},
        timeout=120,
    )

    assert json.loads(done.stdout)["implementation"] == "cpython"
