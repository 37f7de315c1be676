"""A part of a file is gone on with as far as it has the bytes that are written now."""

import os
from pathlib import Path

import pytest

from airgap.carrier.resumed_file import ResumedFile
from airgap.disk import part_file
from airgap.disk.part_file import measure_abandoned
from tests.support import stores

FRONT = 2 * 1024 * 1024 + 512
MEMBERS = [stores.noise(3_000_000, 1), b"short", stores.noise(70_000, 2), b"last"]


class Run:
    """One run of a writer."""

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        self.file = ResumedFile(path, FRONT, self.notes.append)

    def append(self, members: list[bytes]) -> list[bool]:
        return [self.file.append([member[:7], memoryview(member)[7:]]) for member in members]

    def publish(self) -> None:
        self.file.publish(b"end", [(100, b"second"), (0, b"first")])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.airgap"


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """What an undisturbed run writes."""
    run = Run(tmp_path / "whole")
    run.append(MEMBERS)
    run.publish()
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "whole").unlink()
    return data


def interrupt(path: Path, members: list[bytes]) -> Path:
    """Write so many members, stop, and return the part."""
    run = Run(path)
    run.append(members)
    run.file.leave()
    (part,) = path.parent.iterdir()
    return part


def finish(path: Path, whole: bytes) -> tuple[list[bool], list[str]]:
    """Run undisturbed; the file must be as if nothing had been."""
    run = Run(path)
    written = run.append(MEMBERS)
    run.publish()
    assert path.read_bytes() == whole
    assert [*path.parent.iterdir()] == [path]
    return written, run.notes


@pytest.mark.parametrize("count", range(1, len(MEMBERS) + 1))
def test_what_is_there_is_not_written_again(count: int, path: Path, whole: bytes) -> None:
    part = interrupt(path, MEMBERS[:count])

    written, notes = finish(path, whole)

    assert written == [False] * count + [True] * (len(MEMBERS) - count)
    size = "3.0 MB" if count < 3 else "3.1 MB"
    note = f"Going on with {part}, which has {size}: what is equal is not written again."
    assert notes == [note]


def test_a_member_that_was_cut_off_is_written_again(path: Path, whole: bytes) -> None:
    part = interrupt(path, MEMBERS[:3])
    os.truncate(part, FRONT + len(MEMBERS[0]) + len(MEMBERS[1]) + 50)

    written, notes = finish(path, whole)

    assert written == [False, False, True, True]
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("at", "written", "note"),
    [
        (FRONT, [True] * 4, "is of something else: it is written anew."),
        (FRONT + 2_999_999, [True] * 4, "is of something else: it is written anew."),
        (
            FRONT + 3_000_001,
            [False, True, True, True],
            "differs after 3.0 MB: the rest is",
        ),
        (FRONT + 3_069_000, [False, False, True, True], "differs after 3.0 MB:"),
    ],
)
def test_damage_is_written_over(
    at: int, written: list[bool], note: str, path: Path, whole: bytes
) -> None:
    part = interrupt(path, MEMBERS)
    data = bytearray(part.read_bytes())
    data[at] ^= 1
    part.write_bytes(data)

    done, notes = finish(path, whole)

    assert done == written
    assert note in notes[1]


def test_a_front_that_was_written_is_replaced(path: Path, whole: bytes) -> None:
    part = interrupt(path, MEMBERS)
    data = part.read_bytes()
    part.write_bytes(b"the front of something longer" * 50_000 + data[1_450_000:])

    written, _ = finish(path, whole)

    assert not any(written)


def test_what_follows_the_end_is_cut_off(path: Path, whole: bytes) -> None:
    part = interrupt(path, MEMBERS)
    with part.open("ab") as file:
        file.write(b"end, and more than that")

    written, _ = finish(path, whole)

    assert not any(written)


def test_of_several_parts_the_longest_is_gone_on_with(path: Path, whole: bytes) -> None:
    part = interrupt(path, MEMBERS[:3])
    shorter = part.with_name(f"x.airgap.{'0' * 16}.part")
    shorter.write_bytes(part.read_bytes()[:-60_000])
    assert measure_abandoned(path) >= 6_000_000

    written, _ = finish(path, whole)

    assert written == [False, False, False, True]


def test_a_part_that_another_process_writes_is_left_alone(path: Path, whole: bytes) -> None:
    other = Run(path)
    other.append(MEMBERS)
    run = Run(path)

    written = run.append(MEMBERS)
    assert all(written)
    assert run.notes == []
    run.publish()
    assert path.read_bytes() == whole
    other.publish()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("folder", "umask", "resumed"),
    [
        (0o755, 0o022, True),
        (0o755, 0o002, False),
        (0o775, 0o002, True),
        (0o777, 0o002, False),
        (0o775, 0o000, False),
        (0o755, 0o020, False),
    ],
)
def test_a_part_that_others_may_write_to_is_made_anew(
    folder: int, umask: int, *, resumed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "medium" / "x.airgap"
    path.parent.mkdir()
    path.parent.chmod(folder)
    before = os.umask(umask)
    try:
        part = interrupt(path, MEMBERS)
        run = Run(path)
        written = run.append(MEMBERS)
        run.publish()
    finally:
        os.umask(before)

    assert not any(written) if resumed else all(written)
    assert not part.exists()
    assert [*path.parent.iterdir()] == [path]


def test_a_part_of_a_group_that_the_folder_is_not_of_is_made_anew(
    path: Path,
) -> None:
    part = interrupt(path, MEMBERS)
    part.chmod(0o664)
    status = part.stat()

    path.parent.chmod(0o775)
    assert not part_file._is_writable_by_others(status, path.parent)
    other = os.stat_result([*status[:5], status.st_gid + 1, *status[6:]])
    assert part_file._is_writable_by_others(other, path.parent)


def test_a_part_without_any_member_goes(path: Path) -> None:
    Run(path).file.leave()

    assert not [*path.parent.iterdir()]
