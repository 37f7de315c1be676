"""Who logs in to a server, and where the password is."""

import errno
import netrc
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.disk.expansion import expand_home
from airgap.disk.named_files import TEXT_BYTES, copy_named, read_named
from airgap.errors import ConfigurationError
from airgap.transport.open_transport import Login
from airgap.transport.secrets import read_secret, register_secret
from airgap.transport.url import RemoteUrl

__all__ = ["Credentials", "log_in", "log_in_to_host"]

_VARIABLE: Final = "AIRGAP_PASSWORD"
_LONGEST: Final = 4096
_ASKED_FOR: Final = ("ftp", "ftpes", "ftps", "https", "http")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in to a server, and where the password is, as said for this run."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    password_env: str | None = None
    password_file: Path | None = None
    ask: Callable[[str], str] | None = None
    """Asks a person at a terminal, with a prompt; None where there is none."""


def log_in(
    url: RemoteUrl,
    credentials: Credentials,
    settings: Mapping[str, str],
    note: Callable[[str], object],
) -> Login:
    """Find the user and the password for a server.

    In this order: what was said for this run, the URL, the named remote, ``AIRGAP_PASSWORD``,
    ``.netrc``, a person at the terminal. ``note`` is called if the password stands in the URL.

    Raises:
        ConfigurationError: a variable or file that was named does not exist or is not UTF-8, or
            there is no terminal.
    """
    user = credentials.user or url.user or settings.get("user")
    for password in (_read_given(credentials), _in_url(url, note), _read_kept(settings)):
        if password is not None:
            return Login(user, register_secret(password))
    password = read_secret(_VARIABLE)
    if password is not None:
        return Login(user, password)
    # A bucket is not a host: what .netrc says of any host is not for it.
    login = None if url.scheme == "s3" else _in_netrc(url.host, user)
    if login is not None:
        return Login(login.user, login.password and register_secret(login.password))
    if user in (None, "anonymous", "ftp") or url.scheme not in _ASKED_FOR:
        return Login(user)
    if credentials.ask is None:
        raise ConfigurationError(
            f"There is no password for {user} at {url.host}.",
            f"Use --password-env, --password-file, {_VARIABLE} or ~/.netrc.",
        )
    return Login(user, register_secret(credentials.ask(f"Password of {user} at {url.host}: ")))


def log_in_to_host(host: str, credentials: Credentials) -> Login:
    """Find the user and the password for a server that may want none.

    In this order: what was said for this run, ``AIRGAP_PASSWORD``, ``.netrc``, and, if a user was
    named, a person at the terminal.

    Raises:
        ConfigurationError: a variable or file that was named does not exist or is not UTF-8.
    """
    user = credentials.user
    password = _read_given(credentials)
    if password is None:
        password = read_secret(_VARIABLE)
    if password is None:
        login = _in_netrc(host, user) or Login(user)
        user, password = login.user, login.password
    if user and password is None and credentials.ask:
        password = credentials.ask(f"Password of {user} at {host}: ")
    return Login(user, password and register_secret(password))


def _read_given(credentials: Credentials) -> str | None:
    if credentials.password is not None:
        return credentials.password
    if credentials.password_env is not None:
        return _variable(credentials.password_env)
    return None if credentials.password_file is None else _file(credentials.password_file)


def _in_url(url: RemoteUrl, note: Callable[[str], object]) -> str | None:
    if url.password:
        note(
            "There is a password in the URL: other users of this machine can see it while this"
            " runs, and the shell may keep it. Use --password-file, --password-env or ~/.netrc."
        )
    return url.password


def _read_kept(settings: Mapping[str, str]) -> str | None:
    """Fetch the password of a named remote, which says only where it is."""
    if "password_env" in settings:
        return _variable(settings["password_env"])
    if "password_file" in settings:
        return _file(expand_home(settings["password_file"]))
    return None


def _variable(name: str) -> str:
    password = read_secret(name)
    if password is None:
        raise ConfigurationError(
            f"The variable {name} is not set.", "Set it to the password, or name another."
        )
    return password


def _file(path: Path) -> str:
    """Read a password: the file's content without one line break at its end."""
    try:
        data = read_named(path, _LONGEST)
        text = data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise _make_length_error(path) from None
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"The password file {path} cannot be read: {reason}.", "Check its path."
        ) from None
    if not text.isprintable():
        raise _make_length_error(path)
    return text


def _make_length_error(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The password file {path} holds more than a password.",
        "It should have one line, and nothing else.",
    )


def _in_netrc(host: str, user: str | None) -> Login | None:
    """Look into ``NETRC`` or ``~/.netrc`` for a host, and for this user of it."""
    path = expand_home(os.environ.get("NETRC") or "~/.netrc")
    try:
        with copy_named(path, TEXT_BYTES) as copy:
            entry = netrc.netrc(copy).authenticators(host)
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except (OSError, ValueError, netrc.NetrcParseError) as error:  # its text may hold a password
        line = f", line {error.lineno}" if isinstance(error, netrc.NetrcParseError) else ""
        raise ConfigurationError(
            f"{path}{line} cannot be read.",
            "Fix that line, or remove the file. It must not begin with a byte order mark.",
        ) from None
    if entry is None or (user is not None and entry[0] not in ("", user)):
        return None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"Others on this machine may read {path}.", f"Run: chmod 600 {path}"
        )
    return Login(user or entry[0] or None, entry[2] or None)
