"""Reads the part of ~/.ssh/config that a file transfer needs.

Supported are HostName, Port, User, IdentityFile, IdentitiesOnly, ProxyCommand, ProxyJump,
UserKnownHostsFile and HostKeyAlias, under Host, Match and Include. Nothing there can make airgap
accept an unknown host key (``StrictHostKeyChecking``) or send environment variables.
"""

import getpass
import glob
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paramiko.config import SSHConfig
from paramiko.ssh_exception import SSHException

from airgap.disk.expansion import expand_home
from airgap.disk.named_files import TEXT_BYTES, read_named
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConfigurationError
from airgap.printable import quote

__all__ = ["Destination", "resolve"]

_MAX_INCLUDE_DEPTH: Final = 16  # as OpenSSH
_PORT_DIGITS: Final = 100
_LARGEST_PORT: Final = 65535
_HOST: Final = re.compile(r"[0-9A-Za-z_.:%][0-9A-Za-z_.:%-]*")
_USER: Final = re.compile(r"[^\s\x00-\x1f\x7f\"'`$;&<>|(){}-][^\x00-\x1f\x7f\"'`$;&<>|(){}]*")


@dataclass(frozen=True)
class Destination:
    """Where to connect, and how."""

    host: str
    port: int
    user: str
    host_key_name: str
    """The name under which its host key is looked up."""
    proxy: str | None = None
    """A shell command whose standard input and output are the connection."""
    keys: tuple[Path, ...] = ()
    """Private key files configured for this host."""
    identities_only: bool = False
    """Whether no other keys may be offered."""
    known_hosts: tuple[Path, ...] = ()


def resolve(
    host: str, port: int | None, user: str | None, proxy: str | None, config: Path | None
) -> Destination:
    """Find out how to reach a host. What the caller gives overrides the file.

    Raises:
        ConfigurationError: the file is invalid, or contains a dangerous name.
        StorageError: the file cannot be read.
    """
    settings = _look_up(_check_safe(host, _HOST), port, user and _check_safe(user, _USER), config)
    address = _check_safe(settings.get("hostname", host), _HOST)
    port_number = _parse_port(settings.get("port", "22"), host)
    return Destination(
        host=address,
        port=port_number,
        user=_check_safe(settings["user"], _USER),
        host_key_name=settings.get("hostkeyalias", address),
        proxy=proxy or _choose_proxy(settings, address, port_number),
        keys=tuple(map(Path, settings.get("identityfile", ()))),
        identities_only=settings.get("identitiesonly", "no").lower() == "yes",
        known_hosts=tuple(_parse_known_hosts_files(settings.get("userknownhostsfile", ""), config)),
    )


def _look_up(
    host: str, port: int | None, user: str | None, config: Path | None
) -> Mapping[str, Any]:
    """Return a host's settings. The caller's come first: the first value of a setting counts."""
    given = [f"Port {port}"] if port else []
    given += [f"User {user}"] if user else []
    try:
        lines = [*given, *(_read_lines(config) if config else ())]
        lines += ["Host *", f"User {user or _find_user()}"]
        settings: dict[str, Any] = SSHConfig.from_text("\n".join(lines)).lookup(host)
    except (SSHException, ValueError, KeyError, ImportError, OSError) as error:
        raise ConfigurationError(
            f"{config} cannot be used: {error}.",
            "Correct it, or move what only OpenSSH supports (Match exec) to another file.",
        ) from error
    return settings


def _find_user() -> str:
    """Return this user's name, as OpenSSH takes it for the server.

    Raises:
        ConfigurationError: there is none, as in a container with an arbitrary uid.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise ConfigurationError(
            f"This user (uid {os.geteuid()}) has no name on this system.",
            "Name the user of the server: --user NAME, or user = … for a named remote.",
        ) from error


def _read_lines(config: Path, depth: int = 0) -> Iterator[str]:
    """Return a file's lines, with those of included files in place."""
    with translate_errors(config):
        text = read_named(config, TEXT_BYTES).decode("utf-8-sig", "replace")
    section = "Host *"
    for line in text.splitlines():
        setting = re.match(SSHConfig.SETTINGS_REGEX, line.strip())
        keyword, value = setting.groups() if setting else ("", "")
        if keyword.lower() in {"host", "match"}:
            section = line
        if keyword.lower() == "match" and _has_exec(_split_words(value, config)):
            raise ConfigurationError(  # the library would run the command
                f"{config} has a Match with exec, which airgap does not support.",
                "Move it to another file, and name one without it with the option ssh_config.",
            )
        if keyword.lower() != "include":
            yield line
            continue
        if depth == _MAX_INCLUDE_DEPTH:
            raise ConfigurationError(f"{config} includes itself.", "Correct its Include lines.")
        for path in _expand_include(value, config):
            yield from _read_lines(path, depth + 1)
            yield section
    yield section if depth else ""


def _has_exec(criteria: Sequence[str]) -> bool:
    """Tell whether a command decides which section of the file counts."""
    return any(word.lstrip("!").lower() == "exec" for word in criteria)


def _expand_include(value: str, config: Path) -> Iterator[Path]:
    for pattern in _split_words(value, config):
        path = _expand_home(pattern, config)
        absolute = path if path.is_absolute() else expand_home("~/.ssh") / path
        yield from map(Path, sorted(glob.glob(str(absolute))))  # noqa: PTH207  (an absolute pattern)


def _choose_proxy(settings: Mapping[str, Any], host: str, port: int) -> str | None:
    """Return the command for ProxyCommand or ProxyJump; ssh treats the second as the first."""
    command = settings.get("proxycommand")
    if command is not None or "proxycommand" in settings:
        return command
    jumps = str(settings.get("proxyjump", "none"))
    if jumps.lower() == "none":
        return None
    *before, last = jumps.split(",")
    through = f" -J {shlex.quote(','.join(before))}" if before else ""
    return f"ssh{through} -W {shlex.quote(f'[{host}]:{port}')} -- {_format_jump(last)}"


def _format_jump(last: str) -> str:
    """Write ``[user@]host[:port]`` as an argument of ssh."""
    url = last if last.startswith("ssh://") else f"ssh://{last}"
    return shlex.quote(url)


def _parse_known_hosts_files(value: str, config: Path | None) -> Iterator[Path]:
    for name in _split_words(value, config):
        if name.lower() == "none":
            continue
        if "%" in name.replace("%d", ""):
            raise ConfigurationError(
                f"UserKnownHostsFile {name} contains an unsupported token.",
                "Write the full path, or use the option known_hosts.",
            )
        yield _expand_home(name.replace("%d", "~", 1), config)


def _split_words(value: str, config: Path | None) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ConfigurationError(
            f"{config} has a value that cannot be split: {error}.", "Correct the quotes in it."
        ) from error


def _expand_home(name: str, config: Path | None) -> Path:
    try:
        return Path(name).expanduser()
    except (RuntimeError, ValueError) as error:  # an unknown user, or NUL
        raise ConfigurationError(
            f"{config} names {quote(name)}, which is not a path.", "Write the full path."
        ) from error


def _parse_port(port: str, host: str) -> int:
    if not port.isdecimal() or len(port) > _PORT_DIGITS or not 0 < int(port) <= _LARGEST_PORT:
        raise ConfigurationError(
            f"{quote(port)} is not a port (host {host}).", "Ports are 1 to 65535."
        )
    return int(port)


def _check_safe(name: str, allowed: re.Pattern[str]) -> str:
    """Refuse a name that a shell or a line of the file would misinterpret (CVE-2023-51385)."""
    if not allowed.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a valid host or user name.",
            "Use letters, digits, dots and dashes; percent-encode other characters in a URL.",
        )
    return name
