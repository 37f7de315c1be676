"""Root files before they are pinned: created, edited, signed by several people (format §15).

Nothing here decides what this machine trusts; ``flow.trust.pin`` does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.disk.part_file import write_atomically
from airgap.errors import ConflictError, NotTrustedError, UsageError
from airgap.flow.describe.root import root_changes
from airgap.flow.trust.keys import read_public_key
from airgap.format import envelope as dsse
from airgap.format import layout, names, root_edits
from airgap.format import root as roots
from airgap.format.envelope import Role
from airgap.format.root import Key, RoleKeys, Root, SignedRoot
from airgap.signing.public_keys import check_key
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers
from airgap.state import pinned_root
from airgap.state.pinned_root import envelope_stem

__all__ = [
    "NewRoot",
    "Proposal",
    "SignatureCount",
    "collect_depot_files",
    "create_root",
    "edit_root",
    "find_key",
    "name_key",
    "read_proposal",
    "read_signed_root",
    "sign_root",
]


@dataclass(frozen=True, slots=True)
class NewRoot:
    """The content of the first version of a root. Roles without keys are left out."""

    site: str
    keys: Mapping[Role, Sequence[Key]]
    thresholds: Mapping[Role, int]
    not_after: int | None = None
    created_at: int | None = None
    """In seconds since 1970; None means now."""
    changes: Sequence[Callable[[Root], Root]] = ()
    """What is changed before it is written, in this order."""


@dataclass(frozen=True, slots=True)
class SignatureCount:
    """The root keys of one version that have signed, and those that have not."""

    version: int
    threshold: int
    signed: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def missing(self) -> int:
        """The number of missing signatures."""
        return max(self.threshold - len(self.signed), 0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A root file, its content, and its signatures so far.

    ``counts`` has those by the root keys of the version before, if it was given, and by its own.
    """

    path: Path
    root: Root
    raw: bytes
    envelopes: tuple[bytes, ...]
    counts: tuple[SignatureCount, ...]
    changes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The fingerprint that a site pins."""
        return roots.fingerprint(self.raw)

    @property
    def is_complete(self) -> bool:
        """Whether no signature is missing, by any version that was given."""
        return not any(count.missing for count in self.counts)


def create_root(new: NewRoot, signers: Sequence[Signer], output: Path) -> Proposal:
    """Write version 1 of a root, signed by the given root keys.

    Raises:
        UsageError: the site id is not a name, or the keys and thresholds do not make a root.
        ConflictError: the output file, or signatures of its name, exist.
        StorageError: it cannot be written.
    """
    if not names.is_tag_part(new.site):
        raise UsageError(
            f"{new.site!r} cannot be a site id.", "Use lower-case letters, digits, '-', '_', '.'."
        )
    keys = {key.id: key for role_keys in new.keys.values() for key in role_keys}
    roles = {
        role: RoleKeys(tuple(sorted({key.id for key in listed})), new.thresholds.get(role, 1))
        for role, listed in new.keys.items()
        if listed
    }
    idle = sorted(set(new.thresholds) - set(roles))
    if idle:
        raise UsageError(f"The role {idle[0]} has a threshold and no keys.", f"Give --{idle[0]}.")
    root = Root(
        site=new.site,
        version=1,
        keys=tuple(keys[key_id] for key_id in sorted(keys)),
        roles=roles,
        channels={},
        not_after=new.not_after,
        created_at=int(time.time()) if new.created_at is None else new.created_at,
    )
    root = root_edits.validate(root)
    for change in new.changes:
        root = change(root)
    raw = _write_new(output, root)
    proposal = _make_proposal(output, SignedRoot(raw, ()), None)
    for signer in signers:
        proposal, _ = sign_root(proposal, signer, proposal.fingerprint)
    return proposal


def edit_root(path: Path, change: Callable[[Root], Root], output: Path | None) -> Proposal:
    """Change a proposal in place, or begin the version that follows a signed root.

    Raises:
        UsageError: the change does not make a root; ``output`` is missing, or not for this file;
            or the proposal is being signed.
        ConflictError: the output file, or signatures of its name, exist.
    """
    proposal = read_proposal(path, None)
    if not proposal.envelopes:
        if output is not None:
            raise UsageError(
                f"No signatures lie beside {path}, so it is a proposal and edited in place.",
                "Leave out -o; or, if it is a signed root, copy its .dsse files beside it.",
            )
        raw = roots.encode(change(proposal.root))
        write_atomically(path.parent, path.name, [raw])
        return _make_proposal(path, SignedRoot(raw, ()), None)
    if not proposal.is_complete:
        raise UsageError(
            f"{path} is being signed; signatures missing: {proposal.counts[0].missing}.",
            f"Collect the others; or remove {envelope_stem(path)}.*.dsse and let all sign again.",
        )
    if output is None:
        raise UsageError(
            f"{path} is signed, so it does not change.",
            f"Give -o NEXT.msgpack for the proposal of version {proposal.root.version + 1}.",
        )
    raw = _write_new(output, change(root_edits.next_version(proposal.root, int(time.time()))))
    return _make_proposal(output, SignedRoot(raw, ()), None)  # not what lies there by now


def sign_root(proposal: Proposal, signer: Signer, fingerprint: str) -> tuple[Proposal, bool]:
    """Put a signature beside a root that was read, which is not read again.

    Args:
        proposal: the root.
        signer: one of its root keys, or of those of the version before.
        fingerprint: of the root that is to be signed, as ``normalize_fingerprint`` returns it.

    Returns:
        The root with this signature, and False if this key had signed it already.

    Raises:
        NotTrustedError: the root has another fingerprint.
        UsageError: the key is not a root key of this version, nor of the one before.
        StorageError: it cannot be written.
    """
    if proposal.fingerprint != fingerprint:
        raise NotTrustedError(
            f"{proposal.path} has the fingerprint {proposal.fingerprint}, not {fingerprint}.",
            "Compare it with the ceremony sheet. If they differ, this is not the root that you were"
            " asked to sign.",
        )
    if any(signer.key.id in count.signed for count in proposal.counts):
        return proposal, False
    if not any(signer.key.id in count.others for count in proposal.counts):
        raise UsageError(
            f"The key {signer.key.id} is not a root key of version {proposal.root.version}.",
            "If it is one of the version before, give that root with --from.",
        )
    envelope, path = dsse.encode(signer.sign("root", proposal.raw)), proposal.path
    write_atomically(path.parent, f"{envelope_stem(path)}.{signer.key.id}.dsse", [envelope])
    counts = tuple(_add_signature(count, signer.key.id) for count in proposal.counts)
    return replace(proposal, counts=counts, envelopes=(*proposal.envelopes, envelope)), True


def read_proposal(path: Path, before: Path | None) -> Proposal:
    """Read a root file and count its signatures by its own keys and those of the version before.

    This does not make the root trusted.

    Raises:
        CorruptError: it is not a root.
        NotTrustedError: a key cannot be used, a signature of a known key does not match, or
            ``before`` is another root than the one that this machine trusts.
        UsageError: ``before`` is not the version before.
    """
    return _make_proposal(path, read_signed_root(path), before)


def _make_proposal(path: Path, signed: SignedRoot, before: Path | None) -> Proposal:
    root = _decode(signed.raw)
    counts, changes = [_count_signatures(signed, root)], []
    if before is not None:
        old_raw = read_signed_root(before).raw
        old = _decode(old_raw)
        _demand_pinned(before, old_raw, old)
        if (old.site, old.version + 1) != (root.site, root.version):
            raise UsageError(
                f"{before} is version {old.version} of site {old.site}; {path} is version"
                f" {root.version} of site {root.site}.",
                "Give the root of the version before.",
            )
        counts.insert(0, _count_signatures(signed, old))
        changes = root_changes(old, root)
    return Proposal(path, root, signed.raw, tuple(signed.envelopes), tuple(counts), tuple(changes))


def read_signed_root(path: Path) -> SignedRoot:
    """Read a root file and the envelopes beside it, without any check.

    Raises:
        ConfigurationError: it does not exist or cannot be read.
    """
    return SignedRoot(*pinned_root.read_root_files(path))


def find_key(root: Root, text: str) -> str:
    """Return the id of the key that a person means by a ``.pub`` file, an id or its first digits.

    Raises:
        UsageError: no key of the root, or several, match.
    """
    if Path(text).is_file():
        return read_public_key(Path(text)).id
    if names.is_bundle_id(text):
        return text
    matches = [key.id for key in root.keys if key.id.startswith(text.lower())]
    if len(text) < _SHORTEST or len(matches) != 1:
        raise UsageError(
            f"{text!r} matches {len(matches)} keys of this root.",
            f"Give a NAME.pub file, a key id, or at least its first {_SHORTEST} digits.",
        )
    return matches[0]


def name_key(root: Root, key: str, person: str) -> Root:
    """Say whose key it is; ``key`` is as in ``find_key``.

    Raises:
        UsageError: no key of the root, or several, match; or the name is not valid.
    """
    return root_edits.name_key(root, find_key(root, key), person)


def collect_depot_files(paths: Sequence[Path]) -> dict[str, bytes]:
    """Return signed roots and their envelopes by the names they have in a depot (format §8).

    Raises:
        UsageError: one is not signed, or two have the same version.
    """
    files: dict[str, bytes] = {}
    for path in paths:
        proposal = read_proposal(path, None)
        name = layout.root_name(proposal.root.version)
        if not proposal.is_complete or files.get(name, proposal.raw) != proposal.raw:
            raise UsageError(
                f"{path} lacks signatures, or two roots have version {proposal.root.version}.",
                "Send only what is signed; see `airgap root show`.",
            )
        for envelope in proposal.envelopes:
            key_id = dsse.decode(envelope).key_id
            files[layout.root_envelope_name(proposal.root.version, key_id)] = envelope
        files[name] = proposal.raw
    return files


_SHORTEST = 8


def _decode(raw: bytes) -> Root:
    root = roots.decode(raw)
    for key in root.keys:
        check_key(key)
    return root


def _demand_pinned(path: Path, raw: bytes, root: Root) -> None:
    """Demand that the version before is the pinned root, where this machine has pinned it.

    Another root in its place would hide from the signer what changed.
    """
    pinned = pinned_root.load_root()
    if pinned is None or pinned.raw == raw:
        return
    trusted = roots.decode(pinned.raw)
    if (trusted.site, trusted.version) == (root.site, root.version):
        raise NotTrustedError(
            f"{path} has the fingerprint {roots.fingerprint(raw)}; this machine trusts version"
            f" {root.version} of site {root.site} with {pinned.fingerprint}.",
            "Give the root that this machine trusts: see `airgap trust show`.",
        )


def _count_signatures(signed: SignedRoot, root: Root) -> SignatureCount:
    keys = root.signers("root")
    signed_by = find_valid_signers("root", signed.raw, signed.envelopes, keys)
    others = tuple(sorted(keys.keys() - set(signed_by)))
    return SignatureCount(root.version, root.threshold("root"), signed_by, others)


def _add_signature(count: SignatureCount, key_id: str) -> SignatureCount:
    """Count one more signature, if it is by one of these keys."""
    if key_id not in count.others:
        return count
    others = tuple(other for other in count.others if other != key_id)
    return replace(count, signed=tuple(sorted((*count.signed, key_id))), others=others)


def _write_new(path: Path, root: Root) -> bytes:
    """Write a root under a name that is free; return its bytes."""
    left = sorted(path.parent.glob(f"{envelope_stem(path)}.*.dsse"))
    if path.exists() or left:
        raise ConflictError(
            f"{path if path.exists() else left[0]} already exists.",
            "Choose another name (what comes before its first dot counts): roots and their"
            " signatures are never overwritten.",
        )
    raw = roots.encode(root)
    write_atomically(path.parent, path.name, [raw])
    return raw
