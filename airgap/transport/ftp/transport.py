"""FTP and FTPS as a transport: uploads under a temporary name, downloads that resume.

After any error the connection is discarded and the next call opens a new one: after an interrupted
transfer the control connection is one reply behind. A server's "transfer complete" is not relied
on: the size of an upload is checked too, and a download reports how many bytes arrived.
"""

import ftplib
import io
import secrets
import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, CorruptError, MissingError, StorageError, TransportError
from airgap.format import limits
from airgap.transport import names
from airgap.transport.ftp.data import receive, send
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.ftp.replies import FtpRefusedError, explain_reply
from airgap.transport.ftp.session import FtpSession
from airgap.transport.ftp.tls import explain_tls, make_context
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError
from airgap.transport.sending import Line, Upload

__all__ = ["FtpOptions", "FtpTransport"]

_RECEIVE_BYTES: Final = 64 * 1024
_LISTING_BYTES: Final = 32 * 1024 * 1024
_LISTING_TRIES: Final = 10
_RUN_AGAIN: Final = "Run the same command again."
_CHECK_SERVER: Final = "Check the host and the port, and that the server is running."
_NOT_ABOUT_RESUMING: Final = frozenset(["421", "425", "426", "452", "530", "552"])


class FtpTransport:
    """One folder of one account on one server."""

    # Most servers, but not all, replace a file when another is renamed to its name; and no command
    # creates a file exclusively.
    object_lock: None = None
    capabilities = Capabilities(
        resumes_uploads=True, replaces_atomically=False, creates_exclusively=False
    )

    def __init__(self, options: FtpOptions, context: ssl.SSLContext | None = None) -> None:
        """Take the server's options; the connection opens at the first use.

        Args:
            options: the server, the account, the folder.
            context: the TLS context of a transport with the same options.

        Raises:
            ConfigurationError: CA file or client certificate cannot be read.
        """
        self.location = options.url
        self._options = options
        self._context = context
        if options.security != "none" and context is None:
            self._context = make_context(options)
        self._session: FtpSession | None = None
        self._made_folders: set[str] = set()

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(f"looking up {name}") as session:
            return session.file_size(path)

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        return sorted(self._list(self._path(names.check_folder_name(folder)), limit))

    def _list(self, path: str, limit: int) -> set[str]:
        with self._connected(f"listing {path or 'the folder'}") as session:
            if session.enter(path):
                listed = self._read_names(session, limit)
                session.leave()
                return listed
        # A folder without permission gets the same reply as a missing one. If it counted as empty,
        # a clean-up could delete what its files refer to: so look for it in its parent folder.
        parent, _, last = path.rpartition("/")
        parent = parent or path[: path.startswith("/")]
        if last and last in self._list(parent, max(limit, limits.FOLDER_NAMES)):
            raise FtpRefusedError(
                f"{self.location}: {path} exists, but cannot be listed.",
                "Allow the account to list it, or choose another folder.",
            )
        return set()

    def _read_names(self, session: FtpSession, limit: int) -> set[str]:
        """Read a listing to its end; one that is cut is an error, not a shorter listing.

        pyftpdlib omits TLS's close_notify after one empty listing in five: that looks like a cut.
        """
        for _ in range(_LISTING_TRIES):
            try:
                text, whole = self._read_listing(session, limit)
            except ftplib.Error as error:
                if "no files" in str(error).lower():  # how old servers list an empty folder
                    return set()
                raise
            reply = session.conclude().lower()
            if whole:
                return self._parse_listing(text, reply, limit)
        raise EOFError

    def _read_listing(self, session: FtpSession, limit: int) -> tuple[bytearray, bool]:
        """Return a listing as far as it arrived, and whether it is complete."""
        data, _ = session.ntransfercmd("NLST")
        text, speed = bytearray(), LeastSpeed(self.location)
        with data:
            try:
                while piece := _receive(data, speed):
                    text += piece
                    if len(text) > _LISTING_BYTES:
                        self._refuse_listing(limit)
            except ssl.SSLEOFError:
                return text, False
            session.finish(data)
        return text, True

    def _parse_listing(self, text: bytearray, reply: str, limit: int) -> set[str]:
        """Return the names in a listing; some servers put the path before each."""
        # pure-ftpd stops at its own limit, vsftpd lists an unreadable folder as empty.
        if "truncated" in reply or "failed" in reply or text[-1:] not in b"\n":
            raise FtpRefusedError(
                f"{self.location} did not list all names of a folder.",
                "Allow the account to list it, and raise the server's limit on listings.",
            )
        listed = (line.rstrip("\r/") for line in text.decode("utf-8", "replace").split("\n"))
        names = {line.rpartition("/")[2] for line in listed} - {"", ".", ".."}
        if len(names) > limit:
            self._refuse_listing(limit)
        return names

    def _refuse_listing(self, limit: int) -> None:
        raise CorruptError(
            f"{self.location} has a folder with more than {limit:,} names.",
            "Remove files that do not belong to a bundle.",
        )

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; see ``Transport``."""
        path = self._path(names.check_name(name))
        sent = 0
        try:
            with closing(self._receive_blocks(path, offset, length)) as blocks:
                for block in blocks:
                    sink(block)
                    sent += len(block)
        except FtpRefusedError as refusal:
            if sent or not self._ends_before(name, offset, refusal):
                raise
        return sent

    def _ends_before(self, name: str, offset: int, refusal: FtpRefusedError) -> bool:
        """Return whether a download was refused because the file ends before ``offset``."""
        size = self.size(name)
        if size is None:
            raise MissingError(
                f"{self.location}/{name} does not exist.",
                "Check the URL; if it is correct, push the bundle again.",
            ) from refusal
        return offset >= size

    def _receive_blocks(self, path: str, offset: int, length: int | None) -> Generator[memoryview]:
        """Yield what arrives, until the server ends it or the requested length is reached."""
        with self._connected(f"downloading {path}") as session:
            data, _ = session.ntransfercmd(f"RETR {path}", offset)
            with data:
                if (yield from receive(data, length, LeastSpeed(self.location))):
                    session.finish(data)
                    session.conclude()
                    return
        # The server is still sending. Servers differ in their replies to a closed data connection.
        self._discard_session()

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        """Upload a file; see ``Transport``."""
        path = self._path(names.check_name(name))
        partial = self._path(names.check_name(part or names.name_part(name)))
        with self._connected(f"looking up {name}") as session:
            if session.file_size(path) == size:
                return "exists"
            offset = session.file_size(partial) or 0
        with translate_errors(source):
            file = source.open("rb")
        with file:
            resumed = 0 < offset <= size and self._resume(partial, file, (offset, size), pace)
            if not resumed:
                self._upload(partial, file, (0, size), pace)
        self._rename(partial, path, replace=True)
        return "resumed" if resumed else "stored"

    def _resume(
        self, partial: str, file: BinaryIO, span: tuple[int, int], pace: Pace | None
    ) -> bool:
        """Send the missing part; return False if the server does not resume uploads."""
        try:
            if span[0] < span[1]:
                self._upload(partial, file, span, pace)
        except _CannotResumeError:
            return False
        return True

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Upload a small file; see ``Transport``."""
        path = self._path(names.check_name(name))
        partial = names.check_name(f"{name}.{secrets.token_hex(8)}.part")
        if not replace and self.size(name) is not None:
            return False
        try:
            self._upload(self._path(partial), io.BytesIO(data), (0, len(data)))
            self._rename(self._path(partial), path, replace=replace)
        except (StorageError, FtpRefusedError):
            with suppress(AirgapError):
                self.delete(partial)
            if not replace and self.size(name) is not None:  # another client was faster
                return False
            raise
        return True

    def _upload(
        self, path: str, file: BinaryIO, span: tuple[int, int], pace: Pace | None = None
    ) -> None:
        """Send a file's bytes of a span, which ends where the file does."""
        with closing(self._send_pieces(path, file, span)) as pieces:
            for count in pieces:
                if pace:
                    pace(count)

    def _send_pieces(self, path: str, file: BinaryIO, span: tuple[int, int]) -> Generator[int]:
        """Upload; then the server must confirm it and report the right size."""
        doing = f"uploading {path}"
        with self._connected(doing) as session:
            data = self._open_upload(session, path, span[0])
            upload = Upload(Line(data), LeastSpeed(self.location), self._options.timeout)
            with data:
                yield from self._finish_upload(session, data, send(upload, file, *span))
            session.conclude(upload=True)
            if session.file_size(path) != span[1]:
                raise TransientError(
                    f"{self.location}: {path} is incomplete, although the server confirmed it.",
                    _RUN_AGAIN,
                )

    def _finish_upload(
        self, session: FtpSession, data: socket.socket, pieces: Generator[int]
    ) -> Generator[int]:
        """Send all pieces, or end the data connection so that the upload can be resumed."""
        try:
            yield from pieces
        except OSError as error:
            data.close()
            refusal = session.read_late_refusal() or f"426 {_reason_of(error)}"
            raise ftplib.error_temp(refusal) from None
        except BaseException:  # the caller stops it, or the process is interrupted
            session.abandon(data)
            raise
        session.finish(data)

    def _open_upload(self, session: FtpSession, path: str, offset: int) -> socket.socket:
        if not offset:
            self._make_folders(session, path)
        try:
            data, _ = session.ntransfercmd(f"STOR {path}", offset)
        except (ftplib.error_perm, ftplib.error_temp) as error:
            # By default proftpd has AllowStoreRestart off, and refuses with 451.
            if offset and str(error)[:3] not in _NOT_ABOUT_RESUMING:
                raise _CannotResumeError from None
            raise
        return data

    def _make_folders(self, session: FtpSession, path: str) -> None:
        """Make the parent folders. An existing one gets the same reply as any refusal."""
        parts = path.split("/")[:-1]
        for end in range(1, len(parts) + 1):
            folder = "/".join(parts[:end])
            if folder and folder not in self._made_folders:
                with suppress(ftplib.error_perm):
                    session.voidcmd(f"MKD {folder}")
                self._made_folders.add(folder)

    def _rename(self, partial: str, path: str, *, replace: bool) -> None:
        """Rename an upload; where the name must be free (Windows), delete the old file first."""
        with self._connected(f"renaming {partial}") as session:
            try:
                session.rename(partial, path)
            except ftplib.error_perm:
                if not replace or session.file_size(path) is None:
                    raise
                session.delete(path)
                session.rename(partial, path)

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(f"deleting {name}") as session:
            try:
                session.delete(path)
            except ftplib.error_perm:
                if session.file_size(path) is not None:
                    raise

    def clone(self) -> "FtpTransport":
        """Return another of the same location."""
        return FtpTransport(self._options, self._context)

    def close(self) -> None:
        """Close the connection, if there is one."""
        session, self._session = self._session, None
        if session:
            session.log_out()

    def _path(self, name: str) -> str:
        """Return the path on the server of a name at this location."""
        folder = self._options.folder
        return f"{folder.rstrip('/')}/{name}".rstrip("/") or "/" if folder else name

    @contextmanager
    def _connected(self, doing: str) -> Iterator[FtpSession]:
        """Yield the connection, opened if need be; after any error it is discarded.

        The server's reply is not chained to the error that is raised: it may repeat the password.
        """
        try:
            yield self._open_session()
        except BaseException as error:
            self._discard_session()
            if translated := self._translate(error, doing):
                raise translated from None
            raise

    def _open_session(self) -> FtpSession:
        if self._session is None:
            self._session = FtpSession(self._options, self._context)
            self._session.open()
        return self._session

    def _discard_session(self) -> None:
        self._made_folders.clear()
        session, self._session = self._session, None
        if session:
            session.close()

    def _translate(self, error: BaseException, doing: str) -> AirgapError | None:
        if isinstance(error, ftplib.Error):
            return explain_reply(str(error), self._options, doing)
        if isinstance(error, ssl.SSLError):
            return explain_tls(error, self.location)
        if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
            return TransportError(
                f"{self.location}: the host name cannot be resolved.", "Check the name, and DNS."
            )
        if isinstance(error, (OSError, EOFError)):
            hint = _CHECK_SERVER if isinstance(error, ConnectionRefusedError) else _RUN_AGAIN
            return TransientError(
                f"{self.location}: {doing} was interrupted ({_reason_of(error)}).", hint
            )
        return None


def _receive(data: socket.socket, speed: LeastSpeed) -> bytes:
    with speed.waiting():
        piece = data.recv(_RECEIVE_BYTES)
    speed.count(len(piece))
    return piece


class _CannotResumeError(Exception):
    """The server does not resume uploads."""


def _reason_of(error: OSError | EOFError) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, EOFError):
        return "the server closed the connection"
    return (error.strerror or type(error).__name__).lower()
