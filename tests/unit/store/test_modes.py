"""One rule for the permissions of what is put into a store, whatever the umask is."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airgap.store import compare, staging
from tests.support import stores
from tests.support.sides import Side, Site

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"


@pytest.fixture
def depot_with_snapshot(small: Side, site: Site, tmp_path: Path) -> Path:
    stores.add_snapshot(small, "org/mini", COMMIT, {"a/config.json": b"{}"})
    entry = stores.hugging_face_entry("org/mini", COMMIT)
    bento = stores.add_bento(small, "shop:v1", {"src/x.py": b"x"}, models=["ranker:v1", entry])
    (bento / "run.sh").write_bytes(b"#!/bin/sh\n")
    (bento / "run.sh").chmod(0o755)
    assert small.run("export", "shop:v1", "-o", tmp_path / "d", "--key", site.key()).code == 0
    return tmp_path / "d"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(*tops: Path) -> dict[str, set[int]]:
    """The modes of files, programs and folders below some folders."""
    found: dict[str, set[int]] = {"file": set(), "program": set(), "folder": set()}
    for path in (path for top in tops for path in top.rglob("*")):
        if ".airgap" in path.parts or path.is_symlink():
            continue
        kind = "folder" if path.is_dir() else "program" if path.name == "run.sh" else "file"
        found[kind].add(stat.S_IMODE(path.stat().st_mode))
    return found


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007, 0o000])
@pytest.mark.parametrize(
    ("store", "file", "program", "folder"),
    [(0o755, 0o644, 0o755, 0o755), (0o700, 0o644, 0o755, 0o755), (0o2775, 0o664, 0o775, 0o2775)],
)
def test_what_is_imported_has_modes_that_the_store_decides(
    mask: int, store: int, file: int, program: int, folder: int,
    depot_with_snapshot: Path, isolated: Side,
) -> None:  # fmt: skip
    for top in (isolated.bentoml, isolated.hugging_face):
        top.mkdir()
        top.chmod(store)

    with umask(mask):
        assert isolated.run("import", depot_with_snapshot).code == 0

    assert modes(isolated.bentoml, isolated.hugging_face) == {
        "file": {file},
        "program": {program},
        "folder": {folder},
    }


def test_a_store_that_does_not_exist_is_made_by_the_umask(depot: Path, isolated: Side) -> None:
    with umask(0o077):
        assert isolated.run("import", depot).code == 0

    assert stat.S_IMODE(isolated.bentoml.stat().st_mode) == 0o700
    assert modes(isolated.bentoml)["folder"] == {0o755}


def test_a_file_system_without_permissions_takes_an_import_twice(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object, mode: int) -> bool:
        del mode
        return False

    monkeypatch.setattr(staging, "set_mode", refused)
    monkeypatch.setattr(staging.StagedItem, "_mode_of", lambda *_: 0o644)
    monkeypatch.setattr(compare, "are_kept", lambda _: False)

    first = isolated.run("import", depot)
    second = isolated.run("import", depot, "--json")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert f"The file system of {isolated.bentoml} keeps no permissions: 1 programs" in first.err
    assert {item["outcome"] for item in second.json["items"]} == {"already there"}


def test_where_permissions_are_kept_another_one_is_a_conflict(depot: Path, isolated: Side) -> None:
    assert isolated.run("import", depot).code == 0
    (isolated.bentoml / "bentos/shop/v1/run.sh").chmod(0o644)

    ran = isolated.run("import", depot, "--json")

    assert ran.json["error"]["details"] == ["bento shop:v1: run.sh: is not executable here"]


def test_an_import_needs_no_change_of_permissions(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    with umask(0o022):
        ran = isolated.run("import", depot)

    assert ran.code == 0, ran.err
    assert "keeps no permissions" not in ran.err
