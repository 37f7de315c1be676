"""Kits of tiny wheels, from an index on the loopback, and how they are installed from."""

import io
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support import environments
from tests.support.package_index import PackageIndex, make_wheel
from tests.support.sides import REPOSITORY, Ran, Side, Site

OTHER_TARGET = "cp312-musllinux_1_2_aarch64"
_PIP = """\
import pathlib, signal, sys, sysconfig, zipfile
prefix = pathlib.Path(sys.prefix)
print("pip runs", file=sys.stderr)
wait = prefix.with_name(prefix.name + ".wait")
if wait.exists():
    signal.alarm(250)
    wait.write_text(str(__import__("os").getpid()))
    signal.pause()
wheels = pathlib.Path(sys.argv[sys.argv.index("--find-links") + 1])
for wheel in wheels.iterdir():
    zipfile.ZipFile(wheel).extractall(sysconfig.get_path("purelib"))
program = prefix / "bin" / "airgap"
program.write_text(f"#!{sys.executable}\\nprint('airgap, version 9.9')\\n")
program.chmod(0o755)
"""


def quick_pip() -> tuple[str, bytes]:
    """A stand-in for pip that unpacks wheels; it waits if a file beside the environment says so."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("pip/__main__.py"), _PIP)
        for path, text in (
            ("METADATA", "Metadata-Version: 2.1\nName: pip\nVersion: 99.0\n"),
            (
                "WHEEL",
                "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            ),
            ("RECORD", ""),
        ):
            archive.writestr(zipfile.ZipInfo(f"pip-99.0.dist-info/{path}"), text)
    return "pip-99.0-py3-none-any.whl", made.getvalue()


def make_index() -> PackageIndex:
    """An index with what the stand-in for airgap needs; pip is a package and a tool."""
    wheels = [quick_pip(), make_wheel("small", requires=["pip"]), make_wheel("part")]
    native = make_wheel("native", "1.0", "cp312-cp312-musllinux_1_2_aarch64")
    return PackageIndex(dict([*wheels, native]))


def make_full_index() -> PackageIndex:
    """An index with a stand-in for each requirement of airgap, in the oldest version that will do.

    BentoML's are left out.
    """
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wheels = [quick_pip()]
    for text in (*project["dependencies"], *(line for lines in extras for line in lines)):
        match = re.match(r"([\w-]+).*>=([\d.]+)", text)
        assert match, text
        if match[1] != "pip":
            wheels.append(make_wheel(match[1].replace("-", "_"), match[2]))
    return PackageIndex(dict(wheels))


def own_wheel(folder: Path, version: str = "9.9") -> Path:
    """A stand-in for airgap's wheel, of another version than the one that runs."""
    needs = ["small", 'native; python_version >= "3.12"', 'part; extra == "wheels"']
    file, data = make_wheel("bento_airgap", version, requires=needs)
    path = folder / file
    path.write_bytes(data)
    return path


def quiet_programs(folder: Path) -> Mapping[str, str]:
    """Variables that let uv and pip remember nothing, and wait for nothing."""
    return {
        "UV_CACHE_DIR": str(folder / "uv-cache"),
        "PIP_NO_CACHE_DIR": "1",
        "UV_HTTP_RETRIES": "0",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "NETRC": str(folder / "netrc"),
    }


def make(side: Side, site: Site, index: PackageIndex, folder: Path, *options: str | Path) -> Ran:
    """Make a kit for this host, with the site's root."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_programs(side.top).items():
            patch.setenv(name, value)
        return side.run(
            *("kit", "-o", folder, "--target", environments.host_target(), "--json"),
            *("--index", index.url, "--key", site.key(), "--include-root", site.root, *options),
        )


def install(
    kit: Path, fingerprint: str, *words: str | Path, path: str = "", prefix: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a kit's installer, as a person would; ``path`` is another PATH."""
    return subprocess.run(
        [*prefix, sys.executable, kit / "install.py", "--fingerprint", fingerprint, *words],
        env={**os.environ, "PATH": path or os.environ["PATH"], "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
