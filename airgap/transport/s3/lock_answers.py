"""Parses and writes what S3 says of locks: settings of a bucket, retentions, lists of versions."""

import calendar
import re
import time
from collections.abc import Callable
from typing import Final

from airgap.times import format_time
from airgap.transport.object_lock import LockMode, ObjectRetention
from airgap.transport.s3.answers import Texts, read_texts
from airgap.transport.s3.bucket import PAGE_KEYS, ListedVersion, ListedVersions

__all__ = [
    "encode_retention",
    "parse_lock_settings",
    "parse_retention",
    "parse_retention_headers",
    "parse_versioning",
    "parse_versions",
]

_MODES: Final[dict[str, LockMode]] = {"COMPLIANCE": "COMPLIANCE", "GOVERNANCE": "GOVERNANCE"}
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z", re.ASCII)
_DAYS_OF_A_YEAR: Final = 365
_RULE: Final = "*/Rule/DefaultRetention"
_LISTING: Final = "ListVersionsResult"
_FIELDS: Final = ("Key", "VersionId", "IsLatest", "LastModified")
_LONGEST_MARKER: Final = 4096


def parse_lock_settings(body: bytes) -> tuple[bool, tuple[LockMode, int] | None]:
    """Return whether a bucket has object lock, and its default: a mode and days.

    Raises:
        ValueError: it is not S3's response.
    """
    mode, days, years = (f"{_RULE}/{name}" for name in ("Mode", "Days", "Years"))
    texts = read_texts(body, dict.fromkeys(("*/ObjectLockEnabled", mode, days, years), 1))
    if texts.root != "ObjectLockConfiguration":
        raise ValueError("not the settings of a lock")
    enabled = texts.found["*/ObjectLockEnabled"] == ["Enabled"]
    if not enabled or not texts.found[mode]:
        return enabled, None
    count = sum(map(_parse_number, texts.found[days]))
    count += _DAYS_OF_A_YEAR * sum(map(_parse_number, texts.found[years]))
    return enabled, (_parse_mode(texts.found[mode][0]), count)


def parse_versioning(body: bytes) -> bool:
    """Return whether a bucket keeps versions. Raises ValueError: it is not S3's response."""
    texts = read_texts(body, {"*/Status": 1})
    if texts.root != "VersioningConfiguration":
        raise ValueError("not the settings of versions")
    return texts.found["*/Status"] == ["Enabled"]


def parse_retention(body: bytes) -> ObjectRetention | None:
    """Return how a version is locked; None if it is not.

    Raises:
        ValueError: it is not S3's response.
    """
    texts = read_texts(body, {"*/Mode": 1, "*/RetainUntilDate": 1})
    if texts.root != "Retention":
        raise ValueError("not a retention")
    if not texts.found["*/Mode"]:
        return None
    return ObjectRetention(
        _parse_mode(texts.found["*/Mode"][0]),
        _parse_time("".join(texts.found["*/RetainUntilDate"])),
    )


def parse_retention_headers(header: Callable[[str], str]) -> ObjectRetention | None:
    """Return what the headers of a response say of a version's lock. Raises ValueError."""
    mode = header("x-amz-object-lock-mode")
    if not mode:
        return None
    return ObjectRetention(
        _parse_mode(mode), _parse_time(header("x-amz-object-lock-retain-until-date"))
    )


def encode_retention(retention: ObjectRetention) -> bytes:
    """Write the body of a request that sets a retention."""
    until = format_time(retention.until)
    return (
        '<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Mode>{retention.mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
    ).encode()


def parse_versions(body: bytes) -> ListedVersions:
    """Parse a page of a listing of versions. Those of one key stand together, the latest first.

    Raises:
        ValueError: it is not one, or has more versions than were requested.
    """
    version, marker = f"{_LISTING}/Version", f"{_LISTING}/DeleteMarker"
    paths = [f"{kind}/{field}" for kind in (version, marker) for field in _FIELDS]
    paths += [f"{version}/Size", f"{version}/ETag"]
    ends = [
        f"{_LISTING}/{name}" for name in ("IsTruncated", "NextKeyMarker", "NextVersionIdMarker")
    ]
    texts = read_texts(body, {**dict.fromkeys(paths, PAGE_KEYS), **dict.fromkeys(ends, 1)})
    if texts.root != _LISTING:
        raise ValueError("not a listing of versions")
    sizes = list(map(_parse_number, texts.found[f"{version}/Size"]))
    listed = _pair(texts, version, sizes, texts.found[f"{version}/ETag"])
    markers = len(texts.found[f"{marker}/Key"])
    listed += _pair(texts, marker, [None] * markers, [""] * markers)
    listed.sort(key=lambda one: (one.key, not one.is_latest))
    truncated, keys, ids = (texts.found[path] for path in ends)
    if truncated != ["true"]:
        return ListedVersions(tuple(listed), None)
    if not keys or not 0 < len(keys[0]) <= _LONGEST_MARKER:
        raise ValueError("a listing that goes on nowhere")
    return ListedVersions(tuple(listed), (keys[0], "".join(ids)[:_LONGEST_MARKER]))


def _pair(
    texts: Texts, kind: str, sizes: list[int] | list[None], tags: list[str]
) -> list[ListedVersion]:
    """Make versions of the texts of their elements. Raises ValueError: one lacks an element."""
    keys, ids, latest, times = (texts.found[f"{kind}/{field}"] for field in _FIELDS)
    return [
        ListedVersion(key, version, is_latest == "true", size, tag, modified)
        for key, version, is_latest, modified, size, tag in zip(
            keys, ids, latest, times, sizes, tags, strict=True
        )
    ]


def _parse_mode(text: str) -> LockMode:
    if text not in _MODES:
        raise ValueError("not a mode of locks")
    return _MODES[text]


def _parse_time(text: str) -> int:
    """Return seconds since 1970; parts of a second are cut off. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time")
    return calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))


def _parse_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:  # noqa: PLR2004  (2^63)
        raise ValueError("not a number")
    return int(text)
