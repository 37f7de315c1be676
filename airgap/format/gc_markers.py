"""Marks and sweeps, which keep garbage collectors and writers of a depot from conflicts (§23).

Neither is signed: anyone who can write to a depot can remove its files anyway.
"""

from collections.abc import Collection, Mapping
from typing import Final

from airgap.errors import CorruptError
from airgap.format import canonical, limits
from airgap.format.fields import Fields

__all__ = ["decode_marks", "decode_sweep", "encode_marks", "encode_sweep"]

FORMAT: Final = 1


def encode_marks(since: Mapping[str, int]) -> bytes:
    """Encode the files that no manifest named, and since when, in seconds since 1970."""
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
    valid = len(names) == len(times) and all(type(name) is str for name in names)
    if not valid or any(type(time) is not int or time > limits.TIME for time in times):
        raise CorruptError("The marks of a depot are invalid.", "They will be written again.")
    return dict(zip(names, times, strict=True))


def encode_sweep(names: Collection[str]) -> bytes:
    """Encode the files that will be removed: at most 1,000 depot names."""
    return canonical.encode({"format": FORMAT, "names": sorted(names)})


def decode_sweep(raw: bytes) -> frozenset[str]:
    """Decode the names of the files that will be removed.

    Raises:
        CorruptError: the sweep breaks a rule of format §23.
    """
    value = canonical.decode(raw, limit=limits.SWEEP_BYTES, what="sweep")
    fields = Fields(value, frozenset({"format", "names"}), "sweep")
    fields.expect("format", FORMAT)
    names = fields.array("names", limits.SWEPT_NAMES)
    if not all(type(name) is str for name in names):
        raise CorruptError("A sweep of a depot is invalid.", "Wait until it has ended.")
    return frozenset(names)
