"""Named remotes: places in the config file, with where their passwords are, never what they are.

    [remotes.vendor]
    url = "sftp://depot.example/srv/depot"
    user = "carrier"
    password_file = "~/.vendor-password"

``@vendor`` is then a place, and so are ``@vendor/sub`` and ``@vendor#BUNDLEID``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from airgap.errors import (
    ConfigurationError,
    ConflictError,
    MissingError,
    TransportError,
    UsageError,
)
from airgap.flow import config
from airgap.printable import quote
from airgap.transport import url as places
from airgap.transport.open_transport import CONFIG_ONLY, LOCKS, OPTIONS, TRUST_ANCHORS
from airgap.transport.url import RemoteUrl

__all__ = [
    "MARK",
    "OWN",
    "TABLE",
    "Remote",
    "add_remote",
    "find_remote",
    "list_remotes",
    "locate",
    "remove_remote",
]

MARK: Final = "@"
TABLE: Final = "remotes"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
OWN: Final = ("user", "password_env", "password_file", "limit_rate", "jobs")


@dataclass(frozen=True, slots=True)
class Remote:
    """A named place, and what is said about reaching it."""

    name: str
    url: str
    settings: Mapping[str, str]


def locate(text: str) -> tuple[RemoteUrl, Mapping[str, str]]:
    """Turn a URL or ``@NAME[/sub][#ID]`` into a place, and what the config file says of it.

    Options in the URL of a named remote belong to what the config file says.

    Raises:
        UsageError, TransportError: it is not a valid URL, or has an option that only the config
            file may have.
        MissingError: there is no remote of that name.
    """
    if not text.startswith(MARK):
        return _refuse_anchors(places.parse(text)), {}
    rest, mark, bundle = text.removeprefix(MARK).partition("#")
    name, _, below = rest.partition("/")
    remote = find_remote(name)
    place = places.parse(remote.url)
    if below or mark:
        written = places.parse(f"file:///{below}{mark}{bundle}")
        joined = f"{place.path.rstrip('/')}{written.path}" if below else place.path
        if place.path in ("", "/") and below:
            joined = place.path + written.path.lstrip("/")
        place = replace(place, path=joined.rstrip("/") or joined, bundle=written.bundle)
    return replace(place, options={}), {**remote.settings, **place.options}


def _refuse_anchors(url: RemoteUrl) -> RemoteUrl:
    """Refuse a typed URL that says itself how its server is recognized; else return it."""
    anchors = sorted(CONFIG_ONLY & url.options.keys())
    if anchors:
        raise UsageError(
            f"{anchors[0]} cannot be given in a URL: {_describe(anchors[0])}.",
            f"Give it to a named remote: airgap remote add NAME {url} --option {anchors[0]}=…",
        )
    return url


def _describe(option: str) -> str:
    if option in TRUST_ANCHORS:
        return "it decides which server is trusted"
    if option in LOCKS:
        return "it makes files that nobody can delete for years"
    return "it sends connections through another machine"


def list_remotes() -> list[Remote]:
    """Return all named remotes, by name.

    Raises:
        ConfigurationError: the config file cannot be used.
    """
    table = _load_table()
    return [_remote(name, table[name]) for name in sorted(table)]


def _load_table() -> dict[str, object]:
    """Return what the config file has for each remote: one that cannot be used spoils no other."""
    table = config.load(may_be_new=True).get(TABLE, {})
    if not isinstance(table, dict):
        raise _unusable(TABLE)
    return table


def find_remote(name: str) -> Remote:
    """Return one remote.

    Raises:
        MissingError: there is none of that name.
    """
    return _remote(name, _find_in_table(name))


def _find_in_table(name: str) -> object:
    table = _load_table()
    if name not in table:
        raise MissingError(
            f"There is no remote {quote(name)}.",
            "`airgap remote list` shows those there are; write ./@… for a file of that name.",
        )
    return table[name]


def add_remote(name: str, url: str, settings: Mapping[str, str]) -> Remote:
    """Write a remote into the config file.

    Raises:
        UsageError: the name or URL cannot be used, there is a password in it, or an option is
            not one of its scheme.
        ConflictError: there is one of that name.
        ConfigurationError: the config file cannot be used, or cannot contain it.
        StorageError: the disk refused.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{quote(name)} cannot name a remote.", "Use letters, digits and dashes.")
    place = places.parse(url)
    if place.password is not None:
        raise UsageError(
            "A remote does not keep a password.",
            "Leave it out of the URL, and say where it is: --password-file or --password-env.",
        )
    if place.bundle:
        raise UsageError(
            "A remote names a location, not a bundle.", f"Say {MARK}{name}#{place.bundle} then."
        )
    _refuse_unknown({**place.options, **settings}, place, UsageError)
    if name in _load_table():
        raise ConflictError(
            f"There is a remote {name} already.", f"Remove it first: airgap remote remove {name}"
        )
    remote = Remote(name, url, dict(settings))
    rows = [f"[{TABLE}.{name}]", f"url = {config.quote_value(url)}"]
    rows += [f"{key} = {config.quote_value(value)}" for key, value in settings.items()]
    before = config.read_text().rstrip("\n")
    config.write_text("\n".join([*([before, ""] if before else []), *rows]) + "\n")
    return remote


def remove_remote(name: str) -> None:
    """Take a remote out of the config file, and leave every other line as it is.

    Raises:
        MissingError: there is none of that name.
        ConfigurationError: it is written in another form than ``[remotes.NAME]``.
    """
    _find_in_table(name)
    kept: list[str] = []
    inside = was_found = False
    for line in config.read_text().splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = re.match(rf"\s*\[\s*{TABLE}\s*\.\s*[\"']?{name}[\"']?\s*\]", line) is not None
            was_found |= inside
        if not inside:
            kept.append(line)
    if not was_found:
        raise ConfigurationError(
            f"The remote {name} is not written as [{TABLE}.{name}] in {config.config_path()}.",
            "Remove it there by hand.",
        )
    config.write_text("".join(kept))


def _remote(name: str, table: object) -> Remote:
    """Check what the config file says of one remote."""
    if not isinstance(table, dict) or not isinstance(table.get("url"), str):
        raise _unusable(f"{TABLE}.{name}")
    url = str(table["url"])
    settings = {key: _plain(value) for key, value in table.items() if key != "url"}
    try:
        place = places.parse(url)
    except (UsageError, TransportError) as error:
        raise ConfigurationError(
            f"The remote {name} in {config.config_path()} cannot be used: {error.message}",
            error.hint,
        ) from error
    if place.password is not None or "password" in settings:
        raise ConfigurationError(
            f"The config file holds a password of the remote {name}.",
            "Write it to a file of its own, and name that as password_file.",
        )
    _refuse_unknown(settings, place, ConfigurationError)
    return Remote(name, url, settings)


def _plain(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _refuse_unknown(
    settings: Mapping[str, str],
    url: RemoteUrl,
    kind: type[UsageError] | type[ConfigurationError],
) -> None:
    allowed = {*OWN, *OPTIONS[url.scheme]}
    for key in settings:
        if key not in allowed:
            raise kind(
                f"A remote of {url.scheme}:// has no option {quote(key)}.",
                f"Its options are: {', '.join(sorted(allowed))}.",
            )


def _unusable(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The config file has a {what} that is not a remote.",
        f'Write [{TABLE}.NAME] and below it url = "…".',
    )
