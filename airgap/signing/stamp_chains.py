"""What a chain of time stamps proves about the bytes at its beginning (format §33.4)."""

from dataclasses import dataclass

from airgap.errors import CorruptError
from airgap.format.site_rules import TimestampAuthority
from airgap.format.stamp_files import StampedFile
from airgap.signing.time_stamps import Authorities, Stamp, decode_stamp

__all__ = ["JudgedChain", "JudgedStamp", "judge_chain"]


@dataclass(frozen=True, slots=True)
class JudgedStamp:
    """A stamp of a chain: it counts for an authority of the root, or there is a problem."""

    file: str
    stamp: Stamp | None = None
    authority: TimestampAuthority | None = None
    problem: str = ""
    gap: tuple[int, int] | None = None
    """From when its certificate had ended until the next stamp that counts, or until now."""


@dataclass(frozen=True, slots=True)
class JudgedChain:
    """The stamps over a file, and by when it existed: in seconds since 1970, or None."""

    file: str
    stamps: tuple[JudgedStamp, ...]
    proven: int | None
    is_broken: bool = False
    """Whether there are stamps that prove nothing, because one before them is missing or wrong."""


def judge_chain(stamped: StampedFile, authorities: Authorities, now: int) -> JudgedChain:
    """Judge the stamps of a file, from the first on.

    Raises:
        ConfigurationError: rfc3161-client is not installed.
    """
    judged: list[JudgedStamp] = []
    data, last, is_broken = stamped.data, None, stamped.is_broken
    for file, raw in stamped.chain:
        one = _judge(file, raw, data, authorities, now)
        if one.authority and one.stamp and last is not None and one.stamp.latest < last:
            one = JudgedStamp(file, problem="it is dated before a stamp that it is over")
        judged.append(one)
        if one.stamp is None:
            is_broken = is_broken or file != stamped.chain[-1][0]
            break
        if one.authority:
            last = one.stamp.time if last is None else max(last, one.stamp.time)
        data = raw
    counted = [one.stamp.latest for one in judged if one.stamp and one.authority]
    return JudgedChain(stamped.file, _find_gaps(judged, now), min(counted, default=None), is_broken)


def _judge(file: str, raw: bytes, data: bytes, authorities: Authorities, now: int) -> JudgedStamp:
    """Judge one stamp; one that does not fit has no ``stamp``: the chain ends before it."""
    try:
        stamp = decode_stamp(raw, "it")
    except CorruptError as error:
        return JudgedStamp(file, problem=error.message.rstrip("."))
    verdict = authorities.judge(stamp, data, now)
    if isinstance(verdict, str):
        return JudgedStamp(file, stamp if stamp.fits(data) else None, problem=verdict)
    return JudgedStamp(file, stamp, verdict)


def _find_gaps(stamps: list[JudgedStamp], now: int) -> tuple[JudgedStamp, ...]:
    """Note where the certificate of a stamp had ended before the next one that counts."""
    result: list[JudgedStamp] = []
    until = now
    for one in reversed(stamps):
        gap = None
        if one.stamp and one.authority:
            if one.stamp.expires is not None and one.stamp.expires < until:
                gap = one.stamp.expires, until
            until = one.stamp.time
        result.append(JudgedStamp(one.file, one.stamp, one.authority, one.problem, gap))
    return tuple(reversed(result))
