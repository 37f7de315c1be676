"""Root files on their way: drawn up, changed, signed by several people, shown (format §15).

Nothing here decides what this machine trusts; ``flow.trust`` does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.disk.part_file import write_atomically
from airgap.errors import ConflictError, UsageError
from airgap.flow.describe.root import root_changes
from airgap.flow.trust.keys import public_file
from airgap.format import envelope as dsse
from airgap.format import layout, names, root_edits
from airgap.format import root as roots
from airgap.format.envelope import Role
from airgap.format.root import Key, RoleKeys, Root, SignedRoot
from airgap.signing.public_keys import check_key
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers
from airgap.state import pinned_root

__all__ = [
    "NewRoot",
    "Proposal",
    "Standing",
    "create",
    "edit",
    "find_key",
    "read",
    "show",
    "sign",
    "travelling",
]


@dataclass(frozen=True, slots=True)
class NewRoot:
    """What the first version of a root shall say. Roles without keys are left out."""

    site: str
    keys: Mapping[Role, Sequence[Key]]
    thresholds: Mapping[Role, int]
    not_after: int | None = None
    created_at: int | None = None
    """In seconds since 1970; None means now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Which root keys of one version have signed, and how many of the others still must."""

    version: int
    threshold: int
    signed: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many signatures are missing."""
        return max(self.threshold - len(self.signed), 0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A root file, what it says, and how far it is signed.

    ``standings`` holds its own root keys' and, if it was given, those of the version before.
    """

    path: Path
    root: Root
    raw: bytes
    standings: tuple[Standing, ...]
    changes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What a site pins."""
        return roots.fingerprint(self.raw)

    @property
    def is_complete(self) -> bool:
        """Whether all signatures are there, of the versions that were asked for."""
        return not any(one.missing for one in self.standings)


def create(new: NewRoot, signers: Sequence[Signer], output: Path) -> Proposal:
    """Write version 1 of a root, signed by those root keys that are at hand.

    Raises:
        UsageError: the site id is no name, or the keys and thresholds make no root.
        ConflictError: the output file, or signatures of its name, are there.
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
        keys=tuple(keys[one] for one in sorted(keys)),
        roles=roles,
        channels={},
        not_after=new.not_after,
        created_at=int(time.time()) if new.created_at is None else new.created_at,
    )
    _write_new(output, root_edits.validate(root))
    for signer in signers:
        sign(output, signer, None)
    return show(output, None)


def edit(path: Path, change: Callable[[Root], Root], output: Path | None) -> Proposal:
    """Change a proposal in place, or begin the version that follows a signed root.

    Raises:
        UsageError: the change makes no root; ``output`` is missing, or not for this file; or the
            proposal is being signed.
        ConflictError: the output file, or signatures of its name, are there.
    """
    known = show(path, None)
    if not read(path).envelopes:
        if output is not None:
            raise UsageError(
                f"No signatures lie beside {path}, so it is a proposal and edited in place.",
                "Leave out -o; or, if it is a signed root, copy its .dsse files beside it.",
            )
        changed = change(known.root)
        write_atomically(path.parent, path.name, [roots.encode(changed)])
        return show(path, None)
    if not known.is_complete:
        raise UsageError(
            f"{path} is being signed; {known.standings[0].missing} signatures are missing.",
            f"Collect the others; or remove {_stem(path)}.*.dsse, and all must sign again.",
        )
    if output is None:
        raise UsageError(
            f"{path} is signed, so it does not change.",
            f"Give -o NEXT.msgpack for the proposal of version {known.root.version + 1}.",
        )
    _write_new(output, change(root_edits.next_version(known.root, int(time.time()))))
    return show(output, None)


def sign(path: Path, signer: Signer, before: Path | None) -> bool:
    """Put a signature beside a root; return False if this key had signed it already.

    Raises:
        UsageError: the key is no root key of this version, nor of the one before.
        StorageError: it cannot be written.
    """
    proposal = show(path, before)
    for one in proposal.standings:
        if signer.key.id in one.signed:
            return False
    if not any(signer.key.id in one.others for one in proposal.standings):
        raise UsageError(
            f"The key {signer.key.id[:16]}… is no root key of version {proposal.root.version}.",
            "If it is one of the version before, give that root with --from.",
        )
    envelope = dsse.encode(signer.sign("root", proposal.raw))
    write_atomically(path.parent, f"{_stem(path)}.{signer.key.id}.dsse", [envelope])
    return True


def show(path: Path, before: Path | None) -> Proposal:
    """Read a root file and count its signatures by its own keys and those of the version before.

    Nothing is trusted by that.

    Raises:
        CorruptError: it is no root.
        NotTrustedError: a key cannot be used, or a signature of a known key does not match.
        UsageError: ``before`` is not the version before.
    """
    given = read(path)
    root = _decode(given.raw)
    standings, told = [_standing(given, root)], []
    if before is not None:
        old = _decode(read(before).raw)
        if (old.site, old.version + 1) != (root.site, root.version):
            raise UsageError(
                f"{before} is version {old.version} of site {old.site}; {path} is version"
                f" {root.version} of site {root.site}.",
                "Give the root of the version before.",
            )
        standings.insert(0, _standing(given, old))
        told = root_changes(old, root)
    return Proposal(path, root, given.raw, tuple(standings), tuple(told))


def read(path: Path) -> SignedRoot:
    """Read a root file and the envelopes beside it; nothing is checked.

    Raises:
        ConfigurationError: it is not there or cannot be read.
    """
    return SignedRoot(*pinned_root.read_root_files(path))


def find_key(root: Root, text: str) -> str:
    """Return the id of the key that a person means: a ``.pub`` file, or an id or its beginning.

    Raises:
        UsageError: no key of the root, or several, begin so.
    """
    if Path(text).is_file():
        return public_file(Path(text)).id
    if names.is_bundle_id(text):
        return text
    found = [key.id for key in root.keys if key.id.startswith(text.lower())]
    if len(text) < _SHORTEST or len(found) != 1:
        raise UsageError(
            f"{text!r} names {len(found)} keys of this root.",
            f"Give a NAME.pub file, a key id, or at least its first {_SHORTEST} digits.",
        )
    return found[0]


def travelling(paths: Sequence[Path]) -> dict[str, bytes]:
    """Return signed roots and their envelopes by the names they have in a depot (format §8).

    Raises:
        UsageError: one is not signed, or two have the same version.
    """
    files: dict[str, bytes] = {}
    for path in paths:
        known, given = show(path, None), read(path)
        name = layout.root_name(known.root.version)
        if not known.is_complete or files.get(name, known.raw) != known.raw:
            raise UsageError(
                f"{path} lacks signatures, or two roots have version {known.root.version}.",
                "Send only what is signed; see `airgap root show`.",
            )
        for envelope in given.envelopes:
            key_id = dsse.decode(envelope).key_id
            files[layout.root_envelope_name(known.root.version, key_id)] = envelope
        files[name] = known.raw
    return files


_SHORTEST = 8


def _decode(raw: bytes) -> Root:
    root = roots.decode(raw)
    for key in root.keys:
        check_key(key)
    return root


def _standing(given: SignedRoot, judge: Root) -> Standing:
    keys = judge.signers("root")
    signed = find_valid_signers("root", given.raw, given.envelopes, keys)
    others = tuple(sorted(keys.keys() - set(signed)))
    return Standing(judge.version, judge.threshold("root"), signed, others)


def _write_new(path: Path, root: Root) -> None:
    left = sorted(path.parent.glob(f"{_stem(path)}.*.dsse"))
    if path.exists() or left:
        raise ConflictError(
            f"{path if path.exists() else left[0]} is already there.",
            "Choose another name (what comes before its first dot counts): roots and their"
            " signatures are never overwritten.",
        )
    write_atomically(path.parent, path.name, [roots.encode(root)])


def _stem(path: Path) -> str:
    """Return what the names of a root's envelopes begin with (format §7.1)."""
    return path.name.split(".")[0]
