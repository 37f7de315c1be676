"""What a site permits beside the lists of the scan (docs/scan-gate.md)."""

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError
from airgap.printable import quote
from airgap.scan.verdicts import Verdict

__all__ = ["DEFAULT_POLICY", "Permission", "ScanPolicy", "read_policy"]

_DIGITS: Final = 64
_FIELDS: Final = frozenset({"item", "path", "reason", "sha256", "until"})


@dataclass(frozen=True, slots=True)
class Permission:
    """Files that may be there although they are programs, or (with a digest) refused.

    ``item`` and ``path`` are patterns: ``*`` stands for any text, also for slashes. ``until`` is
    the last day, in UTC.
    """

    path: str
    reason: str
    item: str = "*"
    sha256: str = ""
    until: date | None = None

    def covers(self, item: str, path: str, sha256: str, today: date) -> bool:
        """Tell whether a file of an item is meant, on a day."""
        return (
            fnmatchcase(item, self.item)
            and fnmatchcase(path, self.path)
            and self.sha256 in {"", sha256}
            and (self.until is None or today <= self.until)
        )


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """All permissions; the first one that covers a file is the one that is named."""

    permissions: tuple[Permission, ...]

    def find_permission(
        self, item: str, path: str, sha256: str, verdict: Verdict
    ) -> Permission | None:
        """Return what permits a file of an item, ``bento shop:v1``; None: nothing does.

        What the scan refused is permitted by its SHA-256 alone, which is in hex.
        """
        today = datetime.now(UTC).date()
        for permission in self.permissions:
            if verdict == "refused" and not permission.sha256:
                continue
            if permission.covers(item, path, sha256, today):
                return permission
        return None


DEFAULT_POLICY: Final = ScanPolicy(
    tuple(
        Permission(path, "the Bento's own program", item="bento *") for path in ("src/*", "env/*")
    )
)
"""A Bento is a program. Its sources and the files of its environment may be there."""


def read_policy(path: Path) -> ScanPolicy:
    """Read a policy, in TOML; what a Bento itself is remains permitted.

    Raises:
        ConfigurationError: the file cannot be read, or says something else than a policy does.
    """
    try:
        values = tomllib.loads(read_named_text(path))
        permissions = tuple(_parse(entry) for entry in _list_entries(values))
    except (OSError, ValueError, RecursionError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise ConfigurationError(
            f"The policy {path} cannot be used: {why}.", "See `docs/scan-gate.md`, or leave it out."
        ) from error
    return ScanPolicy((*DEFAULT_POLICY.permissions, *permissions))


def _list_entries(values: dict[str, Any]) -> list[dict[str, Any]]:
    others = values.keys() - {"permit"}
    if others:
        raise ValueError(f"{quote(min(others))} is not a part of a policy")
    entries = values.get("permit", [])
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        raise ValueError("`permit` is not written as [[permit]]")
    return entries


def _parse(entry: dict[str, Any]) -> Permission:
    others = entry.keys() - _FIELDS
    if others:
        raise ValueError(f"{quote(min(others))} is not a part of [[permit]]")
    texts = {name: entry.get(name, "") for name in ("item", "path", "reason", "sha256")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise ValueError(f"`{name}` is not a text")  # noqa: TRY004 -- a fault of the file
    for name in ("path", "reason"):
        if not texts[name]:
            raise ValueError(f"a [[permit]] has no `{name}`")
    sha256 = texts["sha256"].lower()
    if sha256 and (len(sha256) != _DIGITS or not set(sha256) <= set("0123456789abcdef")):
        raise ValueError(f"`sha256` has not {_DIGITS} hex digits")
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise ValueError("`until` is not a day, such as 2027-12-31")
    return Permission(texts["path"], texts["reason"], texts["item"] or "*", sha256, until)
