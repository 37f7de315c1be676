"""How a ``.airgap`` file is known by its content (format §9)."""

from pathlib import Path

from airgap.disk.named_files import open_named
from airgap.errors import CorruptError
from airgap.format import layout, tar

__all__ = ["is_archive"]


def is_archive(path: Path) -> bool:
    """Tell whether a regular file begins as a ``.airgap`` file does, whatever its name.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_file():
        return False
    with open_named(path) as file:
        block = file.read(tar.BLOCK)
    try:
        header = tar.parse_header(block)
    except CorruptError:
        return False
    return header is not None and layout.parse_manifest_name(header[0]) is not None
