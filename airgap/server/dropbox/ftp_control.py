"""FTP and FTPS sessions over pyftpdlib: accounts that may deliver, and do nothing else.

What a client can do: log in, make folders, upload under a name that bundles have, go on with an
upload that broke off, rename ``<name>.part`` to ``<name>``, and ask for the size of a name.
Nothing can be listed, read, replaced, or removed once it has its name.
"""

import errno
import logging
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import pyftpdlib.ioloop  # noqa: F401  (first: it silences what Python says of asyncore)
from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.exceptions import FilesystemError, _RetryError
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import (
    DTPHandler,
    FTPHandler,
    ThrottledDTPHandler,
    TLS_DTPHandler,
    TLS_FTPHandler,
)
from pyftpdlib.servers import FTPServer

from airgap.errors import ConfigurationError
from airgap.format import names
from airgap.server.dropbox.folders import DropFolders
from airgap.server.dropbox.passwords import PasswordChecker
from airgap.server.dropbox.settings import DropBoxSettings
from airgap.server.dropbox.throttle import Throttle
from airgap.server.dropbox.upload_names import (
    RESERVED,
    Name,
    OpenUploads,
    Quota,
    Receiving,
    folder_problem,
    parse,
)
from airgap.server.intake.discovery import UNFINISHED
from airgap.server.intake.event_log import EventLog

__all__ = ["Box", "make_servers", "tls_context"]

_LISTINGS: Final = frozenset({"LIST", "NLST", "MLSD"})  # always empty
_ALLOWED: Final = frozenset(
    {"ABOR", "ALLO", "APPE", "AUTH", "CDUP", "CWD", "DELE", "EPSV", "FEAT", "HELP", "MKD", "MLST"}
    | {"MODE", "NOOP", "OPTS", "PASS", "PASV", "PBSZ", "PROT", "PWD", "QUIT", "REST", "RNFR"}
    | {"RNTO", "SIZE", "STOR", "STRU", "SYST", "TYPE", "USER", "XCUP", "XCWD", "XMKD", "XPWD"}
    | _LISTINGS
)
_CLOSED: Final = frozenset(
    {"RETR", "STAT", "MDTM", "RMD", "XRMD", "PORT", "EPRT", "STOU", "REIN", "MFMT", "SITE"}
)
_FOLDERS: Final = frozenset({"CWD", "XCWD", "MKD", "XMKD"}) | _LISTINGS
_FILES: Final = frozenset({"APPE", "DELE", "MLST", "RNFR", "RNTO", "SIZE", "STOR"})
_CHECK_EVERY: Final = 0.02
_MOST_QUEUED: Final = 50
_LEAST_PROGRESS: Final = 4096
_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_NO_RENEGOTIATION: Final = 1 << 30
_REPLIES: Final[Mapping[int | None, str]] = {
    errno.EDQUOT: "552 Your quota is used up",
    errno.ENOSPC: "452 The disk is full",
}
_log = logging.getLogger("pyftpdlib")


@dataclass(slots=True)
class Box:
    """What all sessions share. ``poke`` wakes whoever looks at uploads."""

    settings: DropBoxSettings
    house: DropFolders
    desk: OpenUploads
    meters: Mapping[str, Quota]
    gate: PasswordChecker
    journal: EventLog
    poke: Callable[[], None]
    throttle: Throttle
    checks: ThreadPoolExecutor
    users: Counter[str] = field(default_factory=Counter)


class Authorizer(DummyAuthorizer):
    """Knows homes and rights. Passwords are checked elsewhere: scrypt takes too long for here."""

    def get_perms(self, username: str) -> str:
        """Return no letters that clients could make something of."""
        del username
        return ""


class Home(AbstractedFS):
    """One user's folder, as far as that user may touch it."""

    def open(self, filename: str, mode: str) -> Receiving:
        """Open an upload; only ``ftp_STOR`` comes here, after it has looked at the name."""
        channel = self.cmd_channel
        box: Box = channel.box
        meter = box.meters[channel.username]
        with box.desk.lock:
            if not box.desk.begin(filename):
                raise FilesystemError("Another upload of this name is under way")
            try:
                there = Path(filename).stat().st_size if os.path.lexists(filename) else None
                self._make_folder(Path(filename).parent)
                flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
                flags |= 0 if "r" in mode else os.O_CREAT
                flags |= os.O_TRUNC if "w" in mode else 0
                if there is None:
                    meter.grow(0, 1)
                file = os.fdopen(os.open(filename, flags, 0o600), "r+b", buffering=0)
                if there and "w" in mode:
                    meter.grow(-there)
                if "a" in mode:
                    file.seek(0, os.SEEK_END)
                return Receiving(filename, file, meter, box.desk)
            except BaseException:
                box.desk.end(filename)
                raise

    def mkdir(self, path: str) -> None:
        """Make a folder, which counts."""
        self.cmd_channel.meter.grow(0, 1)
        try:
            Path(path).mkdir()
        except OSError:
            self.cmd_channel.meter.grow(0, -1)
            raise

    def _make_folder(self, folder: Path) -> None:
        """Make a folder again that clients made before: it goes when its bundle is taken."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            self.mkdir(str(folder))

    def rename(self, src: str, dst: str) -> None:
        """Give an upload its name, if that is free."""
        box: Box = self.cmd_channel.box
        with box.desk.lock:
            if box.desk.is_open(src):
                raise FilesystemError("An upload of this name is under way")
            name = parse(os.path.relpath(dst, self.root))
            there = os.path.lexists(dst)
            if not there or (name is not None and name.kind == "text"):
                Path(src).replace(dst)
                return
            size = Path(src).stat().st_size
            same = name is not None and name.kind == "named by content"
            if not same or size != Path(dst).stat().st_size:
                raise FilesystemError("There is a file of this name, and it stays as it is")
            Path(src).unlink()  # somebody else was quicker with the same content
        self.cmd_channel.meter.grow(-size, -1)

    def remove(self, path: str) -> None:
        """Remove an unfinished upload."""
        box: Box = self.cmd_channel.box
        with box.desk.lock:
            if box.desk.is_open(path):
                raise FilesystemError("An upload of this name is under way")
            size = Path(path).stat().st_size
            Path(path).unlink()
        self.cmd_channel.meter.grow(-size, -1)


class _DataRules(ThrottledDTPHandler):
    """An upload's data connection, which says it when something went wrong."""

    def handle_error(self) -> None:
        """Tell the client what the disk or the quota refused; the library does not, with TLS."""
        error = sys.exc_info()[1]
        cause = error.__cause__ if isinstance(error, OSError) else None
        number = cause.errno if isinstance(cause, OSError) else None
        if number is None:
            self.log_exception(self)
        reply = _REPLIES.get(number, f"426 {os.strerror(number) if number else 'Internal error'}")
        self._resp = (f"{reply}; transfer aborted.", _log.warning)
        self.close()

    def break_off(self) -> bytes:
        """End a connection that was cut, which is not the end of the file."""
        self._resp = ("426 The connection broke; send the rest.", _log.info)
        self.close()
        return b""

    def handle_timeout(self) -> None:
        """End a transfer that does not move, or hardly."""
        if self.get_transmitted_bytes() >= self._lastdata + _LEAST_PROGRESS:
            self._lastdata = self.get_transmitted_bytes()
            return
        self._resp = ("421 The data connection has stalled.", _log.info)
        self.close()
        self.cmd_channel.close_when_done()

    def throttled(self, data: bytes) -> bytes:
        """Count bytes that have arrived, and pause if they are too many."""
        if self.read_limit:
            self._throttle_bandwidth(len(data), self.read_limit)
        return data


class PlainData(_DataRules):
    """Without TLS: a reset is a cut; a FIN may be one, which nobody can tell."""

    def recv(self, buffer_size: int) -> bytes:
        """Receive, and tell a cut from an end as far as it goes."""
        try:
            data = self.socket.recv(buffer_size)
        except BlockingIOError as error:
            raise _RetryError from error
        except OSError:
            return self.break_off()
        if not data:
            self.handle_close()
            return b""
        return self.throttled(data)


class SecureData(TLS_DTPHandler, _DataRules):
    """With TLS: only a close_notify is the end. Anything else is a cut, or an attack."""

    def recv(self, buffer_size: int) -> bytes:
        """Receive."""
        if not self._ssl_established:
            return PlainData.recv(self, buffer_size)
        try:
            return self.throttled(self.socket.recv(buffer_size))
        except SSL.ZeroReturnError:
            DTPHandler.handle_close(self)
            return b""
        except SSL.WantReadError as error:
            self._ssl_want_read = True
            raise _RetryError from error
        except SSL.WantWriteError as error:
            self._ssl_want_write = True
            raise _RetryError from error
        except SSL.Error:
            return self.break_off()

    def handle_error(self) -> None:
        """Skip the mixin's: it drops the reply, and the client waits for ever."""
        self._error = True
        _DataRules.handle_error(self)


class Passive(FTPHandler.passive_dtp):
    """Listens for a data connection within the range of ports, or not at all."""

    def bind(self, address: Any) -> None:  # noqa: ANN401
        """Refuse the port that the library would choose outside of the range."""
        if address[1] == 0 and self.cmd_channel.passive_ports is not None:
            raise OSError(errno.EADDRINUSE, "no passive port is free")
        super().bind(address)


class _SessionRules(FTPHandler):
    """A control connection."""

    box: ClassVar[Box]
    banner = "airgap drop box"
    unicode_errors = "strict"
    abstracted_fs = Home
    passive_dtp = Passive
    dtp_handler = PlainData
    use_sendfile = False

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401
        self._checking = False
        self._queued: list[bytes] = []
        self._counted = ""
        super().__init__(*args, **named)
        self._available_facts = self._current_facts = ["type", "size", "modify"]

    @property
    def meter(self) -> Quota:
        """What this user has stored."""
        return self.box.meters[self.username]

    # ---- coming and going

    def handle(self) -> None:
        """Greet, unless this address has to wait; whoever does not log in soon is sent away."""
        if self.box.throttle.is_blocked(self.remote_ip, time.monotonic()):
            self.refuse_address()
            return
        self.call_later(self.box.settings.login_seconds, self._demand_login)
        self.greet()

    def greet(self) -> None:
        """Say hello."""
        super().handle()

    def refuse_address(self) -> None:
        """Tell it to come again later."""
        self.respond("421 Too many failed logins from this address; come again later.")
        self.close_when_done()

    def _demand_login(self) -> None:
        if not self.authenticated and not self._closed:
            self.close()

    def close(self) -> None:
        """Leave."""
        if self._counted:
            self.box.users[self._counted] -= 1
            self._counted = ""
        super().close()

    def ftp_USER(self, line: str) -> None:
        """Take a name, once."""
        if self.authenticated:
            self.respond("503 You are logged in.")
            return
        super().ftp_USER(line)

    def ftp_PASS(self, line: str) -> None:
        """Let another thread check the password; nothing else is read meanwhile."""
        if self.authenticated or not self.username:
            self.respond("503 Log in with USER first, and once.")
            return
        self._checking = True
        self.del_channel()
        self._await_check(self.box.checks.submit(self.box.gate.fits, self.username, line))

    def _await_check(self, check: "Future[bool]") -> None:
        if self._closed:
            return
        if not check.done():
            self.call_later(_CHECK_EVERY, self._await_check, check)
            return
        self._checking = False
        if check.result():
            self.add_channel()
            self._welcome()
        else:
            self.box.throttle.note(self.remote_ip, time.monotonic())
            self.box.journal.told("login failed", user=self.username, address=self.remote_ip)
            self.handle_auth_failed("", "")
        for line in self._drain():
            self._in_buffer = [line]
            self.found_terminator()

    def _drain(self) -> list[bytes]:
        queued, self._queued = self._queued, []
        return queued

    def _welcome(self) -> None:
        if self.box.users[self.username] >= self.box.settings.connections_per_user:
            self.respond("421 Too many connections of this user.")
            self.close_when_done()
            return
        self._counted = self.username
        self.box.users[self.username] += 1
        self.handle_auth_success(str(self.box.house.home(self.username)), "", "Welcome.")

    def found_terminator(self) -> None:
        """Keep what clients send ahead, while a password is being checked."""
        line = b"".join(self._in_buffer)
        if self._checking:
            self._queued.append(line)
            self._in_buffer, self._in_buffer_len = [], 0
            if len(self._queued) > _MOST_QUEUED:
                self.close()
            return
        try:
            line.decode()
        except UnicodeDecodeError:  # the library would keep it, and refuse all that follows
            self._in_buffer, self._in_buffer_len = [], 0
            self.respond("501 That is not UTF-8.")
            return
        super().found_terminator()

    # ---- what may be asked

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        """Refuse what a drop box does not do, and names that it does not take."""
        if cmd.partition(" ")[0] in _CLOSED:
            self.respond("550 This is a drop box: files are left here, and nothing else.")
            return
        if self.authenticated and arg and cmd in _FOLDERS | _FILES:
            problem = self._name_problem(cmd, arg)
            if problem:
                self.respond(f"553 That name {problem}.")
                return
        super().pre_process_command(line, cmd, arg)

    def _name_problem(self, cmd: str, arg: str) -> str | None:
        """Say why a name is not taken. Nothing of it has touched the disk yet."""
        if names.has_invisible(arg):
            return "has characters that cannot be seen"
        if cmd in _LISTINGS and arg.startswith("-"):
            return None  # options of ls
        if ".." in arg.split("/") and cmd not in ("CWD", "XCWD"):
            return "goes up"
        path = self.fs.ftpnorm(arg)[1:]
        if cmd in _FOLDERS:
            problem = folder_problem(path) if path else None
            return problem or ("is for files" if path.endswith(RESERVED) else None)
        return None if parse(path) else "is none that a bundle or its files have"

    def _name(self, path: str) -> Name:
        """Return the name of a file in this user's home."""
        name = parse(os.path.relpath(path, self.fs.root))
        if name is None:
            raise FilesystemError("That is no name for a file here")
        return name

    def _at(self, path: str) -> Path:
        """Return a path below this user's home."""
        return Path(self.fs.root, path)

    def ftp_STOR(self, file: str, mode: str = "w") -> str | None:
        """Receive a file under the name that it has until it is known to be whole."""
        name = self._name(file)
        refusal = self._refusal(name)
        if refusal:
            self._restart_position = 0
            self.respond(refusal)
            return None
        stored: str | None = super().ftp_STOR(str(self._at(name.stored)), mode)
        return stored

    def _refusal(self, name: Name) -> str | None:
        if self._current_type == "a":
            return "550 Send in binary (TYPE I): in ASCII a bundle would be damaged."
        if self.box.desk.is_open(self._at(name.stored)):
            return "450 Another upload of this name is under way."
        if os.path.lexists(self._at(name.final)) and name.kind != "text":
            return "553 There is a file of this name, and it stays as it is."
        if not self.meter.has_room():
            return "552 Your quota is used up."
        if shutil.disk_usage(self.fs.root).free < self.box.settings.keep_free:
            return "452 The disk is full."
        return None

    def ftp_RNFR(self, path: str) -> None:
        """Begin to give an upload its name."""
        if not self._name(path).is_part:
            self.respond("553 What has its name keeps it.")
            return
        super().ftp_RNFR(path)

    def ftp_RNTO(self, path: str) -> tuple[str, str] | None:
        """Give an upload its name."""
        if self._rnfr and self._name(self._rnfr).final != self._name(path).path:
            self._rnfr = None
            self.respond("553 <name>.part can only become <name>.")
            return None
        done: tuple[str, str] | None = super().ftp_RNTO(path)
        if done:
            self.box.poke()
        return done

    def ftp_DELE(self, path: str) -> str | None:
        """Give up an unfinished upload."""
        name = self._name(path)
        if os.path.lexists(self._at(name.final)) and not name.is_part:
            self.respond("550 What has its name stays.")
            return None
        removed: str | None = super().ftp_DELE(str(self._at(name.stored)))
        return removed

    def ftp_SIZE(self, path: str) -> None:
        """Tell the size of what is there, what is arriving, or what was taken already."""
        size = self._size(path)
        if self._current_type == "a":
            self.respond("550 SIZE is for binary (TYPE I).")
        elif size is None:
            self.respond("550 There is no such file.")
        else:
            self.respond(f"213 {size}")

    def _size(self, path: str) -> int | None:
        name = self._name(path)
        if name.kind == "text" and not name.is_part:
            return (
                None  # texts are for people; who pushes again may not compare them, but send them
            )
        for one in (self._at(name.path), self._at(name.stored)):
            with suppress(OSError):
                found = one.lstat()
                if name.kind == "named by content":
                    os.utime(one)  # somebody counts on it: it is kept for a while longer
                return found.st_size
        return self.box.desk.delivered.size(path)

    def ftp_LIST(self, path: str) -> None:
        """Show nothing: clients that look before they upload, and after it, can live with that."""
        if not Path(path).is_dir():
            self.respond("550 There is no such folder.")
            return
        self.push_dtp_data(b"", cmd="LIST")

    ftp_NLST = ftp_MLSD = ftp_LIST

    def ftp_MLST(self, path: str) -> None:
        """Tell the same in the form of RFC 3659, which some clients ask for instead."""
        size = self._size(path)
        if size is None:
            self.respond("550 There is no such file.")
            return
        now = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        line = self.fs.fs2ftp(path)
        self.push(f"250-Listing:\r\n type=file;size={size};modify={now}; {line}\r\n")
        self.respond("250 End.")

    def _make_epasv(self, extmode: bool = False) -> None:  # noqa: FBT001, FBT002  (theirs)
        try:
            super()._make_epasv(extmode)
        except OSError:
            self._dtp_acceptor = None
            self.respond("425 No port for a data connection is free; come again.")

    # ---- what has arrived

    def on_file_received(self, file: str) -> None:
        """Publish small files at once. The rest is for whoever looks at uploads."""
        name = parse(os.path.relpath(file, self.fs.root).removesuffix(UNFINISHED))
        if name is not None and name.is_small and not name.is_part:
            with suppress(OSError, FilesystemError):
                self.fs.rename(file, str(self._at(name.final)))
        self._tell("received", file)
        self.box.poke()

    def on_incomplete_file_received(self, file: str) -> None:
        """Tell that the rest is still to come."""
        self._tell("broken off", file)
        self.box.poke()

    def _tell(self, event: str, file: str) -> None:
        name = os.path.relpath(file, self.fs.root).removesuffix(UNFINISHED)
        self.box.journal.told(event, user=self.username, name=name, address=self.remote_ip)


class PlainSession(_SessionRules):
    """FTP without TLS."""


class SecureSession(_SessionRules, TLS_FTPHandler):
    """FTP that becomes TLS when the client says AUTH TLS."""

    dtp_handler = SecureData

    def ftp_AUTH(self, line: str) -> None:
        """Begin TLS. What came before it in the clear, and was not read yet, is thrown away."""
        super().ftp_AUTH(line)
        self.ac_in_buffer = b""


class ImplicitSession(SecureSession):
    """FTPS: TLS from the first byte."""

    def greet(self) -> None:
        """Begin TLS; the greeting comes after that."""
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self) -> None:
        """Say hello."""
        FTPHandler.handle(self)

    def refuse_address(self) -> None:
        """Say nothing: it could not be read."""
        self.close()


class Server(FTPServer):
    """Listens at one port."""

    most = 0

    def _accept_new_cons(self) -> bool:
        return len(self.ip_map) <= self.most


def tls_context(settings: DropBoxSettings) -> SSL.Context | None:
    """Make what sessions need for TLS; None if there is no certificate.

    TLS 1.2 and no more: with 1.3 clients close before the library has read everything, and it
    takes the cut for the end.

    Raises:
        ConfigurationError: certificate and key cannot be used.
    """
    if settings.certificate is None or settings.key is None:
        return None
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | _NO_RENEGOTIATION)
    context.set_cipher_list(_CIPHERS)
    context.set_session_id(b"airgap")
    try:
        context.use_certificate_chain_file(str(settings.certificate))
        context.use_privatekey_file(str(settings.key))
        context.check_privatekey()
    except SSL.Error as error:
        raise ConfigurationError(
            f"{settings.certificate} and {settings.key} are no certificate and its key.",
            "Both are PEM files; the certificate comes first in its file, then those above it.",
        ) from error
    return context


def make_servers(box: Box) -> list[Server]:
    """Listen where the settings say.

    Raises:
        ConfigurationError: a port is taken or not permitted, or the certificate is no good.
    """
    settings, context = box.settings, tls_context(box.settings)
    authorizer = Authorizer()
    for user in settings.users:
        authorizer.add_user(user.name, "", str(box.house.home(user.name)), perm="elmwafd")
    servers = [
        _server(box, authorizer, PlainSession if context is None else SecureSession, context)
    ]
    if settings.implicit_port is not None:
        servers.append(_server(box, authorizer, ImplicitSession, context, settings.implicit_port))
        servers[1].ip_map = servers[0].ip_map  # limits count both
    return servers


def _server(
    box: Box,
    authorizer: Authorizer,
    kind: type[_SessionRules],
    context: SSL.Context | None,
    port: int | None = None,
) -> Server:
    settings = box.settings
    passive = type("Passive", (Passive,), {"timeout": settings.stall_seconds})
    data = type(
        "Data",
        (kind.dtp_handler,),
        {"timeout": settings.stall_seconds, "read_limit": settings.rate},
    )
    handler = type(
        "Session",
        (kind,),
        {
            "box": box,
            "authorizer": authorizer,
            "proto_cmds": {name: kind.proto_cmds[name] for name in _ALLOWED & set(kind.proto_cmds)},
            "timeout": settings.idle_seconds,
            "passive_ports": settings.passive_ports,
            "masquerade_address": settings.masquerade,
            "passive_dtp": passive,
            "dtp_handler": data,
            "ssl_context": context,
            "tls_control_required": settings.tls_required,
            "tls_data_required": settings.tls_required,
        },
    )
    address = (settings.address, settings.port if port is None else port)
    try:
        server = Server(address, handler)
    except OSError as error:
        raise ConfigurationError(
            f"Port {address[1]} of {address[0]} cannot be listened at: {error.strerror}.",
            "Another server may have it; ports below 1024 need a right of their own (see the"
            " systemd unit in docs/gateway-drop-box.md).",
        ) from error
    server.most = settings.connections
    server.max_cons_per_ip = settings.connections_per_address
    return server
