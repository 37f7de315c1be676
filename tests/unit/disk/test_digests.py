"""A file is compared with a size and a SHA-256."""

from pathlib import Path

import pytest

from airgap.disk.digests import digest_file, has_digest

HASH = bytes.fromhex("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")  # of "x"


@pytest.mark.parametrize(
    ("content", "size", "digest", "same"),
    [(b"x", 1, HASH, True), (b"y", 1, HASH, False), (b"xx", 1, HASH, False), (b"", 0, HASH, False)],
)
def test_a_file_is_known_by_size_and_digest(
    *, content: bytes, size: int, digest: bytes, same: bool, top: Path
) -> None:
    (top / "x").write_bytes(content)

    assert has_digest(top, "x", size, digest) is same


def test_a_digest_is_that_of_the_content(top: Path) -> None:
    (top / "x").write_bytes(b"x")

    assert digest_file(top / "x") == HASH
