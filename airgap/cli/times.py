"""Points in time as people write them."""

import re
import time
from datetime import UTC, datetime
from typing import Final

from airgap.errors import UsageError
from airgap.printable import quote

__all__ = [
    "read_asked",
    "read_end",
    "read_expiry",
    "read_moment",
    "read_past",
    "read_span",
    "read_start",
]

_DAY: Final = 24 * 3600
_UNITS: Final = {"h": 3600, "d": _DAY, "w": 7 * _DAY, "y": 365 * _DAY}
_DATE: Final = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}")
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([hdwy])")


def read_expiry(text: str | None) -> int | None:
    """Read when a bundle expires, in seconds since 1970; None: never.

    A span of days or more ends with its last day (UTC), one of hours with its last hour: what is
    exported again on the same day, or in the same hour, is the same bundle.

    Raises:
        UsageError: it is not a time, or has passed.
    """
    moment = None if text is None else read_moment(text)
    if text is None or moment is None:
        return None
    span = _SPAN.fullmatch(text)
    if span:
        unit = 3600 if span[2] == "h" else _DAY
        moment += unit - 1 - moment % unit
    if moment <= time.time():
        raise UsageError(f"The time {text} has passed.", "Give a later time.")
    return moment


def read_moment(text: str) -> int | None:
    """Read ``90d``, a date (its last second, UTC), an RFC 3339 time, or ``never`` (None).

    Returns seconds since 1970.

    Raises:
        UsageError: it is not one of these.
    """
    if text == "never":
        return None
    span = _SPAN.fullmatch(text)
    if span:
        return int(time.time()) + int(span[1]) * _UNITS[span[2]]
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a time.", "Write 90d, 2y, 2030-12-31, 2030-12-31T12:00:00Z or never."
        ) from error
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    last = _DAY - 1 if _DATE.fullmatch(text) else 0
    return int(when.timestamp()) + last


def read_start(text: str) -> int:
    """Read a date (its first second, UTC) or an RFC 3339 time; return seconds since 1970.

    Raises:
        UsageError: it is neither.
    """
    moment = None if _SPAN.fullmatch(text) else read_moment(text)
    if moment is None:
        raise UsageError(
            f"{quote(text)} is not a point in time.",
            "Write 2026-01-31 or 2026-01-31T12:00:00Z.",
        )
    return moment - (_DAY - 1) if _DATE.fullmatch(text) else moment


def read_end(text: str) -> int:
    """Read a date (its last second, UTC) or an RFC 3339 time; return seconds since 1970.

    Raises:
        UsageError: it is neither.
    """
    return read_start(text) + (_DAY - 1 if _DATE.fullmatch(text) else 0)


def read_asked(text: str) -> int:
    """Read a time that is asked about, as ``read_end`` does; today's date means now.

    Raises:
        UsageError: it is neither a date nor an RFC 3339 time.
    """
    start, end, now = read_start(text), read_end(text), int(time.time())
    return now if start <= now < end else end


def read_past(text: str) -> int:
    """Read a date, an RFC 3339 time, or a span of time before now; return seconds since 1970.

    Raises:
        UsageError: it is none of these.
    """
    if _SPAN.fullmatch(text):
        return max(int(time.time()) - read_span(text), 0)
    return read_start(text)


def read_span(text: str) -> int:
    """Read a span of time, such as ``12h`` or ``7d``; return seconds.

    Raises:
        UsageError: it is not a span of time.
    """
    span = _SPAN.fullmatch(text)
    if span is None and text != "0":
        raise UsageError(f"{quote(text)} is not a span of time.", "Write 12h, 7d, 2w or 0.")
    return int(span[1]) * _UNITS[span[2]] if span else 0
