"""Threat model: nothing of a wheelhouse runs before it is compared with its lock (format §26)."""

import base64
import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import AirgapError, ConflictError, CorruptError, MissingError, UsageError
from airgap.store.environments import MARKER, MARKER_TEXT
from tests.support import closure_items, environments, refusals, stores
from tests.support.forge import Item
from tests.support.sides import Side

RAN = "import pathlib; pathlib.Path({!r}).write_text('ran')"


def with_member(wheel: tuple[str, bytes], name: str, data: bytes = b"") -> tuple[str, bytes]:
    """A wheel with one member more."""
    made = io.BytesIO(wheel[1])
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), data)
    return wheel[0], made.getvalue()


def twice(wheel: tuple[str, bytes]) -> tuple[str, bytes]:
    """A wheel with two members of one name."""
    file, data = with_member(wheel, "tinz.py", b"evil")
    return file, data.replace(b"tinz.py", b"tiny.py")


def lying_wheel() -> tuple[str, bytes]:
    """A wheel whose RECORD has the digest of another text."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"another").digest()).rstrip(b"=").decode()
    info = "tiny-1.0.dist-info"
    file, data = closure_items.wheel()
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == f"{info}/RECORD":
                text = text.replace(b"tiny.py,,", f"tiny.py,sha256={digest},7".encode())
            new.writestr(zipfile.ZipInfo(name), text)
    return file, made.getvalue()


def installed(side: Side) -> Path:
    """The folder of the wheelhouse."""
    (folder,) = (side.bentoml / "wheelhouses").glob("*/*")
    return folder


def change_wheel(side: Side) -> None:
    path = installed(side) / "wheels" / closure_items.wheel()[0]
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def lengthen_wheel(side: Side) -> None:
    with (installed(side) / "wheels" / closure_items.wheel()[0]).open("ab") as file:
        file.write(b"more")


def remove_wheel(side: Side) -> None:
    (installed(side) / "wheels" / closure_items.wheel()[0]).unlink()


def link_wheel(side: Side) -> None:
    path = installed(side) / "wheels" / closure_items.wheel()[0]
    path.rename(side.top / "wheel")
    path.symlink_to(side.top / "wheel")


def add_wheel(side: Side) -> None:
    file, data = closure_items.wheel("evil")
    (installed(side) / "wheels" / file).write_bytes(data)


def change_tool(side: Side) -> None:
    (path,) = (installed(side) / "tools").iterdir()
    path.write_bytes(environments.quick_pip(RAN.format(str(side.top / "ran")))[1])


def change_requirements(side: Side) -> None:
    path = installed(side) / "requirements.txt"
    path.write_bytes(path.read_bytes().replace(b"tiny==1.0", b"tiny==9.9"))


def change_lock(side: Side) -> None:
    path = installed(side) / "pylock.toml"
    path.write_bytes(path.read_bytes().replace(b'version = "1.0"', b'version = "9.9"'))


@pytest.mark.parametrize(
    "change",
    [
        *(change_wheel, lengthen_wheel, remove_wheel, link_wheel, add_wheel),
        *(change_tool, change_requirements, change_lock),
    ],
)
def test_a_wheelhouse_that_was_changed_after_its_import_is_refused(
    change: Callable[[Side], None], shop: Side
) -> None:
    change(shop)
    error: type[AirgapError] = MissingError if change is remove_wheel else CorruptError

    refusals.expect_refusal(shop, "env", "create", "shop", error=error)

    assert not (shop.top / "ran").exists()


def house_of(*wheels: tuple[str, bytes]) -> Item:
    return environments.wheelhouse(dict([*wheels, environments.bentoml_wheel()]))


def listing_twice() -> Item:
    """A wheelhouse whose lock has a package twice, under the version that follows from it."""
    house = environments.wheelhouse()
    lock = house.entries["pylock.toml"]
    assert isinstance(lock, bytes)
    start, end = lock.index(b"[[packages]]"), lock.index(b"[tool.airgap]")
    first = lock[start:end].split(b"\n\n")[0] + b"\n\n"
    told = lock[:start] + first + lock[start:]
    version = hashlib.sha256(told).hexdigest()[:32]
    return replace(house, version=version, entries={**house.entries, "pylock.toml": told})


BAD: dict[str, Item] = {
    "a member above": house_of(with_member(closure_items.wheel(), "../../../evil.py")),
    "an absolute member": house_of(with_member(closure_items.wheel(), "/opt/evil.py")),
    "a member with backslashes": house_of(with_member(closure_items.wheel(), "..\\evil.py")),
    "a member twice": house_of(twice(closure_items.wheel())),
    "a RECORD that lies": house_of(lying_wheel()),
    "a wheel that is not a zip file": house_of((closure_items.wheel()[0], b"PK")),
    "another version inside": house_of(
        ("tiny-2.0-py3-none-any.whl", closure_items.wheel("tiny", "1.0")[1])
    ),
    "a package twice in the lock": listing_twice(),
    "a tool that is not pip": environments.wheelhouse(
        pip=("pip-99.0-py3-none-any.whl", closure_items.wheel("pip", "99.0")[1])
    ),
    "a tool that is not a zip file": environments.wheelhouse(
        pip=("pip-99.0-py3-none-any.whl", b"#!/bin/sh\n")
    ),
    "no tool": environments.wheelhouse(pip=("uv-1.0-py3-none-any.whl", b"uv")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wheelhouse_that_cannot_be_installed_leaves_nothing(name: str, isolated: Side) -> None:
    environments.install(isolated, environments.bento())
    environments.install(isolated, BAD[name])

    refusals.expect_refusal(isolated, "env", "create", "shop", error=CorruptError)


def make_link(folder: Path) -> None:
    target = folder.with_name("target")
    target.mkdir()
    folder.symlink_to(target)


def make_file(folder: Path) -> None:
    folder.write_text("mine")


def fill(folder: Path) -> None:
    stores.write_files(folder, {"notes.txt": b"mine"})


def pretend_to_be_incomplete(folder: Path) -> None:
    stores.write_files(folder, {"notes.txt": b"mine", MARKER: b"not " + MARKER_TEXT})


def pretend_to_be_complete(folder: Path) -> None:
    stores.write_files(folder, {"notes.txt": b"mine", "airgap-environment.json": b"{}"})


def open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def give_away(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 65534, 65534)


@pytest.mark.parametrize(
    "make",
    [
        *(make_link, make_file, fill, pretend_to_be_incomplete, pretend_to_be_complete),
        *(open_to_all, give_away),
    ],
)
def test_a_folder_that_is_not_ours_is_refused_and_keeps_what_it_has(
    make: Callable[[Path], None], shop: Side
) -> None:
    if make is give_away and os.geteuid():
        pytest.skip("only root can give a folder away")
    folder = shop.top / "folder"
    make(folder)

    refusals.expect_refusal(shop, "env", "create", "shop", folder, error=ConflictError)

    if make is not open_to_all:
        assert shop.run("env", "remove", folder).code in (13, 14)
        assert os.path.lexists(folder)


@pytest.mark.parametrize("tag", ["../shop:v1", "shop:../v1", "shop:v1/..", "/shop", ""])
def test_a_tag_with_parts_of_a_path_is_not_one(tag: str, shop: Side) -> None:
    refusals.expect_refusal(shop, "env", "create", tag, error=UsageError)


def test_settings_of_pip_and_python_change_nothing(
    shop: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = RAN.format(str(tmp_path / "ran"))
    stores.write_files(tmp_path / "path", {"sitecustomize.py": code.encode()})
    stores.write_files(tmp_path / "path", {"tiny.py": b"", "pip/__main__.py": code.encode()})
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = http://127.0.0.1:9/\ntarget = /nowhere\n")
    for name, value in {
        "PYTHONPATH": str(tmp_path / "path"),
        "PYTHONHOME": "/nowhere",
        "PYTHONSTARTUP": str(tmp_path / "path/sitecustomize.py"),
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_CONFIG_FILE": str(config),
        "PIP_NO_INDEX": "0",
        "VIRTUAL_ENV": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    environments.install(shop, environments.bento(b"tiny==2.0\n", tag="real:v1"))
    wheels = dict([closure_items.wheel("tiny", "2.0"), environments.bentoml_wheel()])
    environments.install(
        shop,
        environments.wheelhouse(wheels, pip=environments.pip_wheel(), requirements=b"tiny==2.0\n"),
    )

    made = shop.run("env", "create", "real", "--python", sys.executable)

    assert made.code == 0, made.err
    (folder,) = (shop.bentoml / "environments/real/v1").glob("lib/python3*/site-packages")
    assert (folder / "tiny.py").read_text() == "VERSION = '2.0'\n"
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "target").exists()


def test_a_changed_description_of_files_sets_no_variable(shop: Side) -> None:
    files = closure_items.files({"content/a": b""}, variable="TIKTOKEN_CACHE_DIR")
    tag = f"{files.name}:{files.version}"
    folder = environments.install(shop, files)
    environments.pretend(shop.bentoml / "environments/shop/v1", "shop:v1", [tag])
    text = (folder / "files.json").read_text()
    (folder / "files.json").write_text(text.replace("TIKTOKEN_CACHE_DIR", "LD_PRELOAD"))

    refusals.expect_refusal(shop, "env", "run", "shop", "--dry-run", error=CorruptError)
