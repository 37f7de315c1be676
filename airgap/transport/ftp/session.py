"""One connection to an FTP server: bounded replies, verified TLS, passive data connections."""

import ftplib
import socket
import ssl
import time
from contextlib import suppress
from typing import Final, cast

from airgap.errors import TransportError
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.ftp.replies import explain_login, parse_epsv, parse_pasv

__all__ = ["FtpSession", "keep_alive"]

_REPLY_BYTES: Final = 64 * 1024
_RECEIVE_BYTES: Final = 4096
_LOG_OUT_SECONDS: Final = 5.0
_UPLOAD_REPLY_FACTOR: Final = 5
_ABANDON_SECONDS: Final = 2.0


class FtpSession(ftplib.FTP):
    """An ftplib connection that trusts neither the length of replies nor the address in them.

    Failures are raised as ftplib's errors, EOFError and OSError. The caller translates them, and
    discards the session after any of them: it may be one reply behind.
    """

    def __init__(self, options: FtpOptions, context: ssl.SSLContext | None) -> None:
        """Prepare; ``open`` connects. A context is required unless the options disable TLS."""
        super().__init__(timeout=options.timeout, encoding="utf-8")
        self._options = options
        self._context = context
        self._received = bytearray()
        self._reply_bytes_left = 0
        self._reply_deadline = 0.0
        self._timeout_factor = 1
        self._home: str | None = None
        self._in_folder = False

    def open(self) -> None:
        """Connect, secure the connection, log in. The password is sent to a verified server only.

        Raises:
            TransportError: the server does not offer TLS, or refused the login.
            OSError, EOFError, ftplib.Error: as in every method.
        """
        self.sock = socket.create_connection(self._options.address, self._options.timeout)
        self.af = self.sock.family
        keep_alive(self.sock)
        if self._options.security == "implicit":
            self._secure()
        self.voidresp()
        if self._options.security == "explicit":
            self._upgrade()
        self._log_in()
        if self._context:
            self.voidcmd("PBSZ 0")
            self.voidcmd("PROT P")
        if not self._options.folder.isascii():
            with suppress(ftplib.error_perm):  # a server without it passes bytes through
                self.voidcmd("OPTS UTF8 ON")
        self.voidcmd("TYPE I")

    def _upgrade(self) -> None:
        """Ask for TLS, and stop if it is refused: an attacker could have done that."""
        try:
            agreed = self.sendcmd("AUTH TLS").startswith("234")
        except ftplib.Error:
            agreed = False
        if not agreed:
            raise TransportError(
                f"{self._options.url} does not offer TLS. No password was sent.",
                "Try ftps:// (implicit TLS), or ftp:// if everything, also the password, may be"
                " sent unencrypted.",
            )
        if self._received:  # would count as the reply to a command sent under TLS
            raise TransportError(
                f"{self._options.url} sent plain text after it had accepted TLS.",
                "The connection may be under attack: find out before you try again.",
            )
        self._secure()

    def _secure(self) -> None:
        assert self._context  # noqa: S101  (__init__ requires it)
        self.sock = self._context.wrap_socket(
            cast("socket.socket", self.sock), server_hostname=self._options.host
        )

    def _log_in(self) -> None:
        try:
            self.login(self._options.user, self._options.password)
        except ftplib.Error as error:
            raise explain_login(str(error), self._options) from None

    def getmultiline(self) -> str:
        """Read one reply, limited in bytes and, as a whole, in time."""
        return self._read_reply(self._options.timeout * self._timeout_factor)

    def _read_reply(self, seconds: float) -> str:
        self._reply_bytes_left = _REPLY_BYTES
        self._reply_deadline = time.monotonic() + seconds
        try:
            return super().getmultiline()
        finally:
            if self.sock:
                self.sock.settimeout(self._options.timeout)

    def getline(self) -> str:
        """Read one line of a reply, without its end."""
        sock = cast("socket.socket", self.sock)
        while (end := self._received.find(b"\n")) < 0:
            self._check_reply_length(len(self._received))
            sock.settimeout(max(self._reply_deadline - time.monotonic(), 0.001))
            if not (got := sock.recv(_RECEIVE_BYTES)):
                raise EOFError
            self._received += got
        self._check_reply_length(end)
        self._reply_bytes_left -= end + 1
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def _check_reply_length(self, length: int) -> None:
        if length > self._reply_bytes_left:
            raise TransportError(
                f"{self._options.url} sent a reply of more than {_REPLY_BYTES:,} bytes.",
                "Check the host and port of the FTP server.",
            )

    def makepasv(self) -> tuple[str, int]:
        """Ask for a data port; always on the host we are connected to, whatever the server says."""
        port = None
        if self.af == socket.AF_INET:
            with suppress(ftplib.error_perm):
                port = parse_pasv(reply := self.sendcmd("PASV"))
                if port is None:
                    raise ftplib.error_proto(reply)
        if port is None and (port := parse_epsv(reply := self.sendcmd("EPSV"))) is None:
            raise ftplib.error_proto(reply)
        return cast("socket.socket", self.sock).getpeername()[0], port

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, None]:
        """Begin a transfer; under TLS it resumes this connection's session, as servers demand."""
        data = socket.create_connection(self.makepasv(), self._options.timeout)
        try:
            data.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if rest:
                self.sendcmd(f"REST {rest}")
            self._expect_code("1", self.sendcmd(cmd))
            return self._protect(data), None
        except BaseException:
            data.close()
            raise

    def _expect_code(self, code: str, reply: str) -> None:
        if not reply.startswith(code):
            raise ftplib.error_reply(reply)

    def _protect(self, data: socket.socket) -> socket.socket:
        if not self._context:
            return data
        return self._context.wrap_socket(
            data,
            server_hostname=self._options.host,
            session=cast("ssl.SSLSocket", self.sock).session,
            suppress_ragged_eofs=False,  # or a cut would look like the end
        )

    def finish(self, data: socket.socket, seconds: float | None = None) -> None:
        """Close the data connection properly, or the server may lose what it has not read yet."""
        if isinstance(data, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                data.settimeout(min(seconds or self._options.timeout, self._options.timeout))
                data.unwrap()
        data.close()

    def abandon(self, data: socket.socket) -> None:
        """Stop an upload early, so that the server keeps what was sent for the next attempt.

        A server whose control connection closes discards data that it has not read yet.
        """
        self.finish(data, _ABANDON_SECONDS)
        self.read_late_refusal(_ABANDON_SECONDS)

    def conclude(self, *, upload: bool = False) -> str:
        """Read the reply at the end of a transfer; anything but 2xx and 5xx means it was cut.

        pure-ftpd repeats 150 after a download that was cut. An upload gets more time: on a slow
        line megabytes of it may be in transit after the last byte was sent.
        """
        self._timeout_factor = _UPLOAD_REPLY_FACTOR if upload else 1
        try:
            return self.voidresp()
        except ftplib.error_reply as error:
            raise ftplib.error_temp(f"426 {error}") from None
        finally:
            self._timeout_factor = 1

    def read_late_refusal(self, seconds: float = _LOG_OUT_SECONDS) -> str:
        """Return why the server ended an upload; empty if it gives no reason soon."""
        try:
            reply = self._read_reply(min(seconds, self._options.timeout))
        except (OSError, EOFError, TransportError):
            return ""
        return reply if reply[:1] in "45" else ""

    def file_size(self, path: str) -> int | None:
        """Return a file's size, or None if it does not exist.

        Raises:
            ftplib.error_proto: the reply does not contain a size.
        """
        try:
            reply = self.sendcmd(f"SIZE {path}")
        except ftplib.error_perm as error:
            if str(error).startswith("550"):
                return None
            raise
        digits = reply[4:].strip()
        if reply[:3] != "213" or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:  # noqa: PLR2004
            raise ftplib.error_proto(reply)
        return int(digits)

    def enter(self, folder: str) -> bool:
        """Change into a folder; return False if the server refuses with 550."""
        if not folder:
            return True
        if self._home is None:
            self._home = self._ask_home()
        try:
            self.voidcmd(f"CWD {folder}")
        except ftplib.error_perm as error:
            if str(error).startswith("550"):
                return False
            raise
        self._in_folder = True
        return True

    def leave(self) -> None:
        """Change back to the login folder: all paths are relative to it."""
        if self._in_folder:
            self.voidcmd(f"CWD {self._home}")
            self._in_folder = False

    def _ask_home(self) -> str:
        home = self.pwd()
        if not home or not home.isprintable():  # a line break would begin another command
            raise ftplib.error_proto(home)
        return home

    def log_out(self) -> None:
        """Send QUIT if possible, and close the connection."""
        with suppress(OSError, EOFError, ftplib.Error, TransportError):
            if self.sock:
                self.sock.settimeout(_LOG_OUT_SECONDS)
                self.putcmd("QUIT")
        self.close()


def keep_alive(sock: socket.socket) -> None:
    """Keep firewalls from dropping a control connection that is silent during a long transfer.

    By TCP, not by NOOP: servers differ in when they reply to it, if at all.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
