"""Times as people and JSON read them."""

from datetime import UTC, datetime

__all__ = ["format_time"]


def format_time(seconds: int) -> str:
    """Write a time, in seconds since 1970, as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
