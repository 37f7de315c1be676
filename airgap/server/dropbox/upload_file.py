"""The file that an upload is written to."""

import errno
import os
import shutil
from typing import BinaryIO, Final

from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota

__all__ = ["UploadFile"]

_CHECK_BYTES: Final = 4 * 1024 * 1024


class UploadFile:
    """A file being uploaded. Growth is counted against the quota before it is written."""

    def __init__(
        self, path: str, file: BinaryIO, quota: Quota, uploads: OpenUploads, keep_free: int = 0
    ) -> None:
        """Wrap an open file that has been claimed in ``uploads``.

        ``keep_free``: bytes that must stay free on the disk. Uploads that began while there was
        room could together fill it, and then no import could work.
        """
        self.name = path
        self._file = file
        self._quota = quota
        self._uploads = uploads
        self._keep_free = keep_free
        self._room = 0
        self._size = os.fstat(file.fileno()).st_size
        self._offset = file.tell()

    @property
    def closed(self) -> bool:
        """Whether the file is closed; the FTP library asks."""
        return self._file.closed

    def write(self, data: bytes) -> int:
        """Write all of ``data``, if the quota allows it.

        Raises:
            OSError: the quota is used up (EDQUOT), the disk is full (ENOSPC) or broken.
        """
        growth = self._offset + len(data) - self._size
        if growth > 0:
            self._require_space(growth)
            self._quota.grow(growth)
            self._size += growth
        written = self._file.write(data)
        self._offset += written
        if written < len(data):  # unbuffered: the disk took only a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def _require_space(self, growth: int) -> None:
        """Raise ENOSPC if the disk is too full. It is asked the more often the fuller it is."""
        self._room -= growth
        if self._room < 0:
            free = shutil.disk_usage(self._file.fileno()).free - self._keep_free
            if free < growth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._room = min(_CHECK_BYTES, free // 2)

    def seek(self, offset: int) -> int:
        """Continue writing at ``offset``, in bytes."""
        if offset < self._size:
            self._uploads.digests.overwrite(self.name, offset)
        self._offset = self._file.seek(offset)
        return self._offset

    def close(self) -> None:
        """Close the file and release its claim; safe to call twice."""
        self._file.close()
        self._uploads.end(self.name)
