"""What a group shares, whatever the umask is."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.disk import locks, sharing
from airgap.errors import ConfigurationError, StorageError
from airgap.flow.admission import history
from airgap.format.inventory import File, Item
from airgap.state import manifest_cache, pinned_root, upload_marks
from airgap.store.bentoml_home import home
from airgap.store.install_paths import InstallPath
from airgap.store.private_folder import make_private_folder
from airgap.store.staging import StagedItem
from airgap.store.unsigned_staging import UnsignedStaging
from tests.support.sides import Side


@pytest.fixture(params=[0o077, 0o022], ids=["077", "022"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask of an operator."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2770)
    return folder


@pytest.mark.usefixtures("umask")
def test_what_is_made_in_a_shared_folder_is_shared(shared: Path) -> None:
    sharing.make_own_folder(shared / "a/b")

    assert (mode(shared / "a"), mode(shared / "a/b")) == (0o2770, 0o2770)
    assert (shared / "a/b").stat().st_gid == shared.stat().st_gid
    assert sharing.choose_file_mode(shared / "a/b") == 0o660


@pytest.mark.parametrize("of_parent", [0o700, 0o755, 0o777, 0o1777])
def test_what_is_made_in_any_other_folder_is_private(tmp_path: Path, of_parent: int) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top").chmod(of_parent)

    sharing.make_own_folder(tmp_path / "top/a")

    assert mode(tmp_path / "top/a") == 0o700
    assert sharing.choose_file_mode(tmp_path / "top/a") is None
    assert not sharing.is_shared(tmp_path / "nowhere")


@pytest.mark.usefixtures("umask")
def test_another_operator_can_open_the_lock_that_one_holds(shared: Path) -> None:
    descriptor = locks.lock_removable(shared / "lock", lambda: None, lambda: None)

    assert mode(shared / "lock") == 0o660
    os.close(descriptor)


def test_a_lock_that_an_operator_is_just_making_is_tried_again(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [PermissionError(13, "Permission denied")] * 3
    real = os.open

    def open_later(path: str, *arguments: int, **options: int) -> int:
        if str(path).endswith("lock") and failures:
            raise failures.pop()
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", open_later)

    os.close(locks.lock_removable(shared / "lock", lambda: None, lambda: None))
    assert not failures


@pytest.mark.usefixtures("umask")
def test_a_cached_manifest_is_read_by_all(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_HOME", str(shared))

    manifest_cache.save_manifest("a" * 64, b"manifest")

    assert mode(shared / "cache/manifests" / ("a" * 64)) == 0o660


def test_a_slot_of_another_operator_is_passed_over(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_HOME", str(shared))
    (shared / "uploads").mkdir()
    (shared / "uploads/0").write_bytes(b"0" * 16)
    real = os.open

    def refuse_first(path: Path, *arguments: int, **options: int) -> int:
        if path == shared / "uploads/0":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_first)

    mark = upload_marks.hold_mark()

    assert (shared / "uploads/1").read_bytes() == mark.encode()


def test_a_group_reads_the_pinned_root_and_its_owner_may_let_it_write(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_HOME", str(shared / "state"))
    pin = "SHA256:" + "ab" * 32

    folder = pinned_root.save_root(b"root", {}, pin, None)
    assert (mode(folder), mode(folder / "fingerprint")) == (0o2750, 0o640)

    folder.chmod(0o2777)
    pinned_root.save_root(b"root", {}, pin, pin)
    assert mode(folder) == 0o2770


def test_a_pinned_root_that_this_user_may_not_read_is_not_called_damaged(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("AIRGAP_HOME", str(shared))
    (shared / "trust").mkdir()
    monkeypatch.setattr(pinned_root, "read_small", refuse)

    with pytest.raises(ConfigurationError, match=f"may not read {shared}/trust") as refused:
        pinned_root.load_root()
    assert "group" in refused.value.hint


@pytest.mark.usefixtures("umask")
def test_a_store_in_a_shared_folder_is_shared(shared: Path, umask: int) -> None:
    made = make_private_folder(shared / "data/bentoml", "staging")

    assert (mode(made), mode(made.parent)) == (0o2770, 0o2770)
    assert mode(shared / "data/bentoml") == 0o2770 | (0o777 & ~umask)


def test_a_store_whose_private_folder_is_another_user_s_is_named(
    isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_private_folder(isolated.bentoml)
    witness = isolated.bentoml / ".airgap/witness/ward"

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(witness))

    with isolated.here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("airgap.ledger.log.LedgerStore.check", refuse)
        with pytest.raises(StorageError, match="may not enter") as refused:
            history.check_history("ward")
    assert f"chmod 2770 {isolated.bentoml}/.airgap" in refused.value.hint

    real = os.open

    def refuse_to_enter(path: Path | str, *arguments: int, **options: int) -> int:
        if path == ".airgap":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_to_enter)
    with pytest.raises(StorageError, match="may not enter"):
        make_private_folder(isolated.bentoml, "staging")


@pytest.mark.usefixtures("umask")
def test_another_operator_can_remove_an_unsigned_archive_that_was_interrupted(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(shared))

    UnsignedStaging(home()).write("a/b/c.bin", 1, [b"x"])

    folders = [path for path in (shared / ".airgap").rglob("*") if path.is_dir()]
    assert {path.name for path in folders} >= {"a", "b"}
    assert {mode(path) for path in folders} == {0o2770}


@pytest.mark.usefixtures("umask")
def test_another_operator_can_go_on_with_a_file_that_is_half_staged(shared: Path) -> None:
    file = File("weights.bin", executable=False, size=8, digest=bytes(32), chunks=())
    item = Item("model", "ranker", "v1", (file,), bytes(32))
    target = InstallPath(shared / "models/ranker/v1", shared, None, may_hold_more=False)
    staged = StagedItem(item, target, "b" * 64)

    staged.write(file, 0, b"half")

    assert mode(staged.folder / "weights.bin") == 0o664
