"""Readers of time stamps, of what they are asked for with, and of what lies beside them."""

import hashlib
from typing import Final

from airgap.errors import CorruptError
from airgap.format import stamp_files
from airgap.format.site_rules import TimestampAuthority
from airgap.format.stamp_files import IndexLine
from airgap.signing import time_stamps
from tests.support.reader import Reader
from tests.support.stamp_authority import StampAuthority

__all__ = ["READERS"]

_AUTHORITY: Final = StampAuthority()
_DATA: Final = b"an envelope"


def _read_stamp(raw: bytes) -> bytes:
    return time_stamps.decode_stamp(raw, "it").raw


def _judge_stamp(raw: bytes) -> None:
    """Judge a stamp that can be read: it counts only as it was made, or says why it does not."""
    rules = [TimestampAuthority(_AUTHORITY.digest)]
    known = time_stamps.gather_authorities(rules, [(_AUTHORITY.digest, _AUTHORITY.pem)])
    stamp = time_stamps.decode_stamp(raw, "it")
    verdict = known.judge(stamp, _DATA, 10_000)
    assert verdict == rules[0] or isinstance(verdict, str)
    if verdict == rules[0]:
        assert (stamp.time, stamp.hash) == (5_000, "sha256")


def _read_request(raw: bytes) -> bytes:
    return time_stamps.read_request(raw, "it").raw


def _read_index(raw: bytes) -> bytes:
    return stamp_files.encode_index(iter(stamp_files.parse_index(raw, "it")))


def _read_certificate(raw: bytes) -> None:
    digest, pem = time_stamps.encode_certificate(raw, "it")
    known = time_stamps.gather_authorities([TimestampAuthority(digest)], [(digest, pem)])
    assert set(known.certificates) <= {digest}


def _make_index() -> list[bytes]:
    digests = hashlib.sha512(_DATA).digest(), hashlib.sha256(_DATA).digest()
    names = ("bundles/ab/manifest.msgpack", "packs/ab/ab.pack")
    return [stamp_files.encode_index(IndexLine(name, *digests, 11) for name in names)]


READERS: Final[dict[str, Reader]] = {
    "time stamp": Reader(_read_stamp, (CorruptError,), lambda: [_AUTHORITY.stamp(_DATA, 5_000)]),
    "judgement of a time stamp": Reader(
        _judge_stamp, (CorruptError,), lambda: [_AUTHORITY.stamp(_DATA, 5_000)]
    ),
    "request for a time stamp": Reader(
        _read_request, (CorruptError,), lambda: [time_stamps.make_request(_DATA).raw]
    ),
    "index of digests": Reader(_read_index, (CorruptError,), _make_index),
    "certificate of an authority": Reader(
        _read_certificate, (CorruptError,), lambda: [_AUTHORITY.pem]
    ),
}
