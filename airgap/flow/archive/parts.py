"""Parts of an archive, as people write them: a shard, and a sample (format §36)."""

import re
from decimal import Decimal
from typing import Final

from airgap.errors import UsageError
from airgap.format.check_result import MILLION
from airgap.format.shard import WHOLE, Shard, parse_shard
from airgap.printable import quote

__all__ = ["read_sample", "read_shard"]

_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%")


def read_shard(text: str | None) -> Shard:
    """Read ``3/64``; without a text, all.

    Raises:
        UsageError: it is not a shard.
    """
    if text is None:
        return WHOLE
    try:
        return parse_shard(text)
    except ValueError as error:
        raise UsageError(
            f"{quote(text)} is not a shard.", "Write 3/64: the third of 64, from 1/64 to 64/64."
        ) from error


def read_sample(text: str | None, of: str = "the packs") -> int:
    """Read ``5%`` or ``0.25%``; return parts of a million.

    Raises:
        UsageError: it is not a part of ``of``.
    """
    if text is None:
        return MILLION
    match = _PERCENT.fullmatch(text)
    parts = int(Decimal(match[1]) * (MILLION // 100)) if match else 0
    if not 0 < parts <= MILLION:
        raise UsageError(f"{quote(text)} is not a part of {of}.", "Write 5% or 0.25%.")
    return parts
