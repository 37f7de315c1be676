"""Reads the listing of a folder, in the two forms that web servers have.

JSON is an array of objects with a ``name``, as of nginx and Caddy; HTML is a page whose title says
that it is a listing, with a link to each name. A page without that title may be anything, such as
that of a proxy, and its links are not names.
"""

import json
import re
from contextlib import suppress
from html import unescape
from typing import Any, Final
from urllib.parse import unquote

__all__ = ["parse_listing"]

_NO_LISTING: Final = "it is not a listing"
_TITLE: Final = re.compile(r"<title>\s{0,99}(index of|directory listing|listing of)", re.IGNORECASE)
_LINK: Final = re.compile(r"<a\s{1,9}href=\"([^\"<>]{1,4096})\"", re.IGNORECASE)


def parse_listing(body: bytes, media_type: str) -> list[str]:
    """Return the sorted names of a listing, files and folders alike, without a slash.

    Raises:
        ValueError: it is not a listing.
    """
    if media_type == "application/json":
        names = _parse_json(body)
    else:
        names = _parse_page(body.decode("utf-8", "replace"))
    plain = {name.removeprefix("./").removesuffix("/") for name in names}
    return sorted(name for name in plain if name not in ("", ".", "..") and "/" not in name)


def _parse_json(body: bytes) -> list[str]:
    entries: Any = None
    with suppress(ValueError, RecursionError):
        entries = json.loads(body)
    if not isinstance(entries, list):
        raise ValueError(_NO_LISTING)  # noqa: TRY004  (of the text, not of our caller)
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    return [name for name in names if isinstance(name, str)]


def _parse_page(page: str) -> list[str]:
    if not _TITLE.search(page):
        raise ValueError(_NO_LISTING)
    links = [unescape(link) for link in _LINK.findall(page)]
    # Links with a query sort the listing; those with a scheme or from the top lead away.
    return [unquote(link) for link in links if not re.search(r"[?#:]|^/", link)]
