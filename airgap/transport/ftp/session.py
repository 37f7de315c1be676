"""One connection to an FTP server: replies that are bounded, TLS that is verified, passive data."""

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
_GOODBYE_SECONDS: Final = 5.0
_UPLOAD_REPLY_FACTOR: Final = 5
_ABANDON_SECONDS: Final = 2.0


class FtpSession(ftplib.FTP):
    """An ftplib connection that trusts neither the length of replies nor the address in them.

    What goes wrong comes as ftplib's errors, EOFError and OSError; whoever drives it explains
    those, and throws the session away after any of them: it may be one reply behind.
    """

    def __init__(self, options: FtpOptions, context: ssl.SSLContext | None) -> None:
        """Prepare; ``open`` connects. A context must be given unless the options say no TLS."""
        super().__init__(timeout=options.timeout, encoding="utf-8")
        self._options = options
        self._context = context
        self._received = bytearray()
        self._allowed = 0
        self._until = 0.0
        self._patience = 1
        self._home: str | None = None
        self._away = False

    def open(self) -> None:
        """Connect, secure the connection, log in. The password is sent to a verified server only.

        Raises:
            TransportError: no TLS to be had, or the login was refused.
            OSError, EOFError, ftplib.Error: as always.
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
            with suppress(ftplib.error_perm):  # who does not know it passes bytes on as they are
                self.voidcmd("OPTS UTF8 ON")
        self.voidcmd("TYPE I")

    def _upgrade(self) -> None:
        """Ask for TLS. Whoever stands between could say no for the server: then this is the end."""
        try:
            agreed = self.sendcmd("AUTH TLS").startswith("234")
        except ftplib.Error:
            agreed = False
        if not agreed:
            raise TransportError(
                f"{self._options.place} does not offer TLS. No password was sent.",
                "Try ftps:// (TLS from the start), or ftp:// if all of it, the password too, may"
                " travel in the clear.",
            )
        if self._received:  # would be taken for the answer to a command that is sent under TLS
            raise TransportError(
                f"{self._options.place} sent plain text after it had agreed to TLS.",
                "Someone may be tampering with the connection: find out who, before you try again.",
            )
        self._secure()

    def _secure(self) -> None:
        assert self._context  # noqa: S101  (promised to __init__)
        self.sock = self._context.wrap_socket(
            cast("socket.socket", self.sock), server_hostname=self._options.host
        )

    def _log_in(self) -> None:
        try:
            self.login(self._options.user, self._options.password)
        except ftplib.Error as error:
            raise explain_login(str(error), self._options) from None

    def getmultiline(self) -> str:
        """Read one reply: at most so many bytes, within the time-out as a whole."""
        return self._reply(self._options.timeout * self._patience)

    def _reply(self, seconds: float) -> str:
        self._allowed = _REPLY_BYTES
        self._until = time.monotonic() + seconds
        try:
            return super().getmultiline()
        finally:
            if self.sock:
                self.sock.settimeout(self._options.timeout)

    def getline(self) -> str:
        """Read one line of a reply, without its end."""
        sock = cast("socket.socket", self.sock)
        while (end := self._received.find(b"\n")) < 0:
            self._check(len(self._received))
            sock.settimeout(max(self._until - time.monotonic(), 0.001))
            if not (got := sock.recv(_RECEIVE_BYTES)):
                raise EOFError
            self._received += got
        self._check(end)
        self._allowed -= end + 1
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def _check(self, length: int) -> None:
        if length > self._allowed:
            raise TransportError(
                f"{self._options.place} sent an endless reply.",
                "Check host and port: is an FTP server there?",
            )

    def makepasv(self) -> tuple[str, int]:
        """Ask where data is to be had: always the host we talk to, whatever the server says."""
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
        """Begin a transfer; under TLS in the session of this connection, as servers demand."""
        data = socket.create_connection(self.makepasv(), self._options.timeout)
        try:
            data.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if rest:
                self.sendcmd(f"REST {rest}")
            self._expect("1", self.sendcmd(cmd))
            return self._protect(data), None
        except BaseException:
            data.close()
            raise

    def _expect(self, code: str, reply: str) -> None:
        if not reply.startswith(code):
            raise ftplib.error_reply(reply)

    def _protect(self, data: socket.socket) -> socket.socket:
        if not self._context:
            return data
        return self._context.wrap_socket(
            data,
            server_hostname=self._options.host,
            session=cast("ssl.SSLSocket", self.sock).session,
            suppress_ragged_eofs=False,  # a cut would look like the end
        )

    def finish(self, data: socket.socket, seconds: float | None = None) -> None:
        """End the data connection in order, or the server may lose what it has not read yet."""
        if isinstance(data, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                data.settimeout(min(seconds or self._options.timeout, self._options.timeout))
                data.unwrap()
        data.close()

    def abandon(self, data: socket.socket) -> None:
        """End an upload before its end; what was sent is there for the next try, if all goes well.

        A server whose control connection closes forgets what it has not read of the data.
        """
        self.finish(data, _ABANDON_SECONDS)
        self.late_refusal(_ABANDON_SECONDS)

    def conclude(self, *, upload: bool = False) -> str:
        """Read what the server says at the end of a transfer; anything but 2xx and 5xx is a break.

        pure-ftpd says 150 once more to a download that was cut. After an upload there is more time:
        on a slow line megabytes of it are still under way when we have sent the last.
        """
        self._patience = _UPLOAD_REPLY_FACTOR if upload else 1
        try:
            return self.voidresp()
        except ftplib.error_reply as error:
            raise ftplib.error_temp(f"426 {error}") from None
        finally:
            self._patience = 1

    def late_refusal(self, seconds: float = _GOODBYE_SECONDS) -> str:
        """Return why the server let an upload break off, or nothing if it gives no reason soon."""
        try:
            reply = self._reply(min(seconds, self._options.timeout))
        except (OSError, EOFError, TransportError):
            return ""
        return reply if reply[:1] in "45" else ""

    def file_size(self, path: str) -> int | None:
        """Return a file's size, or None if the server has none to tell.

        Raises:
            ftplib.error_proto: it tells something else than a size.
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
        """Change into a folder; return False if the server says there is none to enter."""
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
        self._away = True
        return True

    def leave(self) -> None:
        """Change back to where the login led: all paths count from there."""
        if self._away:
            self.voidcmd(f"CWD {self._home}")
            self._away = False

    def _ask_home(self) -> str:
        home = self.pwd()
        if not home or not home.isprintable():  # a line break would be another command
            raise ftplib.error_proto(home)
        return home

    def goodbye(self) -> None:
        """Close the connection, politely if the other side still listens."""
        with suppress(OSError, EOFError, ftplib.Error, TransportError):
            if self.sock:
                self.sock.settimeout(_GOODBYE_SECONDS)
                self.putcmd("QUIT")
        self.close()


def keep_alive(sock: socket.socket) -> None:
    """Keep firewalls from forgetting a control connection that is silent during a long transfer.

    By TCP, not by NOOP: servers differ in when they answer that, if at all.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
