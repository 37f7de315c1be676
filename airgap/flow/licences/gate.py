"""The licence gate: a policy, the items of a bundle, and whether they may pass (format §30.4)."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from airgap.bom.policy import (
    POLICY_BYTES,
    Decision,
    LicencePolicy,
    Subject,
    decide,
    decode_policy,
)
from airgap.disk.reading import read_small
from airgap.errors import ConfigurationError, PolicyError
from airgap.format.attestation import Attestation
from airgap.format.root import Root
from airgap.printable import count_text

__all__ = [
    "APPROVAL",
    "LicenceReport",
    "demand_named_policy",
    "describe_report",
    "examine_licences",
    "find_approvers",
    "list_notes",
    "load_policy",
    "refuse_licences",
    "report_lines",
]

APPROVAL: Final = "licence"
"""The name of the attestation that lifts ``review``, and of a root's policy (format §7.6, §14)."""


@dataclass(frozen=True, slots=True)
class LicenceReport:
    """What a policy says of items; ``approved_by`` are the keys that lift ``review``."""

    policy: LicencePolicy
    decisions: tuple[Decision, ...]
    approved_by: tuple[str, ...] = ()

    @property
    def refused(self) -> list[Decision]:
        """The decisions that refuse."""
        return [decision for decision in self.decisions if decision.verdict == "refused"]

    @property
    def waiting(self) -> list[Decision]:
        """The decisions that need an approver, if none has accepted."""
        if self.approved_by:
            return []
        return [decision for decision in self.decisions if decision.verdict == "review"]

    @property
    def documents(self) -> dict[str, bytes]:
        """What the ledger's entry names (format §30.4)."""
        return {"licences": self.digest, "policy": self.policy.digest}

    @property
    def digest(self) -> bytes:
        """SHA-256 of the decisions: the same items and the same policy give the same."""
        return hashlib.sha256(
            json.dumps(describe_report(self), sort_keys=True, separators=(",", ":")).encode()
        ).digest()


def load_policy(path: Path) -> LicencePolicy:
    """Read a policy file.

    Raises:
        ConfigurationError: it cannot be read, or is not a policy.
    """
    try:
        raw = read_small(path, POLICY_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"The licence policy {path} cannot be read: {error.strerror}.",
            "Give the path of a policy file. Nothing was written.",
        ) from error
    return decode_policy(raw, str(path))


def demand_named_policy(root: Root, policy: LicencePolicy | None) -> None:
    """Demand the policy that a root names, if it names one (format §30.4).

    Raises:
        PolicyError: there is no policy, or it is another.
    """
    named = root.rules.policies.get(APPROVAL)
    if named is None or (policy is not None and policy.digest == named):
        return
    given = "none was given" if policy is None else f"the one given has {policy.digest.hex()}"
    raise PolicyError(
        f"The root of site {root.site} demands the licence policy with SHA-256 {named.hex()};"
        f" {given}.",
        "Give the site's policy file with --license-policy, or set license_policy in the config"
        " file.",
    )


def examine_licences(
    policy: LicencePolicy, subjects: Iterable[Subject], now: int, approvers: Sequence[str] = ()
) -> LicenceReport:
    """Decide about items at a time (seconds since 1970); ``approvers`` are key ids that accept."""
    today: date = datetime.fromtimestamp(now, UTC).date()
    return LicenceReport(policy, tuple(decide(policy, subjects, today)), tuple(approvers))


def find_approvers(attestations: Iterable[tuple[str, Attestation]]) -> tuple[str, ...]:
    """Return the keys of approvers that accept a bundle under the name ``licence``.

    ``attestations`` are those of the bundle whose signatures are verified, by key id.
    """
    keys = {
        key_id
        for key_id, signed in attestations
        if (signed.role, signed.name, signed.decision) == ("approver", APPROVAL, "accept")
    }
    return tuple(sorted(keys))


def refuse_licences(report: LicenceReport, *, allows_review: bool = False) -> None:
    """Refuse items that the policy refuses, and those that still need an approver.

    Raises:
        PolicyError: there are any.
    """
    lines = [_name_decision(decision) for decision in report.decisions]
    bad = {*map(_name_decision, report.refused)}
    if report.refused:
        raise PolicyError(
            f"The licence policy refuses {_count(report.refused)}.",
            "Leave them out, or have the policy changed: a licence in `allow`, or an exception.",
            [line for line in lines if line in bad],
        )
    if report.waiting and not allows_review:
        waiting = {*map(_name_decision, report.waiting)}
        raise PolicyError(
            f"The licence policy demands a review of {_count(report.waiting)}, and no approver has"
            f" accepted the bundle under the name `{APPROVAL}`.",
            f"An approver accepts it with `airgap approve --name {APPROVAL}`.",
            [line for line in lines if line in waiting],
        )


def list_notes(report: LicenceReport) -> Iterator[str]:
    """Yield what people should know of what passes: warnings, and exceptions that were used."""
    for decision in report.decisions:
        if decision.verdict == "warning" or decision.exemption:
            yield f"Licence of {decision.subject.label}: {decision.reason}."


def describe_report(report: LicenceReport) -> dict[str, Any]:
    """Return the decisions as plain data."""
    return {
        "policy": f"sha256:{report.policy.digest.hex()}",
        "approved_by": list(report.approved_by),
        "items": [_describe(decision) for decision in report.decisions],
    }


def report_lines(report: LicenceReport) -> list[str]:
    """Return a line for each decision, for people, the strictest first."""
    order = ("refused", "review", "warning", "allowed")
    ordered = sorted(report.decisions, key=lambda decision: order.index(decision.verdict))
    lines = []
    for decision in ordered:
        lines.append(f"{decision.verdict}: {_name_decision(decision)}")
        lines += [
            f"  the exception for {ended.item} ended on {ended.until}: {ended.reason}"
            for ended in decision.ended
        ]
    return lines


def _describe(decision: Decision) -> dict[str, Any]:
    licences = decision.subject.licences
    return {
        "item": decision.subject.label,
        "licences": list(licences.names),
        "sources": [
            {
                "source": claim.source,
                "raw": claim.raw,
                "licence": claim.name or None,
                "sha256": claim.sha256.hex() if claim.sha256 else None,
            }
            for claim in licences.claims
        ],
        "texts": [
            {
                "path": text.path,
                "licence": text.name or None,
                "sha256": text.sha256.hex() if text.sha256 else None,
            }
            for text in licences.texts
        ],
        "verdict": decision.verdict,
        "reason": decision.reason,
        "exception_until": decision.exemption.until.isoformat() if decision.exemption else None,
        "ended_exceptions": [ended.until.isoformat() for ended in decision.ended],
    }


def _name_decision(decision: Decision) -> str:
    return f"{decision.subject.label}: {decision.reason}"


def _count(decisions: Sequence[Decision]) -> str:
    if len(decisions) == 1:
        return decisions[0].subject.label
    return count_text(len(decisions), "item")
