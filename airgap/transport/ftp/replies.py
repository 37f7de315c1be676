"""What a server's replies mean, whichever server it is."""

import re
from typing import Final

from airgap.errors import AirgapError, StorageError, TransportError
from airgap.transport.ftp.options import FtpOptions
from airgap.transport.port import TransientError

__all__ = ["FtpRefusedError", "explain_login", "explain_reply", "parse_epsv", "parse_pasv"]

_SHOWN_CHARACTERS: Final = 200
_RUN_AGAIN: Final = "Run the same command again."
_FULL_CODES: Final = frozenset(["452", "552"])
# vsftpd and pure-ftpd say only that they could not write, pyftpdlib 2 says "426 None"; others name
# the cause in words.
_FULL: Final = re.compile(
    r"no space|disk (is )?full|quota|space (left|available)|(writing|write) to (local )?file"
    r"|426 None;",
    re.IGNORECASE,
)
_PASV: Final = re.compile(r"\D(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})(?!\d)", re.ASCII)
_EPSV: Final = re.compile(r"\(([!-/:-~])[12]?\1[0-9A-Za-z.:]*\1(\d{1,5})\1\)", re.ASCII)
_TOP_PORT: Final = 65_535


class FtpRefusedError(TransportError):
    """The server understood, and said no: 5xx."""


def explain_reply(reply: str, options: FtpOptions, doing: str) -> AirgapError:
    """Turn a reply that is not the one hoped for into an error.

    Returns:
        StorageError if the other side is full, BrokenOffError if a new try may work, RefusedError
        if not, TransportError if it is no reply at all.
    """
    said = _sanitize(reply, options)
    if reply[:3] in _FULL_CODES or (reply[:1] in "45" and _FULL.search(reply)):
        return StorageError(
            f"{options.place} cannot store any more: {doing} failed.",
            "Free some space there, or of the account's quota, and run the same command again.",
            [said],
        )
    if reply[:1] == "4":
        return TransientError(f"{options.place}: {doing} broke off.", _RUN_AGAIN, [said])
    if reply[:1] == "5":
        return FtpRefusedError(
            f"{options.place}: {doing} was refused.", "Ask whoever runs the server.", [said]
        )
    return TransportError(
        f"{options.place}: {doing} got an answer that FTP does not have.",
        "Check host and port: is an FTP server there?",
        [said],
    )


def explain_login(reply: str, options: FtpOptions) -> AirgapError:
    """Say that nobody may come in like this; the password is not repeated, nor its length."""
    if reply[:1] == "4" and reply[:3] != "430":
        return explain_reply(reply, options, "the login")
    if options.security == "none" and re.search("tls|ssl|encrypt|secur", reply, re.IGNORECASE):
        hint = "The server wants TLS: use ftpes:// in place of ftp://."
    elif options.user == "anonymous":
        hint = "Say who you are: --user, and --password-env or --password-file."
    else:
        hint = "Check the user name, and the password where you keep it."
    return TransportError(
        f"{options.place} does not let {_sanitize(options.user, options)} in.",
        hint,
        [_sanitize(reply, options)],
    )


def parse_pasv(reply: str) -> int | None:
    """Return the port of a reply to PASV. The address in it is not read at all (TRUST)."""
    found = _PASV.search(reply[3:])
    if not reply.startswith("227") or not found:
        return None
    high, low = int(found[1]), int(found[2])
    return high * 256 + low if 0 < high * 256 + low <= _TOP_PORT and max(high, low) < 256 else None  # noqa: PLR2004


def parse_epsv(reply: str) -> int | None:
    """Return the port of a reply to EPSV. An address in it is not read at all."""
    found = _EPSV.search(reply)
    if not reply.startswith("229") or not found:
        return None
    return port if 0 < (port := int(found[2])) <= _TOP_PORT else None


def _sanitize(text: str, options: FtpOptions) -> str:
    """Make a server's words fit for a terminal, without the password if it repeats that."""
    if options.password:
        text = text.replace(options.password, "(password)")
    text = "".join(one if one.isprintable() else " " for one in text)
    return text[:_SHOWN_CHARACTERS].strip()
