"""airgap's own wheel is made from what runs: the same bytes each time, and nothing that changed."""

import csv
import hashlib
import io
import json
import tomllib
import zipfile
from base64 import urlsafe_b64encode
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from airgap.errors import ConfigurationError
from airgap.flow.kit import own_wheel
from airgap.version import __version__
from tests.support.sides import REPOSITORY
from tests.support.stores import write_files

INFO = f"bento_airgap-{__version__}.dist-info"


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None
) -> dict[str, bytes]:
    """Pretend that airgap is installed below a folder; return what its wheel had."""
    came = {
        "airgap/__init__.py": b"VERSION = 1\n",
        "airgap/data.txt": b"data",
        f"{INFO}/METADATA": f"Name: bento-airgap\nVersion: {__version__}\n".encode(),
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
    }
    lines = []
    for path, data in came.items():
        digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}\n")
    lines += ["airgap/__pycache__/__init__.cpython-311.pyc,,\n", f"{INFO}/RECORD,,\n"]
    lines += ["../../bin/airgap,,\n", f"{INFO}/INSTALLER,,\n"]
    write_files(folder, {**came, f"{INFO}/RECORD": "".join(lines).encode()})
    write_files(folder, {"airgap/__pycache__/__init__.cpython-311.pyc": b"x"})
    write_files(folder, {f"{INFO}/INSTALLER": b"pip\n"})
    if origin is not None:
        write_files(folder, {f"{INFO}/direct_url.json": json.dumps(origin).encode()})
    distribution = metadata.PathDistribution(folder / INFO)
    monkeypatch.setattr(metadata, "distribution", lambda _: distribution)
    return came


def test_the_wheel_of_a_clone_has_its_files_and_what_its_project_says(tmp_path: Path) -> None:
    made = own_wheel.make_wheel(own_wheel.read_source(REPOSITORY))
    again = own_wheel.make_wheel(own_wheel.read_source(REPOSITORY))

    assert made == again
    with zipfile.ZipFile(io.BytesIO(made)) as wheel:
        members = {name: wheel.read(name) for name in wheel.namelist()}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (tmp_path / "x.dist-info").mkdir()
    (tmp_path / "x.dist-info/METADATA").write_bytes(members[f"{INFO}/METADATA"])
    described = metadata.PathDistribution(tmp_path / "x.dist-info")
    assert (described.name, described.version) == ("bento-airgap", __version__)
    assert {*described.metadata.get_all("Provides-Extra", [])} == {
        *project["optional-dependencies"]
    }
    requirements = [Requirement(text) for text in described.requires or ()]
    plain = [str(one) for one in requirements if one.marker is None]
    assert plain == [str(Requirement(text)) for text in project["dependencies"]]
    wheels = [
        one for one in requirements if one.marker and one.marker.evaluate({"extra": "wheels"})
    ]
    assert {one.name for one in wheels} == {"packaging", "pip", "uv"}
    assert (
        members["airgap/flow/kit/install.py"]
        == (REPOSITORY / "airgap/flow/kit/install.py").read_bytes()
    )
    assert members[f"{INFO}/entry_points.txt"] == (
        b"[console_scripts]\nairgap = airgap.cli.main:main\n"
    )
    rows = {row[0]: row[1:] for row in csv.reader(members[f"{INFO}/RECORD"].decode().splitlines())}
    assert rows.keys() == members.keys()
    for path, data in members.items():
        digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert rows[path][0] in ("", f"sha256={digest}")


def test_the_wheel_of_an_installation_has_what_came_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = install(tmp_path / "site", monkeypatch, {"url": "file:///clone", "dir_info": {}})

    path = own_wheel.write_own_wheel(tmp_path)

    assert path is not None
    assert path.name == f"bento_airgap-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        members = {name: wheel.read(name) for name in wheel.namelist()}
    assert {name: data for name, data in members.items() if name != f"{INFO}/RECORD"} == came


def test_a_file_that_was_changed_after_its_installation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch, {"url": "file:///clone", "dir_info": {}})
    (tmp_path / "site/airgap/__init__.py").write_bytes(b"VERSION = 2\n")

    with pytest.raises(ConfigurationError, match="changed after its installation"):
        own_wheel.write_own_wheel(tmp_path)


def test_what_came_from_an_index_is_fetched_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch, None)

    assert own_wheel.write_own_wheel(tmp_path) is None


def test_a_clone_that_is_not_what_runs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = {"url": f"file://{tmp_path}/clone", "dir_info": {"editable": True}}
    install(tmp_path / "site", monkeypatch, origin)

    with pytest.raises(ConfigurationError, match="what runs is"):
        own_wheel.write_own_wheel(tmp_path)


def test_without_an_installation_a_wheel_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", find)

    with pytest.raises(ConfigurationError) as refused:
        own_wheel.write_own_wheel(tmp_path)

    assert "--wheel bento_airgap-" in refused.value.hint
