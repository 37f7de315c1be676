"""The drop box's config file (TOML). Unknown keys and invalid values are errors."""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError
from airgap.printable import size_text
from airgap.server.dropbox.passwords import PasswordHash
from airgap.server.intake.worker import TIME_LIMIT

__all__ = ["DropBoxSettings", "User", "describe", "load"]

T = TypeVar("T")
_USER: Final = re.compile(r"[a-z0-9]([-_.a-z0-9]{0,30}[a-z0-9])?")
_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,18})?) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_UNITS: Final = {"B": 1} | {
    f"{letter}{ending}": base**power
    for base, ending in ((1000, "B"), (1024, "iB"))
    for power, letter in enumerate("kMGT" if ending == "B" else "KMGT", 1)
}
_PORTS: Final = re.compile(r"(\d{1,5})-(\d{1,5})")
_MAX_PORT: Final = 65535
_TLS_REQUIRED: Final = True
_MIN_RATE: Final = 64 * 1024  # below one TLS record a second, transfers would stall


@dataclass(frozen=True, slots=True)
class User:
    """An account that may upload. Sizes in bytes."""

    name: str
    password: PasswordHash
    max_bytes: int
    max_files: int


@dataclass(frozen=True, slots=True)
class DropBoxSettings:
    """The contents of the config file. Times in seconds, sizes in bytes, ``rate`` in bytes/s."""

    state: Path
    hold: bool
    settle: float
    import_seconds: float
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
        ConfigurationError: it cannot be read, is not TOML, or has an unknown key or an invalid
            value; the message names the line and the key.
    """
    try:
        text = read_named_text(path)
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot read {path}: {error.strerror}.", "Check the path of the config file."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.", "Fix this line.") from error
    except RecursionError as error:
        raise ConfigurationError(
            f"{path} is nested too deeply.", "Remove brackets that do not belong there."
        ) from error
    return _read_settings(_Table(path, text, document))


def describe(settings: DropBoxSettings) -> list[str]:
    """Describe for people what a drop box with these settings does; omits all secrets."""
    tls = "no TLS: names, passwords and bundles travel in the clear"
    if settings.certificate:
        tls = "TLS required" if settings.tls_required else "TLS offered"
    lines = [
        f"listens on {settings.address} port {settings.port} (FTP, {tls})",
        f"verified bundles are {'held for approval' if settings.hold else 'imported'}",
        f"an import may take at most {settings.import_seconds:,.0f} seconds",
        f"keeps its folders in {settings.state}",
    ]
    if settings.implicit_port is not None:
        lines.append(
            f"listens on {settings.address} port {settings.implicit_port} (FTPS, implicit TLS)"
        )
    ports = settings.passive_ports
    span = f"ports {ports.start}-{ports.stop - 1}" if ports else "any free port"
    address = f", announced as {settings.masquerade}" if settings.masquerade else ""
    lines.append(f"data connections: passive only, {span}{address}")
    lines.append(
        f"at most {settings.connections} connections: {settings.connections_per_address} per"
        f" address, {settings.connections_per_user} per user"
    )
    total = sum(user.max_bytes for user in settings.users)
    lines.append(
        f"keeps {size_text(settings.keep_free)} free; all users together: {size_text(total)}"
    )
    lines += [
        f"user {user.name}: at most {size_text(user.max_bytes)} in {user.max_files:,} files"
        for user in settings.users
    ]
    return lines


def _read_settings(top: "_Table") -> DropBoxSettings:
    listen, tls = top.table("listen"), top.table("tls")
    limits, users = top.table("limits"), top.table("users")
    top_values = {
        "state": top.take("state", _parse_path),
        "hold": top.take("on_arrival", _choice("import", "hold"), "import") == "hold",
        "settle": top.take("settle_seconds", _number(0, 86_400), 10.0),
        "import_seconds": top.take("import_seconds", _number(1, 2_678_400), TIME_LIMIT),
        "keep_packs": 3600 * top.take("keep_packs_hours", _number(1, 100_000), 24.0),
        "keep_unfinished": 3600 * top.take("keep_unfinished_hours", _number(1, 100_000), 168.0),
        "jobs": top.take("jobs", _integer(1, 64), None),
    }
    values = {**top_values, **_read_listen(listen), **_read_tls(tls), **_read_limits(limits)}
    values["users"] = tuple(_read_user(users.table(name), name) for name in users.names())
    for table in (top, listen, tls, limits, users):
        table.require_empty()
    if not values["users"]:
        top.fail("users", "is empty; add a section [users.NAME]")
    if values["implicit_port"] is not None and values["certificate"] is None:
        listen.fail("implicit_port", "needs [tls] certificate and key")
    return DropBoxSettings(**values)


def _read_listen(table: "_Table") -> dict[str, Any]:
    return {
        "address": table.take("address", _parse_address, "0.0.0.0"),  # noqa: S104  (a server)
        "port": table.take("port", _integer(0, _MAX_PORT), 21),
        "implicit_port": table.take("implicit_port", _integer(0, _MAX_PORT), None),
        "passive_ports": table.take("passive_ports", _parse_port_range, None),
        "masquerade": table.take("masquerade", _parse_address, None),
    }


def _read_tls(table: "_Table") -> dict[str, Any]:
    values = {
        "tls_required": table.take("required", _parse_boolean, _TLS_REQUIRED),
        "certificate": table.take("certificate", _parse_file, None),
        "key": table.take("key", _parse_file, None),
    }
    if values["tls_required"] and values["certificate"] is None:
        table.fail("certificate", "is missing; TLS is required unless `required = false`")
    if (values["certificate"] is None) != (values["key"] is None):
        table.fail("key", "and certificate belong together; give both or neither")
    return values


def _read_limits(table: "_Table") -> dict[str, Any]:
    return {
        "connections": table.take("connections", _integer(1, 10_000), 100),
        "connections_per_address": table.take("connections_per_address", _integer(1, 10_000), 20),
        "connections_per_user": table.take("connections_per_user", _integer(1, 10_000), 20),
        "login_seconds": table.take("login_seconds", _number(1, 600), 30.0),
        "idle_seconds": table.take("idle_seconds", _number(1, 86_400), 300.0),
        "stall_seconds": table.take("stall_seconds", _number(1, 86_400), 60.0),
        "login_failures": table.take("login_failures", _integer(1, 1000), 10),
        "login_window": table.take("login_window_seconds", _number(1, 86_400), 600.0),
        "rate": table.take("rate", _parse_rate, 0),
        "keep_free": table.take("keep_free", _parse_size, 1024**3),
    }


def _read_user(table: "_Table", name: str) -> User:
    if not _USER.fullmatch(name):
        table.fail("", "is not a valid user name: use a-z and 0-9, with -_. between them")
    user = User(
        name,
        table.take("password", _parse_hash),
        table.take("max_bytes", _parse_size, 100 * 1000**3),
        table.take("max_files", _integer(1, 10_000_000), 10_000),
    )
    table.require_empty()
    return user


class _Table:
    """A table of the file. Each key that is read is removed; a key that remains is unknown."""

    def __init__(self, path: Path, text: str, values: Mapping[str, Any], section: str = "") -> None:
        self._path = path
        self._text = text
        self._values = dict(values)
        self._section = section

    def table(self, name: str) -> "_Table":
        """Take a section; return an empty one if it is absent."""
        values = self._values.pop(name, {})
        if not isinstance(values, dict):
            self.fail(name, "must be a section")
        return _Table(self._path, self._text, values, f"{self._section}.{name}".lstrip("."))

    def names(self) -> list[str]:
        """Return the keys that have not been taken."""
        return list(self._values)

    def take(self, key: str, parse: Callable[[Any, Path], T], *default: T) -> T:
        """Take a key and parse its value; it is required if there is no default."""
        if key not in self._values:
            if not default:
                for similar in get_close_matches(key, self._values):
                    self.fail(similar, f"is unknown (did you mean {key}?)")
                self.fail(key, "is missing")
            return default[0]
        try:
            return parse(self._values.pop(key), self._path.parent)
        except ValueError as error:
            self.fail(key, str(error))

    def require_empty(self) -> None:
        """Raise a ConfigurationError for any key that has not been taken."""
        for key in self._values:
            self.fail(key, "is unknown")

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise a ConfigurationError that names the line and the key."""
        name = ".".join(filter(None, (self._section, key)))
        line = self._find_line(key)
        where = f"{self._path}, line {line}" if line else f"{self._path}"
        raise ConfigurationError(
            f"{where}: {name} {problem}.",
            "docs/gateway-drop-box.md lists every key with an example.",
        )

    def _find_line(self, key: str) -> int:
        """Return the line number of a key, or else of its section; 0 if neither is found."""
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


def _parse_path(value: object, base: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a path in quotes")
    return (base / value).absolute()


def _parse_file(value: object, base: Path) -> Path:
    path = _parse_path(value, base)
    if not path.is_file():
        raise ValueError(f"is not a file: {path}")
    return path


def _parse_boolean(value: object, _base: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004  (the caller catches one kind)
    return value


def _number(low: float, high: float) -> Callable[[object, Path], float]:
    def parse(value: object, _base: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")  # noqa: TRY004
        if not low <= value <= high:
            raise ValueError(f"must be from {low:g} to {high:g}")
        return float(value)

    return parse


def _integer(low: int, high: int) -> Callable[[object, Path], int]:
    def parse(value: object, _base: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")  # noqa: TRY004
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}")
        return value

    return parse


def _choice(*choices: str) -> Callable[[object, Path], str]:
    def parse(value: object, _base: Path) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return parse


def _parse_size(value: object, _base: Path) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a size such as "500 MB" or "2 GiB"')
    return int(float(match[1]) * _UNITS[match[2]])


def _parse_rate(value: object, base: Path) -> int:
    size = _parse_size(value, base)
    if size < _MIN_RATE:
        raise ValueError(f"must be at least {_MIN_RATE // 1024} KiB (per second)")
    return size


def _parse_address(value: object, _base: Path) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise ValueError("must be an IP address") from error


def _parse_port_range(value: object, _base: Path) -> range:
    match = _PORTS.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match[1]) <= int(match[2]) <= _MAX_PORT:
        raise ValueError('must be a range of ports such as "50000-50099"')
    return range(int(match[1]), int(match[2]) + 1)


def _parse_hash(value: object, _base: Path) -> PasswordHash:
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")  # noqa: TRY004
    return PasswordHash.parse(value)
