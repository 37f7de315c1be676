"""What the bytes of a bento.yaml or model.yaml show without parsing, which takes a millisecond.

A description may be written to deceive: what the bytes do not show for certain is left to the
parser.
"""

import re
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

__all__ = ["may_begin_version", "peek_zone"]

_OTHER_LINE: Final = re.compile(rb"(?m)^(?![ \n]|- |-$|[a-z_]+:(?: |$)|\Z)")
"""A line that BentoML does not write: neither indented nor empty, an entry of a list or a key."""
_TIME: Final = re.compile(
    rb"(?m)^creation_time: '[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}([+-][0-9:]{5})?'$"
)
_HIDING_ESCAPE: Final = re.compile(rb"\\(?:x[0-7]|u00[0-7]|U000000[0-7]|[^ -~])")
"""An escape that may stand for a character of a tag, or for nothing at the end of a line."""
_TAG: Final = re.compile(rb"(?<![-._a-z0-9])([-._a-z0-9]++):(?=([-._a-z0-9]++))")
"""What may be a tag. The next one may begin within it, as the second one in ``*x:x:v1``."""


def peek_zone(raw: bytes) -> bool | None:
    """Tell whether the creation time has a time zone; None if only the parser can tell.

    The answer holds for a description that can be parsed. If the first line is a plain key in the
    first column, the document is a map with all its keys in that column. If each line that begins
    there is a plain key or an entry of a list, the creation time is the only line that begins with
    its name, whatever quoted texts and flow collections contain.
    """
    is_plain = raw.isascii() and b"\r" not in raw and raw[:1].islower()
    if not is_plain or raw.startswith(b"creation_time") or raw.count(b"\ncreation_time") != 1:
        return None
    match = _TIME.search(raw)
    if match is None or _OTHER_LINE.search(raw):
        return None
    return match[1] is not None


def may_begin_version(raw: bytes, versions: Mapping[str, Collection[str]]) -> bool:
    """Tell whether a bento.yaml may name a model by the beginning of one of these versions.

    ``versions`` are those of each model, by its name. A tag stands in one piece in the text unless
    it is written with escapes; what stands before it may look like a part of its name. Takes linear
    time, however many tags there are.
    """
    if _HIDING_ESCAPE.search(raw):
        return True
    named: dict[str, set[str]] = {}
    lengths = sorted({len(name) for name in versions})
    for match in _TAG.finditer(raw):
        left, right = match[1].decode(), match[2].decode()
        for length in lengths:
            if length > len(left):
                break
            if left[-length:] in versions:
                named.setdefault(left[-length:], set()).add(right)
    return any(_has_beginning(versions[name], beginnings) for name, beginnings in named.items())


def _has_beginning(versions: Collection[str], beginnings: AbstractSet[str]) -> bool:
    """Tell whether a version begins with one of these texts, and goes on."""
    return any(
        version[:length] in beginnings for version in versions for length in range(1, len(version))
    )
