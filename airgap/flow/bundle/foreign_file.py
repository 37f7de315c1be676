"""A file of another program that is to travel with a bundle, byte for byte (format §24)."""

from dataclasses import dataclass
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import UsageError
from airgap.format.attachment import (
    FINDINGS,
    attachment_file,
    is_attachment_name,
    is_reserved,
    name_foreign_file,
    size_limit,
)
from airgap.printable import quote

__all__ = ["ForeignFile", "read_foreign_file"]


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file of another program, and its name as an attachment. Nothing in it is trusted."""

    stem: str
    key_id: str
    kind: str
    data: bytes

    @property
    def file(self) -> str:
        """Its name in the bundle's folder."""
        return attachment_file(self.stem, self.key_id, self.kind)


def read_foreign_file(path: Path, name: str = "") -> ForeignFile:
    """Read a file that is to be attached.

    Args:
        path: the file.
        name: what comes first in its name as an attachment; empty: it follows from the path.

    Raises:
        UsageError: the name cannot be one; or the file is empty or too long.
        MissingError, StorageError: the file cannot be read.
    """
    if name and (is_reserved(name) or not is_attachment_name(name)):
        raise UsageError(
            f"{quote(name)} cannot name an attachment.",
            "Use at most 20 lower-case letters, digits, '-' and '.', with a letter or digit at both"
            " ends, and do not begin with the name of a role.",
        )
    most = size_limit(FINDINGS)
    with translate_errors(path):
        data = read_small(path, most)
    parts = name_foreign_file(path.name, data, name)
    limit = size_limit(parts.kind)
    if not 0 < len(data) <= limit:
        raise UsageError(
            f"{path} is empty, or has more than the {limit:,} bytes that such an attachment may"
            " have.",
            "Keep the file, and attach a statement that has its SHA-256.",
        )
    return ForeignFile(*parts, data)
