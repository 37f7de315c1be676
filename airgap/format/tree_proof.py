"""Proofs as files: an entry is in a ledger; a ledger continues an older one (format §28.4)."""

import re
from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.checkpoint import decode_base64, encode_base64
from airgap.format.fields import DIGEST_BYTES

__all__ = [
    "ConsistencyProof",
    "InclusionProof",
    "decode_consistency",
    "decode_inclusion",
    "encode_consistency",
    "encode_inclusion",
]

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_MOST_DIGESTS: Final = 63
_NUMBER: Final = r"(0|[1-9][0-9]{0,15})"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """The way from entry ``index``, from 0 on, to the root in a checkpoint, a signed note."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """The way from the root over ``old`` entries to that in a checkpoint, a signed note."""

    old: int
    path: tuple[bytes, ...]
    checkpoint: bytes


def encode_inclusion(proof: InclusionProof) -> bytes:
    """Write a proof in the form of C2SP tlog-proof."""
    return _encode(f"{_FIRST_LINE}\nindex {proof.index}", proof.path, proof.checkpoint)


def decode_inclusion(raw: bytes, name: str) -> InclusionProof:
    """Read a proof of C2SP tlog-proof; a line of extra data has no meaning here.

    Raises:
        CorruptError: it is not such a proof.
    """
    pattern = rf"{re.escape(_FIRST_LINE)}\n(?:extra [^\n]*\n)?index {_NUMBER}\n"
    return InclusionProof(*_decode(raw, pattern, name))


def encode_consistency(proof: ConsistencyProof) -> bytes:
    """Write a proof as a witness of C2SP tlog-witness takes it."""
    return _encode(f"old {proof.old}", proof.path, proof.checkpoint)


def decode_consistency(raw: bytes, name: str) -> ConsistencyProof:
    """Read the body of a request to a witness.

    Raises:
        CorruptError: it is not one.
    """
    return ConsistencyProof(*_decode(raw, rf"old {_NUMBER}\n", name))


def _encode(start: str, path: tuple[bytes, ...], checkpoint: bytes) -> bytes:
    lines = [start, *(encode_base64(digest) for digest in path), "", ""]
    return "\n".join(lines).encode() + checkpoint


def _decode(raw: bytes, pattern: str, name: str) -> tuple[int, tuple[bytes, ...], bytes]:
    if len(raw) > limits.TREE_PROOF_BYTES:
        raise _error(name, f"has {len(raw):,} bytes")
    head, separator, checkpoint = raw.partition(b"\n\n")
    try:
        text = head.decode("ascii") + "\n"
    except UnicodeDecodeError as error:
        raise _error(name, "is not a proof") from error
    start = re.match(pattern, text)
    if not separator or start is None:
        raise _error(name, "is not a proof")
    path = [decode_base64(line, name) for line in text[start.end() :].splitlines()]
    if len(path) > _MOST_DIGESTS or any(len(digest) != DIGEST_BYTES for digest in path):
        raise _error(name, "has something else than digests in its proof")
    return int(start[1]), tuple(path), checkpoint


def _error(name: str, problem: str) -> CorruptError:
    return CorruptError(f"{name} {problem}.", "Get the file again from its source.")
