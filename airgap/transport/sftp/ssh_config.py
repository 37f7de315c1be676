"""What ~/.ssh/config says of a host: the part of it that a transfer of files needs.

Honoured are HostName, Port, User, IdentityFile, IdentitiesOnly, ProxyCommand, ProxyJump,
UserKnownHostsFile and HostKeyAlias, under Host, Match and Include. Nothing there can make us accept
an unknown host key (``StrictHostKeyChecking``), or send anything that was not asked for.
"""

import getpass
import glob
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paramiko.config import SSHConfig
from paramiko.ssh_exception import SSHException

from airgap.disk.os_errors import translate_errors
from airgap.errors import ConfigurationError

__all__ = ["Destination", "resolve"]

_DEEPEST_INCLUDE: Final = 16  # as OpenSSH
_HOST: Final = re.compile(r"[0-9A-Za-z_.:%][0-9A-Za-z_.:%-]*")
_USER: Final = re.compile(r"[^\s\x00-\x1f\x7f\"'`$;&<>|(){}-][^\x00-\x1f\x7f\"'`$;&<>|(){}]*")


@dataclass(frozen=True)
class Destination:
    """Where to connect, and how."""

    host: str
    port: int
    user: str
    known_as: str
    """The name under which its key is looked up."""
    proxy: str | None = None
    """A shell command whose standard input and output are the connection."""
    keys: tuple[Path, ...] = ()
    """Files of private keys, named for this host."""
    only_keys: bool = False
    """Offer no other keys than those."""
    known_hosts: tuple[Path, ...] = ()


def resolve(
    host: str, port: int | None, user: str | None, proxy: str | None, config: Path | None
) -> Destination:
    """Find out how a host is reached. What the caller gives outdoes what the file says.

    Raises:
        ConfigurationError: the file is not understood, or a name in it is dangerous.
        StorageError: the file cannot be read.
    """
    found = _look_up(_check_safe(host, _HOST), port, user and _check_safe(user, _USER), config)
    real = _check_safe(found.get("hostname", host), _HOST)
    number = _parse_port(found.get("port", "22"), host)
    return Destination(
        host=real,
        port=number,
        user=_check_safe(found["user"], _USER),
        known_as=found.get("hostkeyalias", real),
        proxy=proxy or _choose_proxy(found, real, number),
        keys=tuple(map(Path, found.get("identityfile", ()))),
        only_keys=found.get("identitiesonly", "no").lower() == "yes",
        known_hosts=tuple(_parse_known_hosts_files(found.get("userknownhostsfile", ""))),
    )


def _look_up(
    host: str, port: int | None, user: str | None, config: Path | None
) -> Mapping[str, Any]:
    """Ask the file, after what the caller gave: of two values the first counts."""
    given = [f"Port {port}"] if port else []
    given += [f"User {user}"] if user else []
    try:
        lines = [*given, *(_read_lines(config) if config else ())]
        lines += ["Host *", f"User {user or getpass.getuser()}"]
        found: dict[str, Any] = SSHConfig.from_text("\n".join(lines)).lookup(host)
    except (SSHException, ValueError, KeyError, ImportError, OSError) as error:
        raise ConfigurationError(
            f"{config} is not understood: {error}.",
            "Match exec and the like are for OpenSSH alone: move them to another file, or mend it.",
        ) from error
    return found


def _read_lines(config: Path, depth: int = 0) -> Iterator[str]:
    """Return a file's lines with those of the files it includes in their places."""
    with translate_errors(config):
        text = config.read_text("utf-8", "replace")
    section = "Host *"
    for line in text.splitlines():
        keyword, _, value = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() in {"host", "match"}:
            section = line
        if keyword.lower() != "include":
            yield line
            continue
        if depth == _DEEPEST_INCLUDE:
            raise ConfigurationError(f"{config} includes itself.", "Mend its Include lines.")
        for path in _expand_include(value):
            yield from _read_lines(path, depth + 1)
            yield section
    yield section if depth else ""


def _expand_include(value: str) -> Iterator[Path]:
    for pattern in shlex.split(value):
        path = Path(pattern).expanduser()
        absolute = path if path.is_absolute() else Path("~/.ssh").expanduser() / path
        yield from map(Path, sorted(glob.glob(str(absolute))))  # noqa: PTH207  (an absolute pattern)


def _choose_proxy(found: Mapping[str, Any], host: str, port: int) -> str | None:
    """Return the command for ProxyCommand or ProxyJump; ssh itself does the second as the first."""
    command = found.get("proxycommand")
    if command is not None or "proxycommand" in found:
        return command
    jumps = str(found.get("proxyjump", "none"))
    if jumps.lower() == "none":
        return None
    *before, last = jumps.split(",")
    through = f" -J {shlex.quote(','.join(before))}" if before else ""
    return f"ssh{through} -W {shlex.quote(f'[{host}]:{port}')} -- {_format_jump(last)}"


def _format_jump(last: str) -> str:
    """Write ``[user@]host[:port]`` as ssh takes it behind its options."""
    url = last if last.startswith("ssh://") else f"ssh://{last}"
    return shlex.quote(url)


def _parse_known_hosts_files(value: str) -> Iterator[Path]:
    for name in shlex.split(value):
        if name.lower() == "none":
            continue
        if "%" in name.replace("%d", ""):
            raise ConfigurationError(
                f"UserKnownHostsFile {name} holds a token that is not understood.",
                "Write the path in full, or name the file with known_hosts.",
            )
        yield Path(name.replace("%d", "~", 1)).expanduser()


def _parse_port(port: str, host: str) -> int:
    if not port.isdecimal() or not 0 < int(port) <= 65535:  # noqa: PLR2004  (TCP's)
        raise ConfigurationError(f"{port!r} is no port of {host}.", "Ports are 1 to 65535.")
    return int(port)


def _check_safe(name: str, wanted: re.Pattern[str]) -> str:
    """Refuse what a shell or a line of the file would take for something else (CVE-2023-51385)."""
    if not wanted.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name of a host or user.",
            "Use letters, digits, dots, dashes; percent-encode what a URL cannot hold.",
        )
    return name
