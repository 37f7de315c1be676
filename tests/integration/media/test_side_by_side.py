"""Several media are written at the same time, and one that fails keeps no other from finishing."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airgap.carrier.local_depot import DepotWriter
from airgap.disk.part_file import PartFile
from airgap.errors import CorruptError, StorageError
from airgap.flow.media.side_by_side import SideBySide
from airgap.flow.progress import Silent
from tests.support import mounts, stores, volumes
from tests.support.sides import Ran, Side, Site

ROOM = 1_100_000
"""Bytes of a medium of which the bundle needs three."""


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Side:
    side = Side(tmp_path_factory.mktemp("sender"))
    volumes.fill(side)
    return side


@pytest.fixture(scope="module")
def depot(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depot")
    assert sender.run("export", "shop:v1", "-o", folder, "--key", site.key()).code == 0
    return folder


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three mounted media with as much room as they need; what they hold does not count."""
    return make_media(tmp_path, monkeypatch, "abc")


def make_media(top: Path, patch: pytest.MonkeyPatch, names: str) -> list[Path]:
    folders = [top / name for name in names]
    for folder in folders:
        folder.mkdir()

    def measure(asked: list[Path]) -> list[int]:
        used = [sum(path.stat().st_size for path in one.rglob("*.p*")) for one in asked]
        return [max(ROOM - size, 0) for size in used]

    patch.setattr("airgap.flow.media.split.measure_free_space", measure)
    return folders


def run(side: Side, depot: Path, media: list[Path], *words: str) -> Ran:
    return side.run("split", depot, "--volumes", *media, "--json", *words)


@pytest.fixture
def undisturbed(
    depot: Path, connected: Side, tmp_path: Path, request: pytest.FixtureRequest
) -> list[dict[str, tuple[object, ...]]]:
    """The content of the volumes when one is written after the other."""
    words = getattr(request, "param", [])
    with pytest.MonkeyPatch.context() as patch:
        (tmp_path / "calm").mkdir()
        folders = make_media(tmp_path / "calm", patch, "abc")
        real = SideBySide.__init__

        def begin(self: SideBySide, folders: list[Path], progress: Silent, **_: bool) -> None:
            real(self, folders, progress, at_once=False)

        patch.setattr(SideBySide, "__init__", begin)
        ran = run(connected, depot, folders, *words)
    assert ran.code == 0, ran.err
    return [content(folder) for folder in folders]


def content(folder: Path) -> dict[str, tuple[object, ...]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(),)
        for path in folder.rglob("*")
        if path.is_file()
    }


def identity(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes if a file is written again."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def broken(folder: Path, after: int, number: int = errno.EIO) -> Iterator[None]:
    """Let a medium refuse everything once so many files were written to it."""
    real, lock, written = PartFile.publish, threading.Lock(), [0]

    def publish(self: PartFile, name: str = "") -> None:
        if self._path.is_relative_to(folder):
            with lock:
                written[0] += 1
            if written[0] > after:
                raise OSError(number, os.strerror(number))
        real(self, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartFile, "publish", publish)
        yield


PARITY = pytest.mark.parametrize("undisturbed", [[], ["--parity", "10%"]], indirect=True)


def words_of(request: pytest.FixtureRequest) -> list[str]:
    return list(request.node.callspec.params["undisturbed"])


@PARITY
def test_the_volumes_are_those_that_are_written_one_after_the_other(
    undisturbed: list[dict[str, tuple[object, ...]]],
    depot: Path,
    connected: Side,
    media: list[Path],
    request: pytest.FixtureRequest,
) -> None:
    ran = run(connected, depot, media, *words_of(request))

    assert ran.code == 0, ran.err
    assert len(ran.json["volumes"]) == 3
    assert [content(folder) for folder in media] == undisturbed


def test_all_media_are_written_at_the_same_time(
    depot: Path, connected: Side, media: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier, real = threading.Barrier(3), DepotWriter.put_pack
    met: set[str] = set()

    def put_pack(self: DepotWriter, digest: bytes, parts: list[bytes]) -> bool:
        name = threading.current_thread().name
        if name not in met:
            barrier.wait(60)
            met.add(name)
        return real(self, digest, list(parts))

    monkeypatch.setattr(DepotWriter, "put_pack", put_pack)

    assert run(connected, depot, media).code == 0
    assert len(met) == 3


@PARITY
@pytest.mark.parametrize(("number", "after"), [(errno.EIO, 0), (errno.ENOSPC, 3), (errno.EIO, 12)])
def test_one_that_fails_is_named_the_others_finish_and_a_rerun_writes_only_that_one(
    number: int,
    after: int,
    undisturbed: list[dict[str, tuple[object, ...]]],
    depot: Path,
    connected: Side,
    media: list[Path],
    request: pytest.FixtureRequest,
) -> None:
    words = words_of(request)
    with broken(media[1], after, number):
        ran = run(connected, depot, media, *words)

    assert ran.code == StorageError.exit_code
    error = ran.json["error"]
    assert error["message"] == (
        f"{media[1]} could not be written; complete: volume 1 on {media[0]}, volume 3 on"
        f" {media[2]}."
    )
    assert os.strerror(number) in error["details"][0]
    assert f"{media[1]} failed: " in ran.err
    assert not [*media[1].rglob("manifest.msgpack")]
    assert [content(media[0]), content(media[2])] == [undisturbed[0], undisturbed[2]]
    before = [identity(media[0]), identity(media[2])]

    again = run(connected, depot, media, *words)

    assert again.code == 0, again.err
    assert [content(folder) for folder in media] == undisturbed
    assert [identity(media[0]), identity(media[2])] == before


def test_media_in_another_order_are_recognized_by_their_labels(
    undisturbed: list[dict[str, tuple[object, ...]]],
    depot: Path,
    connected: Side,
    media: list[Path],
) -> None:
    with broken(media[1], 3):
        assert run(connected, depot, media).code == StorageError.exit_code

    again = run(connected, depot, media[::-1])

    assert again.code == 0, again.err
    assert [content(folder) for folder in media] == undisturbed
    assert again.json["volumes"] == [*map(str, media)]


def test_a_rerun_with_a_new_medium_writes_what_the_old_one_lacked(
    undisturbed: list[dict[str, tuple[object, ...]]],
    depot: Path,
    connected: Side,
    media: list[Path],
    tmp_path: Path,
) -> None:
    with broken(media[1], 3):
        assert run(connected, depot, media).code == StorageError.exit_code
    new = tmp_path / "new"
    new.mkdir()

    again = run(connected, depot, [media[0], new, media[2]])

    assert again.code == 0, again.err
    assert content(new) == undisturbed[1]


def test_if_all_fail_nothing_is_complete(depot: Path, connected: Side, media: list[Path]) -> None:
    with broken(media[0].parent, 6):
        ran = run(connected, depot, media)

    assert ran.code == StorageError.exit_code
    assert ran.json["error"]["message"].endswith("could not be written; no volume is complete.")
    assert len(ran.json["error"]["details"]) == 3


def test_damage_of_the_source_ends_all(
    depot: Path, connected: Side, media: list[Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    assert connected.run("copy", depot, copy).code == 0
    pack = max(copy.rglob("*.pack"))
    pack.write_bytes(bytes(pack.stat().st_size))

    ran = run(connected, copy, media)

    assert ran.code == CorruptError.exit_code
    assert not [path for folder in media for path in folder.rglob("manifest.msgpack")]


def test_a_single_file_is_split_with_one_medium_that_fails(
    depot: Path,
    connected: Side,
    media: list[Path],
    tmp_path: Path,
) -> None:
    archive = tmp_path / "shop.airgap"
    assert connected.run("copy", depot, archive).code == 0
    with broken(media[1], 2):
        assert run(connected, archive, media).code == StorageError.exit_code

    ran = run(connected, archive, media)
    assert ran.code == 0, ran.err
    assert connected.run("join", *media, "-o", tmp_path / "joined").code == 0


def test_an_export_names_each_medium_and_what_was_written(
    sender: Side, site: Site, media: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "airgap.flow.exporting.destination_uses.measure_free_space",
        lambda folders: [ROOM] * len(folders),
    )
    words: list[str | Path] = ["export", "shop:v1", "--key", site.key(), "--volumes", *media]
    with broken(media[2], 3):
        failed = sender.run(*words)
    ran = sender.run(*words)
    again = sender.run(*words, "--json")

    assert failed.code == StorageError.exit_code, failed.err
    assert ran.code == again.code == 0, ran.err
    assert "Writing to " in ran.err
    (line,) = [line for line in ran.out.splitlines() if line.startswith("volume 3 of 3: ")]
    assert f" written to {media[2]} (" in line
    assert "0 B written" not in line
    (line,) = [line for line in ran.out.splitlines() if line.startswith("volume 1 of 3: ")]
    assert line.startswith(f"volume 1 of 3: 0 B written to {media[0]} (")
    assert line.endswith(" was already there.")
    assert sum(again.json["volume_sizes"]) == again.json["stored_size"]
    assert again.json["bytes_written"] == 0


def test_a_split_with_parity_says_what_was_there_already(
    depot: Path, connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = make_media(tmp_path, monkeypatch, "abcdefgh")
    words: list[str | Path] = ["split", depot, "--parity", "50%", "--volumes", *media]

    first = connected.run(*words)
    again = connected.run(*words)

    assert first.code == again.code == 0, first.err
    assert "already there" not in first.out
    assert again.out.count(": 0 B written to ") == again.out.count(" was already there.") == 4
    assert stores.snapshot(media[0])


def test_a_rerun_on_media_that_are_full_goes_on(sender: Side, site: Site, tmp_path: Path) -> None:
    media = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    words: list[str | Path] = ["export", "shop:v1", "--key", site.key(), "--volumes", *media]
    with (
        mounts.tmpfs(media[0], 1_300_000),
        mounts.tmpfs(media[1], 1_300_000),
        mounts.tmpfs(media[2], 1_300_000),
    ):
        with broken(media[1], 3):
            assert sender.run(*words).code == StorageError.exit_code
        done = identity(media[0])
        ran = sender.run(*words)
        assert ran.code == 0, ran.err
        assert identity(media[0]) == done
        assert f"Writing to {media[1]} (tmpfs, airgap-test, " in ran.err
