"""What a response says of the range that it has (RFC 9110, 14.4)."""

import re
from typing import Final

__all__ = ["parse_content_range"]

_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)


def parse_content_range(text: str) -> tuple[int, int, int]:
    """Return begin and end of a range, and the size of the whole object.

    Raises:
        ValueError: it is malformed.
    """
    match = _RANGE.fullmatch(text)
    begin, last, size = map(int, match.groups()) if match else (0, 0, 0)
    if not begin <= last < size:
        raise ValueError("not a range")
    return begin, last + 1, size
