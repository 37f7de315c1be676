"""What was done to an archive, as plain data, for ``--json`` and for the Python API."""

from dataclasses import asdict
from typing import Any

from airgap.flow.archive.add import AddedBundle
from airgap.flow.archive.doctor.diagnose import ArchiveDiagnosis
from airgap.flow.archive.hold import HeldBundle
from airgap.flow.archive.release import SignedRelease
from airgap.flow.archive.renew import Renewal
from airgap.flow.timestamps.describe import describe_added as describe_stamps

__all__ = [
    "describe_added",
    "describe_diagnosis",
    "describe_hold",
    "describe_release",
    "describe_renewal",
]


def describe_added(added: AddedBundle) -> dict[str, Any]:
    """Describe a bundle that an archive keeps."""
    terms = added.terms
    return {
        "bundle": added.bundle,
        "record": added.record,
        "new": added.is_new,
        "class_name": terms.class_name,
        "keep_until": terms.keep_until,
        "bases": list(terms.bases),
        "evidence": len(terms.evidence),
        "escrow": terms.escrow,
    }


def describe_hold(held: HeldBundle, reason: str) -> dict[str, Any]:
    """Describe a hold."""
    return {"bundle": held.bundle, "hold": held.hold, "reason": reason, "new": held.is_new}


def describe_release(signed: SignedRelease) -> dict[str, Any]:
    """Describe a release, and who has signed it."""
    record = signed.record
    return {
        "bundle": record.bundle,
        "hold": record.hold,
        "reason": record.reason,
        "time": record.time,
        "record": signed.id,
        "digest": f"SHA256:{signed.id}",
        "signed_by": list(signed.signers),
        "needed": signed.needed,
        "role": signed.role,
        "file": str(signed.path) if signed.path else None,
    }


def describe_renewal(done: Renewal) -> dict[str, Any]:
    """Describe the stamps that were renewed, and those that were not."""
    stamps = describe_stamps([one.stamp for one in done.added])
    return {
        "location": done.location,
        "added": [
            {"bundle": one.bundle or None, **stamp}
            for one, stamp in zip(done.added, stamps, strict=True)
        ],
        "requests": list(map(str, done.requests)),
        "unanswered": done.unanswered,
        "index": done.index or None,
        "problems": [{"kind": one.kind, "message": one.message} for one in done.problems],
    }


def describe_diagnosis(diagnosis: ArchiveDiagnosis, archive: str) -> dict[str, Any]:
    """Describe what protects an archive, and what does not."""
    return {
        "archive": archive,
        "locked": diagnosis.locked,
        "healthy": all(one.level != "problem" for one in diagnosis.findings),
        "findings": [asdict(one) for one in diagnosis.findings],
    }
