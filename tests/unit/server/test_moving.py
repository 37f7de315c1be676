"""A bundle is moved out of a folder that others write to, on one disk and onto another."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from airgap.disk import durable
from airgap.disk.descriptors import open_folder, open_part
from airgap.errors import StorageError
from airgap.format import limits
from airgap.server import moving
from airgap.server.intake.discovery import DiscoveredBundle, compute_moved_stamp, compute_stamp
from airgap.server.moving import FolderEntry, Move
from tests.support import stores

ID = "0" * 64
SAME, OTHER = "same disk", "other disk"
BOTH = pytest.mark.parametrize("disk", [SAME, OTHER])
STEPS = ("rename", "unlink", "rmdir", "mkdir", "link", "symlink", "fsync", "open")
MOST_STEPS = 60


class _Killed(BaseException):
    """Stands for a kill: nothing in airgap catches it."""


@dataclass
class Scene:
    """A watched folder with one bundle, and the folder of finished ones."""

    top: Path
    name: str
    copied_to: str = ""
    saved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for folder in (self.incoming, self.done):
            folder.mkdir(parents=True)
        path = self.incoming / self.name
        if self.name == ID:
            stores.write_files(path, {"manifest.msgpack": b"bundle", "a.dsse": b"signature"})
        else:
            path.write_bytes(b"bundle")
        self.stamp = compute_stamp(self.bundle)

    @property
    def incoming(self) -> Path:
        return self.top / ("incoming/bundles" if self.name == ID else "incoming")

    @property
    def done(self) -> Path:
        return self.top / "done"

    @property
    def bundle(self) -> DiscoveredBundle:
        if self.name == ID:
            return DiscoveredBundle(self.top / "incoming", ID)
        return DiscoveredBundle(self.incoming / self.name)

    def move(self) -> bool:
        with ExitStack() as stack:
            source, target = (
                stack.enter_context(open_folder(folder, ()))
                for folder in (self.incoming, self.done)
            )
            return Move(
                FolderEntry(source, self.name),
                FolderEntry(target, self.name),
                self.done,
                replace=self.name == ID,
                mark="1a",
                is_unchanged=lambda moved: (
                    compute_moved_stamp(self.bundle, moved.folder, moved.name) == self.stamp
                ),
                save_copied_to=self.save,
                copied_to=self.saved[-1] if self.saved else "",
            ).run()

    def save(self, name: str) -> None:
        self.saved.append(name)

    def replace(self) -> None:
        """Put another bundle in place of the one that is there, or in its empty place."""
        path = self.incoming / self.name
        if path.exists():
            away = self.top / "taken away by its sender"
            away.mkdir()
            path.rename(away / self.name)
        if self.name == ID:
            stores.write_files(path, {"manifest.msgpack": b"another"})
        else:
            path.write_bytes(b"another")

    def list(self, folder: Path) -> list[bytes]:
        """Return the content of all bundles below a folder, parts included."""
        names = ("manifest.msgpack",) if self.name == ID else ("*.airgap", ".airgap-*")
        return sorted(path.read_bytes() for name in names for path in folder.rglob(name))


@contextmanager
def disks(disk: str) -> Iterator[None]:
    """Let no rename lead from one folder to another, if there is another disk."""
    real = os.rename

    def rename(
        source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        if disk == OTHER and src_dir_fd != dst_dir_fd:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", rename)
        yield


@contextmanager
def failing(step: int, error: BaseException, between: Callable[[], object]) -> Iterator[list[str]]:
    """Raise instead of write step number ``step``, after ``between`` was called; give the steps."""
    steps: list[str] = []

    def before(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*args: Any, **named: Any) -> Any:  # noqa: ANN401
            steps.append(name)
            if len(steps) - 1 == step:
                between()
                raise error
            return real(*args, **named)

        return stand_in

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, before(name, getattr(os, name)))
        yield steps


def scenes(top: Path) -> Iterator[tuple[int, str, Scene]]:
    for step in range(MOST_STEPS):
        for name in ("x.airgap", ID):
            yield step, name, Scene(top / f"{name[:1]}{step}", name)


@BOTH
def test_a_kill_before_any_step_leaves_the_bundle_once_and_the_same_move_finishes(
    disk: str, tmp_path: Path
) -> None:
    ended = set()
    for step, name, scene in scenes(tmp_path):
        with disks(disk), failing(step, _Killed(), lambda: None) as steps, suppress(_Killed):
            scene.move()
            ended.add(name)
        with disks(disk):
            assert scene.move()

        assert scene.list(scene.top) == [b"bundle"], f"{name}, killed before {steps}"
        assert scene.list(scene.done) == [b"bundle"], f"{name}, killed before {steps}"
        if len(ended) == 2:
            assert step > 5
            return
    raise AssertionError("it never came to its end")


@BOTH
def test_what_takes_the_name_before_any_step_is_neither_moved_nor_lost(
    disk: str, tmp_path: Path
) -> None:
    ended = set()
    for step, name, scene in scenes(tmp_path):
        with disks(disk), failing(step, _Killed(), scene.replace) as steps, suppress(_Killed):
            scene.move()
            ended.add(name)
        with disks(disk):
            scene.move()

        if name not in ended:
            assert scene.list(scene.incoming).count(b"another") == 1, steps
            assert scene.list(scene.top).count(b"bundle") == 1, steps
        assert b"another" not in scene.list(scene.done), steps
        if len(ended) == 2:
            return
    raise AssertionError("it never came to its end")


@BOTH
def test_an_error_at_any_step_leaves_no_private_name_behind(disk: str, tmp_path: Path) -> None:
    ended = set()
    for step, name, scene in scenes(tmp_path):
        refused = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with disks(disk), failing(step, refused, lambda: None) as steps, suppress(OSError):
            scene.move()
            ended.add(name)
        is_copied = scene.list(scene.done) == [b"bundle"]
        assert is_copied or (scene.incoming / name).exists(), steps
        with disks(disk):
            assert scene.move()
        assert scene.list(scene.top) == [b"bundle"], f"{name}, {steps}"
        assert not [*scene.top.rglob(".airgap-*")], f"{name}, {steps}"
        if len(ended) == 2:
            return
    raise AssertionError("it never came to its end")


def test_a_copy_has_another_name_until_it_is_complete(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "x.airgap")
    seen: list[list[str]] = []

    def look(folder: int, part: str, **named: bool) -> int:
        descriptor = real(folder, part, **named)
        seen.append([path.name for path in scene.done.iterdir()])
        return descriptor

    real = open_part
    with pytest.MonkeyPatch.context() as patch, disks(OTHER):
        patch.setattr(moving, "open_part", look)
        assert scene.move()

    assert seen == [[".airgap-1a.part"]]
    assert [path.name for path in scene.done.iterdir()] == ["x.airgap"]


def test_a_folder_is_copied_without_what_its_links_lead_to(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ID)
    source = scene.incoming / ID
    stores.write_files(tmp_path / "private", {"secret": b"secret"})
    stores.write_files(source / "below", {"file": b"file"})
    (source / "file").symlink_to(tmp_path / "private" / "secret")
    (source / "folder").symlink_to(tmp_path / "private")
    os.mkfifo(source / "fifo")
    scene.stamp = compute_stamp(scene.bundle)

    with disks(OTHER):
        assert scene.move()

    target = scene.done / ID
    assert not source.exists()
    assert (target / "manifest.msgpack").read_bytes() == b"bundle"
    assert (target / "below" / "file").read_bytes() == b"file"
    assert (target / "file").is_symlink()
    assert (target / "folder").is_symlink()
    assert not (target / "fifo").exists()
    assert (tmp_path / "private" / "secret").read_bytes() == b"secret"


@BOTH
@pytest.mark.parametrize("name", ["x.airgap", ID])
def test_a_link_in_place_of_a_bundle_stays_there(name: str, disk: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, name)
    path = scene.incoming / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with disks(disk):
        assert not scene.move()

    assert path.is_symlink()
    assert not [*scene.done.iterdir()]


@BOTH
def test_a_bundle_that_changes_while_it_is_copied_stays_there(disk: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, "x.airgap")

    def grow(*_: object, **__: object) -> None:
        with (scene.incoming / ".airgap-1a").open("ab") as file:
            file.write(b"more")

    with pytest.MonkeyPatch.context() as patch, disks(disk):
        patch.setattr(shutil, "copyfileobj", grow)
        is_moved = scene.move()

    assert is_moved == (disk == SAME)
    if disk == OTHER:
        assert (scene.incoming / "x.airgap").read_bytes() == b"bundlemore"
        assert not [*scene.done.iterdir()]


@pytest.mark.parametrize("name", ["x.airgap", ID])
def test_what_its_sender_makes_larger_is_not_copied_beyond_the_size_it_had(
    name: str, tmp_path: Path
) -> None:
    scene = Scene(tmp_path, name)
    path = scene.incoming / name
    file = path / "manifest.msgpack" if name == ID else path
    sizes: list[int] = []

    with file.open("r+b") as held, pytest.MonkeyPatch.context() as patch, disks(OTHER):

        def grow(folder: int, part: str, **named: bool) -> int:
            held.truncate(1 << 22)
            return open_part(folder, part, **named)

        def flush(copy: IO[bytes]) -> None:
            real(copy)
            sizes.append(os.fstat(copy.fileno()).st_size)

        real = durable.flush
        patch.setattr(moving, "open_part", grow)
        patch.setattr(moving, "flush", flush)
        assert not scene.move()

    assert sum(sizes) <= len(b"bundle" + b"signature")
    assert path.exists()
    assert not [*scene.done.iterdir()]


def test_a_copy_that_does_not_fit_is_refused_before_a_byte_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file, which takes no room where its sender has put it."""
    scene = Scene(tmp_path, "x.airgap")
    free = shutil.disk_usage(tmp_path).free
    with (scene.incoming / "x.airgap").open("r+b") as file:
        file.truncate(2 * free)
    scene.stamp = compute_stamp(scene.bundle)

    monkeypatch.setattr(moving, "open_part", None)  # nothing is opened for writing

    with disks(OTHER), pytest.raises(StorageError, match=r"done needs .* for x\.airgap and has"):
        scene.move()

    assert (scene.incoming / "x.airgap").stat().st_size == 2 * free
    assert not [*scene.done.iterdir()]


def test_a_folder_that_its_sender_fills_is_not_copied_beyond_the_size_it_had(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path, ID)
    stores.write_files(scene.incoming / ID / "below", {"file": b"file"})
    scene.stamp = compute_stamp(scene.bundle)

    def fill(part: int, name: str, **named: bool) -> int:
        with (scene.incoming / ".airgap-1a" / "below" / "file").open("ab") as file:
            file.write(b"more")
        return open_part(part, name, **named)

    with pytest.MonkeyPatch.context() as patch, disks(OTHER):
        patch.setattr(moving, "open_part", fill)
        assert not scene.move()

    assert (scene.incoming / ID / "below" / "file").exists()
    assert not [*scene.done.iterdir()]


def test_what_took_the_name_after_a_move_that_failed_is_not_taken_for_the_copy(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path, "x.airgap")

    def take_the_name(entry: FolderEntry, target: FolderEntry) -> None:
        if entry.name.endswith(".part"):
            (scene.done / target.name).write_bytes(b"another")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(entry, target)

    real = FolderEntry.rename
    with disks(OTHER), pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderEntry, "rename", take_the_name)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            scene.move()
    assert scene.list(scene.incoming) == [b"bundle"]
    with disks(OTHER), failing(3, _Killed(), lambda: None) as steps, suppress(_Killed):
        scene.move()
    assert [path.name for path in scene.incoming.iterdir()] == [".airgap-1a"], steps

    with disks(OTHER):
        assert scene.move()

    assert scene.list(scene.done) == [b"another", b"bundle"]


def test_a_part_whose_name_cannot_be_forgotten_stays_for_the_next_try(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "x.airgap")

    def refuse(_self: Scene, _name: str) -> None:
        raise StorageError("The disk is full.", "Free some space.")

    with disks(OTHER), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scene, "save", refuse)
        with pytest.raises(StorageError):
            scene.move()
    assert scene.list(scene.incoming) == [b"bundle"]
    assert [path.name for path in scene.done.iterdir()] == [".airgap-1a.part"]

    with disks(OTHER):
        assert scene.move()

    assert scene.list(scene.top) == [b"bundle"]


def test_a_copy_has_its_first_name_on_the_disk_before_the_last_one_is_saved(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "x.airgap")
    steps: list[str] = []

    def note(descriptor: int) -> None:
        real(descriptor)
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def save(self: Scene, name: str) -> None:
        steps.append("save")
        self.saved.append(name)

    real = os.fsync
    with disks(OTHER), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", note)
        patch.setattr(Scene, "save", save)
        assert scene.move()

    assert steps == [".airgap-1a.part", "done", "save", "done", "incoming"]


@BOTH
@pytest.mark.parametrize("length", [8, 254, 255])
def test_a_name_that_is_taken_gets_a_number(length: int, disk: str, tmp_path: Path) -> None:
    name = "é" * ((length - 7) // 2) + "x" * ((length - 7) % 2) + ".airgap"
    scene = Scene(tmp_path, name)
    (scene.done / name).write_bytes(b"before")

    with disks(disk):
        assert scene.move()

    (moved,) = (path for path in scene.done.iterdir() if path.name != name)
    assert moved.name.startswith("2.")
    assert moved.name.endswith(".airgap")
    assert scene.list(scene.done) == [b"before", b"bundle"]


@BOTH
def test_a_bundle_of_a_depot_replaces_the_one_that_was_moved_before(
    disk: str, tmp_path: Path
) -> None:
    scene = Scene(tmp_path, ID)
    stores.write_files(scene.done / ID, {"manifest.msgpack": b"before", "b.dsse": b"old"})

    with disks(disk):
        assert scene.move()

    assert scene.list(scene.top) == [b"bundle"]
    assert not (scene.done / ID / "b.dsse").exists()


def test_folders_in_each_other_beyond_a_number_are_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ID)
    deep = scene.incoming / ID
    for _ in range(limits.PATH_PARTS + 2):
        deep /= "a"
        deep.mkdir()
    scene.stamp = compute_stamp(scene.bundle)

    with disks(OTHER), pytest.raises(OSError, match="too many folders"):
        scene.move()

    assert (scene.incoming / ID).exists()
    assert not [*scene.done.iterdir()]


def test_what_python_cannot_walk_is_an_error_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(shutil, "rmtree", refuse)
    (tmp_path / "a").mkdir()

    with (
        open_folder(tmp_path, ()) as folder,
        pytest.raises(OSError, match="too many folders"),
    ):
        FolderEntry(folder, "a").remove()


def test_without_hard_links_a_bundle_gets_its_name_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    scene = Scene(tmp_path, "x.airgap")
    scene.replace()
    monkeypatch.setattr(os, "link", refuse)

    assert not scene.move()
    assert scene.list(scene.incoming) == [b"another"]
