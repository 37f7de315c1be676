"""Package indexes and their credentials.

A password comes from the environment, a .netrc or a keyring, and goes to uv and pip in environment
variables, which only this user's processes can read. It is in no argument, file or message.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from airgap.errors import ConfigurationError, UsageError
from airgap.transport.secrets import hide_secrets, register_secret
from airgap.wheels.requirements import IndexOptions

__all__ = [
    "PYPI",
    "Index",
    "Indexes",
    "hide_credentials",
    "make_environment",
    "parse_index",
    "parse_indexes",
    "read_options",
]

PYPI: Final = "https://pypi.org/simple"
_NAMED: Final = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)=(?=[a-z]+://)")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
_CREDENTIALS: Final = re.compile(r"(://)[^\s/@]+@")
_DEFAULTS: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_KEPT: Final = frozenset(
    (
        *("PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CONFIG_FILE", "PIP_DEFAULT_TIMEOUT"),
        *("PIP_KEYRING_PROVIDER", "PIP_NO_CACHE_DIR", "PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT"),
        *("PIP_TRUSTED_HOST", "PIP_USE_DEPRECATED", "PIP_USE_FEATURE"),
        *("UV_CACHE_DIR", "UV_CONCURRENT_DOWNLOADS", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES"),
        *("UV_HTTP_TIMEOUT", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_NATIVE_TLS"),
        *("UV_NO_CACHE", "UV_SYSTEM_CERTS"),
    )
)
"""Settings of the two programs that say how they reach an index; the others say what they do."""
_SETTINGS: Final = ("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV", "SOURCE_DATE_EPOCH")


@dataclass(frozen=True, slots=True)
class Index:
    """An index, or a page of links; ``url`` has no user and no password in it."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def full_url(self) -> str:
        """The URL with user and password: a secret."""
        if not self.user and not self.password:
            return self.url
        parts = urlsplit(self.url)
        user = quote(self.user, safe="") + (
            f":{quote(self.password, safe='')}" * bool(self.password)
        )
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))

    @property
    def host(self) -> str:
        """The host's name; empty for a local folder."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where packages are looked up: the first index that has a package is asked for no other."""

    urls: tuple[Index, ...] = (Index(PYPI),)
    find_links: tuple[Index, ...] = ()
    prereleases: bool = False


def parse_index(text: str, environment: Mapping[str, str]) -> Index:
    """Parse an index as a person names it: ``URL`` or ``NAME=URL``.

    User and password of ``NAME`` are the variables ``UV_INDEX_NAME_USERNAME`` and
    ``UV_INDEX_NAME_PASSWORD``, as for uv.

    Raises:
        UsageError: it is not a URL, or has a password in it, which other users could read.
    """
    match = _NAMED.match(text)
    url = text[match.end() :] if match else text
    index = _split(url)
    if index.password or "@" in urlsplit(url).netloc:
        raise UsageError(
            f"--index {index.url} is given with a user or a password, which other users of this"
            " machine can see.",
            "Give --index NAME=URL and the environment variables UV_INDEX_NAME_USERNAME and"
            " UV_INDEX_NAME_PASSWORD, or use a .netrc.",
        )
    if match is None:
        return index
    name = re.sub(r"[^A-Za-z0-9]", "_", match[1]).upper()
    user = environment.get(f"UV_INDEX_{name}_USERNAME", "")
    password = environment.get(f"UV_INDEX_{name}_PASSWORD", "")
    return Index(index.url, user, register_secret(password))


def parse_indexes(texts: Iterable[str], environment: Mapping[str, str]) -> Indexes:
    """Parse the indexes that a person names, the most important first. Raises as the above."""
    return Indexes(tuple(dict.fromkeys(parse_index(text, environment) for text in texts)))


def read_options(options: IndexOptions, environment: Mapping[str, str]) -> Indexes:
    """Return the indexes of a Bento; if it names none, the environment's; else PyPI.

    Raises:
        ConfigurationError: a URL has a variable that is not set.
        UsageError: a URL is malformed.
    """
    default = options.index or next(filter(None, map(environment.get, _DEFAULTS)), PYPI)
    texts = () if options.no_index else (*options.extra, default)
    return Indexes(
        tuple(dict.fromkeys(_split(_expand(text, environment)) for text in texts)),
        tuple(_split(_expand(text, environment)) for text in options.find_links),
        options.prereleases,
    )


def _expand(text: str, environment: Mapping[str, str]) -> str:
    """Put in the variables of a requirement file, as pip and uv do."""

    def replace(match: "re.Match[str]") -> str:
        value = environment.get(match[1])
        if value is None:
            raise ConfigurationError(
                f"The Bento names the index {hide_credentials(text)}, and {match[1]} is not set.",
                f"Set the environment variable {match[1]}, or give --index URL.",
            )
        return value

    return _VARIABLE.sub(replace, text)


def _split(url: str) -> Index:
    """Take user and password out of a URL, and register them to be redacted."""
    if url.startswith("/"):
        return Index(url)
    parts = _parse_url(url)
    if parts is None:
        raise UsageError(
            f"{hide_credentials(url)!r} is not the URL of an index.",
            "Write it as https://host/simple or NAME=https://host/simple.",
        )
    user, _, netloc = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    bare = urlunsplit(parts._replace(netloc=netloc))
    register_secret(password)
    return Index(bare, unquote(name), register_secret(unquote(password)))


def _parse_url(url: str) -> SplitResult | None:
    """Split a URL; return None if it is not one that uv and pip take in a list."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    is_url = parts.scheme in {"http", "https", "file"} and not re.search(r"\s|,", url)
    return parts if is_url else None


def make_environment(
    indexes: Indexes, scratch: str, base: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Make the environment of uv and pip: their indexes, and a folder for their temporary files.

    Of the settings that people make for the two, only those remain that say how an index is
    reached: the others could change what is resolved.
    """
    kept = {
        name: value
        for name, value in base.items()
        if name in _KEPT or not name.startswith(_SETTINGS)
    }
    return {
        **kept,
        "TMPDIR": scratch,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        **_name_indexes(indexes.urls),
        **(
            {"UV_FIND_LINKS": ",".join(_full_urls(indexes.find_links))}
            if indexes.find_links
            else {}
        ),
    }


def _name_indexes(indexes: Sequence[Index]) -> dict[str, str]:
    if not indexes:
        return {"UV_NO_INDEX": "1"}
    *others, last = _full_urls(indexes)
    variables = {"UV_DEFAULT_INDEX": last, "PIP_INDEX_URL": last}
    if others:
        variables |= {"UV_INDEX": " ".join(others), "PIP_EXTRA_INDEX_URL": " ".join(others)}
    return variables


def _full_urls(indexes: Iterable[Index]) -> list[str]:
    return [index.full_url for index in indexes]


def hide_credentials(text: str) -> str:
    """Return a text of uv or pip without passwords, and without users in URLs."""
    return _CREDENTIALS.sub(r"\1***@", hide_secrets(text))
