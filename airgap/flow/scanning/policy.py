"""What a site permits beside the lists of the gate, and its scanners (format §32.3, §32.4)."""

import hashlib
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from airgap.disk.named_files import read_named_text
from airgap.errors import ConfigurationError, PolicyError
from airgap.format.root import Root
from airgap.printable import quote
from airgap.scan.verdicts import Verdict
from airgap.state.state_folder import state_folder

__all__ = [
    "DEFAULT_POLICY",
    "MALWARE",
    "OWN_SOURCES",
    "PROGRAM_KINDS",
    "Permission",
    "ScanPolicy",
    "Scanner",
    "add_command",
    "choose_policy",
    "read_policy",
    "read_site_policy",
    "site_policy_path",
]

MALWARE: Final = "malware"
"""The name of the attestation, and of the policy in a root."""
_FILE: Final = "scan.toml"
_DIGITS: Final = 64
_TABLES: Final[Mapping[str, frozenset[str]]] = {
    "permit": frozenset({"item", "path", "reason", "sha256", "until"}),
    "scanner": frozenset({"name", "command", "adapter", "seconds", "memory", "largest"}),
}
ADAPTERS: Final = frozenset({"clamav", "exit", "json"})
_MOST_SECONDS: Final = 86_400
_SECONDS: Final = 3600
_MEMORY: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Permission:
    """Files that may be there although they are code, or (with a digest) refused.

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
class Scanner:
    """A program of the site; ``memory`` and ``largest`` are in bytes."""

    name: str
    command: tuple[str, ...]
    adapter: str
    seconds: int = _SECONDS
    memory: int = _MEMORY
    largest: int | None = None
    """Files above this size are not looked into, so they count as refused; None: it says so."""


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """All permissions and scanners; ``sha256`` is that of the file, empty without one."""

    permissions: tuple[Permission, ...]
    scanners: tuple[Scanner, ...] = ()
    sha256: str = ""

    def find_permission(
        self, item: str, path: str, sha256: str, verdict: Verdict
    ) -> Permission | None:
        """Return what permits a file of an item, ``bento shop:v1``; None: nothing does.

        What was refused is permitted by its SHA-256 alone, which is in hex.
        """
        today = datetime.now(UTC).date()
        for permission in self.permissions:
            if verdict == "refused" and not permission.sha256:
                continue
            if permission.covers(item, path, sha256, today):
                return permission
        return None


PROGRAM_KINDS: Final = ("wheelhouse", "image")
OWN_SOURCES: Final = "the Bento's own sources"
DEFAULT_POLICY: Final = ScanPolicy(
    (
        *(Permission(path, OWN_SOURCES, item="bento *") for path in ("src/*", "env/*")),
        *(
            Permission("*", f"an item of the kind {kind}", f"{kind} *")
            for kind in ("wheelhouse", "image")
        ),
    )
)
"""A Bento is a program. Its sources and the files of its environment may be there."""


def site_policy_path() -> Path:
    """Return where the policy of this machine's site is, if it has one."""
    return state_folder() / _FILE


def read_site_policy(root: Root | None, path: Path | None = None) -> ScanPolicy | None:
    """Read the site's policy, by which every import is scanned; None: there is none.

    ``path`` is where it is if not in the state folder, as for an import into a folder of its own.

    Raises:
        ConfigurationError: it cannot be used.
        PolicyError: it is not the one that the root names, or the root names one and it is missing.
    """
    path = path or site_policy_path()
    expected = root.rules.policies.get(MALWARE) if root else None
    policy = read_policy(path) if path.exists() or path.is_symlink() else None
    if expected is not None and (policy is None or policy.sha256 != expected.hex()):
        has = f"is {policy.sha256[:16]}…" if policy else "is missing"
        raise PolicyError(
            f"The site's scan policy {path} {has}; the root names {expected.hex()[:16]}….",
            f"Ask those who made the root for the policy, and put it at {path}.",
        )
    return policy


def choose_policy(path: Path | None, commands: Sequence[str], root: Root | None) -> ScanPolicy:
    """Return the policy that a person names, or the site's, or the default; with more scanners.

    Raises:
        ConfigurationError, PolicyError: as ``read_site_policy`` and ``add_command``.
    """
    policy = read_policy(path) if path else read_site_policy(root) or DEFAULT_POLICY
    for command in commands:
        policy = add_command(policy, command)
    return policy


def read_policy(path: Path) -> ScanPolicy:
    """Read a policy, in TOML; what a Bento itself is remains permitted.

    Raises:
        ConfigurationError: the file cannot be read, or says something else than a policy does.
    """
    try:
        text = read_named_text(path)
        values = tomllib.loads(text)
        _refuse_others(values, _TABLES.keys(), "a policy")
        tables = {name: _list_tables(values, name) for name in _TABLES}
        permissions = tuple(map(_parse_permission, tables["permit"]))
        scanners = tuple(map(_parse_scanner, tables["scanner"]))
    except (OSError, ValueError, RecursionError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise ConfigurationError(
            f"The scan policy {path} cannot be used: {why}.", "See `docs/scan-a-bundle.md`."
        ) from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    _refuse_repeats(scanners)
    return ScanPolicy((*permissions, *DEFAULT_POLICY.permissions), scanners, digest)


def add_command(policy: ScanPolicy, command: str) -> ScanPolicy:
    """Add a scanner that a person named by its command alone.

    Raises:
        ConfigurationError: the command is empty.
    """
    words = tuple(shlex.split(command))
    if not words:
        raise ConfigurationError("A scanner's command is empty.", "Give --with 'PROGRAM OPTIONS'.")
    name = Path(words[0]).name
    adapter = "clamav" if name == "clamscan" else "exit"
    scanners = (*policy.scanners, Scanner(name, words, adapter))
    _refuse_repeats(scanners)
    return replace(policy, scanners=scanners)


def _refuse_repeats(scanners: Sequence[Scanner]) -> None:
    names = [scanner.name for scanner in scanners]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ConfigurationError(
            f"Two scanners have the name {quote(repeated[0])}.", "Give each a name of its own."
        )


def _list_tables(values: dict[str, Any], name: str) -> list[dict[str, Any]]:
    tables = values.get(name, [])
    if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
        raise ValueError(f"`{name}` is not written as [[{name}]]")
    for table in tables:
        _refuse_others(table, _TABLES[name], f"[[{name}]]")
    return tables


def _refuse_others(table: dict[str, Any], allowed: AbstractSet[str], what: str) -> None:
    others = table.keys() - allowed
    if others:
        raise ValueError(f"{quote(min(others))} is not a part of {what}")


def _take_text(table: dict[str, Any], name: str, *, is_needed: bool = False) -> str:
    value = table.get(name, "")
    if not isinstance(value, str) or (is_needed and not value):
        raise ValueError(f"`{name}` is not a text")
    return value


def _parse_permission(table: dict[str, Any]) -> Permission:
    path = _take_text(table, "path", is_needed=True)
    reason = _take_text(table, "reason", is_needed=True)
    sha256 = _take_text(table, "sha256").lower()
    if sha256 and (len(sha256) != _DIGITS or not set(sha256) <= set("0123456789abcdef")):
        raise ValueError(f"`sha256` has not {_DIGITS} hex digits")
    until = table.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise ValueError("`until` is not a day, such as 2027-12-31")
    return Permission(path, reason, _take_text(table, "item") or "*", sha256, until)


def _parse_scanner(table: dict[str, Any]) -> Scanner:
    command = table.get("command")
    if not (isinstance(command, list) and command and all(isinstance(w, str) for w in command)):
        raise ValueError("`command` is not an array of texts")
    adapter = _take_text(table, "adapter", is_needed=True)
    if adapter not in ADAPTERS:
        raise ValueError(f"`adapter` is not one of {', '.join(sorted(ADAPTERS))}")
    largest = table.get("largest")
    scanner = Scanner(
        _take_text(table, "name", is_needed=True),
        tuple(command),
        adapter,
        _take_number(table, "seconds", _SECONDS),
        _take_number(table, "memory", _MEMORY),
        None if largest is None else _take_number(table, "largest", 0),
    )
    if scanner.seconds > _MOST_SECONDS:
        raise ValueError(f"`seconds` is more than {_MOST_SECONDS:,}")
    return scanner


def _take_number(table: dict[str, Any], name: str, default: int) -> int:
    value = table.get(name, default)
    if type(value) is not int or value < 1:
        raise ValueError(f"`{name}` is not a number from 1 on")
    return value
