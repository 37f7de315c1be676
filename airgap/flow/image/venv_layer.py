"""The layer with the packages: a virtual environment as BentoML's own images have it."""

import posixpath
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from airgap.errors import MissingError
from airgap.flow.image.choose_wheelhouse import check_wheels
from airgap.format.wheelhouse import Target
from airgap.oci.base_image import BaseImage
from airgap.oci.layer import LayerEntry, make_folders
from airgap.store.wheelhouses import StoredWheelhouse
from airgap.wheels.install_wheel import InstalledFile, Venv, WheelArchives, list_installed

__all__ = ["find_interpreter", "list_user_entries", "list_venv_entries"]

_FOLDERS: Final = ("usr/local/bin", "usr/bin", "opt/python/bin")
_SHELL: Final = ("bin/bash", "usr/bin/bash", "usr/local/bin/bash")
_ACTIVATE: Final = """\
# For `source`; BentoML's entrypoint.sh does so.
VIRTUAL_ENV={venv}
export VIRTUAL_ENV
PATH="$VIRTUAL_ENV/bin:$PATH"
export PATH
unset PYTHONHOME
"""
_CONFIG: Final = """\
home = {home}
include-system-site-packages = false
version = {python}
"""


def find_interpreter(base: BaseImage, target: Target, named: str) -> str:
    """Return the path of the Python in a base that fits a target, and look for what else it needs.

    Raises:
        MissingError: the base lacks Python, a shell, or the C library.
    """
    musl = base.has(f"lib/ld-musl-{target.architecture}.so.1")
    if musl != (target.libc == "musllinux"):
        raise MissingError(
            f"The base {base.reference} has {'musl' if musl else 'no musl'}, and the packages are"
            f" for {target.platform}.",
            "Name another base, or another wheelhouse with --target.",
        )
    if not any(map(base.has, _SHELL)):
        raise MissingError(
            f"The base {base.reference} has no bash, which a Bento starts with.",
            "Name a base that has it.",
        )
    if named:
        return named
    for folder in _FOLDERS:
        if base.has(f"{folder}/python{target.python}"):
            return f"/{folder}/python{target.python}"
    raise MissingError(
        f"The base {base.reference} has no python{target.python} in /{', /'.join(_FOLDERS)}.",
        "Name a base with that Python, or say where it is with --python.",
    )


def list_venv_entries(
    wheelhouse: StoredWheelhouse,
    venv: Venv,
    interpreter: str,
    archives: WheelArchives,
    note: Callable[[str], object],
) -> list[LayerEntry]:
    """List what the environment holds; of two files with one path, the last package's counts.

    Raises:
        CorruptError: a wheel is damaged or malformed.
        StorageError: it cannot be read.
    """
    files: dict[str, InstalledFile] = {}
    for wheel in check_wheels(wheelhouse):
        for file in list_installed(wheel, venv):
            other = files.get(file.path)
            if other is not None:
                note(f"{file.path} is in {other.wheel.name} and in {wheel.name}.")
            files[file.path] = file
    top = venv.path.lstrip("/")
    entries = [
        LayerEntry(
            f"{top}/{file.path}",
            executable=file.executable,
            size=file.size,
            pieces=partial(file.read_pieces, archives),
        )
        for file in files.values()
    ]
    home = posixpath.dirname(interpreter)
    texts = {
        "bin/activate": _ACTIVATE.format(venv=venv.path),
        "pyvenv.cfg": _CONFIG.format(home=home, python=venv.python),
    }
    entries += [_text_entry(f"{top}/{path}", text.encode()) for path, text in texts.items()]
    links = {"python": interpreter, "python3": "python", f"python{venv.python}": "python"}
    entries += [LayerEntry(f"{top}/bin/{name}", target=to) for name, to in links.items()]
    return [*make_folders(entries, top, 0), *entries]


def list_user_entries(base: BaseImage, home: str, user: int) -> list[LayerEntry]:
    """List the files that name the user, if the base has such files: some libraries look it up."""
    lines = {
        "etc/group": f"bentoml:x:{user}:\n",
        "etc/passwd": f"bentoml:x:{user}:{user}::{home}:/bin/sh\n",
    }
    entries = []
    for path, line in lines.items():
        text = base.read_small(path)
        if text and f":{user}:".encode() not in text:
            entries.append(_text_entry(path, _end_line(text) + line.encode()))
    return entries


def _end_line(text: bytes) -> bytes:
    return text if text.endswith(b"\n") else text + b"\n"


def _text_entry(path: str, text: bytes) -> LayerEntry:
    def read() -> Iterable[bytes]:
        return [text]

    return LayerEntry(path, size=len(text), pieces=read)
