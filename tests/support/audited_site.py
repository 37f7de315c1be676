"""A site of which an auditor gets ledgers, receipts, roots and a depot: made here, byte for byte.

Nothing of it depends on time, host or chance: the same report follows from it in every run.
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from airgap.flow.ledger.export import encode_edge, encode_lines
from airgap.format import attestation, layout, tree
from airgap.format import envelope as dsse
from airgap.format import manifest as manifests
from airgap.format.attestation import Attestation
from airgap.format.checkpoint import make_origin
from airgap.format.envelope import Role
from airgap.format.ledger import Entry, Who, decode_entry, digest, encode_entry, frame
from airgap.format.receipt import (
    LedgerProof,
    Receipt,
    ReceiptItem,
    encode_receipt,
    make_levels,
)
from airgap.format.root import Root
from airgap.format.site_rules import SiteRules
from airgap.signing.public_keys import to_pem
from airgap.times import format_time
from tests.support import forge, receipts
from tests.support.signers import make_root, person, private_key, team, write_root

SITE: Final = "ward"
BEGUN: Final = 1_764_547_200
"""2025-12-01: the site begins."""
DAY: Final = 86_400
NOW: Final = BEGUN + 60 * DAY


@dataclass
class LedgerFolder:
    """A ledger that grows, and is exported."""

    seed: int
    raws: list[bytes] = field(default_factory=list)

    def append(self, event: str, day: int, **fields: Any) -> int:  # noqa: ANN401  (an entry's)
        """Append an entry of a day after the site began; return its number."""
        previous = digest(self.raws[-1]) if self.raws else bytes([self.seed]) * 32
        values: dict[str, Any] = {
            "site": SITE,
            "event": event,
            "at": BEGUN + day * DAY + len(self.raws),
            "floor": BEGUN,
            "root": 1,
            "previous": previous,
            "who": Who("op", "host", ""),
        }
        self.raws.append(encode_entry(Entry(**{**values, **fields})))
        return len(self.raws)

    @property
    def origin(self) -> str:
        return make_origin(SITE, self.raws[0])

    @property
    def leaves(self) -> list[bytes]:
        return [tree.hash_leaf(raw) for raw in self.raws]

    def write(self, folder: Path, recorder: str = "ray", *, since: int = 0) -> Path:
        """Write what `airgap ledger export` writes (format §28.7)."""
        folder.mkdir(parents=True, exist_ok=True)
        shown = self.raws[since:]
        numbered = [(since + at, decode_entry(raw)) for at, raw in enumerate(shown, 1)]
        (folder / "entries").write_bytes(b"".join(map(frame, shown)))
        (folder / "entries.jsonl").write_bytes(encode_lines(numbered))
        edge = tree.compute_edge(self.leaves[:since])
        (folder / "edge").write_bytes(encode_edge(since, edge))
        (folder / "checkpoint").write_bytes(
            receipts.make_checkpoint(self.leaves, self.origin, private_key(recorder))
        )
        (folder / "recorder.pub").write_bytes(to_pem(person(recorder).key))
        return folder


@dataclass
class AuditedSite:
    """Where everything lies, and the words of a command line that names all of it."""

    top: Path
    exports: LedgerFolder
    imports: LedgerFolder
    root: Root
    fingerprint: str
    bundles: dict[str, str] = field(default_factory=dict)
    """The ids of the bundles, by the version of their model."""

    @property
    def depot(self) -> Path:
        return self.top / "depot"

    @property
    def root_files(self) -> list[Path]:
        return sorted(self.top.glob("roots/root-*.msgpack"))

    def words(self, *more: str | Path) -> list[str | Path]:
        """Return the arguments of `airgap audit` for an auditor who has no state."""
        words: list[str | Path] = ["audit", self.depot, "-o", self.top / "report.html"]
        words += ["--ledger", self.top / "exports", "--ledger", self.top / "imports"]
        words += ["--receipts", self.top / "receipts", "--now", format_time(NOW)]
        for path in self.root_files:
            words += ["--root", path]
        return [*words, "--fingerprint", self.fingerprint, *more]

    def export(self, version: str, sequence: int, day: int, builder: str = "bob") -> str:
        """Sign a bundle into the depot, and record that; return its id."""
        raw = make_manifest(version, sequence, BEGUN + day * DAY)
        bundle = manifests.bundle_id(raw)
        self.bundles[version] = bundle
        path = self.depot / layout.manifest_name(bundle)
        path.parent.mkdir(parents=True)
        path.write_bytes(raw)
        envelope = dsse.encode(person(builder).sign("builder", raw))
        key_id = person(builder).key.id
        (path.parent / layout.envelope_file("builder", key_id)).write_bytes(envelope)
        self.record(
            "exported",
            version,
            day,
            sequence=sequence,
            documents={"manifest": bytes.fromhex(bundle)},
            signed_by={"builder": (key_id,)},
        )
        return bundle

    def attest(
        self, version: str, role: Role, name: str, day: int, decision: str = "accept"
    ) -> None:
        """Sign an attestation of a bundle as a scanner or an approver, and record that."""
        bundle, signer = self.bundles[version], person(name)
        attested = attestation.DEFAULT_NAMES[role]
        raw = attestation.encode(
            Attestation(
                role=role,
                bundle=bytes.fromhex(bundle),
                decision=decision,  # type: ignore[arg-type]
                time=BEGUN + day * DAY,
                name=attested,
            )
        )
        folder = self.depot / f"bundles/{bundle}"
        file = layout.attestation_file(role, signer.key.id)
        (folder / file).write_bytes(raw)
        (folder / layout.envelope_file(role, signer.key.id)).write_bytes(
            dsse.encode(signer.sign(role, raw))
        )
        event = "approved" if decision == "accept" else "rejected"
        self.record(event, version, day, documents={"attestation": digest(raw)})

    def record(self, event: str, version: str, day: int, **fields: Any) -> None:  # noqa: ANN401
        """Append an entry about a bundle to the ledger of exports."""
        bundle = bytes.fromhex(self.bundles[version])
        self.exports.append(event, day, bundle=bundle, channel="nightly", **fields)

    def decide(self, event: str, version: str, sequence: int, day: int, **fields: Any) -> None:  # noqa: ANN401
        """Append what became of a bundle to the ledger of imports."""
        bundle = bytes.fromhex(self.bundles[version])
        about = {"bundle": bundle, "channel": "nightly", "sequence": sequence}
        self.imports.append(event, day, **about, **fields)

    def confirm(self, version: str, sequence: int, day: int, *, is_accepted: bool = True) -> bytes:
        """Make a receipt of the last entry, and let the sender accept it; return its file."""
        bundle, index = bytes.fromhex(self.bundles[version]), len(self.imports.raws) - 1
        entry, leaves = decode_entry(self.imports.raws[index]), self.imports.leaves
        note = receipts.make_checkpoint(leaves, self.imports.origin, private_key("ray"))
        passed = entry.event != "refused"
        receipt = Receipt(
            site=SITE,
            bundle=bundle,
            event=entry.event,  # type: ignore[arg-type]
            verified_at=format_time(entry.at),
            root=entry.root,
            root_digest=bytes(32),
            tool="0.2.0",
            ledger=LedgerProof(index, leaves[index], tree.prove_inclusion(leaves, index), note),
            holds=(),
            channel="nightly",
            sequence=sequence,
            levels=make_levels({"builder": 1}, waived=entry.event == "waived")
            if passed
            else ("FAILED",),
            reason="" if passed else "policy",
            items=(ReceiptItem(f"model ranker:{version}", b"\x33" * 32, "installed"),)
            if passed
            else (),
            item_count=1,
        )
        payload = encode_receipt(receipt)
        about = {"bundle": bundle, "channel": "nightly", "sequence": sequence}
        documents = {"receipt": hashlib.sha256(payload).digest()}
        self.imports.append("receipt-made", day, **about, documents=documents)
        if is_accepted:
            self.exports.append(
                "receipt-accepted", day + 1, **about, documents=documents, note=entry.event
            )
        raw = receipts.sign_receipt(payload, private_key("ray"))
        folder = self.top / "receipts"
        folder.mkdir(exist_ok=True)
        (folder / f"{version}.receipt.json").write_bytes(raw)
        return raw

    def write(self) -> "AuditedSite":
        """Write both ledgers."""
        self.exports.write(self.top / "exports", "rob")
        self.imports.write(self.top / "imports", "ray")
        return self


def make_manifest(version: str, sequence: int, created_at: int) -> bytes:
    """Make the manifest of one model; its pack is nowhere, because no report reads it."""
    item = forge.model({"weights.bin": f"weights of {version}".encode()}, f"ranker:{version}")
    fields = {"channel": "nightly", "sequence": sequence, "created_at": created_at}
    return forge.draft(item, **fields).raw()


def make_roots(top: Path) -> tuple[Root, str]:
    """Write two roots; the second revokes ``ben``. Return it with its fingerprint."""
    names = {"ann": "Ann Archer", "bob": "Bob Baker", "ben": "Ben <b>Bold</b>", "sam": "Sam"}
    people = {person(name).key.id: text for name, text in names.items()}
    first = make_root(
        builder=team("bob ben"),
        scanner=team("sam"),
        approver=team("dan"),
        recorder=team("ray rob"),
    )
    roles = {
        **first.roles,
        "scanner": replace(first.roles["scanner"], threshold=0),
        "approver": replace(first.roles["approver"], threshold=0),
    }
    first = replace(first, roles=roles, created_at=BEGUN, rules=SiteRules(people=people))
    since = BEGUN + 40 * DAY
    rules = replace(first.rules, revoked_since={person("ben").key.id: since})
    second = replace(
        first, version=2, created_at=since, revoked_keys=(person("ben").key.id,), rules=rules
    )
    write_root(top / "roots/root-1.msgpack", first, "ann")
    fingerprint = write_root(top / "roots/root-2.msgpack", second, "ann")
    return second, fingerprint


def begin_site(top: Path) -> AuditedSite:
    """Begin a site: roots and two ledgers of one entry."""
    root, fingerprint = make_roots(top)
    site = AuditedSite(top, LedgerFolder(1), LedgerFolder(2), root, fingerprint)
    site.exports.append("begun", 0)
    site.imports.append("begun", 0)
    return site


def make_audited_site(top: Path) -> AuditedSite:
    """Make a site in which most of what an auditor asks about has happened."""
    site = begin_site(top)
    bob, ben = ((person(name).key.id,) for name in ("bob", "ben"))
    site.export("v1", 1, 1)
    site.attest("v1", "scanner", "sam", 1)
    site.attest("v1", "approver", "dan", 1)
    scanned = {"builder": bob, "scanner": (person("sam").key.id,)}
    site.decide("imported", "v1", 1, 2, signed_by=scanned)
    site.confirm("v1", 1, 2)
    site.export("v2", 2, 5, "ben")
    site.decide("imported", "v2", 2, 6, signed_by={"builder": ben})
    site.confirm("v2", 2, 6, is_accepted=False)
    site.export("v3", 3, 10)
    site.export("v5", 5, 12)
    site.decide("imported", "v5", 5, 13, signed_by={"builder": bob})
    site.confirm("v5", 5, 13)
    note = "Number 3 of channel nightly is lower than 5, which was imported."
    site.decide("refused", "v3", 3, 14, signed_by={"builder": bob}, note=note)
    site.confirm("v3", 3, 14)
    site.record("waiver-written", "v3", 15, sequence=3, waiver=b"\x77" * 32, note="rollback")
    waived = {"builder": bob, "waiver": (person("dan").key.id,)}
    site.decide("waived", "v3", 3, 16, signed_by=waived, waiver=b"\x77" * 32, note=HOSTILE)
    site.export("v7", 7, 20)
    site.attest("v7", "approver", "dan", 21, "reject")
    site.imports.append("unsigned", 22, bundle=b"\x99" * 32)
    site.imports.append("trusted", 41, root=2)
    return site.write()


HOSTILE: Final = "<script>alert(1)</script> </td>&amp; 'quoted' \"twice\" http://example.org/ שלום"
"""A note as an attacker would write it; the format itself refuses invisible characters."""
