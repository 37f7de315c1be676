"""What a reader of bytes of strangers is, and what several of them need."""

import atexit
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from airgap.errors import AirgapError

__all__ = ["Reader", "expand_repeated", "scratch", "write_scratch"]


@dataclass(frozen=True)
class Reader:
    """``read`` returns what was read, written again; None where there is nothing to write."""

    read: Callable[[bytes], bytes | None]
    refuses: tuple[type[AirgapError], ...]
    seeds: Callable[[], Sequence[bytes]]
    """Bytes that are read without a refusal."""
    words: Sequence[bytes] = ()
    """What its language is made of, for a fuzzer to put together."""


@cache
def scratch() -> Path:
    """Name a folder for readers that want a file; it goes when the process ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def expand_repeated(raw: bytes) -> bytes:
    r"""Write out ``\x01``, a count and a byte: 32 times that count of this byte.

    Else a fuzzer would need very long to put together what is nested very deeply, or very long.
    """
    return re.sub(rb"\x01(.)(.)", _repeat, raw, count=4, flags=re.DOTALL)


def _repeat(mark: re.Match[bytes]) -> bytes:
    return mark[2] * (32 * mark[1][0])


def write_scratch(raw: bytes, name: str = "archive.bento") -> Path:
    """Write a file for a reader that wants one."""
    path = scratch() / name
    path.write_bytes(raw)
    return path
