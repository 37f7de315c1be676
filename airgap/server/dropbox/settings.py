"""The drop box's config file: TOML, every key known and every value checked."""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from airgap.errors import ConfigurationError
from airgap.server.dropbox.passwords import PasswordHash

__all__ = ["DropBoxSettings", "User", "describe", "load"]

T = TypeVar("T")
_USER: Final = re.compile(r"[a-z0-9]([-_.a-z0-9]{0,30}[a-z0-9])?")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_UNITS: Final = {"B": 1} | {
    f"{letter}{ending}": base**power
    for base, ending in ((1000, "B"), (1024, "iB"))
    for power, letter in enumerate("kMGT" if ending == "B" else "KMGT", 1)
}
_PORTS: Final = re.compile(r"(\d{1,5})-(\d{1,5})")
_LARGEST_PORT: Final = 65535
_YES: Final = True
_LEAST_RATE: Final = 64 * 1024  # less than a TLS record a second would stall


@dataclass(frozen=True, slots=True)
class User:
    """An account that may upload, and nothing else. Sizes in bytes."""

    name: str
    password: PasswordHash
    max_bytes: int
    max_files: int


@dataclass(frozen=True, slots=True)
class DropBoxSettings:
    """Everything the config file says. Seconds, bytes, bytes a second."""

    state: Path
    hold: bool
    settle: float
    keep_packs: float
    keep_unfinished: float
    jobs: int | None
    address: str
    port: int
    implicit_port: int | None
    passive_ports: range | None
    masquerade: str | None
    tls_required: bool
    certificate: Path | None
    key: Path | None
    connections: int
    connections_per_address: int
    connections_per_user: int
    login_seconds: float
    idle_seconds: float
    stall_seconds: float
    login_failures: int
    login_window: float
    rate: int
    keep_free: int
    users: tuple[User, ...]


def load(path: Path) -> DropBoxSettings:
    """Read and check a config file.

    Raises:
        ConfigurationError: it cannot be read, is not TOML, or says something that makes no sense;
            the message names line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", "Check the path of the config file."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.", "Mend that line.") from error
    return _settings(_Table(path, text, document))


def describe(settings: DropBoxSettings) -> list[str]:
    """Say for people what a drop box with these settings would do; no secret is among it."""
    tls = "TLS required" if settings.tls_required else "TLS offered"
    tls = (
        tls if settings.certificate else "no TLS: names, passwords and bundles travel in the clear"
    )
    lines = [
        f"listens on {settings.address} port {settings.port} (FTP, {tls})",
        f"what is verified is {'held for a person' if settings.hold else 'imported'}",
        f"keeps its folders in {settings.state}",
    ]
    if settings.implicit_port is not None:
        lines.append(
            f"listens on {settings.address} port {settings.implicit_port} (FTPS, TLS at once)"
        )
    ports = settings.passive_ports
    span = f"{ports.start}-{ports.stop - 1}" if ports else "any free port"
    seen = f", told to clients as {settings.masquerade}" if settings.masquerade else ""
    lines.append(f"data connections: passive only, {span}{seen}")
    lines.append(
        f"at most {settings.connections} connections, {settings.connections_per_address} from an"
        f" address, {settings.connections_per_user} of a user"
    )
    lines += [
        f"user {user.name}: at most {user.max_bytes:,} bytes in {user.max_files:,} files"
        for user in settings.users
    ]
    return lines


def _settings(top: "_Table") -> DropBoxSettings:
    listen, tls = top.table("listen"), top.table("tls")
    limits, users = top.table("limits"), top.table("users")
    top_values = {
        "state": top.take("state", _path),
        "hold": top.take("on_arrival", _choice("import", "hold"), "import") == "hold",
        "settle": top.take("settle_seconds", _number(0, 86_400), 10.0),
        "keep_packs": 3600 * top.take("keep_packs_hours", _number(1, 100_000), 24.0),
        "keep_unfinished": 3600 * top.take("keep_unfinished_hours", _number(1, 100_000), 168.0),
        "jobs": top.take("jobs", _integer(1, 64), None),
    }
    values = {**top_values, **_listen(listen), **_tls(tls), **_limits(limits)}
    values["users"] = tuple(_user(users.table(name), name) for name in users.names())
    for table in (top, listen, tls, limits, users):
        table.end()
    if not values["users"]:
        top.fail("users", "names nobody; add a section [users.NAME]")
    if values["implicit_port"] is not None and values["certificate"] is None:
        listen.fail("implicit_port", "needs [tls] certificate and key")
    return DropBoxSettings(**values)


def _listen(table: "_Table") -> dict[str, Any]:
    return {
        "address": table.take("address", _address, "0.0.0.0"),  # noqa: S104  (a server)
        "port": table.take("port", _integer(0, _LARGEST_PORT), 21),
        "implicit_port": table.take("implicit_port", _integer(0, _LARGEST_PORT), None),
        "passive_ports": table.take("passive_ports", _port_range, None),
        "masquerade": table.take("masquerade", _address, None),
    }


def _tls(table: "_Table") -> dict[str, Any]:
    values = {
        "tls_required": table.take("required", _boolean, _YES),
        "certificate": table.take("certificate", _file, None),
        "key": table.take("key", _file, None),
    }
    if values["tls_required"] and values["certificate"] is None:
        table.fail("certificate", "is not given; TLS is required unless `required = false`")
    if (values["certificate"] is None) != (values["key"] is None):
        table.fail("key", "and certificate belong together; give both or none")
    return values


def _limits(table: "_Table") -> dict[str, Any]:
    return {
        "connections": table.take("connections", _integer(1, 10_000), 100),
        "connections_per_address": table.take("connections_per_address", _integer(1, 10_000), 20),
        "connections_per_user": table.take("connections_per_user", _integer(1, 10_000), 20),
        "login_seconds": table.take("login_seconds", _number(1, 600), 30.0),
        "idle_seconds": table.take("idle_seconds", _number(1, 86_400), 300.0),
        "stall_seconds": table.take("stall_seconds", _number(1, 86_400), 60.0),
        "login_failures": table.take("login_failures", _integer(1, 1000), 10),
        "login_window": table.take("login_window_seconds", _number(1, 86_400), 600.0),
        "rate": table.take("rate", _rate, 0),
        "keep_free": table.take("keep_free", _size, 1024**3),
    }


def _user(table: "_Table", name: str) -> User:
    if not _USER.fullmatch(name):
        table.fail("", "is no name for a user: lower-case letters, digits, and -_. between them")
    user = User(
        name,
        table.take("password", _hash),
        table.take("max_bytes", _size, 100 * 1000**3),
        table.take("max_files", _integer(1, 10_000_000), 10_000),
    )
    table.end()
    return user


class _Table:
    """A table of the file, from which keys are taken until none is left."""

    def __init__(self, path: Path, text: str, values: Mapping[str, Any], section: str = "") -> None:
        self._path = path
        self._text = text
        self._values = dict(values)
        self._section = section

    def table(self, name: str) -> "_Table":
        """Take a section; one that is not there is empty."""
        below = self._values.pop(name, {})
        if not isinstance(below, dict):
            self.fail(name, "must be a section")
        return _Table(self._path, self._text, below, f"{self._section}.{name}".lstrip("."))

    def names(self) -> list[str]:
        """Return what is left."""
        return list(self._values)

    def take(self, key: str, check: Callable[[Any, Path], T], *default: T) -> T:
        """Take a key and check its value; one without a default must be there."""
        if key not in self._values:
            if not default:
                for near in get_close_matches(key, self._values):
                    self.fail(near, f"is not known here; {key} may be meant")
                self.fail(key, "is missing")
            return default[0]
        try:
            return check(self._values.pop(key), self._path.parent)
        except ValueError as error:
            self.fail(key, str(error))

    def end(self) -> None:
        """Demand that every key was known."""
        for key in self._values:
            self.fail(key, "is not known here")

    def fail(self, key: str, why: str) -> NoReturn:
        """Raise a ConfigurationError that names line and key."""
        name = ".".join(filter(None, (self._section, key)))
        line = self._line(key)
        where = f"{self._path}, line {line}" if line else f"{self._path}"
        raise ConfigurationError(
            f"{where}: {name} {why}.", "docs/gateway-drop-box.md lists every key with an example."
        )

    def _line(self, key: str) -> int:
        """Find a key's line, or its section's; 0 if it is not there or written in another way."""
        section, header = "", 0
        for number, line in enumerate(self._text.splitlines(), 1):
            bare = line.strip()
            if bare.startswith("["):
                section = bare.strip("[] ").replace('"', "")
                if section in (self._section, f"{self._section}.{key}".lstrip(".")):
                    header = number
            elif section == self._section and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*=", bare):
                return number
        return header


def _path(value: object, base: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a path in quotes")
    return (base / value).absolute()


def _file(value: object, base: Path) -> Path:
    path = _path(value, base)
    if not path.is_file():
        raise ValueError(f"names no file ({path})")
    return path


def _boolean(value: object, _base: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004  (one kind of error here)
    return value


def _number(least: float, most: float) -> Callable[[object, Path], float]:
    def check(value: object, _base: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")  # noqa: TRY004
        if not least <= value <= most:
            raise ValueError(f"must be from {least:g} to {most:g}")
        return float(value)

    return check


def _integer(least: int, most: int) -> Callable[[object, Path], int]:
    def check(value: object, _base: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")  # noqa: TRY004
        if not least <= value <= most:
            raise ValueError(f"must be from {least} to {most}")
        return value

    return check


def _choice(*known: str) -> Callable[[object, Path], str]:
    def check(value: object, _base: Path) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return str(value)

    return check


def _size(value: object, _base: Path) -> int:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a size such as "500 MB" or "2 GiB"')
    return int(float(found[1]) * _UNITS[found[2]])


def _rate(value: object, base: Path) -> int:
    size = _size(value, base)
    if size < _LEAST_RATE:
        raise ValueError(f"must be at least {_LEAST_RATE // 1024} KiB (a second)")
    return size


def _address(value: object, _base: Path) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise ValueError("must be an IP address") from error


def _port_range(value: object, _base: Path) -> range:
    found = _PORTS.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 0 < int(found[1]) <= int(found[2]) <= _LARGEST_PORT:
        raise ValueError('must be a range of ports such as "50000-50099"')
    return range(int(found[1]), int(found[2]) + 1)


def _hash(value: object, _base: Path) -> PasswordHash:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004
    return PasswordHash.parse(value)
