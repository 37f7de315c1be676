"""Was a bundle authentic at a time? Signatures, stamps and roots of then (format §33.6).

No import asks this. What is returned here is never ``Verified``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airgap.errors import AirgapError, NotTrustedError
from airgap.format import attestation, layout
from airgap.format import envelope as dsse
from airgap.format import manifest as manifests
from airgap.format import root as roots
from airgap.format.attestation import ATTESTING_ROLES
from airgap.format.envelope import Role
from airgap.format.root import Key, Root, SignedRoot
from airgap.signing.public_keys import check_key
from airgap.signing.thresholds import find_valid_signers
from airgap.signing.trust import Verified
from airgap.times import format_time

__all__ = [
    "AcceptedRoot",
    "Authenticity",
    "SignatureThen",
    "accept_older_roots",
    "choose_root",
    "judge_authenticity",
]

_PINNED: Final = "pinned on this machine"


@dataclass(frozen=True, slots=True)
class AcceptedRoot:
    """A root of the site, and why it is accepted."""

    root: Root
    fingerprint: str
    reason: str


@dataclass(frozen=True, slots=True)
class SignatureThen:
    """A signature beside a bundle: by when it existed, and why it does not count; empty if it does.

    ``proven`` is in seconds since 1970; None: no stamp counts. ``decision`` is that of an
    attestation, and ``name`` what it attests.
    """

    file: str
    role: Role
    key_id: str
    proven: int | None
    problem: str
    decision: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Authenticity:
    """Whether enough builders had signed at the time ``at``, by the root that was in force then."""

    at: int
    is_authentic: bool
    reason: str
    root: AcceptedRoot | None
    signatures: tuple[SignatureThen, ...] = ()


def accept_older_roots(
    pinned: Verified[Root], candidates: Sequence[SignedRoot], fingerprints: Iterable[str] = ()
) -> tuple[AcceptedRoot, ...]:
    """Return the roots of the site that can be relied on, with the pinned one (format §33.6).

    That an old root's keys signed the pinned one proves nothing: anybody can make such a root. One
    whose version is older than that of an accepted root, and its date later, is left out: keys that
    were once enough have made it afterwards.

    Args:
        pinned: today's root.
        candidates: roots with their envelopes, from anywhere.
        fingerprints: those that a person has given.
    """
    accepted = [AcceptedRoot(pinned.value, roots.fingerprint(pinned.raw), _PINNED)]
    named = frozenset(fingerprints)
    waiting = {roots.fingerprint(signed.raw): signed for signed in candidates}
    waiting.pop(accepted[0].fingerprint, None)
    while True:
        verdicts = [_accept(signed, accepted, named) for signed in waiting.values()]
        more = [one for one in verdicts if one is not None]
        if not more:
            return tuple(sorted(accepted, key=lambda one: one.root.version))
        newest = max(more, key=lambda one: one.root.version)  # those before it are judged by it too
        del waiting[newest.fingerprint]
        if _is_dated_in_order(newest.root, accepted):
            accepted.append(newest)


def _accept(
    signed: SignedRoot, accepted: Sequence[AcceptedRoot], named: frozenset[str]
) -> AcceptedRoot | None:
    """Accept a root that a person named, or that enough keys of a later one signed."""
    fingerprint, site = roots.fingerprint(signed.raw), accepted[0].root.site
    if fingerprint in named:
        root = _decode(signed.raw, site)
        return AcceptedRoot(root, fingerprint, "its fingerprint was given") if root else None
    signer = _find_signer(signed, accepted)
    root = None if signer is None else _decode(signed.raw, site)
    if signer is None or root is None or root.version >= signer:
        return None
    return AcceptedRoot(root, fingerprint, f"signed by the root keys of version {signer}")


def _is_dated_in_order(root: Root, accepted: Sequence[AcceptedRoot]) -> bool:
    """Tell whether a root was made no later than the accepted ones of later versions."""
    later = [one.root for one in accepted if one.root.version > root.version]
    return all(
        root.created_at is None or one.created_at is None or root.created_at <= one.created_at
        for one in later
    )


def _decode(raw: bytes, site: str) -> Root | None:
    """Decode a root; None if it is of another site, or breaks a rule of the format."""
    try:
        root = roots.decode(raw)
        for key in root.keys:
            check_key(key)
    except AirgapError:
        return None
    return root if root.site == site else None


def _find_signer(signed: SignedRoot, accepted: Sequence[AcceptedRoot]) -> int | None:
    """Return the version of which enough root keys signed a root; nothing is decoded before."""
    revoked = {key_id for one in accepted for key_id in one.root.revoked_keys}
    for one in sorted(accepted, key=lambda one: one.root.version, reverse=True):
        keys = {k: key for k, key in one.root.signers("root").items() if k not in revoked}
        try:
            signers = find_valid_signers("root", signed.raw, signed.envelopes, keys)
        except NotTrustedError:
            continue
        if len(signers) >= one.root.threshold("root"):
            return one.root.version
    return None


def choose_root(accepted: Sequence[AcceptedRoot], at: int) -> AcceptedRoot | None:
    """Return the root that was in force at a time; None if all were made later."""
    made = [one for one in accepted if (one.root.created_at or 0) <= at]
    return max(made, key=lambda one: one.root.version, default=None)


def judge_authenticity(
    raw: bytes,
    files: Mapping[str, bytes],
    proven: Mapping[str, int | None],
    accepted: Sequence[AcceptedRoot],
    at: int,
) -> Authenticity:
    """Judge a manifest's signatures as of a time.

    Args:
        raw: the manifest.
        files: envelopes and attestations, by file name.
        proven: by when each envelope existed, in seconds since 1970, by its stamps.
        accepted: the roots that can be relied on.
        at: the time that is asked about.
    """
    chosen = choose_root(accepted, at)
    if chosen is None:
        first = min(one.root.version for one in accepted)
        reason = f"no root of that time is known: the oldest is version {first}"
        return Authenticity(at, is_authentic=False, reason=reason, root=None)
    later = [one.root for one in accepted if one.root.version >= chosen.root.version]
    check = _SignatureCheck(chosen.root, later, proven, at)
    signatures = tuple(check.judge_all(raw, files))
    counted = {one.key_id for one in signatures if one.role == "builder" and not one.problem}
    threshold = chosen.root.threshold("builder")
    reason = f"{len(counted)} of {threshold} builders of root version {chosen.root.version}"
    is_authentic = len(counted) >= threshold
    if bytes.fromhex(manifests.bundle_id(raw)) in chosen.root.revoked_bundles:
        reason, is_authentic = f"revoked by root version {chosen.root.version}", False
    end = chosen.root.not_after
    if end is not None and at > end:
        reason = f"root version {chosen.root.version} had expired at {format_time(end)}"
        is_authentic = False
    return Authenticity(at, is_authentic, reason, chosen, signatures)


class _SignatureCheck:
    """Judges the signatures of one bundle by the roots of a time and after."""

    def __init__(
        self, root: Root, later: Sequence[Root], proven: Mapping[str, int | None], at: int
    ) -> None:
        self._root = root
        self._later = later
        self._proven = proven
        self._at = at

    def judge_all(self, raw: bytes, files: Mapping[str, bytes]) -> Iterable[SignatureThen]:
        for file in sorted(files):
            parsed = layout.parse_envelope_file(file)
            if parsed is None:
                continue
            role = parsed[0]
            statement = (
                files.get(layout.attestation_beside(file)) if role in ATTESTING_ROLES else raw
            )
            if statement is not None:
                yield self._judge(file, role, statement, files[file], raw)

    def _judge(
        self, file: str, role: Role, document: bytes, envelope: bytes, raw: bytes
    ) -> SignatureThen:
        proven = self._proven.get(file)
        try:
            key_id = dsse.decode(envelope).key_id
        except AirgapError:
            return SignatureThen(file, role, "", proven, "it is not an envelope")
        problem = self._check(role, key_id, document, envelope) or self._check_time(key_id, proven)
        if problem or role == "builder":
            return SignatureThen(file, role, key_id, proven, problem)
        return self._read_statement(file, role, key_id, proven, document, raw)

    def _read_statement(  # noqa: PLR0913, PLR0917  (of one signature)
        self, file: str, role: Role, key_id: str, proven: int | None, document: bytes, raw: bytes
    ) -> SignatureThen:
        """Read an attestation; not before its signature was verified (format §14, rule 2)."""
        try:
            signed = attestation.decode(document)
        except AirgapError as error:
            return SignatureThen(file, role, key_id, proven, error.message)
        if (signed.role, signed.bundle.hex()) != (role, manifests.bundle_id(raw)):
            return SignatureThen(file, role, key_id, proven, "it is for another bundle or role")
        return SignatureThen(file, role, key_id, proven, "", signed.decision, signed.name)

    def _check(self, role: Role, key_id: str, document: bytes, envelope: bytes) -> str:
        key = self._find_key(role, key_id)
        if key is None:
            return f"root version {self._root.version} does not name its key as {role}"
        try:
            find_valid_signers(role, document, [envelope], {key_id: key})
        except NotTrustedError:
            return "it is not that key's signature over this bundle"
        return ""

    def _find_key(self, role: Role, key_id: str) -> Key | None:
        """Return a key of a role, revoked or not."""
        keys = self._root.roles.get(role)
        if keys is None or key_id not in keys.key_ids:
            return None
        return next((key for key in self._root.keys if key.id == key_id), None)

    def _check_time(self, key_id: str, proven: int | None) -> str:
        if proven is None:
            return "no time stamp that counts proves when it was made"
        if proven > self._at:
            return f"it is proven only for {format_time(proven)} and later"
        for root in self._later:
            if key_id not in root.revoked_keys:
                continue
            since = root.rules.revoked_since.get(key_id)
            if since is None:
                return f"root version {root.version} revokes its key, and does not say since when"
            if proven >= since:
                return (
                    f"root version {root.version} revokes its key since {format_time(since)},"
                    " which is not after its time stamp"
                )
        return ""
