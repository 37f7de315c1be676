"""The file system that FTP clients see: one user's home, where files can only be added."""

import os
from pathlib import Path

from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS

from airgap.server.dropbox.session_context import SessionContext
from airgap.server.dropbox.upload_file import UploadFile
from airgap.server.dropbox.upload_names import parse_upload_name

__all__ = ["HomeFilesystem"]


class HomeFilesystem(AbstractedFS):
    """A user's home. All paths here are real ones; the session has checked the names in them."""

    def open(self, filename: str, mode: str) -> UploadFile:
        """Open an upload. Only ``ftp_STOR`` calls this, after it has checked the name."""
        context: SessionContext = self.cmd_channel.context
        quota = context.quotas[self.cmd_channel.username]
        with context.uploads.lock:
            if not context.uploads.begin(filename):
                raise FilesystemError("Another upload of this name is in progress")
            try:
                size = Path(filename).stat().st_size if os.path.lexists(filename) else None
                self._ensure_folder(Path(filename).parent)
                flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
                flags |= 0 if "r" in mode else os.O_CREAT
                flags |= os.O_TRUNC if "w" in mode else 0
                if size is None:
                    quota.grow(0, 1)
                file = os.fdopen(os.open(filename, flags, 0o600), "r+b", buffering=0)
                if "w" in mode:
                    context.uploads.digests.overwrite(filename)
                    quota.grow(-(size or 0))
                if "a" in mode:
                    file.seek(0, os.SEEK_END)
                keep_free = context.settings.keep_free
                return UploadFile(filename, file, quota, context.uploads, keep_free)
            except BaseException:
                context.uploads.end(filename)
                raise

    def mkdir(self, path: str) -> None:
        """Create a folder, which counts against the quota."""
        self.cmd_channel.quota.grow(0, 1)
        try:
            Path(path).mkdir()
        except OSError:
            self.cmd_channel.quota.grow(0, -1)
            raise

    def _ensure_folder(self, folder: Path) -> None:
        """Create a folder that the client made before; the intake removes it with its bundle."""
        if not folder.is_dir():
            self._ensure_folder(folder.parent)
            self.mkdir(str(folder))

    def rename(self, src: str, dst: str) -> None:
        """Publish an upload under its final name, unless that name is taken."""
        context: SessionContext = self.cmd_channel.context
        with context.uploads.lock:
            if context.uploads.is_open(src):
                raise FilesystemError("An upload of this name is in progress")
            name = parse_upload_name(os.path.relpath(dst, self.root))
            exists = os.path.lexists(dst)
            context.uploads.digests.overwrite(src)
            if not exists or (name is not None and name.kind == "text"):
                Path(src).replace(dst)
                return
            size = Path(src).stat().st_size
            same_content = name is not None and name.kind == "content-addressed"
            if not same_content or size != Path(dst).stat().st_size:
                raise FilesystemError("A file with this name exists and cannot be replaced")
            Path(src).unlink()  # another client published the same content first
        self.cmd_channel.quota.grow(-size, -1)

    def remove(self, path: str) -> None:
        """Remove an unfinished upload."""
        context: SessionContext = self.cmd_channel.context
        with context.uploads.lock:
            if context.uploads.is_open(path):
                raise FilesystemError("An upload of this name is in progress")
            size = Path(path).stat().st_size
            Path(path).unlink()
            context.uploads.digests.overwrite(path)
        self.cmd_channel.quota.grow(-size, -1)
