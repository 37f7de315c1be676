"""Which host keys are known: the lines of known_hosts files that speak of a host.

The file is the one that OpenSSH reads (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). A line that speaks of
the host and cannot be honoured is refused; none is passed over in silence. Keys are compared as
bytes, so a type that we cannot use can still be known, or revoked.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
    """One line that speaks of the host."""

    where: str
    marker: str
    kind: str
    blob: bytes

    def __str__(self) -> str:
        return f"{self.kind} {fingerprint(self.blob)} ({self.where})"


@dataclass(frozen=True)
class KnownHost:
    """What is known of one host."""

    name: str
    """As it stands in the files: ``host``, or ``[host]:port``."""
    files: tuple[Path, ...]
    lines: tuple[_Line, ...]

    @property
    def kinds(self) -> list[str]:
        """The types of its known keys, as a server that has one of them should be asked first."""
        return [one.kind for one in self.lines if not one.marker]

    def check(self, kind: str, blob: bytes) -> None:
        """Accept the key that a host proved to have, or refuse it.

        Raises:
            TransportError: it is unknown, another one, revoked, or only a certificate would do.
        """
        sent = f"{kind} {fingerprint(blob)}"
        if revoked := [one for one in self.lines if one.marker == _REVOKED and one.blob == blob]:
            raise TransportError(
                f"The host key of {self.name}, {sent}, is revoked ({revoked[0].where}).",
                "Whoever answers there has a key that must not be used: ask its administrator.",
            )
        keys = [one for one in self.lines if not one.marker]
        if any(one.blob == blob for one in keys):
            return
        if keys:
            raise TransportError(
                f"The host key of {self.name} is another one than is known: it sent {sent}, known"
                f" is {', '.join(map(str, keys))}.",
                "Somebody may stand between you and it, or it was set up anew: ask its"
                f" administrator; if {sent} is right, put this line in place of the known one.",
                [self._line(kind, blob)],
            )
        self._refuse_unknown(kind, blob, sent)

    def _refuse_unknown(self, kind: str, blob: bytes, sent: str) -> None:
        names = " and ".join(map(str, self.files))
        if authorities := [one for one in self.lines if one.marker == _AUTHORITY]:
            raise TransportError(
                f"The host key of {self.name}, {sent}, is only known through a certificate"
                f" authority ({authorities[0].where}), and airgap checks no host certificates.",
                f"If {sent} is its own key, add this line to {self.files[0]}.",
                [self._line(kind, blob)],
            )
        raise TransportError(
            f"The host key of {self.name} is not known: it sent {sent}, and {names} has no key for"
            " it.",
            "Compare it with what its administrator tells you (`ssh-keygen -lf"
            " /etc/ssh/ssh_host_ed25519_key.pub` there); if it is the same, add this line to"
            f" {self.files[0]}.",
            [self._line(kind, blob)],
        )

    def _line(self, kind: str, blob: bytes) -> str:
        return f"{self.name} {kind} {base64.b64encode(blob).decode()}"


def fingerprint(blob: bytes) -> str:
    """Return a public key's fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest())
    return f"SHA256:{digest.rstrip(b'=').decode()}"


def look_up(host: str, port: int, files: Sequence[Path], *, needed: bool) -> KnownHost:
    """Read what is known of a host; a port that is not SSH's own has keys of its own.

    As with OpenSSH, keys of the host without a port are asked when there are none with the port.

    Raises:
        ConfigurationError: a file is needed and not there, or a line about this host is damaged.
        StorageError: a file cannot be read.
    """
    name = host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"
    texts = [(path, text) for path in files if (text := _read(path, needed=needed)) is not None]
    lines: tuple[_Line, ...] = ()
    for one in dict.fromkeys([name, host.lower()]):
        lines += tuple(_match_lines(texts, one))
        if any(not line.marker for line in lines):
            break
    return KnownHost(name, tuple(files), lines)


def _read(path: Path, *, needed: bool) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        if needed:
            raise ConfigurationError(
                f"There is no file of known hosts at {path}.",
                "Write the host's key into it, as `ssh-keyscan` prints it, after comparing it.",
            ) from None
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    if len(data) > _LARGEST_FILE:
        raise ConfigurationError(
            f"{path} is longer than any file of known hosts.", "Name the right file."
        )
    return data.decode("utf-8", "replace")


def _match_lines(texts: Sequence[tuple[Path, str]], name: str) -> Iterator[_Line]:
    """Parse the lines that speak of a host, and only those."""
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
            f"{where} speaks of this host, but is not a line of known hosts.",
            "Mend the line or remove it.",
        )
    return _Line(where, marker, kind, blob)


def _names_host(patterns: str, name: str, where: str) -> bool:
    """Tell whether the names of a line hold this one; a negated pattern outdoes all others."""
    if patterns.startswith(_HASHED):
        return _matches_hash(patterns, name, where)
    found = False
    for one in patterns.lower().split(","):
        if _matches(one.removeprefix("!"), name):
            if one.startswith("!"):
                return False
            found = True
    return found


def _matches_hash(hashed: str, name: str, where: str) -> bool:
    try:
        salt, digest = (
            base64.b64decode(part, validate=True) for part in hashed[len(_HASHED) :].split("|")
        )
    except (ValueError, binascii.Error) as error:  # it may be this host's: nobody can tell
        raise ConfigurationError(
            f"{where} hides the name of a host in a way that cannot be read.",
            "Mend the line or remove it.",
        ) from error
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _matches(pattern: str, name: str) -> bool:
    """Match with ``*`` and ``?`` alone: brackets stand for themselves, as in ``[host]:port``."""
    parts = ({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in re.sub(r"\*+", "*", pattern))
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None
