"""Wheelhouses of tiny wheels with the real pip, on a side that has the Bento they are for."""

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from airgap.flow.environment.pythons import describe_python
from airgap.format.inventory import File
from airgap.format.wheelhouse import requirements_digest
from airgap.store.environments import DESCRIPTION, EnvironmentDescription, encode
from tests.support import closure_items, forge, stores
from tests.support.forge import Item
from tests.support.sides import Side

REQUIREMENTS = b"tiny==1.0\n"
SCRIPT = """\
import json, os, signal, sys

def main():
    if "wait" in sys.argv:
        print("started", flush=True)
        signal.pause()
    names = sorted(os.environ)
    found = {"arguments": sys.argv[1:], "prefix": sys.prefix, "path": sys.path}
    print(json.dumps({**found, "environ": {name: os.environ[name] for name in names}}))
    sys.exit(7)
"""


def pip_wheel() -> tuple[str, bytes]:
    """The pip that is installed here, as the wheel that it came in."""
    pip = metadata.distribution("pip")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in pip.files or ():
            if "__pycache__" not in file.parts and ".." not in file.parts:
                archive.writestr(str(file), file.read_binary())
    return f"pip-{pip.version}-py3-none-any.whl", made.getvalue()


def quick_pip(*lines: str) -> tuple[str, bytes]:
    """A stand-in for pip that only unpacks wheels, in a tenth of pip's time.

    It runs ``lines`` first.
    """
    members = {
        "pip/__init__.py": "",
        "pip/__main__.py": "\n".join([*lines, _QUICK_PIP]),
        "pip/_vendor/__init__.py": "",
        "pip/_vendor/packaging/__init__.py": "",
        "pip/_vendor/packaging/utils.py": "canonicalize_name = str.lower\n",
        "pip/_vendor/packaging/version.py": "InvalidVersion, Version = ValueError, str\n",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return "pip-99.0-py3-none-any.whl", made.getvalue()


def without_network() -> list[str]:
    """A prefix that takes a command's network away, where this system lets us."""
    for prefix in (["unshare", "-n"], ["unshare", "-rn"]):
        with suppress(OSError):
            if (
                subprocess.run(
                    [*prefix, "true"], capture_output=True, check=False, timeout=120
                ).returncode
                == 0
            ):
                return prefix
    return []


@cache
def host_target() -> str:
    """The target of the Python that runs the tests."""
    python = describe_python(Path(sys.executable))
    assert python is not None
    return str(python.target)


def bentoml_wheel() -> tuple[str, bytes]:
    """A package with a program ``bentoml``, which prints how it was started and exits with 7."""
    file, data = closure_items.wheel("bentoml", "1.4", bentoml_script=SCRIPT)
    made = io.BytesIO(data)
    with zipfile.ZipFile(made, "a") as archive:
        text = "[console_scripts]\nbentoml = bentoml_script:main\n"
        archive.writestr(zipfile.ZipInfo("bentoml-1.4.dist-info/entry_points.txt"), text)
    return file, made.getvalue()


_QUICK_PIP = """\
import pathlib, sys, sysconfig, zipfile
house = pathlib.Path(sys.argv[sys.argv.index("--find-links") + 1])
for wheel in house.iterdir():
    zipfile.ZipFile(wheel).extractall(sysconfig.get_path("purelib"))
program = pathlib.Path(sys.prefix, "bin", "bentoml")
program.write_text(f"#!{sys.executable}\\nimport bentoml_script\\nbentoml_script.main()\\n")
program.chmod(0o755)
"""


def digest_of(requirements: bytes | None) -> bytes:
    """What leads from a Bento with these requirements, or none, to its wheelhouse."""
    if requirements is None:
        return requirements_digest([])
    digest = hashlib.sha256(requirements).digest()
    return requirements_digest(
        [File("env/python/requirements.txt", False, len(requirements), digest, ())]  # noqa: FBT003
    )


def wheelhouse(
    wheels: Mapping[str, bytes] | None = None,
    *,
    pip: tuple[str, bytes] | None = None,
    target: str = "",
    requirements: bytes | None = REQUIREMENTS,
) -> Item:
    """A wheelhouse of these wheels, or of ``tiny`` and a program ``bentoml``."""
    if wheels is None:
        wheels = dict([closure_items.wheel(), bentoml_wheel()])
    return closure_items.wheelhouse(
        wheels,
        target=target or host_target(),
        requirements_digest=digest_of(requirements),
        tools=dict([pip or quick_pip()]),
    )


def install(side: Side, item: Item) -> Path:
    """Put an item into a side's store, as an import would."""
    folder = {"bento": "bentos", "files": "files", "wheelhouse": "wheelhouses"}[item.kind]
    top = side.bentoml / folder / item.name / item.version
    for path, content in item.entries.items():
        assert isinstance(content, bytes)
        stores.write_files(top, {path: content})
    return top


def bento(requirements: bytes = REQUIREMENTS, more: str = "", tag: str = "shop:v1") -> Item:
    """A Bento with requirements; ``more`` is the end of its bento.yaml."""
    text = forge.describe("bento", tag) + more
    return forge.bento(
        {"bento.yaml": text.encode(), "env/python/requirements.txt": requirements}, tag
    )


@contextmanager
def only_on_path(folder: Path, *names: str) -> Iterator[None]:
    """Have nothing on PATH but links with these names to the Python that runs the tests."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(os.path.realpath(sys.executable))
    before = os.environ["PATH"]
    os.environ["PATH"] = str(folder)
    try:
        yield
    finally:
        os.environ["PATH"] = before


def pretend(folder: Path, bento: str, files: Sequence[str] = ()) -> None:
    """Make a folder that looks like a complete environment, in no time."""
    description = EnvironmentDescription(
        bento, "cp311-x:0", 1, tuple(files), sys.executable, "3.11.0", "", 0
    )
    stores.write_files(folder, {"bin/bentoml": b"#!/bin/sh\n", DESCRIPTION: encode(description)})
    (folder / "bin/bentoml").chmod(0o755)
