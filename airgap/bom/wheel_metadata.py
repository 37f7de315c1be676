"""The METADATA of a wheel, read from the end of the file: its licence (§30.3).

A wheel is a zip archive whose directory is at its end, and writers put ``*.dist-info/METADATA``
near it. The directory is not trusted: it decides only which bytes are read as METADATA.
"""

import re
import struct
import zlib
from typing import Final

from airgap.bom.claims import MOST_CLAIMS, LicenceClaim, make_claim
from airgap.bom.expression import parse_expression
from airgap.bom.spdx import find_spdx_id

__all__ = ["TAIL_BYTES", "extract_metadata", "read_metadata", "read_wheel_licences"]

TAIL_BYTES: Final = 4 * 1024 * 1024
"""The most that is read of a wheel, from its end."""
_METADATA_BYTES: Final = 1024 * 1024
_MOST_HEADERS: Final = 5_000
_END: Final = struct.Struct("<4s8xII")  # magic, size and offset of the directory
_ENTRY: Final = struct.Struct("<4s6xH8xIIHHH8xI")
"""Magic, method, stored and plain size, lengths of name, extra and comment, offset."""
_LOCAL: Final = struct.Struct("<4s22xHH")  # magic, lengths of name and extra
_END_BYTES: Final = 22 + 0xFFFF  # the end record, and the longest comment after it
_STORED, _DEFLATED = 0, 8
_NAME: Final = re.compile(rb"[^/]{1,300}\.dist-info/METADATA")
_HEADER: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*)")
_CLASSIFIER: Final = "License :: "


def read_wheel_licences(tail: bytes, size: int, path: str) -> tuple[LicenceClaim, ...]:
    """Return what a wheel of ``size`` bytes says of its licence, from its last bytes.

    The best of three fields counts: ``License-Expression``, then ``License`` if it is one name,
    then the classifiers.

    Raises:
        ValueError: it is not a wheel, or METADATA is not within these bytes.
    """
    return read_metadata(extract_metadata(tail, size), path)


def read_metadata(raw: bytes, path: str) -> tuple[LicenceClaim, ...]:
    """Return what the headers of METADATA say of the licence."""
    headers = _read_headers(raw.decode(errors="replace"))
    expression = next(iter(headers.get("license-expression", [])), "").strip()
    if expression:
        return (make_claim(expression, f"{path}: License-Expression"),)
    licence = next(iter(headers.get("license", [])), "").strip()
    classified = [text for text in headers.get("classifier", []) if text.startswith(_CLASSIFIER)]
    if licence and (find_spdx_id(licence) or parse_expression(licence)):
        return (make_claim(licence, f"{path}: License"),)
    named = [text for text in classified if text != "License :: OSI Approved"]
    if named:
        return tuple(_read_classifier(text, path) for text in named[:MOST_CLAIMS])
    if licence and licence.lower() not in {"unknown", "none"}:
        return (make_claim(licence, f"{path}: License"),)
    return ()


def _read_classifier(text: str, path: str) -> LicenceClaim:
    name = text.rpartition(" :: ")[2].strip()
    return make_claim(_CLASSIFIERS.get(name, name), f"{path}: Classifier")


def _read_headers(text: str) -> dict[str, list[str]]:
    """Return the values of each header, by its name in lower case, up to the first empty line."""
    headers: dict[str, list[str]] = {}
    name = ""
    for line in text.split("\n", _MOST_HEADERS)[:_MOST_HEADERS]:
        if not line.strip():
            break
        match = _HEADER.fullmatch(line.rstrip("\r"))
        if match and not line[0].isspace():
            name = match[1].lower()
            headers.setdefault(name, []).append(match[2])
        elif name and len(headers[name][-1]) < _METADATA_BYTES // _MOST_HEADERS:
            headers[name][-1] += f"\n{line.strip()}"
    return headers


def extract_metadata(tail: bytes, size: int) -> bytes:
    """Return METADATA. ``tail`` ends the file, which has ``size`` bytes.

    Raises:
        ValueError: it is not a wheel, or METADATA is not within these bytes.
    """
    skipped = size - len(tail)
    at = tail.rfind(b"PK\5\6", max(0, len(tail) - _END_BYTES))
    if at < 0:
        raise ValueError("it is not a zip archive")
    try:
        _, length, offset = _END.unpack_from(tail, at)
        begin = offset - skipped
        if begin < 0 or begin + length > at:
            raise ValueError(f"its directory is not within the last {TAIL_BYTES:,} bytes")
        method, stored, local = _find_member(tail[begin : begin + length])
        local -= skipped
        if local < 0:
            raise ValueError(f"METADATA is not within the last {TAIL_BYTES:,} bytes")
        magic, names, extras = _LOCAL.unpack_from(tail, local)
    except struct.error as error:
        raise ValueError("its directory is damaged") from error
    data = local + _LOCAL.size + names + extras
    if magic != b"PK\3\4" or data + stored > len(tail):
        raise ValueError("its directory is damaged")
    return _decode(method, tail[data : data + stored])


def _find_member(directory: bytes) -> tuple[int, int, int]:
    """Return method, stored size and offset of METADATA.

    Raises:
        ValueError, struct.error: the directory has none, or is damaged.
    """
    at = 0
    while at < len(directory):
        magic, method, stored, _, names, extras, comments, local = _ENTRY.unpack_from(directory, at)
        if magic != b"PK\1\2":
            raise ValueError("its directory is damaged")
        at += _ENTRY.size
        if _NAME.fullmatch(directory, at, at + names):
            return method, stored, local
        at += names + extras + comments
    raise ValueError("it has no METADATA")


def _decode(method: int, stored: bytes) -> bytes:
    if method == _STORED:
        return stored[:_METADATA_BYTES]
    if method != _DEFLATED:
        raise ValueError(f"METADATA is compressed by method {method}")
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, _METADATA_BYTES)
    except zlib.error as error:
        raise ValueError("METADATA is damaged") from error


_CLASSIFIERS: Final = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "The Unlicense (Unlicense)": "Unlicense",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "Zero-Clause BSD (0BSD)": "0BSD",
    "Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
}
