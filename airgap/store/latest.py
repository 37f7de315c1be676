"""The file ``latest`` beside the versions of a Bento or model, as any program may have left it."""

from pathlib import Path
from typing import Final

from airgap.disk.reading import read_small
from airgap.format import names

__all__ = ["LATEST", "read_latest"]

LATEST: Final = "latest"
_MAX_BYTES: Final = 1000


def read_latest(path: Path) -> str:
    """Return the version that the file names; empty if it is not there, or names none."""
    try:
        text = read_small(path, _MAX_BYTES).decode()
    except (OSError, ValueError):
        return ""
    version = text.strip()
    return version if len(text) <= _MAX_BYTES and names.is_tag_part(version) else ""
