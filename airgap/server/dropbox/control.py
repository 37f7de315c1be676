"""FTP control connections: accounts that can deliver files, and nothing else.

A client can log in, create folders, upload under a name that bundles use, resume an interrupted
upload, rename it from a passing name (``<name>.part`` and the like) to ``<name>``, and ask for the
size of a file it knows the name of.
It can list and read nothing, and cannot replace or remove a finished upload.
"""

import os
import shutil
import sys
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import pyftpdlib.ioloop  # noqa: F401  (first: it suppresses the deprecation warning of asyncore)
from OpenSSL import SSL
from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler

from airgap.format import names
from airgap.server.dropbox.data import PassivePort, PlainDataConnection, TlsDataConnection
from airgap.server.dropbox.filesystem import HomeFilesystem
from airgap.server.dropbox.quotas import Quota
from airgap.server.dropbox.session_context import SessionContext
from airgap.server.dropbox.upload_names import (
    UNFINISHED,
    UploadName,
    folder_problem,
    is_reserved,
    parse_upload_name,
)

__all__ = [
    "ALLOWED_COMMANDS",
    "ControlConnection",
    "ExplicitTlsConnection",
    "ImplicitTlsConnection",
    "PlainConnection",
]

_LISTINGS: Final = frozenset({"LIST", "NLST", "MLSD"})  # always empty
ALLOWED_COMMANDS: Final = frozenset(
    {"ABOR", "ALLO", "APPE", "AUTH", "CDUP", "CWD", "DELE", "EPSV", "FEAT", "HELP", "MKD", "MLST"}
    | {"MODE", "NOOP", "OPTS", "PASS", "PASV", "PBSZ", "PROT", "PWD", "QUIT", "REST", "RNFR"}
    | {"RNTO", "SIZE", "STOR", "STRU", "SYST", "TYPE", "USER", "XCUP", "XCWD", "XMKD", "XPWD"}
    | _LISTINGS
)
_REFUSED_COMMANDS: Final = frozenset(
    {"RETR", "STAT", "MDTM", "RMD", "XRMD", "PORT", "EPRT", "STOU", "REIN", "MFMT", "SITE"}
)
_FOLDER_COMMANDS: Final = frozenset({"CWD", "XCWD", "MKD", "XMKD"}) | _LISTINGS
_FILE_COMMANDS: Final = frozenset({"APPE", "DELE", "MLST", "RNFR", "RNTO", "SIZE", "STOR"})
_NAMING_COMMANDS: Final = frozenset({"APPE", "MKD", "RNTO", "STOR", "XMKD"})
_BLOCKED: Final = "421 Too many failed logins from this address; try again later."
_POLL_SECONDS: Final = 0.02
_MAX_QUEUED_LINES: Final = 50


class ControlConnection(FTPHandler):
    """What plain and TLS control connections share: all the rules of the drop box."""

    context: ClassVar[SessionContext]
    banner = "airgap drop box"
    unicode_errors = "strict"
    abstracted_fs = HomeFilesystem
    passive_dtp = PassivePort
    dtp_handler = PlainDataConnection
    use_sendfile = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Pass all arguments to the library, which makes the connections."""
        self._login_pending = False
        self._queued_lines: list[bytes] = []
        self._counted_user = ""
        super().__init__(*args, **kwargs)
        self._available_facts = self._current_facts = ["type", "size", "modify"]

    @property
    def quota(self) -> Quota:
        """The quota of the user who is logged in."""
        return self.context.quotas[self.username]

    # ---- connecting and logging in

    def handle(self) -> None:
        """Greet the client, unless its address is throttled; it must log in within a time limit."""
        if self.context.throttle.is_blocked(self.remote_ip, time.monotonic()):
            self.refuse_address()
            return
        self.call_later(self.context.settings.login_seconds, self._close_unless_logged_in)
        self.greet()

    def greet(self) -> None:
        """Send the greeting."""
        super().handle()

    def refuse_address(self) -> None:
        """Send a throttled address away."""
        self.respond(_BLOCKED)
        self.close_when_done()

    def _close_unless_logged_in(self) -> None:
        if not self.authenticated and not self._closed:
            self.close()

    def close(self) -> None:
        """Close, and stop counting this connection for its user."""
        if self._counted_user:
            self.context.logged_in[self._counted_user] -= 1
            self._counted_user = ""
        super().close()

    def ftp_USER(self, line: str) -> None:
        """Accept a user name, unless a user is logged in."""
        if self.authenticated:
            self.respond("503 You are already logged in.")
            return
        super().ftp_USER(line)

    def ftp_PASS(self, line: str) -> None:
        """Check the password in another thread: scrypt would block all sessions.

        No further command is read until the check has ended, and the pause after a wrong one.
        """
        if self.authenticated or not self.username:
            self.respond("503 Send USER first, and log in only once.")
            return
        self._login_pending = True
        self.del_channel()
        self._begin_password_check(line)

    def _begin_password_check(self, password: str) -> None:
        """Ask the throttle at each guess, not only at each connection."""
        state = self.context.throttle.begin_check(self.remote_ip, time.monotonic())
        if state == "wait":  # for the end of other checks
            self.call_later(_POLL_SECONDS, self._begin_password_check, password)
        elif state == "blocked":
            self._end_pause(_BLOCKED, final=True)
        else:
            try:
                check = self.context.password_pool.submit(
                    self.context.passwords.check, self.username, password
                )
            except BaseException:  # no thread can be started
                self._end_check(failed=False)
                raise
            self._poll_password_check(check)

    def _poll_password_check(self, check: "Future[bool]") -> None:
        """Wait for the end of a check; count it also for a client that has left meanwhile."""
        if not check.done():
            # Not self.call_later: closing the connection would cancel it.
            self.ioloop.call_later(
                _POLL_SECONDS, self._poll_password_check, check, _errback=self.handle_error
            )
            return
        failed = True
        try:
            failed = not check.result()
        finally:
            self._end_check(failed=failed)
        if failed:
            self.context.events.notify("login failed", user=self.username, address=self.remote_ip)
        if self._closed:
            return
        if failed:
            self.username = ""
            self.call_later(self.auth_failed_timeout, self._refuse_login)
        else:
            self._end_pause()

    def _end_check(self, *, failed: bool) -> None:
        """Tell the throttle, which would count the guess as one that is being checked for ever."""
        self.context.throttle.end_check(self.remote_ip, time.monotonic(), failed=failed)

    def _refuse_login(self) -> None:
        """Tell that a login failed, after the pause that slows down guessing."""
        self.attempted_logins += 1
        final = self.attempted_logins >= self.max_login_attempts
        end = " Disconnecting." if final else ""
        self._end_pause(f"530 Authentication failed.{end}", final=final)

    def _end_pause(self, refusal: str = "", *, final: bool = False) -> None:
        """Log in, or send a refusal; then execute the commands that arrived meanwhile."""
        self._login_pending = False
        self.add_channel()
        if refusal:
            self.respond(refusal)
        else:
            self._log_in()
        if final:
            self.close_when_done()
        queued, self._queued_lines = self._queued_lines, []
        for line in queued if not final else ():
            self._in_buffer = [line]
            self.found_terminator()

    def _log_in(self) -> None:
        if self.context.logged_in[self.username] >= self.context.settings.connections_per_user:
            self.respond("421 Too many connections for this user.")
            self.close_when_done()
            return
        self._counted_user = self.username
        self.context.logged_in[self.username] += 1
        self.handle_auth_success(str(self.context.folders.home(self.username)), "", "Welcome.")

    def found_terminator(self) -> None:
        """Queue lines that arrive while a login is pending; execute any others."""
        line = b"".join(self._in_buffer)
        if self._login_pending:
            self._queued_lines.append(line)
            self._in_buffer, self._in_buffer_len = [], 0
            if len(self._queued_lines) > _MAX_QUEUED_LINES:
                self.close()
            return
        try:
            line.decode()
        except UnicodeDecodeError:  # the library would keep the line and refuse all that follow
            self._in_buffer, self._in_buffer_len = [], 0
            self.respond("501 This command is not valid UTF-8.")
            return
        super().found_terminator()

    def handle_error(self) -> None:
        """Close after an error of the connection, which a client can cause at will; log others."""
        if not isinstance(sys.exc_info()[1], SSL.Error | OSError):
            self.log_exception(self)
        self._error = True  # no TLS shutdown: the connection is broken
        self.close()

    # ---- which commands and names are allowed

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        """Refuse commands that a drop box does not have, and names that it does not accept."""
        if cmd.partition(" ")[0] in _REFUSED_COMMANDS:
            self.respond("550 This is a drop box: it accepts uploads only.")
            return
        if self.authenticated and arg and cmd in _FOLDER_COMMANDS | _FILE_COMMANDS:
            problem = self._find_name_problem(cmd, arg)
            if problem:  # 553 is for names that a client wants to give (RFC 959 §5.4)
                code = 553 if cmd in _NAMING_COMMANDS else 550
                self.respond(f"{code} This name {problem}.")
                return
        super().pre_process_command(line, cmd, arg)

    def _find_name_problem(self, cmd: str, arg: str) -> str | None:
        """Return why a name is refused, or None. No part of it has been used on the disk yet."""
        if names.has_invisible(arg):
            return "has invisible characters"
        if cmd in _LISTINGS and arg.startswith("-"):
            return None  # options of ls
        if ".." in arg.split("/") and cmd not in ("CWD", "XCWD"):
            return 'contains ".."'
        path = self.fs.ftpnorm(arg)[1:]
        if cmd in _FOLDER_COMMANDS:
            problem = folder_problem(path) if path else None
            return problem or ("is reserved for files" if is_reserved(path) else None)
        return None if parse_upload_name(path) else "is not one that a bundle's file can have"

    def _parse_name(self, path: str) -> UploadName:
        """Parse the real path of a file in this user's home."""
        name = parse_upload_name(os.path.relpath(path, self.fs.root))
        if name is None:
            raise FilesystemError("A bundle's file cannot have this name")
        return name

    def _resolve(self, path: str) -> Path:
        """Return the real path of a path below this user's home."""
        return Path(self.fs.root, path)

    # ---- commands

    def ftp_STOR(self, file: str, mode: str = "w") -> str | None:
        """Receive a file under its stored name, which it keeps until it is complete."""
        name = self._parse_name(file)
        refusal = self._check_upload(name)
        if refusal:
            self._restart_position = 0
            self.respond(refusal)
            return None
        stored: str | None = super().ftp_STOR(str(self._resolve(name.stored)), mode)
        return stored

    def _check_upload(self, name: UploadName) -> str | None:
        """Return the reply that refuses an upload, or None if it may begin."""
        if self._current_type == "a":
            return "550 Use binary mode (TYPE I): ASCII mode would damage the bundle."
        if self.context.uploads.is_open(self._resolve(name.stored)):
            return "450 Another upload of this name is in progress."
        if os.path.lexists(self._resolve(name.final)) and name.kind != "text":
            return "553 A file with this name exists and cannot be replaced."
        if not self.quota.has_room():
            return "552 Your quota is used up."
        if shutil.disk_usage(self.fs.root).free < self.context.settings.keep_free:
            return "452 The disk is full."
        return None

    def ftp_RNFR(self, path: str) -> None:
        """Begin to rename an upload to its final name."""
        if not self._parse_name(path).is_part:
            self.respond("550 A finished upload cannot be renamed.")
            return
        super().ftp_RNFR(path)

    def ftp_RNTO(self, path: str) -> tuple[str, str] | None:
        """Rename an upload to its final name."""
        if self._rnfr and self._parse_name(self._rnfr).final != self._parse_name(path).path:
            self._rnfr = None
            self.respond("553 An upload can only be renamed to its final name.")
            return None
        renamed: tuple[str, str] | None = super().ftp_RNTO(path)
        if renamed:
            self.context.wake_intake()
        return renamed

    def ftp_DELE(self, path: str) -> str | None:
        """Remove an unfinished upload."""
        name = self._parse_name(path)
        if os.path.lexists(self._resolve(name.final)) and not name.is_part:
            self.respond("550 A finished upload cannot be removed.")
            return None
        removed: str | None = super().ftp_DELE(str(self._resolve(name.stored)))
        return removed

    def ftp_SIZE(self, path: str) -> None:
        """Send the size of an upload, unless its sender should send it again.

        airgap's own client skips what has a size: so texts, and the files of a depot's bundle that
        was taken, have none.
        """
        name = self._parse_name(path)
        again = name.kind == "text" and not name.is_part
        size = None if again else self._find_size(path, taken=name.kind == "archive")
        if self._current_type == "a":
            self.respond("550 SIZE needs binary mode (TYPE I).")
        elif size is None:
            self.respond("550 There is no such file.")
        else:
            self.respond(f"213 {size}")

    def _find_size(self, path: str, *, taken: bool) -> int | None:
        """Return the size of an upload in bytes, or None if it is unknown.

        ``taken``: also that of a file that the intake has taken.
        """
        name = self._parse_name(path)
        for file in (self._resolve(name.path), self._resolve(name.stored)):
            with suppress(OSError):
                size = file.lstat().st_size
                if name.kind == "content-addressed":
                    os.utime(file)  # the client will not send it again: keep it for longer
                return size
        return self.context.uploads.delivered.get(path) if taken else None

    def ftp_LIST(self, path: str) -> None:
        """Send an empty listing: some clients list before and after an upload."""
        if not Path(path).is_dir():
            self.respond("550 There is no such folder.")
            return
        self.push_dtp_data(b"", cmd="LIST")

    ftp_NLST = ftp_MLSD = ftp_LIST

    def ftp_MLST(self, path: str) -> None:
        """Send the size of any upload as RFC 3659 facts: rclone asks for it after a rename."""
        size = self._find_size(path, taken=True)
        if size is None:
            self.respond("550 There is no such file.")
            return
        now = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        line = self.fs.fs2ftp(path)
        self.push(f"250-Listing:\r\n type=file;size={size};modify={now}; {line}\r\n")
        self.respond("250 End.")

    def _make_epasv(self, extmode: bool = False) -> None:  # noqa: FBT001, FBT002  (the library's)
        try:
            super()._make_epasv(extmode)
        except OSError:
            self._dtp_acceptor = None
            self.respond("425 No port is free for a data connection; try again later.")

    # ---- uploads that have ended

    def on_file_received(self, file: str) -> None:
        """Publish a small file; leave any other to the intake, which checks that it is complete."""
        name = parse_upload_name(os.path.relpath(file, self.fs.root).removesuffix(UNFINISHED))
        if name is not None and name.is_small and not name.is_part:
            with suppress(OSError, FilesystemError):
                self.fs.rename(file, str(self._resolve(name.final)))
        self._report_upload("received", file)
        self.context.wake_intake()

    def on_incomplete_file_received(self, file: str) -> None:
        """Report an interrupted upload."""
        self._report_upload("broken off", file)
        self.context.wake_intake()

    def _report_upload(self, event: str, file: str) -> None:
        name = os.path.relpath(file, self.fs.root).removesuffix(UNFINISHED)
        self.context.events.notify(event, user=self.username, name=name, address=self.remote_ip)


class PlainConnection(ControlConnection):
    """FTP without TLS."""


class ExplicitTlsConnection(ControlConnection, TLS_FTPHandler):
    """FTP that switches to TLS when the client sends AUTH TLS."""

    dtp_handler = TlsDataConnection

    def ftp_AUTH(self, line: str) -> None:
        """Start TLS. Discard commands injected in the clear that have not been read yet."""
        super().ftp_AUTH(line)
        self.ac_in_buffer = b""


class ImplicitTlsConnection(ExplicitTlsConnection):
    """FTPS: TLS from the first byte."""

    def greet(self) -> None:
        """Start TLS; the greeting follows when it is established."""
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self) -> None:
        """Send the greeting."""
        FTPHandler.handle(self)

    def refuse_address(self) -> None:
        """Close without a reply: before the TLS handshake the client could not read it."""
        self.close()
