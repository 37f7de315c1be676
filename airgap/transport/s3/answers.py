"""Parses responses: a listing, the id of an upload, the code of an error.

Of XML, only texts at known places are kept. A document type is refused, and with it every entity:
nothing in a response can grow, or name a file.
"""

import re
from collections.abc import Mapping
from typing import Final
from xml.parsers import expat

from airgap.transport.s3.bucket import PAGE_KEYS, Page

__all__ = [
    "Texts",
    "parse_code",
    "parse_listing",
    "parse_upload_id",
    "read_texts",
]

_CODE: Final = re.compile(rb"<Code>([A-Za-z][A-Za-z0-9]{0,39})</Code>")
_LISTING: Final = "ListBucketResult"
_KEY: Final = f"{_LISTING}/Contents/Key"
_TRUNCATED: Final = f"{_LISTING}/IsTruncated"
_TOKEN: Final = f"{_LISTING}/NextContinuationToken"
_DEEPEST: Final = 8
_LONGEST_TOKEN: Final = 4096


def parse_code(body: bytes) -> str:
    """Return the S3 code of an error, or the empty string."""
    match = _CODE.search(body)
    return match[1].decode() if match else ""


def parse_listing(body: bytes) -> Page:
    """Parse a page of a listing (ListObjectsV2).

    Raises:
        ValueError: it is not one, or has more keys than were requested.
    """
    texts = read_texts(body, {_KEY: PAGE_KEYS, _TRUNCATED: 1, _TOKEN: 1})
    if texts.root != _LISTING:
        raise ValueError("not a listing")
    truncated = texts.found[_TRUNCATED] == ["true"]
    token = texts.found[_TOKEN][0] if truncated and texts.found[_TOKEN] else ""
    if truncated and not 0 < len(token) <= _LONGEST_TOKEN:
        raise ValueError("a listing that goes on nowhere")
    return Page(tuple(texts.found[_KEY]), token)


def parse_upload_id(body: bytes) -> str:
    """Parse the response to the beginning of an upload in parts.

    Raises:
        ValueError: it has no id.
    """
    texts = read_texts(body, {"*/UploadId": 1})
    if not texts.found["*/UploadId"] or not texts.found["*/UploadId"][0]:
        raise ValueError("no id of an upload")
    return texts.found["*/UploadId"][0]


class Texts:
    """Collects the texts of some elements, each at most so many times."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        """Take how often the text of each path may come."""
        self.root = ""
        self.found: dict[str, list[str]] = {path: [] for path in limits}
        self._limits = limits
        self._path: list[str] = []
        self._text: list[str] | None = None

    def start(self, tag: str, _attributes: object) -> None:
        """Begin an element."""
        self._path.append(tag.rpartition(":")[2])
        self.root = self.root or self._path[0]
        if len(self._path) > _DEEPEST:
            raise ValueError("elements are nested too deeply")
        self._text = [] if self._name() in self._limits else None

    def data(self, text: str) -> None:
        """Take a piece of text."""
        if self._text is not None:
            self._text.append(text)

    def end(self, _tag: str) -> None:
        """End an element."""
        if self._text is not None:
            texts = self.found[self._name()]
            texts.append("".join(self._text))
            if len(texts) > self._limits[self._name()]:
                raise ValueError("more elements than were requested")
            self._text = None
        self._path.pop()

    def _name(self) -> str:
        """Return the path of the current element; ``*`` stands for the root in ``*/UploadId``."""
        path = "/".join(self._path)
        return path if path in self._limits else "/".join(["*", *self._path[1:]])


def read_texts(body: bytes, limits: Mapping[str, int]) -> Texts:
    """Read the texts of elements by their paths, at most so many of each.

    Raises:
        ValueError: it is not XML, has a document type, or more elements than that.
    """
    texts = Texts(limits)
    parser = expat.ParserCreate("utf-8")  # whatever the response declares
    parser.StartElementHandler, parser.EndElementHandler = texts.start, texts.end
    parser.CharacterDataHandler = texts.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003  (the library's signature)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError("not XML") from error
    return texts


def _refuse_doctype(*_: object) -> None:
    raise ValueError("a document type")
