"""Wheels are cut at their members, whatever their directory says."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.chunking.cutters import cut, max_pieces_of_wheel
from airgap.chunking.sizes import LARGEST, SMALLEST
from airgap.store.source_tree import StableFile, scan_file
from tests.support import stores

BIG = {f"lib/part{number}.so": stores.noise(60_000, number) for number in range(8)}
SMALL = {f"app/module{number:03}.py": b"value = %d\n" % number * 60 for number in range(200)}


def wheel(members: Mapping[str, bytes], *, day: int = 1) -> bytes:
    """Write the members as a wheel that was built on a day."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(
                zipfile.ZipInfo(path, (2026, 1, day, 0, 0, 0)), data, zipfile.ZIP_DEFLATED
            )
    return made.getvalue()


def cut_up(data: bytes, folder: Path, path: str = "wheels/a-1-py3-none-any.whl") -> list[bytes]:
    file = folder / "file"
    file.write_bytes(data)
    with StableFile(scan_file(file, path)) as stable:
        chunks = [piece.plain for piece in cut(stable)]
        assert len(chunks) <= max_pieces_of_wheel(stable)
    assert b"".join(chunks) == data
    return chunks


def count_new(old: bytes, new: bytes, folder: Path, path: str = "w.whl") -> int:
    known = set(cut_up(old, folder, path))
    return sum(len(chunk) for chunk in set(cut_up(new, folder, path)) - known)


def test_a_member_that_changed_is_what_is_new(tmp_path: Path) -> None:
    members = {**BIG, **SMALL}
    changed = {**members, "lib/part3.so": stores.noise(60_000, 99)}

    assert count_new(wheel(members), wheel(changed), tmp_path) < 90_000
    assert count_new(wheel(members), wheel(changed), tmp_path, "w.zip") > 250_000


def test_times_in_headers_change_no_member(tmp_path: Path) -> None:
    old, new = wheel(BIG), wheel(BIG, day=2)
    assert count_new(old, new, tmp_path) < 2_000


def test_a_small_member_more_changes_the_chunks_about_it(tmp_path: Path) -> None:
    more = dict(sorted({**BIG, **SMALL, "app/module100b.py": b"new\n"}.items()))
    old = wheel(dict(sorted({**BIG, **SMALL}.items())))
    directory = 30_000
    assert count_new(old, wheel(more), tmp_path) < directory + 12_000


def test_small_members_share_chunks(tmp_path: Path) -> None:
    chunks = cut_up(wheel({**SMALL, **BIG}), tmp_path)
    assert sum(len(chunk) < 4096 for chunk in chunks) <= 2 * len(BIG)
    assert all(len(chunk) <= LARGEST for chunk in chunks)


def test_a_small_wheel_is_one_chunk(tmp_path: Path) -> None:
    data = wheel({"a.py": b"x"})
    assert len(data) < SMALLEST
    assert cut_up(data, tmp_path) == [data]


def test_a_wheel_with_many_tiny_members_has_no_tiny_chunks(tmp_path: Path) -> None:
    members = {f"{number}": b"x" for number in range(9_000)}
    data = wheel(members)
    assert len(cut_up(data, tmp_path)) <= len(data) // 4096 + 8


@pytest.mark.parametrize("at", range(-120, 0, 3))
def test_a_directory_that_lies_is_not_believed(at: int, tmp_path: Path) -> None:
    data = bytearray(wheel({**BIG, **SMALL}))
    data[at] ^= 0x55
    cut_up(bytes(data), tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_is_changed_the_chunks_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(wheel({**BIG, **SMALL}))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut_up(bytes(raw), tmp_path_factory.mktemp("wheel"))
