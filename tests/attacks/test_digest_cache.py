"""A cache says what files were. Who else could write it would choose what an exporter signs."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from airgap.disk.file_state import FileState
from airgap.flow.exporting import unread
from airgap.state.digest_cache import DigestCache
from airgap.store.source_tree import scan_file
from tests.support import stores
from tests.support.sides import Side, Site
from tests.support.steady_files import make_steady

EVIL = b"print('evil')\n"


@pytest.fixture(autouse=True)
def _steady(monkeypatch: pytest.MonkeyPatch) -> None:
    make_steady(monkeypatch)


@pytest.fixture
def cache_file(small: Side) -> Path:
    return small.state / "cache" / "digests.sqlite"


def poison(path: Path, file: Path) -> None:
    """Let a cache say that a file has other content."""
    source = scan_file(file, "weights.bin")
    digest = bytes(32)
    lie = unread.CachedFile(digest, (unread.CachedChunk(digest, source.size, 0),))
    with closing(DigestCache(path)) as cache:
        unread.keep_file(cache, source, time.time_ns(), lie)
        cache.save()


def link(path: Path) -> None:
    moved = path.rename(path.with_name("elsewhere"))
    path.symlink_to(moved)


def second_name(path: Path) -> None:
    path.with_name("elsewhere").hardlink_to(path)


def let_others_write(path: Path) -> None:
    path.chmod(0o620)


def let_others_write_the_folder(path: Path) -> None:
    path.parent.chmod(0o777)


@pytest.mark.parametrize(
    "attack", [link, second_name, let_others_write, let_others_write_the_folder]
)
def test_a_cache_that_another_could_have_written_is_not_read(
    small: Side, site: Site, tmp_path: Path, cache_file: Path, attack: Callable[[Path], None]
) -> None:
    words = ("shop:v1", "--key", site.key(), "--json", "-o")
    first = small.run("export", *words, tmp_path / "first").json["bundle"]
    poison(cache_file, next(small.bentoml.rglob("weights.bin")))
    attack(cache_file)

    ran = small.run("export", *words, tmp_path / "second")

    assert ran.json["bundle"] == first


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_a_cache_of_another_user_is_not_read(
    small: Side, site: Site, tmp_path: Path, cache_file: Path
) -> None:
    words = ("shop:v1", "--key", site.key(), "--json", "-o")
    first = small.run("export", *words, tmp_path / "first").json["bundle"]
    poison(cache_file, next(small.bentoml.rglob("weights.bin")))
    os.chown(cache_file, 12345, -1)

    assert small.run("export", *words, tmp_path / "second").json["bundle"] == first


def test_a_lie_about_content_that_is_read_is_found_out(
    small: Side, site: Site, tmp_path: Path, cache_file: Path
) -> None:
    words = ("shop:v1", "--key", site.key(), "-o")
    assert small.run("export", *words, tmp_path / "first").code == 0
    poison(cache_file, next(small.bentoml.rglob("weights.bin")))

    ran = small.run("export", *words, tmp_path / "second")

    assert "was changed without a trace" in ran.err
    assert not (tmp_path / "second" / "bundles").exists()


def test_a_file_that_takes_the_place_of_another_is_read(
    small: Side, site: Site, tmp_path: Path
) -> None:
    words = ("shop:v1", "--key", site.key(), "--json", "-o", tmp_path / "depot")
    first = small.run("export", *words).json["bundle"]
    weights = next(small.bentoml.rglob("weights.bin"))
    status = weights.stat()
    other = weights.with_name("other")
    other.write_bytes(stores.noise(status.st_size, 5))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(weights)

    again = small.run("export", *words).json["bundle"]

    assert again != first
    shutil.rmtree(small.state / "cache")
    assert small.run("export", *words).json["bundle"] == again


def test_code_in_the_schema_of_a_cache_does_not_run(cache_file: Path) -> None:
    with closing(DigestCache(cache_file)) as cache:
        cache.add("pack", b"key", b"value")
        cache.save()
    with closing(sqlite3.connect(cache_file)) as connection, connection:
        connection.execute("ALTER TABLE entries RENAME TO rows")
        connection.execute(
            "CREATE VIEW entries AS SELECT kind, key, load_extension('/evil') AS value,"
            " checksum, day FROM rows"
        )

    with closing(DigestCache(cache_file)) as cache:
        assert cache.load("pack", b"key") is None


def test_a_copy_of_a_disk_gives_nothing_to_the_other(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(EVIL)
    state = FileState.of(file.stat())
    with closing(DigestCache(tmp_path / "state" / "cache" / "digests.sqlite")) as cache:
        cache.add_for("digest", file, state, time.time_ns() + 10**10, bytes(32))
        assert cache.load_for("digest", file, state) == bytes(32)

        assert cache.load_for("digest", file, state._replace(device=state.device + 1)) is None
