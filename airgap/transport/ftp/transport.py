"""FTP and FTPS as a transport: uploads under another name, downloads that go on where they broke.

Every error throws the connection away, and the next call opens a fresh one: after a broken transfer
the control connection is one reply behind. A server's "transfer complete" is never believed: an
upload must have the right size too, and a download says how many bytes came.
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
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError

__all__ = ["FtpOptions", "FtpTransport"]

_RECEIVE_BYTES: Final = 64 * 1024
_LISTING_BYTES: Final = 32 * 1024 * 1024
_LISTING_TRIES: Final = 10
_RUN_AGAIN: Final = "Run the same command again."
_CHECK_SERVER: Final = "Check the host and the port, and that the server is up; then run it again."
_NOT_ABOUT_RESUMING: Final = frozenset(["421", "425", "426", "452", "530", "552"])


class FtpTransport:
    """One folder of one account on one server."""

    # Renaming onto a name that is taken replaces it on most servers, but not on all; and what is
    # there can only be asked, not claimed.
    capabilities = Capabilities(
        resumes_uploads=True, replaces_atomically=False, creates_exclusively=False
    )

    def __init__(self, options: FtpOptions, context: ssl.SSLContext | None = None) -> None:
        """Name the place; the connection is opened when it is needed.

        Args:
            options: the server, the account, the folder.
            context: the TLS settings of a transport with the same options.

        Raises:
            ConfigurationError: CA file or client certificate cannot be read.
        """
        self.place = options.place
        self._options = options
        self._context = context
        if options.security != "none" and context is None:
            self._context = make_context(options)
        self._session: FtpSession | None = None
        self._made: set[str] = set()

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(f"asking for {name}") as session:
            return session.file_size(path)

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        return sorted(self._list(self._path(names.check_folder_name(folder)), limit))

    def _list(self, path: str, limit: int) -> set[str]:
        with self._connected(f"listing {path or 'the folder'}") as session:
            if session.enter(path):
                found = self._read_names(session, limit)
                session.leave()
                return found
        # A folder that may not be entered gets the same answer as one that is not there. Taken for
        # empty it could have everything removed that it names: so look whether it is there.
        above, _, last = path.rpartition("/")
        above = above or path[: path.startswith("/")]
        if last and last in self._list(above, max(limit, limits.FOLDER_NAMES)):
            raise FtpRefusedError(
                f"{self.place}: {path} is there, but it cannot be listed.",
                "Have the account allowed to list it, or choose another folder.",
            )
        return set()

    def _read_names(self, session: FtpSession, limit: int) -> set[str]:
        """Read a listing to its end; one that is cut off is an error, not a shorter listing.

        pyftpdlib leaves TLS's goodbye out of one empty listing in five: that looks like a cut.
        """
        for _ in range(_LISTING_TRIES):
            try:
                text, whole = self._read_listing(session, limit)
            except ftplib.Error as error:
                if "no files" in str(error).lower():  # an answer to empty folders, of old servers
                    return set()
                raise
            said = session.conclude().lower()
            if whole:
                return self._parse_listing(text, said, limit)
        raise EOFError

    def _read_listing(self, session: FtpSession, limit: int) -> tuple[bytearray, bool]:
        """Return what came of a listing, and whether it ended as it should."""
        data, _ = session.ntransfercmd("NLST")
        text = bytearray()
        with data:
            try:
                while piece := data.recv(_RECEIVE_BYTES):
                    text += piece
                    if len(text) > _LISTING_BYTES:
                        self._refuse_listing(limit)
            except ssl.SSLEOFError:
                return text, False
            session.finish(data)
        return text, True

    def _parse_listing(self, text: bytearray, said: str, limit: int) -> set[str]:
        """Return the names in a listing; some servers put the path before each."""
        # pure-ftpd stops at a limit of its own, vsftpd shows a folder as empty that it cannot read.
        if "truncated" in said or "failed" in said or text[-1:] not in b"\n":
            raise FtpRefusedError(
                f"{self.place} did not list all names of a folder.",
                "Have the account allowed to list it, and the server's limit on listings raised.",
            )
        listed = (line.rstrip("\r/") for line in text.decode("utf-8", "replace").split("\n"))
        found = {line.rpartition("/")[2] for line in listed} - {"", ".", ".."}
        if len(found) > limit:
            self._refuse_listing(limit)
        return found

    def _refuse_listing(self, limit: int) -> None:
        raise CorruptError(
            f"{self.place} has a folder of more than {limit:,} names.",
            "Remove what is not a bundle's.",
        )

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; see ``Transport``."""
        path = self._path(names.check_name(name))
        sent = 0
        try:
            with closing(self._blocks(path, offset, length)) as blocks:
                for block in blocks:
                    sink(block)
                    sent += len(block)
        except FtpRefusedError as refusal:
            if sent or not self._ends_before(name, offset, refusal):
                raise
        return sent

    def _ends_before(self, name: str, offset: int, refusal: FtpRefusedError) -> bool:
        """Tell whether a download was refused because the file has no byte at ``offset``."""
        size = self.size(name)
        if size is None:
            raise MissingError(
                f"{self.place}/{name} is not there.",
                "Check the place; if it is right, push the bundle again.",
            ) from refusal
        return offset >= size

    def _blocks(self, path: str, offset: int, length: int | None) -> Generator[memoryview]:
        """Yield what arrives, until the server ends it or there is as much as was asked for."""
        with self._connected(f"downloading {path}") as session:
            data, _ = session.ntransfercmd(f"RETR {path}", offset)
            with data:
                if (yield from receive(data, length)):
                    session.finish(data)
                    session.conclude()
                    return
        # The server still sends. What it says when we hang up, and how often, differs.
        self._drop()

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
        with self._connected(f"asking for {name}") as session:
            if session.file_size(path) == size:
                return "there"
            begun = session.file_size(partial) or 0
        with translate_errors(source):
            file = source.open("rb")
        with file:
            resumed = 0 < begun <= size and self._resumed(partial, file, (begun, size), pace)
            if not resumed:
                self._upload(partial, file, (0, size), pace)
        self._rename(partial, path, replace=True)
        return "resumed" if resumed else "stored"

    def _resumed(
        self, partial: str, file: BinaryIO, span: tuple[int, int], pace: Pace | None
    ) -> bool:
        """Send what is missing; return False if the server takes up no upload again."""
        try:
            if span[0] < span[1]:
                self._upload(partial, file, span, pace)
        except _NotResumedError:
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
            if not replace and self.size(name) is not None:  # another was faster
                return False
            raise
        return True

    def _upload(
        self, path: str, file: BinaryIO, span: tuple[int, int], pace: Pace | None = None
    ) -> None:
        """Send a file's bytes of a span, whose end is the file's; tell of each piece before."""
        with closing(self._pieces(path, file, span)) as pieces:
            for count in pieces:
                if pace:
                    pace(count)

    def _pieces(self, path: str, file: BinaryIO, span: tuple[int, int]) -> Generator[int]:
        """Upload; afterwards the server must have said so, and have all of it."""
        doing = f"uploading {path}"
        with self._connected(doing) as session:
            data = self._begin(session, path, span[0])
            with data:
                yield from self._sent(session, data, send(data, file, *span))
            session.conclude(upload=True)
            if session.file_size(path) != span[1]:
                raise TransientError(
                    f"{self.place}: {path} did not arrive whole, though the server said so.",
                    _RUN_AGAIN,
                )

    def _sent(
        self, session: FtpSession, data: socket.socket, pieces: Generator[int]
    ) -> Generator[int]:
        """Let all pieces be sent, or end the data connection as well as can be."""
        try:
            yield from pieces
        except OSError as error:
            data.close()
            refusal = session.late_refusal() or f"426 {_reason_of(error)}"
            raise ftplib.error_temp(refusal) from None
        except BaseException:  # the caller stops it, or somebody stops us
            session.abandon(data)
            raise
        session.finish(data)

    def _begin(self, session: FtpSession, path: str, begun: int) -> socket.socket:
        if not begun:
            self._make_folders(session, path)
        try:
            data, _ = session.ntransfercmd(f"STOR {path}", begun)
        except (ftplib.error_perm, ftplib.error_temp) as error:
            # proftpd comes with AllowStoreRestart off, and refuses with 451.
            if begun and str(error)[:3] not in _NOT_ABOUT_RESUMING:
                raise _NotResumedError from None
            raise
        return data

    def _make_folders(self, session: FtpSession, path: str) -> None:
        """Make the folders on the way. That one is there gets the same answer as other refusals."""
        parts = path.split("/")[:-1]
        for end in range(1, len(parts) + 1):
            folder = "/".join(parts[:end])
            if folder and folder not in self._made:
                with suppress(ftplib.error_perm):
                    session.voidcmd(f"MKD {folder}")
                self._made.add(folder)

    def _rename(self, partial: str, path: str, *, replace: bool) -> None:
        """Give an upload its name; where that must not be taken (Windows), free it first."""
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
        """Return another of the same folder."""
        return FtpTransport(self._options, self._context)

    def close(self) -> None:
        """Close the connection, if there is one."""
        session, self._session = self._session, None
        if session:
            session.goodbye()

    def _path(self, name: str) -> str:
        """Return what a name below the place is called on the server."""
        folder = self._options.folder
        return f"{folder.rstrip('/')}/{name}".rstrip("/") or "/" if folder else name

    @contextmanager
    def _connected(self, doing: str) -> Iterator[FtpSession]:
        """Give the connection, opened if need be; after any error it is not used again.

        What the server said is not chained to what is raised: it may have repeated the password.
        """
        try:
            yield self._opened()
        except BaseException as error:
            self._drop()
            if explained := self._explain(error, doing):
                raise explained from None
            raise

    def _opened(self) -> FtpSession:
        if self._session is None:
            self._session = FtpSession(self._options, self._context)
            self._session.open()
        return self._session

    def _drop(self) -> None:
        self._made.clear()
        session, self._session = self._session, None
        if session:
            session.close()

    def _explain(self, error: BaseException, doing: str) -> AirgapError | None:
        if isinstance(error, ftplib.Error):
            return explain_reply(str(error), self._options, doing)
        if isinstance(error, ssl.SSLError):
            return explain_tls(error, self.place)
        if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
            return TransportError(
                f"{self.place}: there is no host of this name.", "Check the name, and the DNS."
            )
        if isinstance(error, (OSError, EOFError)):
            hint = _CHECK_SERVER if isinstance(error, ConnectionRefusedError) else _RUN_AGAIN
            return TransientError(f"{self.place}: {doing} broke off ({_reason_of(error)}).", hint)
        return None


class _NotResumedError(Exception):
    """The server takes uploads, but only from the beginning."""


def _reason_of(error: OSError | EOFError) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came in time"
    if isinstance(error, EOFError):
        return "the server hung up"
    return (error.strerror or type(error).__name__).lower()
