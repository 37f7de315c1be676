"""What is kept of files comes back only for files that cannot have changed since."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from airgap.disk import file_state
from airgap.disk.file_state import FileState
from airgap.state import digest_cache
from airgap.state.digest_cache import DigestCache, find_cache_file, open_cache

SECOND = 10**9
NOW = 2_000_000_000 * SECOND
STATE = FileState(1, 2, 3, NOW - 60 * SECOND + 1, NOW - 60 * SECOND + 1)
"""Of a file that was written a minute ago."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(file_state, "is_fixed_disk", lambda _: True)
    return tmp_path / "home"


@pytest.fixture
def path(home: Path) -> Path:
    return home / "cache" / "digests.sqlite"


def keep(path: Path, value: bytes = b"digest", *, state: FileState = STATE, now: int = NOW) -> None:
    with closing(DigestCache(path, clock=lambda: now)) as cache:
        cache.add_for("file", "/file", state, now, value)
        cache.save()


def recall(path: Path, *, state: FileState = STATE, now: int = NOW) -> bytes | None:
    with closing(DigestCache(path, clock=lambda: now)) as cache:
        return cache.load_for("file", "/file", state)


def test_what_was_kept_comes_back(path: Path) -> None:
    keep(path)

    assert recall(path) == b"digest"


@pytest.mark.parametrize("field", STATE._fields)
def test_a_file_that_looks_otherwise_is_another(path: Path, field: str) -> None:
    keep(path)

    assert recall(path, state=STATE._replace(**{field: getattr(STATE, field) + 1})) is None


def test_a_file_on_a_disk_that_may_leave_is_not_kept_nor_looked_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(path)
    monkeypatch.setattr(file_state, "is_fixed_disk", lambda _: False)

    assert recall(path) is None
    keep(path, b"other")
    monkeypatch.setattr(file_state, "is_fixed_disk", lambda _: True)
    assert recall(path) == b"digest"


@pytest.mark.parametrize("age", [-SECOND, 0, 19_000_000])
def test_a_file_within_the_grain_of_the_clock_is_not_kept(path: Path, age: int) -> None:
    young = STATE._replace(changed=NOW + 1 - age)
    keep(path, state=young)

    assert recall(path, state=young) is None


def test_nothing_counts_after_the_clock_was_set_back(path: Path) -> None:
    keep(path)

    assert recall(path, now=NOW - 1) is None
    keep(path, state=STATE._replace(inode=9, changed=1), now=NOW - 1)
    assert recall(path, now=NOW + SECOND) is None  # nor later: the file was made anew


def test_a_clock_that_is_set_back_meanwhile_keeps_nothing(path: Path) -> None:
    times = iter([NOW, NOW - 1])
    with closing(DigestCache(path, clock=lambda: next(times))) as cache:
        cache.add_for("file", "/file", STATE, NOW, b"digest")
        cache.save()

    assert recall(path) is None


@pytest.mark.parametrize("column", ["key", "value", "checksum"])
def test_a_damaged_entry_does_not_count(path: Path, column: str) -> None:
    keep(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        row = connection.execute("SELECT * FROM entries WHERE kind = 'file'").fetchone()
        values = dict(zip(("kind", "key", "value", "checksum", "day"), row, strict=True))
        values[column] = bytes([values[column][0] ^ 1]) + values[column][1:]
        connection.execute("DELETE FROM entries WHERE kind = 'file'")
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", [*values.values()])

    assert recall(path) is None
    assert recall(path, state=STATE._replace(device=STATE.device ^ 1)) is None


def test_a_file_that_is_damaged_anywhere_raises_nothing(path: Path) -> None:
    keep(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 509):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        assert recall(path) in (None, b"digest")
        keep(path)
        assert recall(path) in (None, b"digest")


@pytest.mark.parametrize("rest", [0, 50, 5000])
def test_a_file_that_is_cut_off_is_made_anew(path: Path, rest: int) -> None:
    keep(path)
    os.truncate(path, rest)

    assert recall(path) is None
    keep(path)
    assert recall(path) == b"digest"


def test_reading_makes_no_file(path: Path) -> None:
    assert recall(path) is None
    assert not path.exists()


def test_another_process_that_writes_takes_nothing_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(path)
    monkeypatch.setattr(digest_cache, "_WAIT_SECONDS", 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert recall(path) is None
        other.execute("ROLLBACK")

    assert recall(path) == b"digest"


def test_a_write_that_was_cut_off_leaves_what_was_there(path: Path) -> None:
    keep(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as killed:
        killed.execute("PRAGMA cache_size = 1")
        killed.execute("BEGIN IMMEDIATE")
        killed.executemany(
            "INSERT INTO entries VALUES ('pack', ?, ?, x'00', 0)",
            ((b"%d" % at, bytes(5000)) for at in range(50)),
        )
        journal = path.with_name(f"{path.name}-journal")
        half = path.read_bytes(), journal.read_bytes()
    path.write_bytes(half[0])
    journal.write_bytes(half[1])

    assert recall(path) == b"digest"


def test_threads_may_use_it_at_once(path: Path) -> None:
    with closing(DigestCache(path)) as cache:

        def use(first: int) -> None:
            for at in range(first, first + 50):
                cache.add("pack", b"%d" % at, b"value")
                assert cache.load("pack", b"%d" % at) == b"value"

        threads = [threading.Thread(target=use, args=(50 * at,), daemon=True) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        cache.save()

    with closing(DigestCache(path)) as cache:
        assert all(cache.load("pack", b"%d" % at) for at in range(200))


def test_what_was_not_used_for_longest_makes_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_cache, "_MOST_BYTES", 200_000)
    for day in range(12):
        now = NOW + day * 86_400 * SECOND
        with closing(DigestCache(path, clock=partial(int, now))) as cache:
            cache.load("pack", b"0")
            cache.add("pack", b"%d" % day, bytes(30_000))
            cache.save()

    assert path.stat().st_size <= 200_000
    with closing(DigestCache(path, clock=lambda: NOW * 2)) as cache:
        assert cache.load("pack", b"0")
        assert cache.load("pack", b"11")
        assert cache.load("pack", b"1") is None


def test_an_entry_that_is_too_long_is_not_kept(path: Path) -> None:
    with closing(DigestCache(path)) as cache:
        cache.add("pack", b"key", bytes(digest_cache._MOST_ENTRY_BYTES + 1))
        cache.save()

    assert not path.exists()


def test_to_read_again_uses_nothing_and_keeps_all(path: Path) -> None:
    keep(path)
    with open_cache(rereads=True) as cache:
        assert cache.load_for("file", "/file", STATE) is None
        cache.add_for("file", "/file", STATE, NOW * 2, b"new")
        cache.save()

    assert recall(path, now=NOW * 2) in (b"new", b"digest")


@pytest.fixture
def shared(home: Path) -> Iterator[Path]:
    home.mkdir()
    home.chmod(0o2770)
    yield home
    home.chmod(0o700)


def test_where_a_group_shares_the_state_each_has_a_cache_of_their_own(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "person"))

    assert find_cache_file() == tmp_path / "person" / ".airgap" / "cache" / "digests.sqlite"
    assert not (shared / "cache").exists()
