"""The small files by which writers of a depot and its cleaners keep out of each other's way (§23).

Neither is signed: who can write into a depot can remove what is in it.
"""

from collections.abc import Collection, Mapping
from typing import Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.fields import Fields

__all__ = ["decode_marks", "decode_sweep", "encode_marks", "encode_sweep"]

FORMAT: Final = 1


def encode_marks(since: Mapping[str, int]) -> bytes:
    """Encode which files no manifest named, and since when, in seconds since 1970."""
    names = sorted(since)
    return canonical.encode(
        {"format": FORMAT, "names": names, "times": [since[name] for name in names]}
    )


def decode_marks(raw: bytes) -> dict[str, int]:
    """Decode marks.

    Raises:
        CorruptError: they break a rule of format §23.
    """
    value = canonical.decode(raw, limit=limits.MARKS_BYTES, what="list of marks")
    fields = Fields(value, frozenset({"format", "names", "times"}), "list of marks")
    fields.expect("format", FORMAT)
    names, times = fields.array("names", limits.ENTRIES), fields.array("times", limits.ENTRIES)
    whole = len(names) == len(times) and all(type(one) is str for one in names)
    if not whole or any(type(one) is not int or one > limits.TIME for one in times):
        raise CorruptError("The marks of a depot do not fit together.", "They are written anew.")
    return dict(zip(names, times, strict=True))


def encode_sweep(names: Collection[str]) -> bytes:
    """Encode which files are about to be removed: depot names, at most 1,000."""
    return canonical.encode({"format": FORMAT, "names": sorted(names)})


def decode_sweep(raw: bytes) -> frozenset[str]:
    """Decode what is about to be removed.

    Raises:
        CorruptError: it breaks a rule of format §23.
    """
    value = canonical.decode(raw, limit=limits.SWEEP_BYTES, what="sweep")
    fields = Fields(value, frozenset({"format", "names"}), "sweep")
    fields.expect("format", FORMAT)
    names = fields.array("names", limits.SWEPT_NAMES)
    if not all(type(one) is str for one in names):
        raise CorruptError("A sweep of a depot names no files.", "Wait until it has ended.")
    return frozenset(names)
