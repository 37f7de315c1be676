"""`env create` with a Python that a bundle has brought, where the host has none of its version."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError
from airgap.flow.environment import pythons
from tests.support import python_builds, refusals
from tests.support.sides import Side, Site

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def nothing_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no Python of any version but those of bundles."""

    def list_none(_: str) -> Iterator[Path]:
        yield from ()

    monkeypatch.setattr(pythons, "_list_candidates", list_none)


@pytest.fixture
def brought(shop: Side, small: Side, site: Site, tmp_path: Path) -> Path:
    """The interpreter that runs the tests, as a bundle has brought it."""
    program = Path(os.path.realpath(sys.executable)).read_bytes()
    file = python_builds.archive(
        tmp_path / "python.tar.gz",
        {f"python/bin/python{OWN}": program, "python/lib/note.txt": b"here"},
    )
    options = ("--python", file, "-o", tmp_path / "depot", "--key", site.key())
    assert small.run("export", "--model", "ranker:v1", *options).code == 0
    assert shop.run("import", tmp_path / "depot").code == 0
    (found,) = (shop.bentoml / "files").glob(f"*/*/content/bin/python{OWN}")
    return found


@pytest.mark.usefixtures("nothing_on_path")
def test_it_is_used_and_nothing_is_written_into_it(
    shop: Side, brought: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = brought.parents[1]
    monkeypatch.setattr(pythons, "_read", _calling_itself(brought))

    ran = shop.run("env", "create", "shop", "--json")

    assert ran.code == 0, ran.err
    folder = shop.bentoml / "environments/shop/v1"
    assert json.loads((folder / "airgap-environment.json").read_text())["python"] == str(brought)
    assert not list(top.rglob("__pycache__"))
    start = shop.run("env", "run", "shop", "--dry-run", "--json").json
    assert start["variables"]["PYTHONDONTWRITEBYTECODE"] == "1"


def _calling_itself(path: Path) -> object:
    """A real build names the place where it lies; the copy of a distribution's may not."""
    read = pythons._read

    def read_with_path(document: "dict[str, object]") -> object:
        return read({**document, "executable": str(path)})

    return read_with_path


@pytest.mark.usefixtures("nothing_on_path")
def test_one_that_was_changed_is_not_run(shop: Side, brought: Path) -> None:
    (brought.parents[1] / "lib" / "note.txt").write_text("changed")

    ran = refusals.expect_refusal(shop, "env", "create", "shop", error=CorruptError)

    assert "is not what its files.json says" in ran.json["error"]["message"]


@pytest.mark.usefixtures("nothing_on_path")
def test_where_it_is_missing_the_version_and_what_to_do_are_named(shop: Side) -> None:
    ran = refusals.expect_refusal(shop, "env", "create", "shop", error=MissingError)

    error = ran.json["error"]
    assert f"is for Python {OWN}; this host has" in error["message"]
    assert f"Install Python {OWN} or name it with --python" in error["hint"]
    assert "(--python FILE.tar.gz)" in error["hint"]


def test_one_for_another_machine_is_passed_over(
    shop: Side, brought: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "sparc")

    with shop.here():
        assert list(pythons._list_brought(OWN)) == []
    monkeypatch.undo()
    with shop.here():
        assert list(pythons._list_brought(OWN)) == [brought]
