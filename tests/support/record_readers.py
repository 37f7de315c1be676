"""Readers of what airgap itself has written down, which may be damaged, or changed by others."""

import hashlib
from typing import Final

from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.counted_files import decode_counted, encode_counted
from airgap.format.fields import DIGEST_BYTES
from airgap.store import environments
from airgap.store.environments import EnvironmentDescription
from airgap.store.install_paths import InstallPath
from airgap.store.volume_progress import JOURNAL, VolumeProgress
from tests.support.reader import Reader, scratch

__all__ = ["READERS"]

_DESCRIPTION: Final = EnvironmentDescription(
    "shop:v1", "shop:w1", 2, ("words:v1",), "/usr/bin/python3", "3.11.7", "ab", 1_700_000_000
)
_JSON_WORDS: Final = (
    *(b'"', b"[", b"]", b"{", b"}", b",", b":", b"null", b"true", b"1e9", b"-1", b"9" * 30),
    *(b'"staged"', b'"damaged"', b'"created_at"', b'"files"', b'"packages"', b"[[0, 1000000]]"),
)


def _read_environment(raw: bytes) -> bytes | None:
    description = environments._decode(raw)
    return None if description is None else environments.encode(description)


def _read_counted(raw: bytes) -> bytes:
    """Read what lies below the digest, which would hide everything from a fuzzer."""
    return encode_counted(decode_counted(hashlib.sha256(raw).digest() + raw))[DIGEST_BYTES:]


def _read_volumes(raw: bytes) -> None:
    """Load what earlier runs of an import have seen: at most every pack of a bundle."""
    store = scratch() / "store"
    progress = VolumeProgress(
        InstallPath(store / "shop" / "v1", store, None, may_hold_more=False), "0" * 64
    )
    progress.folder.mkdir(parents=True, exist_ok=True)
    (progress.folder / JOURNAL).write_bytes(raw)
    record = progress.load()
    for indexes in (record.staged, record.damaged):
        assert all(type(index) is int and 0 <= index < limits.PACKS for index in indexes)


_COUNTED: Final = {
    f"approver.{'ab' * 32}.attestation": b"said",
    f"approver.{'ab' * 32}.dsse": b"signed",
    f"builder.{'cd' * 32}.dsse": b"signed",
    "waiver.msgpack": b"waived",
}


READERS: Final[dict[str, Reader]] = {
    "signatures that an import counted": Reader(
        _read_counted,
        (CorruptError,),
        lambda: [encode_counted(files)[DIGEST_BYTES:] for files in (_COUNTED, {})],
    ),
    "description of an environment": Reader(
        _read_environment, (), lambda: [environments.encode(_DESCRIPTION)], _JSON_WORDS
    ),
    "record of volumes": Reader(
        _read_volumes, (), lambda: [b'{"staged": [[0, 2], [5, 1]], "damaged": []}'], _JSON_WORDS
    ),
}
