"""Waivers are written, signed by one approver after the other, and read (format §16)."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.part_file import write_atomically
from airgap.errors import ConflictError, UsageError
from airgap.flow.bundle.open_bundle import open_unverified
from airgap.flow.location.credentials import ANYBODY, Access
from airgap.format import envelope as dsse
from airgap.format import limits, names
from airgap.format import waiver as format_waiver
from airgap.format.envelope import Envelope
from airgap.format.waiver import Waiver
from airgap.signing.signer import Signer
from airgap.state import pinned_root

__all__ = ["SUFFIX", "Draft", "Signed", "create", "show", "sign"]

SUFFIX: Final = ".waiver"


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to permit. ``expires_at`` is in seconds since 1970."""

    site: str
    reason: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A waiver file, what it permits, who has put a signature beside it, and whether that is new.

    Nothing is proven: whose signatures count is for the site's root to say.
    """

    path: Path
    waiver: Waiver
    key_ids: tuple[str, ...]
    new: bool = True


def create(
    place: str, draft: Draft, signer: Signer, output: Path | None, access: Access = ANYBODY
) -> Signed:
    """Write and sign a waiver for the bundle in ``place``. Nothing of the bundle is verified.

    Raises:
        UsageError: the site is no name, the reason cannot be signed, or the time has passed.
        ConflictError: the output file, or signatures of its name, are there.
        StorageError: it cannot be written.
    """
    now = int(time.time())
    problem = format_waiver.reason_problem(draft.reason)
    if problem:
        raise UsageError(f"The reason {problem}.", "Write one short line.")
    if not names.is_tag_part(draft.site):
        raise UsageError(f"{draft.site!r} is no site's id.", "See `airgap trust show` there.")
    if draft.expires_at <= now:
        raise UsageError("The waiver would have expired already.", "Give a later --expires.")
    with open_unverified(place, access) as opened:
        bundle = opened.bundle
    made = Waiver(bytes.fromhex(bundle), draft.site, draft.reason, now, draft.expires_at)
    path = output or Path(f"{bundle[:16]}{SUFFIX}")
    left = sorted(path.parent.glob(f"{_stem(path)}.*.dsse"))
    if path.exists() or left:
        raise ConflictError(
            f"{path if path.exists() else left[0]} is already there.",
            "To add a signature, name the .waiver file instead of the bundle; or give -o another"
            " name (what comes before its first dot counts).",
        )
    raw = format_waiver.encode(made)
    envelope = signer.sign("waiver", raw)
    write_atomically(path.parent, path.name, [raw])
    _put(path, envelope)
    return Signed(path, made, (signer.key.id,))


def show(path: Path) -> Signed:
    """Read a waiver and whose signatures claim to be beside it.

    Raises:
        ConfigurationError: it is not there or cannot be read.
        CorruptError: it is no waiver.
        NotTrustedError: a signature file is damaged.
    """
    raw, envelopes = pinned_root.read_signed(path, limits.WAIVER_BYTES, "waiver")
    key_ids = {dsse.decode(one).key_id for one in envelopes}
    return Signed(path, format_waiver.decode(raw), tuple(sorted(key_ids)), new=False)


def sign(path: Path, signer: Signer) -> Signed:
    """Put an approver's signature beside a waiver.

    Raises:
        ConfigurationError, CorruptError, NotTrustedError: as ``show``.
        StorageError: the signature cannot be written.
    """
    known = show(path)
    if signer.key.id in known.key_ids:
        return known
    _put(path, signer.sign("waiver", format_waiver.encode(known.waiver)))
    return Signed(path, known.waiver, tuple(sorted({*known.key_ids, signer.key.id})))


def _put(path: Path, envelope: Envelope) -> None:
    name = f"{_stem(path)}.{envelope.key_id}.dsse"
    write_atomically(path.parent, name, [dsse.encode(envelope)])


def _stem(path: Path) -> str:
    """Return what the names of a waiver's envelopes begin with (format §16)."""
    return path.name.split(".")[0]
