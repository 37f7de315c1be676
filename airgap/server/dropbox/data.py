"""FTP data connections: they receive uploads, and tell a lost connection from the end of a file."""

import errno
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

import pyftpdlib.ioloop  # noqa: F401  (first: it suppresses the deprecation warning of asyncore)
from OpenSSL import SSL
from pyftpdlib.exceptions import _RetryError
from pyftpdlib.handlers import DTPHandler, FTPHandler, ThrottledDTPHandler, TLS_DTPHandler

__all__ = ["PassivePort", "PlainDataConnection", "TlsDataConnection"]

_MIN_PROGRESS: Final = 4096
_REPLIES: Final[Mapping[int | None, str]] = {
    errno.EDQUOT: "552 Your quota is used up",
    errno.ENOSPC: "452 The disk is full",
}
_log = logging.getLogger("pyftpdlib")


class _DataConnection(ThrottledDTPHandler):
    """What plain and TLS data connections share: rate limit, stall timeout, replies to errors."""

    def handle_error(self) -> None:
        """Report a full disk or an exceeded quota to the client; with TLS the library does not."""
        error = sys.exc_info()[1]
        cause = error.__cause__ if isinstance(error, OSError) else None
        number = cause.errno if isinstance(cause, OSError) else None
        if number is None and not isinstance(error, SSL.Error | OSError):
            self.log_exception(self)
        reply = _REPLIES.get(number, f"426 {os.strerror(number) if number else 'Internal error'}")
        self._resp = (f"{reply}; transfer aborted.", _log.warning)
        self.close()

    def abort(self) -> bytes:
        """Close a connection that was lost, which is not the end of the file."""
        self._resp = ("426 Connection lost; resume the upload.", _log.info)
        self.close()
        return b""

    def handle_timeout(self) -> None:
        """Close a transfer that has made less than ``_MIN_PROGRESS`` bytes of progress."""
        if self.get_transmitted_bytes() >= self._lastdata + _MIN_PROGRESS:
            self._lastdata = self.get_transmitted_bytes()
            return
        self._resp = ("421 The data connection has stalled.", _log.info)
        self.close()
        self.cmd_channel.close_when_done()

    def limit_rate(self, data: bytes) -> bytes:
        """Count received bytes, and pause the connection if it exceeds the rate limit."""
        if self.read_limit:
            self._throttle_bandwidth(len(data), self.read_limit)
        return data


class PlainDataConnection(_DataConnection):
    """Without TLS. A reset is a lost connection; a FIN may be one too, which cannot be told."""

    def recv(self, buffer_size: int) -> bytes:
        """Receive bytes; an empty result is the end of the file or a lost connection."""
        try:
            data = self.socket.recv(buffer_size)
        except BlockingIOError as error:
            raise _RetryError from error
        except OSError:
            return self.abort()
        if not data:
            self.handle_close()
            return b""
        return self.limit_rate(data)


class TlsDataConnection(TLS_DTPHandler, _DataConnection):
    """With TLS. Only a close_notify ends the file; anything else is a lost connection or an attack.

    An attacker on the network can forge a FIN, but not a close_notify.
    """

    def recv(self, buffer_size: int) -> bytes:
        """Receive bytes; an empty result is the end of the file or a lost connection."""
        if not self._ssl_established:
            return PlainDataConnection.recv(self, buffer_size)
        try:
            return self.limit_rate(self.socket.recv(buffer_size))
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
            return self.abort()

    def handle_error(self) -> None:
        """Bypass the mixin's handler: it drops the reply, and the client would wait forever."""
        self._error = True
        _DataConnection.handle_error(self)


class PassivePort(FTPHandler.passive_dtp):
    """Listens for a data connection on a port of the configured range only."""

    def bind(self, address: Any) -> None:  # noqa: ANN401
        """Refuse the port outside the range that the library falls back to."""
        if address[1] == 0 and self.cmd_channel.passive_ports is not None:
            raise OSError(errno.EADDRINUSE, "no passive port is free")
        super().bind(address)
