"""The root that an audit relies on, and the older ones that it leads to (format §33.6, §38.1)."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from airgap.carrier.port import SignedManifest
from airgap.errors import ConfigurationError, MissingError
from airgap.flow.admission.policy import require_root
from airgap.flow.audit.evidence_files import EvidenceFiles
from airgap.flow.audit.material import AuditedRoots
from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.format.root import Root, SignedRoot
from airgap.signing import trust
from airgap.signing.as_of import accept_older_roots
from airgap.signing.trust import Verified
from airgap.state import pinned_root

__all__ = [
    "choose_root",
    "judge_roots",
    "name_root",
    "read_root_file",
    "read_travelling",
    "write_roots",
]


def read_root_file(path: Path) -> SignedRoot:
    """Read a root and the envelopes beside it; nothing is verified.

    Raises:
        ConfigurationError: it cannot be read.
    """
    raw, envelopes = pinned_root.read_root_files(path)
    return SignedRoot(raw, tuple(envelopes))


def choose_root(
    named: Sequence[SignedRoot], fingerprints: Sequence[str]
) -> tuple[Verified[Root], SignedRoot]:
    """Return today's root: the newest one whose fingerprint was given, or the pinned one.

    So an auditor needs no state of this machine.

    Raises:
        ConfigurationError: no fingerprint is that of a named root, and this machine trusts nobody.
        NotTrustedError, CorruptError: the root is not signed by its own keys, or not a root.
    """
    accepted = [
        (trust.accept_root(one.raw, one.envelopes, roots.fingerprint(one.raw)), one)
        for one in named
        if roots.fingerprint(one.raw) in fingerprints
    ]
    missing = set(fingerprints) - {roots.fingerprint(one.raw) for _, one in accepted}
    if missing:
        raise ConfigurationError(
            f"No root that was named has the fingerprint {min(missing)}.",
            "Name the root's file with --root, or leave the fingerprint out.",
        )
    if accepted:
        return max(accepted, key=lambda pair: pair[0].value.version)
    pinned = pinned_root.load_root()
    if pinned is None:
        raise ConfigurationError(
            "No root says whom this audit trusts.",
            "Give --root FILE and --fingerprint SHA256:HEX, as the site's records have it, or run"
            " `airgap trust init`.",
        )
    return require_root(), SignedRoot(pinned.raw, pinned.envelopes)


def judge_roots(
    today: Verified[Root], others: Sequence[SignedRoot], fingerprints: Sequence[str]
) -> AuditedRoots:
    """Accept those roots that today's leads to, or whose fingerprints were given. Pure."""
    by_fingerprint = {roots.fingerprint(one.raw): one for one in others}
    own = roots.fingerprint(today.raw)
    accepted = accept_older_roots(today, others, fingerprints)
    known = {one.fingerprint for one in accepted}
    refused = sorted(by_fingerprint.keys() - known)
    files = [by_fingerprint[one] for one in by_fingerprint if one in known]
    files.sort(key=lambda one: roots.fingerprint(one.raw) != own)
    return AuditedRoots(today, files, accepted, refused)


def read_travelling(reader: SignedManifest) -> list[SignedRoot]:
    """Read the roots that travel with a bundle; call it after its attachments were read."""
    with suppress(MissingError):
        return reader.read_roots()
    return []


def name_root(fingerprint: str, version: int) -> str:
    """Name the file of a root within the evidence."""
    return f"root/{version}.{fingerprint[7:23]}.root.msgpack"


def write_roots(audited: AuditedRoots, files: EvidenceFiles) -> dict[str, list[str]]:
    """Write the accepted roots; return the commands that check their signatures, by fingerprint.

    A signature is checked with the keys of every accepted root: a new root is signed by the old
    one's, too.
    """
    keys = {key.id: key for one in audited.accepted for key in one.root.keys}
    versions = {one.fingerprint: one.root.version for one in audited.accepted}
    commands: dict[str, list[str]] = {}
    for signed in audited.files:
        fingerprint = roots.fingerprint(signed.raw)
        name = name_root(fingerprint, versions[fingerprint])
        files.add(name, signed.raw)
        commands[fingerprint] = []
        for raw in signed.envelopes:
            envelope = dsse.decode(raw)
            file = f"{name.removesuffix('root.msgpack')}{envelope.key_id}.dsse"
            files.add(file, raw)
            if envelope.key_id in keys:
                key = keys[envelope.key_id]
                command = files.add_signature(name, signed.raw, envelope, key, file)
                commands[fingerprint].append(command)
    return commands
