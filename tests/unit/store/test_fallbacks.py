"""Where a system or a file system can do less, the work is done with less."""

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airgap.disk import durable, locks, space
from airgap.errors import StorageError
from airgap.store import install, staging
from tests.support import refusals, store_invariants, stores
from tests.support.sides import Side, Site


def no_exchange(_one: Path, _other: Path) -> bool:
    return False


def test_without_an_exchange_the_old_one_moves_aside(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isolated.run("import", depot).code == 0
    before = store_invariants.store_contents(isolated)
    (isolated.bentoml / "bentos/shop/v1/README.md").write_bytes(b"mine")
    monkeypatch.setattr(install, "_exchange", no_exchange)

    assert isolated.run("import", depot, "--replace").code == 0

    assert store_invariants.store_contents(isolated) == before


def test_without_an_exchange_a_failing_rename_brings_the_old_one_back(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isolated.run("import", depot).code == 0
    final = isolated.bentoml / "bentos/shop/v1"
    (final / "README.md").write_bytes(b"mine")
    before = stores.snapshot(final)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == final and ".airgap" in self.parts and "~old" not in self.name:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(install, "_exchange", no_exchange)
    monkeypatch.setattr(Path, "rename", failing)

    assert isolated.run("import", depot, "--replace").code == 15

    assert stores.snapshot(final) == before


def test_a_store_without_links_is_named_and_the_link_too(
    small: Side, isolated: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stores.add_model(small, "linked:v1", {"w": b"w"}) / "sub").symlink_to("w")
    words = ("export", "--model", "linked:v1", "-o", tmp_path / "linked", "--key", site.key())
    assert small.run(*words).code == 0

    def refuse(_self: Path, _target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "symlink_to", refuse)

    ran = refusals.expect_refusal(
        isolated, "import", tmp_path / "linked", error=StorageError, staging=True
    )

    message = ran.json["error"]["message"]
    assert f"{isolated.bentoml} is on a file system without symbolic links" in message
    assert "model linked:v1 has one: sub" in message


def test_folders_are_exchanged_in_one_step_here(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()

    swapped = install._exchange(tmp_path / "a", tmp_path / "b")

    assert (tmp_path / "a" / ("b" if swapped else "a")).exists()


def test_an_exchange_with_nothing_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    assert not install._exchange(tmp_path / "a", tmp_path / "gone")


def test_a_system_without_renameat2_exchanges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bare:
        def __init__(self, *_: object, **__: object) -> None:
            """Know no function."""

    monkeypatch.setattr(ctypes, "CDLL", Bare)

    assert not install._exchange(tmp_path, tmp_path)


def test_without_hard_links_files_beside_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    (tmp_path / "old" / "sub").mkdir(parents=True)
    (tmp_path / "old" / "sub" / "a").write_bytes(b"a")
    (tmp_path / "old" / "link").symlink_to("sub/a")
    (tmp_path / "new").mkdir()
    monkeypatch.setattr(os, "link", refused)

    install._keep_others(tmp_path / "old", tmp_path / "new")

    assert (tmp_path / "new" / "sub" / "a").read_bytes() == b"a"
    assert (tmp_path / "new" / "link").readlink() == Path("sub/a")


def test_without_syncfs_everything_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(durable, "_SYNCFS", None)
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))

    durable.sync_file_system(tmp_path)

    assert calls == ["sync"]


def test_a_sync_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_descriptor: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(durable, "_SYNCFS", failing)

    with pytest.raises(OSError, match="Input/output error"):
        durable.sync_file_system(tmp_path)


def fail_to_allocate(number: int) -> Callable[[int, int], int]:
    def failing(_descriptor: int, _size: int) -> int:
        ctypes.set_errno(number)
        return -1

    return failing


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_where_nothing_can_be_reserved_a_file_still_has_its_size(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "_FALLOCATE", fail_to_allocate(number))
    with (tmp_path / "f").open("wb") as file:
        space.reserve(file.fileno(), 1000)

    assert (tmp_path / "f").stat().st_size == 1000


def test_a_full_disk_shows_when_space_is_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "_FALLOCATE", fail_to_allocate(errno.ENOSPC))

    with (tmp_path / "f").open("wb") as file, pytest.raises(OSError, match="No space left"):
        space.reserve(file.fileno(), 1000)


def test_a_system_that_reserves_nothing_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "_FALLOCATE", None)

    with (tmp_path / "f").open("wb") as file:
        space.reserve(file.fileno(), 1000)

    assert (tmp_path / "f").stat().st_size == 1000


def test_space_is_reserved_here(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        space.reserve(file.fileno(), 1_000_000)

        status = os.fstat(file.fileno())
    assert status.st_size == 1_000_000
    assert space._FALLOCATE is None or status.st_blocks * 512 >= 1_000_000


def test_a_store_without_fallocate_takes_files_of_several_chunks(
    small: Side, isolated: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # posix_fallocate of the C library reads the file there, which is open for writing alone.
    def emulate(descriptor: int, _offset: int, _size: int) -> None:
        os.pread(descriptor, 1, 0)

    stores.add_model(small, "big:v1", {"w": stores.noise(9_000_000)})
    words = ("--model", "big:v1", "-o", tmp_path / "big", "--key", site.key())
    assert small.run("export", *words).code == 0
    monkeypatch.setattr(space, "_FALLOCATE", fail_to_allocate(errno.EOPNOTSUPP))
    monkeypatch.setattr(os, "posix_fallocate", emulate)

    for _ in ("the first time", "again"):
        ran = isolated.run("import", tmp_path / "big")
        assert ran.code == 0, ran.err

    assert (isolated.bentoml / "models/big/v1/w").read_bytes() == stores.noise(9_000_000)


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(isolated.top)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))

    ran = isolated.run("import", depot, "--json")

    assert ran.code == 15
    assert "has 1.0 kB free" in ran.json["error"]["message"]
    assert not isolated.bentoml.exists()


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="needs another file system")  # noqa: S108
@pytest.mark.parametrize("part", ["models", "bentos", "models/ranker"])
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_part_of_a_store_on_another_disk_is_told_before_anything_is_staged(
    part: str, options: list[str], other_disk: Path, depot: Path, isolated: Side
) -> None:
    (isolated.bentoml / part).parent.mkdir(parents=True)
    (isolated.bentoml / part).symlink_to(other_disk)

    ran = refusals.expect_refusal(isolated, "import", depot, *options, error=StorageError)

    message = ran.json["error"]["message"]
    assert message.startswith(f"{isolated.bentoml / part} is on another file system than")
    assert f"move {isolated.bentoml} there" in ran.json["error"]["hint"]


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="needs another file system")  # noqa: S108
def test_a_whole_store_may_be_on_another_disk(
    other_disk: Path, depot: Path, isolated: Side
) -> None:
    isolated.bentoml.symlink_to(other_disk)

    assert isolated.run("import", depot).code == 0


def test_a_store_without_locks_is_told_by_its_path(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def refuse(descriptor: int, kind: int) -> None:
        if ".airgap" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOLCK, "No locks available")
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", refuse)

    ran = refusals.expect_refusal(isolated, "import", depot, error=StorageError)

    assert ran.json["error"]["message"] == (
        f"{isolated.bentoml / '.airgap/lock'}: cannot be locked (No locks available)."
    )
    assert "local disk" in ran.json["error"]["hint"]


def test_a_disk_that_becomes_full_while_writing_is_told(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        if len(data) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    ran = isolated.run("import", depot, "--json")
    monkeypatch.undo()

    assert ran.code == 15
    assert "No space left on device" in ran.json["error"]["message"]
    assert not (isolated.bentoml / "bentos").exists()
    assert isolated.run("import", depot).code == 0


def test_what_an_earlier_try_moved_aside_is_removed(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isolated.run("import", depot).code == 0
    before = store_invariants.store_contents(isolated)
    final = isolated.bentoml / "bentos/shop/v1"
    (final / "README.md").write_bytes(b"mine")
    bundle = isolated.run("inspect", depot, "--json").json["bundle"]
    left = isolated.bentoml / ".airgap/staging" / bundle / "bento/shop/v1~old"
    stores.write_files(left, {"file": b"left"})
    monkeypatch.setattr(install, "_exchange", no_exchange)

    assert isolated.run("import", depot, "--replace").code == 0

    assert store_invariants.store_contents(isolated) == before


def test_a_file_where_the_bento_belongs_is_replaced_on_request(depot: Path, isolated: Side) -> None:
    final = isolated.bentoml / "bentos/shop/v1"
    final.parent.mkdir(parents=True)
    final.write_bytes(b"a file")

    assert isolated.run("import", depot, "--replace").code == 0

    assert (final / "run.sh").exists()
    assert not store_invariants.left_over(isolated)


def test_folders_that_are_closed_to_writing_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to("b")
    (tmp_path / "a" / "b").chmod(0o500)
    (tmp_path / "a").chmod(0o500)

    staging._make_folders_writable(tmp_path)

    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700] * 2


def test_a_lock_whose_folder_keeps_vanishing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    pauses: list[float] = []
    monkeypatch.setattr("airgap.disk.locks.time.sleep", pauses.append)
    monkeypatch.setattr(os, "open", gone)

    with pytest.raises(FileNotFoundError):
        locks._open_lock(tmp_path / "private" / "lock", lambda: None)
    assert 0.5 < sum(pauses) < 5


def test_a_store_whose_files_cannot_grow_is_refused_before_anything_is_written(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    # fusefat, which also loses the files in a folder that it renames
    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        ran = refusals.expect_refusal(isolated, "import", depot, error=StorageError)

    assert "files cannot be enlarged there" in ran.json["error"]["message"]
    assert "kernel's driver" in ran.json["error"]["hint"]
    assert isolated.run("import", depot).code == 0
