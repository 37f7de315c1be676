"""Roots of format 2 that hypothesis makes, and what people attest (format §7.6, §14)."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from airgap.format.envelope import Role
from tests.support import forge
from tests.support.bundle_strategies import LABELS
from tests.support.signers import person

__all__ = ["Statement", "attestations", "roots"]

TEAMS: dict[Role, tuple[str, ...]] = {
    "root": ("ann",),
    "builder": ("bob",),
    "scanner": ("sue", "sam"),
    "approver": ("eve", "fay", "sue"),
}
DEFAULT_NAMES = {"scanner": "malware", "approver": "review"}
NAMES = ("malware", "review", "licence", "rehearsal", "a", "a-2")
HOUR = 3600
NOW = int(time.time())


@st.composite
def roots(draw: st.DrawFn) -> bytes:
    """Make a root of format 2 that ``ann`` signs; it may demand more than its keys can give."""
    revoked = draw(st.sampled_from([*[""] * 9, "sam", "eve", "bob"]))
    thresholds = st.sampled_from([0, 0, 0, 1, 1, 2])
    roles: dict[str, Any] = {}
    for role, names in TEAMS.items():
        if role in DEFAULT_NAMES and draw(st.booleans()):
            continue
        ids = sorted(person(name).key.id for name in names)
        threshold = draw(thresholds) if role in DEFAULT_NAMES else 1
        roles[role] = {"keys": ids, "threshold": threshold}
    demands = {
        name: {
            "max_age": draw(st.sampled_from([None, None, HOUR])),
            "role": draw(
                st.sampled_from(sorted(roles.keys() & DEFAULT_NAMES.keys()) or ["scanner"])
            ),
            "threshold": draw(st.sampled_from([*[1] * 9, 2, 3])),
        }
        for name in draw(st.sets(st.sampled_from(NAMES), max_size=1))
        if roles.keys() & DEFAULT_NAMES.keys() or draw(st.integers(0, 9)) == 0
    }
    keys = {person(name).key.id: person(name).key for names in TEAMS.values() for name in names}
    tree = {
        "channels": {},
        "created_at": draw(st.sampled_from([0, 1_767_323_045])),
        "demands": demands,
        "forbidden_options": draw(st.sampled_from([[], ["all"], ["allow-unsigned", "http"]])),
        "format": 2,
        "hash": "sha256",
        "keys": [{"algorithm": key.algorithm, "spki": key.spki} for _, key in sorted(keys.items())],
        "labels": _draw_label_rules(draw),
        "not_after": draw(st.sampled_from([*[None] * 9, 4_000_000_000, 1_767_323_045])),
        "people": draw(
            st.sampled_from([*[{}] * 4, {person("bob").key.id: "Bob"}, {"0" * 64: "Zoe"}])
        ),
        "policies": {},
        "receipts": {"approvals": draw(st.sampled_from([*[0] * 9, 2])), "notes": False},
        "recipients": [],
        "revoked_bundles": [],
        "revoked_keys": {person(revoked).key.id: {"since": None}} if revoked else {},
        "roles": roles,
        "site": "ward",
        "timestamp_authorities": [],
        "trust_anchors": draw(st.sampled_from([None, [], ["ca"]])),
        "version": 1,
    }
    return forge.pack(tree)


def _draw_label_rules(draw: st.DrawFn) -> dict[str, Any] | None:
    if draw(st.booleans()):
        return None
    return {
        name: {
            "required": draw(st.integers(0, 7)) == 0,
            "values": draw(st.sampled_from([None, sorted(values), sorted(values)[:1]])),
        }
        for name, values in LABELS.items()
        if draw(st.integers(0, 7))
    }


@dataclass(frozen=True)
class Statement:
    """What somebody says of a bundle, and the role and the name that the files have."""

    signer: str
    role: Role
    file_name: str
    claim: dict[str, Any]

    def files(self, raw: bytes) -> list[tuple[str, bytes]]:
        """Return the attestation and its envelope, with their names in the depot."""
        bundle = hashlib.sha256(raw).digest()
        document = forge.pack({"bundle": bundle, **self.claim})
        (envelope,) = forge.sign(document, person(self.signer), role=self.role).values()
        stem = ".".join(filter(None, (self.role, self.file_name, person(self.signer).key.id)))
        folder = f"bundles/{bundle.hex()}"
        return [
            (f"{folder}/{stem}.attestation", document),
            (f"{folder}/{stem}.dsse", envelope),
        ]


@st.composite
def attestations(draw: st.DrawFn) -> Statement:
    """Make a statement; a few break a rule."""
    role: Role = draw(st.sampled_from(["scanner", "approver"]))
    name = draw(st.sampled_from(NAMES))
    is_default = name == DEFAULT_NAMES[role]
    age = draw(st.sampled_from([0, 0, 0, HOUR // 2, 2 * HOUR, -HOUR, -48 * HOUR]))
    claim: dict[str, Any] = {
        "decision": draw(st.sampled_from([*["accept"] * 19, "reject"])),
        "findings": draw(st.sampled_from([None, bytes(32)])),
        "format": 1 if is_default else 2,
        "hash": "sha256",
        "note": "",
        "role": role,
        "time": NOW - age,
        **({} if is_default else {"name": name}),
    }
    faults: list[dict[str, Any]] = [
        {"role": "approver" if role == "scanner" else "scanner"},
        {"bundle": bytes(32)},
        {"format": 3},
        {"format": 2, "name": DEFAULT_NAMES[role]},
        {"note": "a\u200bb"},
        {"name": "No name"},
        {"zzz": 0},
    ]
    fault = draw(st.sampled_from([*[{}] * 90, *faults]))
    others = st.sampled_from(["licence", "a-2", ""])
    file_name = "" if is_default else draw(st.sampled_from([name, name, name]) | others)
    signer = draw(st.sampled_from([*TEAMS[role] * 3, "zoe", "bob"]))
    return Statement(signer, role, file_name, {**claim, **fault})
