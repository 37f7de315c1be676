"""Root files and waivers as plain data, for JSON and the Python API."""

from typing import Any

from airgap.flow.describe.root import describe_root
from airgap.flow.trust.roots import Proposal
from airgap.flow.trust.waivers import SignedWaiver
from airgap.times import format_time

__all__ = ["describe_proposal", "describe_waiver"]


def describe_proposal(proposal: Proposal) -> dict[str, Any]:
    """Describe a root file, and its signatures so far. Times as RFC 3339."""
    root, complete = proposal.root, proposal.is_complete
    knows_old = root.version == 1 or len(proposal.counts) > 1
    return {
        "root": str(proposal.path),
        **describe_root(root),
        "fingerprint": proposal.fingerprint,
        "changes": list(proposal.changes),
        "signatures": [
            {
                "by_keys_of_version": count.version,
                "threshold": count.threshold,
                "signed_by": list(count.signed),
                "may_still_sign": list(count.others),
            }
            for count in proposal.counts
        ],
        "complete": complete if knows_old else None if complete else False,
    }


def describe_waiver(signed: SignedWaiver) -> dict[str, Any]:
    """Describe a waiver. Times as RFC 3339."""
    waiver = signed.waiver
    return {
        "bundle": waiver.bundle.hex(),
        "digest": signed.digest,
        "site": waiver.site,
        "reason": waiver.reason,
        "time": format_time(waiver.time),
        "expires_at": format_time(waiver.expires_at),
        "signed_by": list(signed.key_ids),
    }
