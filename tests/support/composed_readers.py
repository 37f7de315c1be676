"""Readers that are given few bytes: each chooses a piece of a protocol, or counts something.

What must fit together, such as a length that is announced twice, fits unless a byte says otherwise:
a fuzzer that changes bytes at random almost never changes two of them alike.
"""

from typing import Final

from airgap.errors import ConfigurationError, StorageError
from airgap.server.dropbox import settings as dropbox_settings
from tests.support.answer_readers import (
    FTP_LOGIN,
    REFUSES,
    S3_LISTING,
    request_ftp,
    request_s3,
)
from tests.support.config_readers import expand_variable
from tests.support.drop_box import HASH
from tests.support.reader import Reader, expand_repeated, write_scratch

__all__ = ["READERS"]


# ---- S3


_STATUSES: Final = (
    "206 Partial Content",
    "200 OK",
    "204 None",
    "404 Missing",
    "307 Go",
    "503 Later",
)
_S3_FIELDS: Final = 9


def _read_object(raw: bytes) -> None:
    """Make a request of S3, and read the response that nine bytes describe and others fill.

    They are the request, the status, the headers, begin and length of a range (two bytes), the rest
    of the object behind it, the bytes that are sent too much or, negative, too little, and the
    flags of ``make_wire``.
    """
    if len(raw) < _S3_FIELDS:
        return
    choice, status, headers, begin, high, low, rest, excess, flags = raw[:_S3_FIELDS]
    size = high << 8 | low
    sent = max(0, size + (excess + 128) % 256 - 128)
    lines = [f"HTTP/1.1 {_STATUSES[status % len(_STATUSES)]}"]
    lines += [
        text for bit, text in enumerate(_list_headers(begin, size, rest)) if headers >> bit & 1
    ]
    head = "\r\n".join([*lines, "", ""]).encode()
    body = raw[_S3_FIELDS:] or b"x"
    request_s3(choice, [head + (body * (sent // len(body) + 1))[:sent]], bytes([flags]))


def _list_headers(begin: int, size: int, rest: int) -> list[str]:
    """List the headers that a response may have, one for each bit."""
    return [
        f"Content-Length: {size}",
        f"Content-Range: bytes {begin}-{begin + size - 1}/{begin + size + rest}",
        "Transfer-Encoding: chunked",
        f"Content-Length: {size + rest}",
        f"Content-Range: bytes {begin + rest}-{begin + rest + size - 1}/*",
        "Connection: close",
        "Location: http://b/",
        "Content-Encoding: gzip",
    ]


def _object(choice: int, status: int, headers: int, body: bytes, *, slow: bool = False) -> bytes:
    begin, rest = (2, 4) if headers & 2 else (0, 0)
    fields = [choice, status, headers, begin, *len(body).to_bytes(2), rest, 0, 0x80 * slow]
    return bytes(fields) + body


def _object_seeds() -> list[bytes]:
    return [
        _object(0, 1, 1, b""),
        _object(1, 1, 1, S3_LISTING),
        _object(2, 1, 1, b"object"),
        _object(2, 1, 1, b"object", slow=True),
        _object(3, 0, 3, b"234"),
        _object(4, 2, 0, b""),
    ]


# ---- FTP


_REPLIES: Final = (
    *(b"227 Passive (127,0,0,1,4,1)\r\n", b"150 Here\r\n", b"226 Done\r\n", b"350 From\r\n"),
    *(b"213 9\r\n", b'257 "/home"\r\n', b"250 Entered\r\n", b"550 no files\r\n", b"500 What\r\n"),
    *(b"229 x (|||9|)\r\n", b"421 Bye\r\n", b"426 Cut\r\n", b"226 truncated\r\n", b"226-more\r\n"),
)
_DATA: Final = b"\xff"


def _read_transfer(raw: bytes) -> None:
    """Make a request of FTP, by the first byte; replies are chosen by each byte until 0xFF.

    The second and the third byte are the flags of replies and data, which come at the end.
    """
    replies, _, data = raw[3:].partition(_DATA)
    control = FTP_LOGIN + b"".join(_REPLIES[byte % len(_REPLIES)] for byte in replies)
    request_ftp(raw[0] if raw else 0, (control, raw[1:2]), (data, raw[2:3]))


def _transfer(choice: int, data_flags: int, data: bytes, *replies: bytes) -> bytes:
    numbers = bytes(next(n for n, text in enumerate(_REPLIES) if text[:3] == r) for r in replies)
    return bytes([choice, 0, data_flags]) + numbers + _DATA + data


def _transfer_seeds() -> list[bytes]:
    passive = (b"227", b"150", b"226")
    return [
        _transfer(0, 0, b"", b"213"),
        _transfer(1, 0, b"a\r\nb\r\n", *passive),
        _transfer(2, 0, b"b/a\r\n", b"257", b"250", *passive, b"250"),
        _transfer(3, 0, b"data", b"227", b"350", b"150", b"226"),
        _transfer(4, 0, b"data", *passive),
        _transfer(4, 0x80, b"data", *passive),
    ]


# ---- values in the config file of a drop box


_KEYS: Final = (
    *("users.a.max_bytes", "limits.rate", "limits.keep_free", "listen.passive_ports"),
    *("listen.address", "settle_seconds", "import_seconds", "jobs", "users.a.max_files"),
    *("listen.port", "on_arrival", "limits.login_seconds"),
)


def _read_value(raw: bytes) -> None:
    """Load a config file in which one key, by the first byte, has this value."""
    key = _KEYS[(raw or b"\0")[0] % len(_KEYS)]
    text = f'state = "s"\ntls.required = false\nusers.a.password = "{HASH}"\n{key} = '
    path = write_scratch(text.encode() + expand_repeated(raw[1:]) + b"\n", "value.toml")
    assert dropbox_settings.describe(dropbox_settings.load(path))


_VALUE_WORDS: Final = (
    *(
        b"B",
        b" kB",
        b" MiB",
        b" TB",
        b" TiB",
        b"0.",
        b"1e",
        b"inf",
        b"nan",
        b"0x",
        b"_",
        b'"',
        b"-",
    ),
    *(b"1.5", b"::1", b"[", b"{", b"99", b"\x01\x209", b"\x01\x080", "٣".encode(), b"\n"),
)


# ---- a path in a variable


_PATH_PARTS: Final = (
    *("$", "{", "}", "${", "$AIRGAP_TEST", "${AIRGAP_TEST}", "$HOME", "$NONE", "${NONE}"),
    *("~", "/", "~/", "a", "_", " ", "\n", "é", "$$", "{}", "}${"),
)
_LONGEST_PATH: Final = 20_000


def _read_path(raw: bytes) -> None:
    """Expand a path that pairs of bytes describe: which part, and how often it is repeated."""
    parts = (
        _PATH_PARTS[part % len(_PATH_PARTS)] * (1 + count)
        for part, count in zip(raw[::2], raw[1::2], strict=False)
    )
    expand_variable("".join(parts)[:_LONGEST_PATH])


def _path(*parts: tuple[str, int]) -> bytes:
    return bytes(number for text, count in parts for number in (_PATH_PARTS.index(text), count - 1))


READERS: Final[dict[str, Reader]] = {
    "parts of a path in a variable": Reader(
        _read_path,
        (ConfigurationError,),
        lambda: [_path(("~/", 1), ("$HOME", 1), ("/", 1), ("a", 1)), _path(("${NONE}", 2))],
    ),
    "object of S3": Reader(_read_object, REFUSES, _object_seeds),
    "transfer of FTP": Reader(_read_transfer, REFUSES, _transfer_seeds),
    "value for a drop box": Reader(
        _read_value,
        (ConfigurationError, StorageError),
        lambda: [b'\0"500 MB"', b'\1"1 MiB"', b'\2"2.5 GB"', b'\3"50000-50099"', b"\x05" + b"1.5"],
        _VALUE_WORDS,
    ),
}
