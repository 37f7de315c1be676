"""Reading back what was written, past the cache where the system can."""

import hashlib
import os
from pathlib import Path

import pytest

from airgap.disk import readback
from airgap.errors import CorruptError, MissingError
from tests.support.stores import noise


@pytest.mark.parametrize("size", [0, 1, 511, 4096, 1024 * 1024, 3 * 1024 * 1024 + 77])
@pytest.mark.parametrize("direct", [True, False], ids=["past the cache", "after dropping it"])
def test_the_digest_is_the_files(
    size: int,
    direct: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = noise(size)
    (tmp_path / "file").write_bytes(data)
    if not direct:
        monkeypatch.setattr(readback, "_bypassing", lambda _: os.open("/nothing", os.O_RDONLY))

    assert readback.digest_on_medium(tmp_path, "file") == hashlib.sha256(data).digest()


def test_pages_are_dropped_before_a_file_is_read_through_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(noise(100))
    dropped: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *words: dropped.append(words[-1]))

    readback.digest_on_medium(tmp_path, "file")

    assert dropped == [os.POSIX_FADV_DONTNEED]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")

    with pytest.raises(CorruptError):
        readback.digest_on_medium(tmp_path, "link")


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        readback.digest_on_medium(tmp_path, "file")
