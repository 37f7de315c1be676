"""How the vectors of root format 2 were made: ``python -m tests.vectors.make_root_2 FOLDER``.

As with ``make``, the keys are thrown away, and what is committed is never made again.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap.format import attestation, layout
from airgap.format import root as roots
from airgap.format.attestation import Attestation
from airgap.format.envelope import Role
from airgap.format.root import RoleKeys, Root
from airgap.format.site_rules import (
    Demand,
    LabelRule,
    ReceiptRules,
    Recipient,
    SiteRules,
    TimestampAuthority,
)
from airgap.signing.private_keys import FileSigner
from airgap.signing.signer import Signer
from tests.support import forge

SITE = "ward"
WHEN = 1_800_000_000
ROLES: tuple[Role, ...] = ("root", "builder", "scanner", "approver", "recorder", "witness")


def make(top: Path) -> None:
    """Write all vectors below a folder that is not there yet."""
    top.mkdir()
    signers = {role: FileSigner(Ed25519PrivateKey.generate()) for role in ROLES}
    lost = FileSigner(Ed25519PrivateKey.generate())
    before, root = _roots(signers, lost)
    for name, raw in (("root-1", roots.encode(before)), ("root-2", roots.encode(root))):
        _write_root(top, name, raw, signers["root"])
    _bundle(top, signers, lost)
    _bad(top, roots.encode(root))


def _roots(signers: dict[Role, FileSigner], lost: FileSigner) -> tuple[Root, Root]:
    """Return version 1 in format 1, and version 2 with everything that format 2 can say."""

    def keys_of(*members: Signer) -> RoleKeys:
        return RoleKeys(tuple(sorted(one.key.id for one in members)), 1)

    old: tuple[Role, ...] = ("root", "builder", "scanner", "approver")
    before = Root(
        site=SITE,
        version=1,
        keys=tuple(sorted((signers[role].key for role in old), key=lambda key: key.id)),
        roles={role: keys_of(signers[role]) for role in old},
        channels={"weekly": 3},
        created_at=WHEN,
    )
    everybody = (*signers.values(), lost)
    rules = SiteRules(
        demands=(Demand("licence", "approver", 1), Demand("rehearsal", "scanner", 1, 2_592_000)),
        forbidden_options=("allow-unsigned", "http"),
        labels={"class": LabelRule(("internal", "public")), "project": LabelRule()},
        people={signers["scanner"].key.id: "Scan server", lost.key.id: "Former scan server"},
        revoked_since={lost.key.id: WHEN - 1},
        trust_anchors=("ca", "known_hosts"),
        policies={"licences": hashlib.sha256(b"policy").digest()},
        receipts=ReceiptRules(1, notes=False),
        recipients=(Recipient("age1qqqq", "ward", "site"), Recipient("age1zzzz", "safe", "escrow")),
        timestamp_authorities=(TimestampAuthority(hashlib.sha256(b"tsa").digest(), WHEN, None),),
    )
    after = replace(
        before,
        version=2,
        keys=tuple(sorted((one.key for one in everybody), key=lambda key: key.id)),
        roles={role: keys_of(signers[role]) for role in ROLES}
        | {
            "scanner": keys_of(signers["scanner"], lost),
            "approver": replace(keys_of(signers["approver"]), threshold=0),
        },
        revoked_keys=(lost.key.id,),
        rules=rules,
    )
    return before, after


def _write_root(top: Path, name: str, raw: bytes, signer: Signer) -> None:
    (top / f"{name}.msgpack").write_bytes(raw)
    (top / f"{name}.fingerprint.txt").write_text(roots.fingerprint(raw) + "\n")
    for file, envelope in forge.sign(raw, signer, role="root").items():
        (top / f"{name}.{file.partition('.')[2]}").write_bytes(envelope)


def _bundle(top: Path, signers: dict[Role, FileSigner], lost: FileSigner) -> None:
    """Write a bundle with attestations: those that are demanded, another, one by a revoked key."""
    made = forge.draft(forge.model({"a.txt": b"a" * 40}), channel="weekly", sequence=3)
    raw = made.raw()
    files = forge.members(raw, forge.sign(raw, signers["builder"]), made.packs)
    said: list[tuple[Signer, Role, str]] = [
        (signers["approver"], "approver", "licence"),
        (lost, "scanner", ""),
        (signers["scanner"], "scanner", ""),
        (signers["scanner"], "scanner", "rehearsal"),
        (signers["scanner"], "scanner", "toxicity"),
    ]
    pairs: list[tuple[str, bytes]] = []
    for signer, role, name in said:
        signed = Attestation(hashlib.sha256(raw).digest(), role, "accept", WHEN, "read", name=name)
        statement = attestation.encode(signed)
        (envelope,) = forge.sign(statement, signer, role=role).values()
        folder = f"bundles/{hashlib.sha256(raw).hexdigest()}"
        pairs += [
            (f"{folder}/{layout.attestation_file(role, signer.key.id, signed.name)}", statement),
            (f"{folder}/{layout.envelope_file(role, signer.key.id, signed.name)}", envelope),
        ]
    forge.write_depot(top / "attested", [*files, *pairs])
    (top / "attested.airgap").write_bytes(forge.tar([*files[:2], *pairs, *files[2:]]))


Change = Callable[[dict[str, Any]], object]

CASES: list[tuple[str, str, Change]] = [
    ("a later format", "policy", lambda root: root.update(format=3)),
    ("a later format with another field", "policy", lambda root: root.update(format=3, x=1)),
    ("format 1 with the fields of format 2", "corrupt", lambda root: root.update(format=1)),
    ("format 0", "corrupt", lambda root: root.update(format=0)),
    ("a format that is true", "corrupt", lambda root: root.update(format=True)),
    ("no created_at", "corrupt", lambda root: root.pop("created_at")),
    ("no demands", "corrupt", lambda root: root.pop("demands")),
    ("a field too many", "corrupt", lambda root: root.update(x=1)),
    (
        "a demand of too many keys",
        "corrupt",
        lambda root: root["demands"]["rehearsal"].update(threshold=2),
    ),
    ("a demand of none", "corrupt", lambda root: root["demands"]["licence"].update(threshold=0)),
    ("a demand of age 0", "corrupt", lambda root: root["demands"]["licence"].update(max_age=0)),
    (
        "a demand of builders",
        "corrupt",
        lambda root: root["demands"]["licence"].update(role="builder"),
    ),
    (
        "a demand of a name of 12 characters",
        "corrupt",
        lambda root: root["demands"].update({"a" * 12: root["demands"]["licence"]}),
    ),
    ("an option in upper case", "corrupt", lambda root: root.update(forbidden_options=["HTTP"])),
    (
        "options that are not sorted",
        "corrupt",
        lambda root: root["forbidden_options"].reverse(),
    ),
    ("a trust anchor twice", "corrupt", lambda root: root.update(trust_anchors=["ca", "ca"])),
    ("a label with no value", "corrupt", lambda root: root["labels"]["class"].update(values=[])),
    (
        "a person of an unknown key",
        "corrupt",
        lambda root: root["people"].update({"0" * 64: "Zoe"}),
    ),
    (
        "a name with an escape",
        "corrupt",
        lambda root: root["people"].update(dict.fromkeys(root["people"], "\x1b[2J")),
    ),
    ("a policy of 31 bytes", "corrupt", lambda root: root["policies"].update(licences=bytes(31))),
    ("too many approvals", "corrupt", lambda root: root["receipts"].update(approvals=2)),
    (
        "a recipient of another kind",
        "corrupt",
        lambda root: root["recipients"][0].update(recipient="ssh-rsa"),
    ),
    ("recipients in another order", "corrupt", lambda root: root["recipients"].reverse()),
    (
        "an authority that ends first",
        "corrupt",
        lambda root: root["timestamp_authorities"][0].update(until=1),
    ),
    (
        "a certificate of 31 bytes",
        "corrupt",
        lambda root: root["timestamp_authorities"][0].update(certificate=bytes(31)),
    ),
    ("revoked keys as an array", "corrupt", lambda root: root.update(revoked_keys=[])),
    ("no builder", "corrupt", lambda root: root["roles"]["builder"].update(threshold=0)),
    ("a recorder of two roles", "corrupt", lambda root: _share(root, "recorder", "witness")),
    (
        "ML-DSA-44 for a builder",
        "corrupt",
        lambda root: [key.update(algorithm="ml-dsa-44") for key in root["keys"]],
    ),
]


def _share(root: dict[str, Any], one: str, other: str) -> None:
    root["roles"][other] = root["roles"][one]


def _bad(top: Path, good: bytes) -> None:
    """Write roots with one fault each; they need no signatures, for their form is read first."""
    rows = []
    (top / "bad").mkdir()
    for number, (what, kind, change) in enumerate(CASES):
        value = msgpack.unpackb(good)
        change(value)
        raw = forge.pack(value)
        file = f"{number:02}-{what.lower().replace(' ', '-')}.msgpack"
        (top / "bad" / file).write_bytes(raw)
        rows.append({"file": file, "what": what, "kind": kind, "section": "7.6"})
    (top / "bad.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
