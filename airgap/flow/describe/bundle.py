"""What bundles hold, as plain data: for ``inspect``, ``diff``, ``--json`` and the Python API."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from airgap.errors import AirgapError
from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.flow.admission.policy import gap_text
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.media.missing_volumes import MissingVolumes, listed
from airgap.format import attestation
from airgap.format import envelope as dsse
from airgap.format.inventory import File, Item, Link
from airgap.format.manifest import Manifest
from airgap.format.root import RoleKeys, Root
from airgap.signing import trust
from airgap.signing.thresholds import Evidence

__all__ = [
    "admission_lines",
    "describe_admission",
    "describe_bundle",
    "describe_claims",
    "describe_item",
    "describe_memory",
    "describe_root",
    "describe_volumes",
    "loss_lines",
    "memory_lines",
    "parity_lines",
    "root_changes",
    "root_lines",
    "signer_lines",
    "signers_of",
    "time_text",
    "volume_lines",
]


_PASSED_OVER_LINES: Final = 5


def describe_bundle(bundle: str, manifest: Manifest, *, files: bool = False) -> dict[str, Any]:
    """Describe a bundle. Sizes in bytes; digests in hex; times as RFC 3339."""
    return {
        "bundle": bundle,
        "created_at": time_text(manifest.created_at),
        "expires_at": None if manifest.expires_at is None else time_text(manifest.expires_at),
        "channel": manifest.channel,
        "sequence": manifest.sequence,
        "audience": list(manifest.audience),
        "tool": manifest.tool,
        "size": manifest.size,
        "stored_size": manifest.stored_size,
        "packs": len(manifest.packs),
        "chunks": len(manifest.chunks),
        "items": [describe_item(item, files=files) for item in manifest.items],
    }


def describe_item(item: Item, *, files: bool = False) -> dict[str, Any]:
    """Describe an item, on request with every entry."""
    about: dict[str, Any] = {
        "kind": item.kind,
        "tag": item.tag,
        "digest": f"sha256:{item.digest.hex()}",
        "files": len(item.files),
        "size": item.size,
    }
    if files:
        about["entries"] = [_describe_entry(entry) for entry in item.entries]
    return about


def describe_root(root: Root) -> dict[str, Any]:
    """Describe a root. Times as RFC 3339."""
    return {
        "site": root.site,
        "version": root.version,
        "created_at": None if root.created_at is None else time_text(root.created_at),
        "expires_at": None if root.not_after is None else time_text(root.not_after),
        "roles": {
            role: {"threshold": keys.threshold, "keys": list(keys.key_ids)}
            for role, keys in root.roles.items()
        },
        "algorithms": {key.id: key.algorithm for key in root.keys},
        "minimum_sequences": dict(root.channels),
        "revoked_keys": list(root.revoked_keys),
        "revoked_bundles": [one.hex() for one in root.revoked_bundles],
    }


def root_lines(root: Root) -> list[str]:
    """Say for people whom a root trusts, and what it refuses."""
    lines = [f"drawn up {_drawn_up(root)}, expires {_expiry(root.not_after)}"]
    algorithms = {key.id: key.algorithm for key in root.keys}
    for role, keys in root.roles.items():
        lines.append(f"{role}: {keys.threshold} of {len(keys.key_ids)}")
        lines += [f"  {key_id}  {algorithms[key_id]}" for key_id in keys.key_ids]
    lines += [f"channel {name}: from sequence {least}" for name, least in root.channels.items()]
    lines += [f"revoked key {key_id}" for key_id in root.revoked_keys]
    lines += [f"revoked bundle {bundle.hex()}" for bundle in root.revoked_bundles]
    return lines


def root_changes(old: Root, new: Root) -> list[str]:
    """Say for people what one root has that the other has not."""
    lines = []
    for role in dict.fromkeys((*old.roles, *new.roles)):
        before, after = (one.roles.get(role, RoleKeys((), 0)) for one in (old, new))
        lines += _moves(f"{role} key", before.key_ids, after.key_ids)
        if before.threshold != after.threshold:
            lines.append(f"threshold of {role}: {before.threshold} -> {after.threshold}")
    lines += _moves("revoked key", old.revoked_keys, new.revoked_keys)
    bundles = ([one.hex() for one in root.revoked_bundles] for root in (old, new))
    lines += _moves("revoked bundle", *bundles)
    minimums = ([f"{name} {least}" for name, least in root.channels.items()] for root in (old, new))
    lines += _moves("minimum sequence", *minimums)
    if old.not_after != new.not_after:
        lines.append(f"expires: {_expiry(old.not_after)} -> {_expiry(new.not_after)}")
    return lines


def signers_of(opened: Opened) -> dict[str, Any]:
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
    }


def signer_lines(opened: Opened) -> list[str]:
    """Say for people who signed, role by role."""
    return trust.describe_signers(opened.root.value, opened.manifest.signers)


def describe_admission(opened: Opened) -> dict[str, Any]:
    """Say where in its channel an admitted bundle is, and what only a waiver let pass."""
    manifest, admission = opened.manifest.value, opened.admission
    waiver = admission.waiver
    about: dict[str, Any] = {
        "channel": manifest.channel,
        "sequence": manifest.sequence,
        "last_sequence": opened.judge.state.last_sequence(manifest.channel),
        "not_come": [admission.gap.start, admission.gap.stop - 1] if admission.gap else None,
        "waived": list(admission.lifted),
        "passed_over": list(opened.passed_over),
    }
    if waiver:
        about["waiver"] = {
            "reason": waiver.value.reason,
            "expires_at": time_text(waiver.value.expires_at),
            "signed_by": list(waiver.signers["approver"]),
        }
    return about


def admission_lines(opened: Opened) -> list[str]:
    """Say the same for people."""
    manifest, admission = opened.manifest.value, opened.admission
    last = opened.judge.state.last_sequence(manifest.channel)
    lines = []
    if manifest.sequence:
        here = f"this site had {last} before" if last else "the first of its channel here"
        same = "this site has it already" if last == manifest.sequence else here
        lines.append(f"channel {manifest.channel}, number {manifest.sequence}: {same}")
    else:
        lines.append(f"channel {manifest.channel}, without a number: an older one looks the same")
    if admission.gap:
        lines.append(f"NOTE: {gap_text(admission.gap)}; ask the sender if that is meant")
    if admission.waiver:
        signers = ", ".join(one[:16] + "…" for one in admission.waiver.signers["approver"])
        lines += [f"WAIVED: {problem}" for problem in admission.lifted]
        lines.append(f"waiver by {signers}: {admission.waiver.value.reason}")
    return lines + _passed_over_lines(opened)


def _passed_over_lines(opened: Opened) -> list[str]:
    lines = [f"passed over: {line}" for line in opened.passed_over[:_PASSED_OVER_LINES]]
    more = len(opened.passed_over) - len(lines)
    return [*lines, f"passed over: {more} more"] if more else lines


def describe_memory(health: HistoryStatus, root: Root) -> dict[str, Any]:
    """Say what a site remembers on this machine. Times as RFC 3339; digests in hex."""
    kept, trouble = health.kept, health.trouble
    channels = kept.channels if kept else {}
    return {
        "whole": trouble is None,
        "trouble": {"kind": trouble.kind, "message": trouble.what} if trouble else None,
        "folder": str(health.journal.folder),
        "entries": health.entries,
        "head": health.head,
        "time_floor": time_text(history.floor_of(kept, root)),
        "channels": {
            name: {"sequence": one.sequence, "bundle": one.bundle.hex(), "root": one.root}
            for name, one in sorted(channels.items())
        },
    }


def memory_lines(health: HistoryStatus, root: Root) -> list[str]:
    """Say the same for people."""
    lines = [
        f"remembers {health.entries} entries, head {health.head}",
        f"  in {health.journal.folder}",
        f"time floor {time_text(history.floor_of(health.kept, root))}",
    ]
    for name, one in sorted(health.kept.channels.items()) if health.kept else ():
        lines.append(f"channel {name}: has number {one.sequence}, bundle {one.bundle.hex()}")
    if health.trouble:
        lines.append(f"NOT WHOLE ({health.trouble.kind}): {health.trouble.what}")
    return lines


def loss_lines(health: HistoryStatus) -> list[str]:
    """Say for people what beginning anew would lose."""
    kept = f"The {health.entries} entries above are kept" if health.entries else "Nothing is kept"
    return [
        f"{kept}. What was imported after them is forgotten: its bundles would be taken for new.",
        "If there is a newer copy of the folder, bring it back instead: then nothing is lost.",
        "If not, old bundles are kept out by the root alone: see `airgap root set-min-sequence`.",
        f"Without a terminal: airgap trust reset-state --yes {health.head}",
    ]


def describe_claims(evidence: Evidence) -> list[dict[str, Any]]:
    """List what lies beside a manifest, as it claims to be: nothing of it is verified."""
    claims = [{"role": "builder", **_claim(raw)} for raw in evidence.envelopes]
    for role, pairs in evidence.attestations.items():
        claims += [{"role": role, **_claim(envelope), **_said(one)} for one, envelope in pairs]
    return claims


def describe_volumes(found: MissingVolumes) -> dict[str, Any]:
    """Say which volumes were read and are good, and which were not seen."""
    return {
        "count": found.labels[0].count,
        "good": sorted(found.seen),
        "not_seen": found.awaited,
    }


def volume_lines(found: MissingVolumes) -> list[str]:
    """Say for people which volumes are good, and which were not seen."""
    count, seen = found.labels[0].count, sorted(found.seen)
    return [
        f"{one[0].upper()}{one[1:]} of {count} {verb} good; {len(found.awaited)} others not seen:"
        f" {listed(found.awaited)}."
        for one, verb in [(listed(seen), "is" if len(seen) == 1 else "are")]
    ]


def parity_lines(good: int, damaged: Sequence[str]) -> list[str]:
    """Say for people how parity fares; nothing if there is none."""
    if not good and not damaged:
        return []
    return [f"Parity packs intact: {good} of {good + len(damaged)}.", *damaged]


def time_text(seconds: int) -> str:
    """Write a time as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _moves(what: str, before: Sequence[str], after: Sequence[str]) -> list[str]:
    come = [f"+ {what} {one}" for one in after if one not in before]
    return come + [f"- {what} {one}" for one in before if one not in after]


def _drawn_up(root: Root) -> str:
    return "at a time it does not tell" if root.created_at is None else time_text(root.created_at)


def _expiry(not_after: int | None) -> str:
    return "never" if not_after is None else time_text(not_after)


def _claim(envelope: bytes) -> dict[str, Any]:
    try:
        return {"key_id": dsse.decode(envelope).key_id}
    except AirgapError:
        return {"key_id": None}


def _said(statement: bytes) -> dict[str, Any]:
    try:
        one = attestation.decode(statement)
    except AirgapError as error:
        return {"unreadable": error.message}
    return {
        "bundle": one.bundle.hex(),
        "decision": one.decision,
        "time": time_text(one.time),
        "note": one.note,
        "findings": None if one.findings is None else f"sha256:{one.findings.hex()}",
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
