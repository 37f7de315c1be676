"""SFTP: a depot on any SSH server. docs/adr/0016 gives the reasons for its settings."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airgap.disk.expansion import expand_home
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, MissingError, StorageError
from airgap.transport import names
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError
from airgap.transport.sftp import known_hosts, ssh_config
from airgap.transport.sftp import pipeline as sftp_pipeline
from airgap.transport.sftp.login import SshCredentials
from airgap.transport.sftp.options import DEFAULT_CONFIG, SftpOptions
from airgap.transport.sftp.packets import (
    CREATE,
    EXCLUSIVELY,
    FOR_READING,
    FOR_WRITING,
    NO_SUCH_FILE,
)
from airgap.transport.sftp.pipeline import Flow
from airgap.transport.sftp.session import Session, SftpRefusedError
from airgap.transport.sftp.ssh_config import Destination
from airgap.transport.sftp.ssh_stream import SshStream

__all__ = ["SftpTransport", "find_anchors"]

_DEFAULT_KEYS: Final = tuple(Path(f"~/.ssh/id_{kind}") for kind in ("ed25519", "ecdsa", "rsa"))


class SftpTransport:
    """Files below one folder of an SSH server."""

    object_lock: None = None
    capabilities = Capabilities(
        resumes_uploads=True, replaces_atomically=True, creates_exclusively=True
    )

    def __init__(self, options: SftpOptions) -> None:
        """Take the server's options; the connection opens at the first use."""
        self.location = options.url
        self._options = options
        self._session: Session | None = None
        self._flow = Flow(1, 1)

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(name) as session:
            attributes = session.stat(path)
            return attributes.size if attributes and attributes.is_regular else None

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        path = self._path(names.check_folder_name(folder))
        try:
            with self._connected(folder) as session:
                listed = session.list_names(path or b".", limit)
        except MissingError:
            return []
        return sorted(name.decode("utf-8", "backslashreplace") for name in listed)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(name) as session:
            handle = session.open(path, FOR_READING, "read a file")
            with session.closing(handle):
                end = session.handle_size(handle) if length is None else offset + length
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
        part_path = self._path(names.check_name(part or names.name_part(name)))
        with self._connected(name) as session:
            existing = session.stat(path)
            if existing and existing.size == size:
                return "exists"
            with _open_for_writing(session, part_path, FOR_WRITING | CREATE) as handle:
                offset = session.handle_size(handle)
                if offset > size:
                    session.truncate(handle, 0)
                    offset = 0
                pieces = _read_pieces(source, offset, size, self._flow.write_bytes)
                self._write(session, handle, _pace_pieces(pieces, pace), (offset, size))
            session.replace(part_path, path)
            return "resumed" if offset else "stored"

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
                if session.idle:
                    with suppress(AirgapError):
                        session.remove(part)
                raise

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        path = self._path(names.check_name(name))
        with self._connected(name) as session:
            session.remove(path)

    def clone(self) -> "SftpTransport":
        """Return another of the same location; see ``Transport``."""
        return SftpTransport(self._options)

    def close(self) -> None:
        """Close the connection; see ``Transport``."""
        session, self._session = self._session, None
        if session:
            session.close()

    def _path(self, name: str) -> bytes:
        folder = self._options.folder
        separator = "/" if name and folder and not folder.endswith("/") else ""
        return f"{folder}{separator}{name}".encode("utf-8", "surrogateescape")

    @contextmanager
    def _connected(self, name: str) -> Iterator[Session]:
        """Yield the connection, and name the file in errors.

        A connection that broke, or still owes replies, is closed: the next call opens a new one.
        """
        session = self._session = self._session or self._connect()
        broken = False
        try:
            yield session
        except (SftpRefusedError, MissingError, TransientError) as error:
            broken = isinstance(error, TransientError)
            error.message = f"{self.location} ({name or 'the folder'}): {error.message}"
            error.args = (error.message,)
            raise
        finally:
            if broken or not session.idle:
                self.close()

    def _connect(self) -> Session:
        options = self._options
        host = _resolve(options)
        known_host = _look_up_host(options, host)
        stream = SshStream.open(
            host, known_host, _collect_credentials(options, host), options.timeouts
        )
        try:
            session = Session(stream, LeastSpeed(self.location))
            self._flow = Flow.negotiate(session)
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
        """Write the rest of an open file and flush it to the server's disk.

        Raises:
            StorageError: the server's disk is full.
            TransientError: the file does not have the expected size afterwards.
        """
        offset, size = span
        try:
            sftp_pipeline.write(session, handle, pieces, offset, self._flow)
            session.sync(handle)
        except SftpRefusedError as error:
            if error.disk_full or self._is_full(session, size - session.handle_size(handle)):
                raise StorageError(
                    f"{self.location} is full.",
                    "Free space there, then run the same command again.",
                ) from error
            raise
        if session.handle_size(handle) != size:
            raise TransientError(
                "The stored file does not have the size that was sent.", "Try again."
            )

    def _is_full(self, session: Session, missing: int) -> bool:
        """Return whether the disk lacks room for more bytes: OpenSSH reports only a failure."""
        try:
            free = session.free_bytes(self._path("") or b".")
        except (SftpRefusedError, MissingError):
            return False
        return free is not None and free < missing


def find_anchors(options: SftpOptions) -> dict[str, str]:
    """Return which options ``~/.ssh/config`` stands for that decide whom to trust, and its lines.

    A file that the option ``ssh_config`` names is not looked at: that option is one of them itself.

    Raises:
        ConfigurationError, StorageError: the file cannot be used.
    """
    if options.config != DEFAULT_CONFIG:
        return {}
    host = _resolve(options)
    anchors = {}
    if options.proxy_command is None and host.proxy:
        anchors["proxy_command"] = f"ProxyCommand or ProxyJump in {DEFAULT_CONFIG}"
    if host.known_hosts:
        anchors["known_hosts"] = f"UserKnownHostsFile in {DEFAULT_CONFIG}"
    elif host.host_key_name != host.host:
        anchors["known_hosts"] = f"HostKeyAlias in {DEFAULT_CONFIG}"
    return anchors


def _resolve(options: SftpOptions) -> Destination:
    return ssh_config.resolve(
        options.host, options.port, options.user, options.proxy_command, _find_config(options)
    )


def _find_config(options: SftpOptions) -> Path | None:
    """Return the config file to read; the default one may be missing, a named one may not."""
    path = options.config and expand_home(options.config)
    return path if path and (path.exists() or options.config != DEFAULT_CONFIG) else None


def _look_up_host(options: SftpOptions, host: Destination) -> known_hosts.KnownHost:
    """Look up the host key in the named file, in those of ssh_config, or in ssh's own."""
    required = options.known_hosts is not None
    files: Sequence[Path] = host.known_hosts
    if options.known_hosts is not None:
        files = [expand_home(options.known_hosts)]
    elif not files:
        files = [expand_home(name) for name in known_hosts.DEFAULT_FILES]
    return known_hosts.look_up(host.host_key_name, host.port, files, required=required)


def _collect_credentials(options: SftpOptions, host: Destination) -> SshCredentials:
    """Offer the named keys, or those of ssh_config, or the default ones."""
    named = host.keys if host.identities_only else ()
    default = host.keys or (_DEFAULT_KEYS if options.agent else ())
    return SshCredentials(
        keys=tuple(expand_home(path) for path in options.keys or named),
        default_keys=tuple(expand_home(path) for path in default),
        passphrase=options.passphrase,
        password=options.password,
        agent=options.agent,
        on_wait=options.on_wait,
    )


@contextmanager
def _open_for_writing(session: Session, path: bytes, flags: int) -> Iterator[bytes]:
    """Open a file for writing; make its parent folders if they are missing."""
    action = "write a file"
    try:
        handle = session.open(path, flags, action)
    except MissingError:
        _make_folders(session, path.rpartition(b"/")[0])
        try:
            handle = session.open(path, flags, action)
        except MissingError as error:  # for a writer this is a refusal, not a missing file
            raise SftpRefusedError(NO_SUCH_FILE, "make a folder") from error
    with session.closing(handle):
        yield handle


def _make_folders(session: Session, path: bytes) -> None:
    """Make a folder and its parents. An existing one gets the same status as any failure."""
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
    """Read a file from an offset on; a piece is only valid until the next one is read."""
    buffer = memoryview(bytearray(step))
    with translate_errors(source), source.open("rb", buffering=0) as file:
        file.seek(offset)
        while offset < size:
            got = file.readinto(buffer[: min(step, size - offset)])
            if not got:
                raise StorageError(
                    f"{source} was truncated while it was sent.", "Run the same command again."
                )
            yield buffer[:got]
            offset += got


def _pace_pieces(pieces: Iterable[memoryview], pace: Pace | None) -> Iterator[memoryview]:
    for piece in pieces:
        if pace is not None:
            pace(len(piece))
        yield piece


def _rename(session: Session, part: bytes, path: bytes, *, replace: bool) -> bool:
    """Rename a part; return False if the name is taken and may not be replaced."""
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
