"""Bundles as plain data: for ``inspect``, ``verify``, ``--json`` and the Python API."""

from typing import Any

from airgap.errors import AirgapError
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.media.missing_volumes import MissingVolumes
from airgap.format import attestation
from airgap.format import envelope as dsse
from airgap.format.envelope import Role
from airgap.format.inventory import File, Item, Link
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.signing.signer_lines import list_signers
from airgap.signing.thresholds import DemandCount, Evidence, Pair, find_valid_signers
from airgap.signing.trust import Verified
from airgap.times import format_time

__all__ = [
    "describe_admission",
    "describe_bundle",
    "describe_claimed",
    "describe_claims",
    "describe_claims_to_sign",
    "describe_counted",
    "describe_item",
    "describe_sealing",
    "describe_signers",
    "describe_volumes",
    "list_unchecked",
    "signer_lines",
]


def describe_bundle(bundle: str, manifest: Manifest, *, files: bool = False) -> dict[str, Any]:
    """Describe a bundle. Sizes in bytes; digests in hex; times as RFC 3339."""
    return {
        "bundle": bundle,
        "created_at": format_time(manifest.created_at),
        "expires_at": None if manifest.expires_at is None else format_time(manifest.expires_at),
        "channel": manifest.channel,
        "sequence": manifest.sequence,
        "audience": list(manifest.audience),
        "labels": dict(manifest.labels),
        "completes": None if manifest.completes is None else manifest.completes.hex(),
        "tool": manifest.tool,
        "size": manifest.size,
        "stored_size": manifest.stored_size,
        "packs": len(manifest.packs),
        "chunks": len(manifest.chunks),
        "items": [describe_item(item, files=files) for item in manifest.items],
        **describe_sealing(bundle, manifest),
    }


def describe_sealing(bundle: str, index: Manifest, inner: str | None = None) -> dict[str, Any]:
    """Describe how a bundle is sealed, by its index; ``inner`` is the bundle inside, if known."""
    if index.sealed is None:
        return {"sealed": None}
    recipients = index.sealed.recipients
    return {"bundle": bundle, "sealed": {"recipients": recipients, "inner": inner}}


def describe_item(item: Item, *, files: bool = False) -> dict[str, Any]:
    """Describe an item, on request with every entry."""
    description: dict[str, Any] = {
        "kind": item.kind,
        "tag": item.tag,
        "digest": f"sha256:{item.digest.hex()}",
        "files": len(item.files),
        "size": item.size,
    }
    if files:
        description["entries"] = [_describe_entry(entry) for entry in item.entries]
    return description


def describe_signers(opened: Opened) -> dict[str, Any]:
    """Say whose signatures admitted a bundle, and how many were needed, for each role."""
    root, signers = opened.root.value, opened.manifest.signers
    return {
        "site": root.site,
        "root_version": root.version,
        "threshold": root.threshold("builder"),
        "signed_by": list(signers["builder"]),
        "roles": {
            role: {"threshold": root.threshold(role), "signed_by": list(key_ids)}
            for role, key_ids in signers.items()
        },
        "attestations": describe_counted(opened.manifest)["attestations"],
    }


def describe_counted(manifest: Verified[Manifest]) -> dict[str, Any]:
    """Say whose signatures admitted a manifest: builders, and attestations by name."""
    return {
        "signed_by": list(manifest.signers["builder"]),
        "attestations": [_describe_count(count) for count in manifest.counts],
    }


def describe_claimed(bundle: str, evidence: Evidence) -> dict[str, Any]:
    """Say the same of a bundle that is not admitted, as it claims: nothing of it is verified.

    An attestation of another bundle says nothing about this one, and is left out.
    """
    builders: set[str] = set()
    keys: dict[tuple[str, str, str], set[str]] = {}
    for claim in describe_claims(evidence):
        if claim["key_id"] and claim["role"] == "builder":
            builders.add(claim["key_id"])
        elif claim["key_id"] and claim.get("bundle") == bundle:
            label = (claim["role"], claim["name"], claim["decision"])
            keys.setdefault(label, set()).add(claim["key_id"])
    return {
        "signed_by": sorted(builders),
        "attestations": [
            {"role": role, "name": name, "decision": decision, "signed_by": sorted(key_ids)}
            for (role, name, decision), key_ids in keys.items()
        ],
    }


def _describe_count(count: DemandCount) -> dict[str, Any]:
    """Describe an attestation: what it attests, who demands it, and who accepts."""
    return {
        "role": count.demand.role,
        "name": count.demand.name,
        "decision": "accept",
        "signed_by": list(count.key_ids),
        "threshold": count.demand.threshold,
        "max_age": count.demand.max_age,
        "outdated": list(count.outdated),
    }


def signer_lines(opened: Opened) -> list[str]:
    """Say for people who signed, role by role."""
    manifest = opened.manifest
    return list_signers(opened.root.value, manifest.signers["builder"], manifest.counts)


def list_unchecked(opened: Opened) -> list[str]:
    """List what an import judges and a reader of an index alone cannot (format §34.5)."""
    if opened.manifest.value.sealed is None:
        return []
    demands = [f"{demand.role}s ({demand.name})" for demand in opened.root.value.demands()]
    return ["builders inside", "channel", "number", "expiry", "labels", *demands]


def describe_admission(opened: Opened) -> dict[str, Any]:
    """Say where in its channel an admitted bundle is, and what only a waiver let pass."""
    manifest, admission = opened.manifest.value, opened.admission
    waiver = admission.waiver
    description: dict[str, Any] = {
        "channel": manifest.channel,
        "sequence": manifest.sequence,
        "labels": dict(manifest.labels),
        "last_sequence": opened.policy.state.last_sequence(manifest.channel),
        "missing_numbers": [admission.gap.start, admission.gap.stop - 1] if admission.gap else None,
        "waived": list(admission.lifted),
        "passed_over": list(opened.passed_over),
    }
    if waiver:
        description["waiver"] = {
            "reason": waiver.value.reason,
            "expires_at": format_time(waiver.value.expires_at),
            "signed_by": list(waiver.signers["approver"]),
        }
    return description


def describe_claims(evidence: Evidence) -> list[dict[str, Any]]:
    """List what lies beside a manifest, as it claims to be: nothing of it is verified."""
    claims = [{"role": "builder", **_describe_claim(raw)} for raw in evidence.envelopes]
    for role, pairs in evidence.attestations.items():
        claims += [
            {"role": role, **_describe_claim(envelope), **_describe_attestation(statement)}
            for statement, envelope in pairs
        ]
    return claims


def describe_claims_to_sign(evidence: Evidence, root: Root | None) -> list[dict[str, Any]]:
    """List the same for somebody who signs, with those notes that a key of the role signed.

    Anyone can add an attestation with a note, and name the key of somebody else in it. A note that
    is left out is None.
    """
    claims = describe_claims(evidence)
    pairs = [(role, pair) for role, pairs in evidence.attestations.items() for pair in pairs]
    for claim, (role, pair) in zip(claims[len(evidence.envelopes) :], pairs, strict=True):
        if claim.get("note") and not _is_signed(role, pair, root):
            claim["note"] = None
    return claims


def describe_volumes(volumes: MissingVolumes) -> dict[str, Any]:
    """Say which volumes were read and are good, and which were not seen."""
    return {
        "count": volumes.labels[0].count,
        "good": sorted(volumes.seen),
        "missing": volumes.unseen,
    }


def _is_signed(role: Role, pair: Pair, root: Root | None) -> bool:
    """Return whether a key that a root names for a role signed an attestation."""
    statement, envelope = pair
    try:
        return root is not None and bool(
            find_valid_signers(role, statement, [envelope], root.signers(role))
        )
    except AirgapError:
        return False


def _describe_claim(envelope: bytes) -> dict[str, Any]:
    try:
        return {"key_id": dsse.decode(envelope).key_id}
    except AirgapError:
        return {"key_id": None}


def _describe_attestation(statement: bytes) -> dict[str, Any]:
    try:
        claim = attestation.decode(statement)
    except AirgapError as error:
        return {"unreadable": error.message}
    return {
        "bundle": claim.bundle.hex(),
        "name": claim.name,
        "decision": claim.decision,
        "time": format_time(claim.time),
        "note": claim.note,
        "findings": None if claim.findings is None else f"sha256:{claim.findings.hex()}",
    }


def _describe_entry(entry: object) -> dict[str, Any]:
    match entry:
        case File():
            return {
                "path": entry.path,
                "size": entry.size,
                "sha256": entry.digest.hex(),
                "executable": entry.executable,
            }
        case Link():
            return {"path": entry.path, "link_to": entry.target}
        case _:
            return {"path": getattr(entry, "path", ""), "empty_folder": True}
