"""Points in time as people write them."""

import re
import time
from datetime import UTC, datetime
from typing import Final

from airgap.errors import UsageError

__all__ = ["read_moment"]

_DAY: Final = 24 * 3600
_UNITS: Final = {"h": 3600, "d": _DAY, "w": 7 * _DAY, "y": 365 * _DAY}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([hdwy])")


def read_moment(text: str) -> int | None:
    """Read ``90d``, a date (its last second, UTC), an RFC 3339 time, or ``never`` (None).

    Returns seconds since 1970.

    Raises:
        UsageError: it is none of these.
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
    last = _DAY - 1 if re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", text) else 0
    return int(when.timestamp()) + last
