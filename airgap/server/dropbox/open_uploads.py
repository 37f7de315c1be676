"""Which uploads are being written, and the sizes of those that the intake has taken."""

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Final

from airgap.server.dropbox.upload_digests import UploadDigests

__all__ = ["DeliveredSizes", "OpenUploads"]

MAX_REMEMBERED: Final = 10_000


class DeliveredSizes:
    """Sizes of delivered files that the intake has taken: clients ask for them after an upload."""

    def __init__(self) -> None:
        """Start empty."""
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def add(self, path: str, size: int) -> None:
        """Remember a file by its path; the oldest is forgotten beyond ``MAX_REMEMBERED``."""
        self._sizes[path] = size
        self._sizes.move_to_end(path)
        while len(self._sizes) > MAX_REMEMBERED:
            self._sizes.popitem(last=False)

    def forget(self, home: Path, name: str, bundle_id: str) -> None:
        """Forget the files of a refused bundle, so that they can be sent again."""
        self._sizes.pop(str(home / name), None)
        for path in [*self._sizes] if bundle_id else ():
            if Path(path).is_relative_to(home) and Path(path).parent.name == bundle_id:
                del self._sizes[path]

    def get(self, path: str) -> int | None:
        """Return a file's size in bytes, or None if it is not remembered."""
        return self._sizes.get(path)


class OpenUploads:
    """Which files are being written: keeps sessions and the intake from touching the same file.

    Hold ``lock`` to rename or open an upload, and never for long.
    """

    def __init__(self) -> None:
        """Start with no open file."""
        self.lock = Lock()
        self.delivered = DeliveredSizes()
        self.digests = UploadDigests()
        self._open: set[str] = set()

    def begin(self, path: str) -> bool:
        """Claim a file for writing; return False if another upload has it."""
        if path in self._open:
            return False
        self._open.add(path)
        return True

    def end(self, path: str) -> None:
        """Release a claimed file."""
        self._open.discard(path)

    def is_open(self, path: Path | str) -> bool:
        """Tell whether a file is being written."""
        return str(path) in self._open
