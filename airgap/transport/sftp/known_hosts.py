"""Which host keys are known: the lines of known_hosts files that match a host.

The files are those that OpenSSH reads (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). A line that matches
the host and cannot be applied is an error; none is skipped silently. Keys are compared as bytes, so
a key of a type that airgap cannot use can still be known, or revoked.
"""

import base64
import binascii
import errno
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.named_files import read_named
from airgap.disk.os_errors import storage_error
from airgap.errors import ConfigurationError, TransportError

__all__ = ["DEFAULT_FILES", "KnownHost", "fingerprint", "look_up"]

DEFAULT_FILES: Final = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
SSH_PORT: Final = 22
_LARGEST_FILE: Final = 16 * 1024 * 1024
_REVOKED: Final = "@revoked"
_AUTHORITY: Final = "@cert-authority"
_MARKERS: Final = {"", _REVOKED, _AUTHORITY}
_HASHED: Final = "|1|"


@dataclass(frozen=True)
class _Line:
    """One line that matches the host."""

    where: str
    marker: str
    kind: str
    blob: bytes

    def __str__(self) -> str:
        return f"{self.kind} {fingerprint(self.blob)} ({self.where})"


@dataclass(frozen=True)
class KnownHost:
    """The known keys of one host."""

    name: str
    """As written in the files: ``host``, or ``[host]:port``."""
    files: tuple[Path, ...]
    lines: tuple[_Line, ...]

    @property
    def kinds(self) -> list[str]:
        """The types of its known keys, to be asked for first."""
        return [line.kind for line in self.lines if not line.marker]

    def check(self, kind: str, blob: bytes) -> None:
        """Accept the key that a host has proved to hold, or refuse it.

        Raises:
            TransportError: it is unknown, differs from the known one, is revoked, or only known
                through a certificate authority.
        """
        sent = f"{kind} {fingerprint(blob)}"
        if revoked := [
            line for line in self.lines if line.marker == _REVOKED and line.blob == blob
        ]:
            raise TransportError(
                f"The host key of {self.name}, {sent}, is revoked ({revoked[0].where}).",
                "This key must not be used any more: ask the server's administrator.",
            )
        keys = [line for line in self.lines if not line.marker]
        if any(line.blob == blob for line in keys):
            return
        if keys:
            raise TransportError(
                f"The host key of {self.name} has changed: it sent {sent}, known is"
                f" {', '.join(map(str, keys))}.",
                "The connection may be intercepted, or the server was reinstalled: ask its"
                f" administrator. If {sent} is right, replace the known line with this one.",
                [self._format_line(kind, blob)],
            )
        self._refuse_unknown(kind, blob, sent)

    def _refuse_unknown(self, kind: str, blob: bytes, sent: str) -> None:
        names = " and ".join(map(str, self.files))
        if authorities := [line for line in self.lines if line.marker == _AUTHORITY]:
            raise TransportError(
                f"The host key of {self.name}, {sent}, is only known through a certificate"
                f" authority ({authorities[0].where}); airgap does not check host certificates.",
                f"If {sent} is the server's own key, add this line to {self.files[0]}.",
                [self._format_line(kind, blob)],
            )
        raise TransportError(
            f"The host key of {self.name} is not known: it sent {sent}, and {names} has no key for"
            " it.",
            "Ask its administrator for the fingerprint (`ssh-keygen -lf"
            " /etc/ssh/ssh_host_ed25519_key.pub` on the server). If it is the same, add this line"
            f" to {self.files[0]}.",
            [self._format_line(kind, blob)],
        )

    def _format_line(self, kind: str, blob: bytes) -> str:
        return f"{self.name} {kind} {base64.b64encode(blob).decode()}"


def fingerprint(blob: bytes) -> str:
    """Return a public key's fingerprint in OpenSSH's form."""
    digest = base64.b64encode(hashlib.sha256(blob).digest())
    return f"SHA256:{digest.rstrip(b'=').decode()}"


def look_up(host: str, port: int, files: Sequence[Path], *, required: bool) -> KnownHost:
    """Read the known keys of a host; a port other than 22 has keys of its own.

    As with OpenSSH, the keys of the host without a port count if there are none with the port.

    Raises:
        ConfigurationError: a required file is missing, or a matching line is invalid.
        StorageError: a file cannot be read.
    """
    name = host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"
    texts = [(path, text) for path in files if (text := _read(path, required=required)) is not None]
    lines: tuple[_Line, ...] = ()
    for alias in dict.fromkeys([name, host.lower()]):
        lines += tuple(_match_lines(texts, alias))
        if any(not line.marker for line in lines):
            break
    return KnownHost(name, tuple(files), lines)


def _read(path: Path, *, required: bool) -> str | None:
    try:
        return read_named(path, _LARGEST_FILE).decode("utf-8-sig", "replace")
    except FileNotFoundError:
        if required:
            raise ConfigurationError(
                f"The known_hosts file {path} does not exist.",
                "Check the host key's fingerprint, and add the line that `ssh-keyscan` prints.",
            ) from None
        return None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ConfigurationError(
                f"{path} has more than {_LARGEST_FILE:,} bytes.", "Name a known_hosts file."
            ) from None
        raise storage_error(error, path) from error


def _match_lines(texts: Sequence[tuple[Path, str]], name: str) -> Iterator[_Line]:
    """Parse the lines that match a host, and only those."""
    for path, text in texts:
        for number, line in enumerate(text.split("\n"), 1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            marker = fields.pop(0) if fields[0].startswith("@") else ""
            where = f"{path} line {number}"
            if not fields or _names_host(fields[0], name, where):
                yield _parse(marker, fields, where)


def _parse(marker: str, fields: Sequence[str], where: str) -> _Line:
    try:
        _, kind, data, *_ = fields
        blob = base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error):
        kind, blob = "", b""
    size = int.from_bytes(blob[:4], "big")
    if not blob or blob[4 : 4 + size] != kind.encode() or marker not in _MARKERS:
        raise ConfigurationError(
            f"{where} names this host, but is not a valid known_hosts line.",
            "Correct or remove the line.",
        )
    return _Line(where, marker, kind, blob)


def _names_host(patterns: str, name: str, where: str) -> bool:
    """Return whether patterns match a name; a negated match overrides the others."""
    if patterns.startswith(_HASHED):
        return _matches_hash(patterns, name, where)
    matched = False
    for pattern in patterns.lower().split(","):
        if _matches(pattern.removeprefix("!"), name):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _matches_hash(hashed: str, name: str, where: str) -> bool:
    try:
        salt, digest = (
            base64.b64decode(part, validate=True) for part in hashed[len(_HASHED) :].split("|")
        )
    except (ValueError, binascii.Error) as error:  # it may be the line of this host
        raise ConfigurationError(
            f"{where} has an invalid hashed host name.",
            "Correct or remove the line.",
        ) from error
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _matches(pattern: str, name: str) -> bool:
    """Match ``*`` and ``?`` only: brackets are literal, as in ``[host]:port``."""
    parts = (
        {"*": ".*", "?": "."}.get(char, re.escape(char)) for char in re.sub(r"\*+", "*", pattern)
    )
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None
