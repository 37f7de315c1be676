"""The file that an upload is written to."""

import errno
import os
from typing import BinaryIO

from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota

__all__ = ["UploadFile"]


class UploadFile:
    """A file being uploaded. Growth is counted against the quota before it is written."""

    def __init__(self, path: str, file: BinaryIO, quota: Quota, uploads: OpenUploads) -> None:
        """Wrap an open file that has been claimed in ``uploads``."""
        self.name = path
        self._file = file
        self._quota = quota
        self._uploads = uploads
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
            self._quota.grow(growth)
            self._size += growth
        written = self._file.write(data)
        self._offset += written
        if written < len(data):  # unbuffered: the disk took only a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def seek(self, offset: int) -> int:
        """Continue writing at ``offset``, in bytes."""
        self._offset = self._file.seek(offset)
        return self._offset

    def close(self) -> None:
        """Close the file and release its claim; safe to call twice."""
        self._file.close()
        self._uploads.end(self.name)
