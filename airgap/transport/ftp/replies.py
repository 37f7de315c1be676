"""What the replies of FTP servers mean."""

import re
from typing import Final

from airgap.errors import AirgapError, StorageError, TransportError
from airgap.printable import make_printable
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.port import TransientError

__all__ = ["FtpRefusedError", "explain_login", "explain_reply", "parse_epsv", "parse_pasv"]

_MAX_SHOWN_CHARACTERS: Final = 200
_RUN_AGAIN: Final = "Run the same command again."
_FULL_CODES: Final = frozenset(["452", "552"])
# vsftpd and pure-ftpd only say that they could not write, pyftpdlib 2 says "426 None"; others name
# the cause.
_FULL: Final = re.compile(
    r"no space|disk (is )?full|quota|space (left|available)|(writing|write) to (local )?file"
    r"|426 None;",
    re.IGNORECASE,
)
_PASV: Final = re.compile(r"\D(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})(?!\d)", re.ASCII)
_EPSV: Final = re.compile(r"\(([!-/:-~])[12]?\1[0-9A-Za-z.:]*\1(\d{1,5})\1\)", re.ASCII)
_MAX_PORT: Final = 65_535


class FtpRefusedError(TransportError):
    """The server refused a command: 5xx."""


def explain_reply(reply: str, options: FtpOptions, doing: str) -> AirgapError:
    """Turn an unexpected reply into an error.

    Returns:
        StorageError if the server's disk is full, TransientError if a new attempt may succeed,
        FtpRefusedError if not, TransportError if it is not an FTP reply.
    """
    shown = _sanitize(reply, options)
    if reply[:3] in _FULL_CODES or (reply[:1] in "45" and _FULL.search(reply)):
        return StorageError(
            f"{options.url} is full: {doing} failed.",
            "Free space there or in the account's quota, then run the same command again.",
            [shown],
        )
    if reply[:1] == "4":
        return TransientError(f"{options.url}: {doing} was interrupted.", _RUN_AGAIN, [shown])
    if reply[:1] == "5":
        return FtpRefusedError(
            f"{options.url}: {doing} was refused.", "Ask the server's administrator.", [shown]
        )
    return TransportError(
        f"{options.url}: {doing} got a reply that is not FTP.",
        "Check the host and port of the FTP server.",
        [shown],
    )


def explain_login(reply: str, options: FtpOptions) -> AirgapError:
    """Report a refused login; the message contains neither the password nor its length."""
    if reply[:1] == "4" and reply[:3] != "430":
        return explain_reply(reply, options, "the login")
    if options.security == "none" and re.search("tls|ssl|encrypt|secur", reply, re.IGNORECASE):
        hint = "The server requires TLS: use ftpes:// instead of ftp://."
    elif options.user == "anonymous":
        hint = "Give a user: --user, and --password-env or --password-file."
    else:
        hint = "Check the user name and the password."
    return TransportError(
        f"{options.url} refused the login of {_sanitize(options.user, options)}.",
        hint,
        [_sanitize(reply, options)],
    )


def parse_pasv(reply: str) -> int | None:
    """Return the port in a reply to PASV. The address in it is ignored: it may be another's."""
    match = _PASV.search(reply[3:])
    if not reply.startswith("227") or not match:
        return None
    high, low = int(match[1]), int(match[2])
    return high * 256 + low if 0 < high * 256 + low <= _MAX_PORT and max(high, low) < 256 else None  # noqa: PLR2004


def parse_epsv(reply: str) -> int | None:
    """Return the port in a reply to EPSV. An address in it is ignored."""
    match = _EPSV.search(reply)
    if not reply.startswith("229") or not match:
        return None
    return port if 0 < (port := int(match[2])) <= _MAX_PORT else None


def _sanitize(text: str, options: FtpOptions) -> str:
    """Make a server's text safe for a terminal, without the password if it repeats that."""
    if options.password:
        text = text.replace(options.password, "(password)")
    return make_printable(text.strip())[:_MAX_SHOWN_CHARACTERS].strip()
