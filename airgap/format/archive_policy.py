"""The policy of an archive: classes, and how long each keeps a bundle (format §35.4)."""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from airgap.errors import ConfigurationError
from airgap.format import limits, names
from airgap.printable import quote

__all__ = ["ArchivePolicy", "RetentionClass", "Span", "decode_archive_policy"]

FORMAT: Final = 1
_MOST_YEARS: Final = 1_000
_MOST_DAYS: Final = 365_250
_MOST_COPIES: Final = 100
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([yd])")
_CLASS_KEYS: Final = frozenset({"keep", "check", "copies"})


@dataclass(frozen=True, slots=True)
class Span:
    """A number of calendar years, or of days of 86,400 seconds."""

    count: int
    unit: Literal["y", "d"]


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """How long a bundle is kept, how often it is to be read again, and how many copies to have."""

    name: str
    keep: Span
    check_days: int
    copies: int


@dataclass(frozen=True, slots=True)
class ArchivePolicy:
    """A policy file, parsed: its classes by name, its bytes, and their SHA-256 in hex."""

    classes: Mapping[str, RetentionClass]
    raw: bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hex."""
        return hashlib.sha256(self.raw).hexdigest()


def decode_archive_policy(raw: bytes, source: str) -> ArchivePolicy:
    """Parse a policy file; ``source`` is what people call it.

    Raises:
        ConfigurationError: it breaks a rule of format §35.4.
    """
    try:
        return ArchivePolicy(_read_classes(_parse_toml(raw)), raw)
    except ValueError as error:
        raise ConfigurationError(
            f"The archive policy {source} cannot be used: {error}.",
            "Correct the file; docs/keep-an-archive.md describes it. Nothing was written.",
        ) from error


def _parse_toml(raw: bytes) -> dict[str, Any]:
    if len(raw) > limits.ARCHIVE_POLICY_BYTES:
        raise ValueError(f"it has more than {limits.ARCHIVE_POLICY_BYTES:,} bytes")
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not TOML in UTF-8") from error


def _read_classes(document: Mapping[str, Any]) -> dict[str, RetentionClass]:
    if document.keys() != {"format", "classes"}:
        raise ValueError("it must have `format` and `classes`, and nothing else")
    if type(document["format"]) is not int or document["format"] != FORMAT:
        raise ValueError(f"`format` must be {FORMAT}")
    classes = document["classes"]
    if type(classes) is not dict or not 0 < len(classes) <= limits.ARCHIVE_CLASSES:
        raise ValueError(f"`classes` must have 1 to {limits.ARCHIVE_CLASSES} classes")
    return {name: _read_class(name, value) for name, value in classes.items()}


def _read_class(name: str, value: Any) -> RetentionClass:  # noqa: ANN401
    if not names.is_tag_part(name):
        raise ValueError(f"{quote(name)} cannot be the name of a class")
    if type(value) is not dict or value.keys() != _CLASS_KEYS:
        raise ValueError(f"class {name} must have `keep`, `check` and `copies`, and nothing else")
    copies = value["copies"]
    if type(copies) is not int or not 1 <= copies <= _MOST_COPIES:
        raise ValueError(f"`copies` of class {name} must be 1 to {_MOST_COPIES}")
    check = _read_span(name, "check", value["check"])
    if check.unit != "d":
        raise ValueError(f"`check` of class {name} must be a number of days, such as 90d")
    return RetentionClass(name, _read_span(name, "keep", value["keep"]), check.count, copies)


def _read_span(name: str, key: str, value: Any) -> Span:  # noqa: ANN401
    match = _SPAN.fullmatch(value) if type(value) is str else None
    most = _MOST_YEARS if match and match[2] == "y" else _MOST_DAYS
    if match is None or int(match[1]) > most:
        raise ValueError(
            f"`{key}` of class {name} must be 1 to {_MOST_YEARS:,} years or as many days, such as"
            " 10y or 90d"
        )
    return Span(int(match[1]), "y" if match[2] == "y" else "d")
