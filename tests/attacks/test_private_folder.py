"""What others put into a store's folder for airgap's own work is neither followed nor used."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.errors import StorageError
from airgap.store.install import lock_store
from airgap.store.install_paths import InstallPath
from airgap.store.private_folder import inspect_private_folder, make_private_folder
from tests.support import refusals, stores
from tests.support.sides import Side

STRANGER = 4711
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of somebody's, with a file in it."""
    folder = tmp_path / "victim"
    stores.write_files(folder, {"precious": b"mine", "weights.bin": b"mine too"})
    return folder


@pytest.fixture
def bundle(depot: Path) -> str:
    (folder,) = (depot / "bundles").iterdir()
    return folder.name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    "path",
    [
        ".airgap",
        ".airgap/lock",
        ".airgap/staging",
        ".airgap/witness",
        ".airgap/staging/{bundle}",
        ".airgap/staging/{bundle}/model",
        ".airgap/staging/{bundle}/model/ranker",
        ".airgap/staging/another/bento/shop",
    ],
)
def test_a_link_on_the_way_to_a_staged_item_is_refused(
    path: str, victim: Path, bundle: str, depot: Path, isolated: Side
) -> None:
    link = isolated.bentoml / path.format(bundle=bundle)
    link.parent.mkdir(parents=True)
    link.symlink_to(victim / "precious" if link.name == "lock" else victim)
    before = stores.snapshot(victim)

    ran = refusals.expect_refusal(
        isolated, "import", depot, "--replace", error=StorageError, staging=True
    )

    assert str(link) in ran.json["error"]["message"]
    assert stores.snapshot(victim) == before
    assert not (isolated.bentoml / "bentos").exists()


def test_a_link_in_place_of_a_staged_item_is_removed_and_not_followed(
    victim: Path, bundle: str, depot: Path, isolated: Side
) -> None:
    link = isolated.bentoml / f".airgap/staging/{bundle}/model/ranker/v1"
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    (link.parent / "latest").symlink_to(victim / "precious")
    (link.parent / "latest.part").symlink_to(victim / "precious")
    before = stores.snapshot(victim)

    assert isolated.run("import", depot).code == 0

    assert stores.snapshot(victim) == before
    assert not (isolated.bentoml / "models/ranker/v1").is_symlink()


def test_a_staged_file_that_has_another_name_elsewhere_is_not_written(
    victim: Path, bundle: str, depot: Path, isolated: Side
) -> None:
    staged = isolated.bentoml / f".airgap/staging/{bundle}/model/ranker/v1/weights.bin"
    staged.parent.mkdir(parents=True)
    os.link(victim / "weights.bin", staged)
    before = stores.snapshot(victim)

    assert isolated.run("import", depot).code == 0

    assert stores.snapshot(victim) == before


@ROOT_ONLY
@pytest.mark.parametrize("path", [".airgap", ".airgap/staging/x", ".airgap/staging/x/bento/a/v1"])
def test_what_another_user_made_is_refused(path: str, depot: Path, isolated: Side) -> None:
    strange = isolated.bentoml / path
    strange.mkdir(parents=True)
    os.chown(strange, STRANGER, -1)

    ran = refusals.expect_refusal(isolated, "import", depot, error=StorageError, staging=True)

    assert f"{strange} belongs to another user" in ran.json["error"]["message"]


@ROOT_ONLY
def test_the_stores_owner_may_have_made_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / ".airgap").mkdir(parents=True)
    os.chown(store, STRANGER, -1)
    os.chown(store / ".airgap", STRANGER, -1)

    make_private_folder(store)
    inspect_private_folder(store)


@ROOT_ONLY
def test_what_root_makes_belongs_to_the_stores_owner(tmp_path: Path) -> None:
    store, earlier = tmp_path / "store", tmp_path / "store/.airgap/staging/earlier"
    earlier.mkdir(parents=True)  # as versions before left it
    os.chown(store, STRANGER, -1)

    with lock_store(store, lambda: None):
        staged = make_private_folder(store, "staging", "b", "bento", "shop") / "v1"
        stores.write_files(staged, {"src/a": b""})
        (staged / "outside").symlink_to(tmp_path)

    folders = [Path(top) for top, *_ in os.walk(store / ".airgap")]
    assert len(folders) == 8
    assert {folder.stat().st_uid for folder in folders} == {STRANGER}
    assert (staged / "src/a").stat().st_uid == 0  # might be a hard link
    assert tmp_path.stat().st_uid == 0


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_whatever_the_umask_is_nobody_else_may_enter(depot: Path, isolated: Side) -> None:
    isolated.bentoml.mkdir()
    isolated.bentoml.chmod(0o755)
    assert isolated.run("import", depot).code == 0

    assert mode(isolated.bentoml / ".airgap") == 0o700
    assert mode(isolated.bentoml / ".airgap/witness") == 0o700
    (witness,) = (isolated.bentoml / ".airgap/witness").iterdir()
    assert mode(witness) == 0o644  # root's must be readable for the store's owner


def test_rights_that_an_older_version_gave_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / ".airgap").mkdir()
    (tmp_path / ".airgap").chmod(0o777)

    make_private_folder(tmp_path)

    assert mode(tmp_path / ".airgap") == 0o700


@ROOT_ONLY
def test_a_group_that_may_write_into_the_store_may_use_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, -1, 4712)
    store.chmod(0o2775)

    made = make_private_folder(store, "staging", "b" * 64)
    os.chown(made, STRANGER, -1)

    for folder in (store / ".airgap", store / ".airgap/staging", made):
        assert (mode(folder), folder.stat().st_gid) == (0o2770, 4712)
    inspect_private_folder(store)


@ROOT_ONLY
def test_a_folder_that_every_user_may_write_into_is_refused_if_it_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".airgap").mkdir()
    (tmp_path / ".airgap").chmod(0o777)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)

    with pytest.raises(StorageError, match="Every user may write"):
        make_private_folder(tmp_path)


def test_no_item_is_installed_where_a_service_may_not_read_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="own work"):
        InstallPath(tmp_path / ".airgap/wheelhouses/w/1", tmp_path, None, may_hold_more=False)


def test_the_doctor_names_a_link(victim: Path, isolated: Side) -> None:
    isolated.bentoml.mkdir()
    (isolated.bentoml / ".airgap").symlink_to(victim)

    ran = isolated.run("doctor", "--json")

    (problem,) = (one for one in ran.json["findings"] if one["level"] == "problem")
    assert str(isolated.bentoml / ".airgap") in problem["message"]


def test_a_store_that_everybody_may_write_into_is_nobodys_group(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o1777)

    make_private_folder(tmp_path / "store")

    assert mode(tmp_path / "store/.airgap") == 0o700


@ROOT_ONLY
def test_a_server_that_gives_files_to_another_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def squash_root(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        make(name, mode, dir_fd=dir_fd)
        os.chown(name, STRANGER, STRANGER, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", squash_root)

    with pytest.raises(StorageError, match=f"gives what this user makes to uid {STRANGER}"):
        make_private_folder(tmp_path, "staging")

    assert not list(tmp_path.iterdir())
