"""The policy of an archive, and the end that a class gives a bundle (format §35.4)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from airgap.disk.reading import read_small
from airgap.errors import ConfigurationError, PolicyError, UsageError
from airgap.format import limits
from airgap.format.archive_policy import (
    ArchivePolicy,
    RetentionClass,
    Span,
    decode_archive_policy,
)
from airgap.format.root import Root
from airgap.printable import quote
from airgap.times import format_time

__all__ = ["choose_class", "compute_end", "demand_named_policy", "load_archive_policy"]

_NAME: Final = "archive"
"""The name of the policy in a root (format §7.6)."""
_LEAP_DAY: Final = (2, 29)


def load_archive_policy(path: Path) -> ArchivePolicy:
    """Read a policy file.

    Raises:
        ConfigurationError: it cannot be read, or is not a policy.
    """
    try:
        raw = read_small(path, limits.ARCHIVE_POLICY_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"The archive policy {path} cannot be read: {error.strerror}.",
            "Give the path of a policy file with --policy. Nothing was written.",
        ) from error
    return decode_archive_policy(raw, str(path))


def demand_named_policy(root: Root, policy: ArchivePolicy) -> None:
    """Demand the policy that a root names, if it names one.

    Raises:
        PolicyError: it is another.
    """
    named = root.rules.policies.get(_NAME)
    if named is not None and named.hex() != policy.sha256:
        raise PolicyError(
            f"The root of site {root.site} names the archive policy with SHA-256 {named.hex()}; the"
            f" one given has {policy.sha256}.",
            "Give the site's policy file with --policy. Nothing was written.",
        )


def choose_class(policy: ArchivePolicy, name: str) -> RetentionClass:
    """Return the class of a name.

    Raises:
        UsageError: the policy has none of that name.
    """
    chosen = policy.classes.get(name)
    if chosen is None:
        raise UsageError(
            f"The archive policy has no class {quote(name)}.",
            f"It has: {', '.join(sorted(policy.classes))}.",
        )
    return chosen


def compute_end(span: Span, now: int) -> str:
    """Return the time, as RFC 3339, that is a span after another, in seconds since 1970."""
    start = datetime.fromtimestamp(now, UTC)
    try:
        end = start + timedelta(days=span.count) if span.unit == "d" else _add_years(start, span)
    except (OverflowError, ValueError):
        return format_time(limits.TIME)
    return format_time(min(int(end.timestamp()), limits.TIME))


def _add_years(start: datetime, span: Span) -> datetime:
    year = start.year + span.count
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if (start.month, start.day) == _LEAP_DAY and not is_leap:
        return start.replace(year=year, month=3, day=1)
    return start.replace(year=year)
