"""Root files: made, changed, signed and read. Nothing here decides whom a machine trusts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import cast

from airgap.api import results
from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.keys import Passphrase, PrivateKey, PublicKey, make_half, make_signer
from airgap.api.root_changes import RootChange
from airgap.flow.trust import roots
from airgap.flow.trust.describe import describe_proposal
from airgap.flow.trust.pin import normalize_fingerprint
from airgap.format.envelope import Role
from airgap.format.root import Root

__all__ = ["change", "create", "read", "sign"]


@edge
def create(  # noqa: PLR0913  (what a root says)
    output: StrPath,
    *,
    site: str,
    root_keys: Sequence[StrPath | PrivateKey | PublicKey],
    builders: Sequence[StrPath | PrivateKey | PublicKey],
    scanners: Sequence[StrPath | PrivateKey | PublicKey] = (),
    approvers: Sequence[StrPath | PrivateKey | PublicKey] = (),
    recorders: Sequence[StrPath | PrivateKey | PublicKey] = (),
    witnesses: Sequence[StrPath | PrivateKey | PublicKey] = (),
    thresholds: Mapping[Role, int] = MappingProxyType({}),
    expires_at: int | None = None,
    created_at: int | None = None,
    changes: Sequence[RootChange] = (),
    passphrase: Passphrase | None = None,
) -> results.RootFileDict:
    """Make version 1 of a root, and return its fingerprint, which a site pins.

    Args:
        output: the file for the root, such as ``root.msgpack``.
        site: the site's id, such as ``hospital-north``.
        root_keys: the keys that sign roots. A private key, or the file of one, signs now; the owner
            of a public key or a ``NAME.pub`` signs later.
        builders: the keys of builders: objects, or ``NAME.pub`` files.
        scanners: the keys of scanners.
        approvers: the keys of approvers.
        recorders: the keys of recorders.
        witnesses: the keys of witnesses.
        thresholds: how many keys of a role must sign; 1 if not given.
        expires_at: it admits nothing after this, in seconds since 1970; None: no end.
        created_at: when it was made, in seconds since 1970; None: now.
        changes: what else it says.
        passphrase: of the files of root keys, or a function that returns it; default:
            ``AIRGAP_PASSPHRASE``.

    Raises:
        UsageError: the keys and thresholds do not make a root.
        ConflictError: the output file, or signatures of its name, exist.
        ConfigurationError: a key cannot be read.
        StorageError: it cannot be written.
    """
    signers = [make_signer(key, passphrase) for key in _list_private(root_keys)]
    absent = [make_half(key) for key in root_keys if key not in _list_private(root_keys)]
    new = roots.NewRoot(
        site,
        {
            "root": [*absent, *(signer.key for signer in signers)],
            "builder": list(map(make_half, builders)),
            "scanner": list(map(make_half, scanners)),
            "approver": list(map(make_half, approvers)),
            "recorder": list(map(make_half, recorders)),
            "witness": list(map(make_half, witnesses)),
        },
        dict(thresholds),
        expires_at,
        created_at,
        [change.apply for change in changes],
    )
    return _describe(roots.create_root(new, signers, Path(output)))


@edge
def change(
    root: StrPath, *changes: RootChange, output: StrPath | None = None
) -> results.RootFileDict:
    """Change a proposal in place, or begin the version that follows a signed root.

    Args:
        root: the file.
        changes: made in this order; all of them, or none.
        output: where the next version goes, if the root is signed.

    Raises:
        UsageError: a change does not make a root; or ``output`` is missing, or is not for this
            file; or the proposal is being signed.
        ConflictError: the output file, or signatures of its name, exist.
    """

    def apply_all(before: Root) -> Root:
        for step in changes:
            before = step.apply(before)
        return before

    path = None if output is None else Path(output)
    return _describe(roots.edit_root(Path(root), apply_all, path))


@edge
def sign(
    root: StrPath,
    *,
    fingerprint: str,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
    before: StrPath | None = None,
) -> results.SignedRootFileDict:
    """Put the signature of a root key beside a root.

    Args:
        root: the file.
        fingerprint: of the root that is to be signed, as it is on the ceremony sheet; no other is
            signed.
        key: a root key of this version, or of the version before.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.
        before: the root of the version before, whose root keys must sign too.

    Raises:
        NotTrustedError: the root has another fingerprint.
        UsageError: the key is not a root key.
        StorageError: it cannot be written.
    """
    signer = make_signer(key, passphrase)
    proposal = roots.read_proposal(Path(root), None if before is None else Path(before))
    proposal, new = roots.sign_root(proposal, signer, normalize_fingerprint(fingerprint))
    return cast(
        "results.SignedRootFileDict",
        {**_describe(proposal), "signed_by": signer.key.id, "new": new},
    )


@edge
def read(root: StrPath, *, before: StrPath | None = None) -> results.RootFileDict:
    """Describe a root file, and the signatures that it has and needs. This trusts nothing.

    Args:
        root: the file.
        before: the root of the version before: then ``changes`` says what changed.

    Raises:
        ConfigurationError: the file cannot be read.
        CorruptError: it is not a root.
        NotTrustedError: a signature does not match, or ``before`` is not the pinned root.
    """
    return _describe(roots.read_proposal(Path(root), None if before is None else Path(before)))


def _list_private(
    keys: Sequence[StrPath | PrivateKey | PublicKey],
) -> list[StrPath | PrivateKey]:
    """Return the keys that can sign now."""
    return [
        key
        for key in keys
        if not isinstance(key, PublicKey)
        and (isinstance(key, PrivateKey) or not str(key).endswith(".pub"))
    ]


def _describe(proposal: roots.Proposal) -> results.RootFileDict:
    return cast("results.RootFileDict", describe_proposal(proposal))
