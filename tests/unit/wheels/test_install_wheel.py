"""What a wheel installs, with pip as the oracle; and wheels that lie."""

import base64
import hashlib
import stat
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from airgap.errors import CorruptError
from airgap.wheels.install_wheel import Venv, WheelArchives, list_installed

VENV = Venv("3.11", "/app/.venv")
INFO = "tiny-1.0.dist-info"
PLAIN = {
    "tiny/__init__.py": b"def main(): print('main')\nclass deep: run = main\n",
    "tiny/empty.py": b"",
    "tiny/tool": b"\x7fELF",
    "tiny-1.0.data/scripts/old": b"#!python -u\nprint('old')\n",
    "tiny-1.0.data/scripts/shell": b"#!/bin/sh\necho shell\n",
    "tiny-1.0.data/data/share/doc/tiny.txt": b"text",
    "tiny-1.0.data/purelib/pure.py": b"x = 1\n",
    "tiny-1.0.data/platlib/plat.py": b"y = 1\n",
    "tiny-1.0.data/headers/tiny.h": b"int x;\n",
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": (
        b"[console_scripts]\nTiny = tiny:main\nother=tiny:deep.run [extra]\n[plugins]\nx = tiny\n"
    ),
}


def make_wheel(
    folder: Path, members: Mapping[str, bytes] = PLAIN, record: Mapping[str, bytes] | None = None
) -> Path:
    """A wheel; ``record`` is what RECORD says instead."""
    said = {**members, **(record or {})}
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()[:-1]},"
        f"{len(data)}"
        for name, data in said.items()
    ]
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            mode = 0o755 if name == "tiny/tool" or "/scripts/" in name else 0o644
            info.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(info, data)
        archive.writestr(zipfile.ZipInfo(f"{INFO}/RECORD"), "\n".join(lines) + "\n")
    return wheel


def installed(wheel: Path, venv: Venv = VENV) -> dict[str, tuple[bytes, bool]]:
    archives = WheelArchives()
    try:
        return {
            file.path: (b"".join(file.read_pieces(archives)), file.executable)
            for file in list_installed(wheel, venv)
        }
    finally:
        archives.close()


def test_it_installs_what_pip_installs(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    venv = tmp_path / "venv"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (venv / f"lib/python{version}/site-packages").mkdir(parents=True)
    pip = ("-m", "pip", "--python", venv / "bin/python", "--isolated", "install", "--no-index")
    command = [sys.executable, *pip, "--no-deps", "--no-compile", "-q", wheel]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=600)
    expected = {
        path.relative_to(venv).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in venv.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "pyvenv.cfg"
    }
    info = f"lib/python{version}/site-packages/{INFO}"
    own = installed(wheel, Venv(version, str(venv)))
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        expected.pop(f"{info}/{name}", None)
        own.pop(f"{info}/{name}", None)
    assert own == expected


def test_its_record_lists_everything_with_digests(tmp_path: Path) -> None:
    files = installed(make_wheel(tmp_path))
    top = "lib/python3.11/site-packages"
    record = files.pop(f"{top}/{INFO}/RECORD")[0].decode().splitlines()
    assert f"{INFO}/RECORD,," in record
    for path, (data, _) in files.items():
        relative = path.removeprefix(f"{top}/") if path.startswith(top) else f"../../../{path}"
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()[:-1]
        assert f"{relative},sha256={digest},{len(data)}" in record
    assert len(record) == len(files) + 1


def test_scripts_run_by_the_python_of_the_environment(tmp_path: Path) -> None:
    files = installed(make_wheel(tmp_path))
    assert files["bin/old"] == (b"#!/app/.venv/bin/python\nprint('old')\n", True)
    assert files["bin/shell"] == (b"#!/bin/sh\necho shell\n", True)
    assert files["bin/Tiny"][0].startswith(b"#!/app/.venv/bin/python\n")
    assert b"sys.exit(deep.run())" in files["bin/other"][0]


BAD: dict[str, dict[str, bytes]] = {
    "a path that leads out": {"../evil.py": b""},
    "an absolute path": {"/etc/evil": b""},
    "a path with a dot": {"tiny/./evil.py": b""},
    "a backslash": {"tiny\\evil.py": b""},
    "data that lead out": {"tiny-1.0.data/data/../../evil": b""},
    "a script that leads out": {"tiny-1.0.data/scripts/../evil": b""},
    "an unknown scheme": {"tiny-1.0.data/etc/passwd": b""},
    "a script's name that leads out": {
        f"{INFO}/entry_points.txt": b"[console_scripts]\n../evil = tiny:main\n"
    },
    "a script's code": {f"{INFO}/entry_points.txt": b"[console_scripts]\nx = tiny:main();evil\n"},
    "a script's module with a line": {
        f"{INFO}/entry_points.txt": b"[console_scripts]\nx = tiny\n  evil:main\n"
    },
    "entry points that are malformed": {f"{INFO}/entry_points.txt": b"x = y\n"},
    "another version": {f"{INFO}/WHEEL": b"Wheel-Version: 2.0\n"},
    "two wheels": {"other-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\n"},
}


@pytest.mark.parametrize("name", BAD)
def test_a_wheel_is_refused_that_has(name: str, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {**PLAIN, **BAD[name]})
    with pytest.raises(CorruptError, match=r"The wheel tiny-1\.0-py3-none-any\.whl"):
        installed(wheel)


def test_a_record_that_lies_is_found_out(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, record={"tiny/__init__.py": b"other"})
    with pytest.raises(CorruptError, match="which is not what RECORD says"):
        installed(wheel)


def test_what_is_no_zip_or_damaged_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    data = wheel.read_bytes()
    wheel.write_bytes(b"PK" + data[:100])
    with pytest.raises(CorruptError, match="malformed"):
        installed(wheel)
    at = data.index(b"\x7fELF") if b"\x7fELF" in data else data.index(b"tiny/tool") + 12
    wheel.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    with pytest.raises(CorruptError):
        installed(wheel)


def test_many_wheels_do_not_stay_open(tmp_path: Path) -> None:
    archives = WheelArchives()
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        archives.open(make_wheel(folder))
    assert len(archives._open) == 32
    archives.close()
