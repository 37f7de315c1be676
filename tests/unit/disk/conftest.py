"""A folder that the tests of the disk share."""

from pathlib import Path

import pytest


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A medium with ``sub/file`` of five bytes."""
    (tmp_path / "top" / "sub").mkdir(parents=True)
    (tmp_path / "top" / "sub" / "file").write_bytes(b"12345")
    return tmp_path / "top"
