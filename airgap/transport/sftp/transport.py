"""SFTP: a depot on any SSH server. What is tuned, and why so: docs/adr/0016."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, MissingError, StorageError
from airgap.transport import names
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError
from airgap.transport.sftp import known_hosts, ssh_config
from airgap.transport.sftp import pipeline as sftp_pipeline
from airgap.transport.sftp.login import SshCredentials
from airgap.transport.sftp.options import DEFAULT_CONFIG, SftpOptions
from airgap.transport.sftp.pipeline import Flow
from airgap.transport.sftp.session import (
    CREATE,
    EXCLUSIVELY,
    FOR_READING,
    FOR_WRITING,
    NO_SUCH_FILE,
    Session,
    SftpRefusedError,
)
from airgap.transport.sftp.ssh_config import Destination
from airgap.transport.sftp.ssh_stream import SshStream

__all__ = ["SftpTransport"]

_DEFAULT_KEYS: Final = tuple(Path(f"~/.ssh/id_{one}") for one in ("ed25519", "ecdsa", "rsa"))


class SftpTransport:
    """Files below one folder of an SSH server."""

    capabilities = Capabilities(
        resumes_uploads=True, replaces_atomically=True, creates_exclusively=True
    )

    def __init__(self, options: SftpOptions) -> None:
        """Name the place; it is connected to when it is first used."""
        self.place = options.place
        self._options = options
        self._session: Session | None = None
        self._flow = Flow(1, 1)

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(name) as session:
            found = session.stat(path)
            return found.size if found and found.regular else None

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        path = self._path(names.check_folder_name(folder))
        try:
            with self._connected(folder) as session:
                found = session.names_in(path or b".", limit)
        except MissingError:
            return []
        return sorted(one.decode("utf-8", "backslashreplace") for one in found)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(name) as session:
            handle = session.open(path, FOR_READING, "read a file")
            with session.closing(handle):
                end = session.size_of(handle) if length is None else offset + length
                return sftp_pipeline.read(session, handle, sink, (offset, end), self._flow)

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
        begun = self._path(names.check_name(part or names.name_part(name)))
        with self._connected(name) as session:
            found = session.stat(path)
            if found and found.size == size:
                return "there"
            with _open_for_writing(session, begun, FOR_WRITING | CREATE) as handle:
                there = session.size_of(handle)
                if there > size:
                    session.truncate(handle, 0)
                    there = 0
                pieces = _read_pieces(source, there, size, self._flow.write_bytes)
                self._write(session, handle, _pace_pieces(pieces, pace), (there, size))
            session.replace(begun, path)
            return "resumed" if there else "stored"

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store a small file; see ``Transport``."""
        path = self._path(names.check_name(name))
        part = self._path(f"{name}.{secrets.token_hex(8)}.part")
        with self._connected(name) as session:
            if not replace and session.stat(path):
                return False
            try:
                with _open_for_writing(session, part, FOR_WRITING | CREATE | EXCLUSIVELY) as handle:
                    step = self._flow.write_bytes
                    pieces = (data[at : at + step] for at in range(0, len(data), step))
                    self._write(session, handle, pieces, (0, len(data)))
                return _rename(session, part, path, replace=replace)
            except AirgapError:
                if session.in_step:
                    with suppress(AirgapError):
                        session.remove(part)
                raise

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(name) as session:
            session.remove(path)

    def clone(self) -> "SftpTransport":
        """Return another of the same place; see ``Transport``."""
        return SftpTransport(self._options)

    def close(self) -> None:
        """Close the connection; see ``Transport``."""
        session, self._session = self._session, None
        if session:
            session.close()

    def _path(self, name: str) -> bytes:
        folder = self._options.folder
        between = "/" if name and folder and not folder.endswith("/") else ""
        return f"{folder}{between}{name}".encode("utf-8", "surrogateescape")

    @contextmanager
    def _connected(self, name: str) -> Iterator[Session]:
        """Give the connection, and tell of which file an error speaks.

        One that broke is dropped, and so is one that still owes answers: the next call connects
        anew.
        """
        session = self._session = self._session or self._connect()
        broken = False
        try:
            yield session
        except (SftpRefusedError, MissingError, TransientError) as error:
            broken = isinstance(error, TransientError)
            error.message = f"{self.place} ({name or 'the folder'}): {error.message}"
            error.args = (error.message,)
            raise
        finally:
            if broken or not session.in_step:
                self.close()

    def _connect(self) -> Session:
        options = self._options
        there = ssh_config.resolve(
            options.host, options.port, options.user, options.proxy_command, _find_config(options)
        )
        known = _look_up_host(options, there)
        stream = SshStream.open(
            there, known, _collect_credentials(options, there), options.timeouts
        )
        try:
            session = Session(stream)
            self._flow = Flow.of(session)
        except BaseException:
            stream.close()
            raise
        return session

    def _write(
        self,
        session: Session,
        handle: bytes,
        pieces: Iterable[bytes | memoryview],
        span: tuple[int, int],
    ) -> None:
        """Write an open file to its end, and let it survive a power cut.

        Raises:
            StorageError: the other side is full.
            BrokenOffError: it is not as long as it has to be.
        """
        offset, size = span
        try:
            sftp_pipeline.write(session, handle, pieces, offset, self._flow)
            session.sync(handle)
        except SftpRefusedError as error:
            if error.full or self._is_full(session, size - session.size_of(handle)):
                raise StorageError(
                    f"{self.place} is full.", "Make room there and run the same command again."
                ) from error
            raise
        if session.size_of(handle) != size:
            raise TransientError("The file has another length than was sent.", "Try again.")

    def _is_full(self, session: Session, missing: int) -> bool:
        """Ask whether there is no room for more bytes; OpenSSH calls that just a failure."""
        try:
            free = session.free_bytes(self._path("") or b".")
        except (SftpRefusedError, MissingError):
            return False
        return free is not None and free < missing


def _find_config(options: SftpOptions) -> Path | None:
    """Return the file to be read; the usual one need not be there, one that was named must."""
    path = options.config and options.config.expanduser()
    return path if path and (path.exists() or options.config != DEFAULT_CONFIG) else None


def _look_up_host(options: SftpOptions, there: Destination) -> known_hosts.KnownHost:
    """Look the host up: in the file that was named, the one ssh_config names, or ssh's own."""
    needed = options.known_hosts is not None
    files: Sequence[Path] = there.known_hosts
    if options.known_hosts is not None:
        files = [options.known_hosts.expanduser()]
    elif not files:
        files = [Path(one).expanduser() for one in known_hosts.DEFAULT_FILES]
    return known_hosts.look_up(there.known_as, there.port, files, needed=needed)


def _collect_credentials(options: SftpOptions, there: Destination) -> SshCredentials:
    """Offer the keys that were named, or those of ssh_config, or the usual ones."""
    named = there.keys if there.only_keys else ()
    usual = there.keys or (_DEFAULT_KEYS if options.agent else ())
    return SshCredentials(
        keys=tuple(one.expanduser() for one in options.keys or named),
        usual_keys=tuple(one.expanduser() for one in usual),
        passphrase=options.passphrase,
        password=options.password,
        agent=options.agent,
    )


@contextmanager
def _open_for_writing(session: Session, path: bytes, flags: int) -> Iterator[bytes]:
    """Open a file to be written, making the folders on the way if that is what it lacks."""
    doing = "write a file"
    try:
        handle = session.open(path, flags, doing)
    except MissingError:
        _make_folders(session, path.rpartition(b"/")[0])
        try:
            handle = session.open(path, flags, doing)
        except MissingError as error:  # for a writer it is no missing file, but a refusal
            raise SftpRefusedError(NO_SUCH_FILE, "make a folder") from error
    with session.closing(handle):
        yield handle


def _make_folders(session: Session, path: bytes) -> None:
    """Make a folder and those above it. That it is there looks like any other failure."""
    if not path:
        return
    try:
        session.make_folder(path)
    except SftpRefusedError:
        return
    except MissingError:
        _make_folders(session, path.rpartition(b"/")[0])
        with suppress(SftpRefusedError, MissingError):
            session.make_folder(path)


def _read_pieces(source: Path, offset: int, size: int, step: int) -> Iterator[memoryview]:
    """Read a file's rest; a piece is only valid until the next one is taken."""
    buffer = memoryview(bytearray(step))
    with translate_errors(source), source.open("rb", buffering=0) as file:
        file.seek(offset)
        while offset < size:
            got = file.readinto(buffer[: min(step, size - offset)])
            if not got:
                raise StorageError(
                    f"{source} became shorter while it was sent.", "Run the same command again."
                )
            yield buffer[:got]
            offset += got


def _pace_pieces(pieces: Iterable[memoryview], pace: Pace | None) -> Iterator[memoryview]:
    for piece in pieces:
        if pace is not None:
            pace(len(piece))
        yield piece


def _rename(session: Session, part: bytes, path: bytes, *, replace: bool) -> bool:
    """Give a part its final name; return False if that is taken and may not be replaced."""
    if replace:
        session.replace(part, path)
        return True
    try:
        session.rename(part, path)
    except SftpRefusedError:
        if session.stat(path) is None:
            raise
        session.remove(part)
        return False
    return True
