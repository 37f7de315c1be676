"""Puts a report together as plain data: what people read and programs read is made of it. Pure.

Format §38.3 has its schema.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from airgap.flow.audit.citations import Citations, EvidenceItem
from airgap.flow.audit.controls import CONTROLS
from airgap.flow.audit.exceptions import CONTRADICTIONS, KINDS, AuditException, find_exceptions
from airgap.flow.audit.join import Movement, MovementStep, join_movements, select_movements
from airgap.flow.audit.material import (
    DECIDED,
    AuditedBundle,
    AuditedLedger,
    AuditedReceipt,
    AuditedStamp,
    AuditFilter,
    AuditMaterial,
)
from airgap.flow.audit.not_shown import list_not_shown
from airgap.flow.audit.read_roots import name_root
from airgap.flow.describe.root import root_changes
from airgap.format import root as roots
from airgap.times import format_time

__all__ = ["FORMAT", "TYPE", "make_report"]

TYPE: Final = "airgap.audit"
FORMAT: Final = 1
_OPINIONS: Final[Mapping[str, str]] = {
    "clean": "The evidence is consistent, and there is no exception.",
    "exceptions": "The evidence is consistent, with the exceptions below.",
    "contradiction": "The evidence contradicts itself: it cannot all be true.",
}
_RULES: Final[Mapping[int, str]] = {
    1: "the root has not expired",
    2: "enough builders signed the manifest",
    3: "the bundle is not revoked",
    4: "the manifest has the form of the format",
    5: "the bundle has not expired",
    6: "the bundle is for this site",
    7: "its number is not below the channel's minimum",
    8: "the root accepts its labels",
    9: "scanners and approvers accept it as demanded, and none rejects it",
    10: "it is not a replay, as the ledger of imports has it",
}
_DATED: Final = DECIDED | {
    "exported",
    "sealed",
    "approved",
    "rejected",
    "waiver-written",
    "incomplete",
    "archived",
    "held",
    "released",
    "deleted",
}
"""What happened to a bundle itself; stamps, receipts and checks of it would be many."""


def make_report(
    material: AuditMaterial,
    citations: Citations,
    root_commands: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return the report.

    Args:
        material: what was read.
        citations: gives the numbers of the evidence, whose files have been written.
        root_commands: by the fingerprint of a root, what checks its signatures.
    """
    return _ReportWriter(material, citations, root_commands).write()


class _ReportWriter:
    """Writes the sections in their order, so that evidence is numbered in the order of reading."""

    def __init__(
        self,
        material: AuditMaterial,
        citations: Citations,
        root_commands: Mapping[str, Sequence[str]],
    ) -> None:
        self._material = material
        self._citations = citations
        self._root_commands = root_commands
        self._people = {
            key_id: name
            for accepted in material.roots.accepted
            for key_id, name in accepted.root.rules.people.items()
        }
        self._all = join_movements(material)
        self._movements = select_movements(self._all, material.wanted, self._people)

    def write(self) -> dict[str, Any]:
        material, root = self._material, self._material.roots.today
        fingerprint = roots.fingerprint(root.raw)
        found = find_exceptions(material, self._movements)
        head = {
            "type": TYPE,
            "format": FORMAT,
            "site": root.value.site,
            "made_at": format_time(material.now),
            "tool": f"airgap {material.tool}",
            "root": {
                "version": root.value.version,
                "fingerprint": fingerprint,
                "evidence": [self._cite_root(fingerprint, root.value.version)],
            },
            "read": self._describe_read(),
            "filter": _describe_filter(material.wanted),
            "verdict": self._judge(found),
        }
        sections = {
            "exceptions": [self._describe_exception(one) for one in found],
            "moved": [self._describe_movement(one) for one in self._movements],
            "people": list(self._describe_people()),
            "users": self._describe_users(),
            "times": [self._describe_times(one) for one in self._movements],
            "media": [self._describe_medium(one) for one in self._movements],
            "rules": self._describe_rules(),
            "ledgers": [self._describe_ledger(ledger) for ledger in material.ledgers],
            "roots": list(self._describe_roots()),
            "controls": [
                {**control._asdict(), "sections": list(control.sections)} for control in CONTROLS
            ],
            "not_shown": list(list_not_shown(material, self._movements)),
        }
        evidence = [_describe_item(item) for item in self._citations.items]
        return {
            name: part if name == "evidence" else _drop_withheld(part)
            for name, part in {**head, **sections, "evidence": evidence}.items()
        }

    # ---- verdict

    def _judge(self, exceptions: Sequence[AuditException]) -> dict[str, Any]:
        kinds = Counter(one.kind for one in exceptions)
        opinion = "exceptions" if exceptions else "clean"
        if CONTRADICTIONS & kinds.keys():
            opinion = "contradiction"
        outcomes = Counter(_find_outcome(one) for one in self._movements)
        return {
            "opinion": opinion,
            "statement": _OPINIONS[opinion],
            "exceptions": len(exceptions),
            "kinds": {kind: kinds[kind] for kind in KINDS if kinds[kind]},
            "bundles": len(self._movements),
            "bundles_left_out": len(self._all) - len(self._movements),
            "outcomes": dict(sorted(outcomes.items())),
            "entries": sum(len(ledger.entries) for ledger in self._material.ledgers),
            "receipts": len(self._material.receipts),
        }

    def _describe_read(self) -> dict[str, Any]:
        return {
            "ledgers": [ledger.source for ledger in self._material.ledgers],
            "locations": list(self._material.sources),
            "receipts": len(self._material.receipts),
        }

    # ---- sections

    def _describe_exception(self, exception: AuditException) -> dict[str, Any]:
        evidence = [self._cite_file(file) for file in exception.files]
        if exception.ledger is not None and exception.entry is not None:
            evidence.append(self._citations.cite_entry(exception.ledger, exception.entry))
        elif exception.ledger is not None:
            evidence += self._cite_ledger(exception.ledger)
        if exception.other is not None:
            evidence += self._cite_ledger(exception.other)
        return {
            "kind": exception.kind,
            "title": KINDS[exception.kind],
            "statement": exception.statement,
            "note": exception.note or None,
            "at": _format(exception.at),
            "bundle": exception.bundle or None,
            "ledger": exception.ledger.label if exception.ledger else None,
            "entry": exception.entry.number if exception.entry else None,
            "evidence": evidence,
        }

    def _describe_movement(self, movement: Movement) -> dict[str, Any]:
        carried, decision, material = movement.carried, movement.decision, self._material
        channel, sequence = movement.position
        return {
            "bundle": movement.bundle,
            "channel": channel or None,
            "sequence": sequence,
            "outcome": _find_outcome(movement),
            "partner": movement.partner,
            "root_version": decision.entry.root if decision else None,
            "items": _describe_items(movement, material.hidden),
            "size": carried.size if carried and not carried.is_closed else None,
            "labels": dict(carried.labels) if carried else {},
            "expires_at": _format(carried.expires_at) if carried else None,
            "sealed": _describe_seal(carried),
            "entries": [self._describe_step(step) for step in movement.steps],
            "receipts": [self._describe_receipt(one) for one in movement.receipts],
            "evidence": self._cite_manifest(carried),
            "attachments": list(carried.attachments) if carried else [],
        }

    def _describe_step(self, step: MovementStep) -> dict[str, Any]:
        entry = step.entry
        return {
            "ledger": step.ledger.label,
            "entry": step.audited.number,
            "event": entry.event,
            "at": format_time(entry.at),
            "signed_by": {role: list(ids) for role, ids in entry.signed_by.items()},
            "note": entry.note,
            "evidence": [self._citations.cite_entry(step.ledger, step.audited)],
        }

    def _describe_receipt(self, audited: AuditedReceipt) -> dict[str, Any]:
        receipt = audited.receipt
        what = f"receipt of ledger {audited.origin[-16:]}, signed by its recorder"
        return {
            "result": "passed" if receipt and receipt.passed else "failed",
            "reason": receipt.reason if receipt else "",
            "verified_at": receipt.verified_at if receipt else None,
            "origin": audited.origin,
            "entry": receipt.ledger.index + 1 if receipt else None,
            "size": audited.size,
            "evidence": [
                self._citations.cite(what, audited.file, command) for command in audited.commands
            ],
        }

    def _describe_people(self) -> Iterator[dict[str, Any]]:
        """Yield each key of the accepted roots, and how often it is counted in what was read."""
        counted = self._count_keys()
        accepted = self._material.roots.accepted
        keys = {key.id: key for one in accepted for key in one.root.keys}
        root = self._material.roots.root
        for key_id in sorted(keys, key=lambda one: (self._people.get(one, "~"), one)):
            roles = {
                role
                for one in accepted
                for role, held in one.root.roles.items()
                if key_id in held.key_ids
            }
            since = root.rules.revoked_since.get(key_id)
            yield {
                "key": key_id,
                "name": self._people.get(key_id) or None,
                "algorithm": keys[key_id].algorithm,
                "roles": sorted(roles),
                "revoked": key_id in root.revoked_keys,
                "revoked_since": _format(since),
                "counted": dict(sorted(counted.get(key_id, Counter()).items())),
                "evidence": self._cite_key(key_id),
            }

    def _count_keys(self) -> dict[str, Counter[str]]:
        """Count for which bundles each key counts, by role; and what recorders signed."""
        counted: dict[str, Counter[str]] = {}
        for movement in self._movements:
            for role, key_id in _find_signers(movement):
                counted.setdefault(key_id, Counter())[role] += 1
        for ledger in self._material.ledgers:
            if ledger.signed is not None:
                counted.setdefault(ledger.signed.key.id, Counter())["checkpoint"] += 1
        for receipt in self._material.receipts:
            for key_id in receipt.recorders:
                counted.setdefault(key_id, Counter())["receipt"] += 1
        return counted

    def _describe_users(self) -> list[dict[str, Any]]:
        """Return who acted by what the machines say of themselves."""
        users: Counter[tuple[str, str, str]] = Counter()
        for movement in self._movements:
            for step in movement.steps:
                who = step.entry.who
                if who.user or who.host:
                    users[who.user, who.host, step.ledger.label] += 1
        return [
            {"user": user, "host": host, "ledger": label, "entries": count}
            for (user, host, label), count in sorted(users.items())
        ]

    def _describe_times(self, movement: Movement) -> dict[str, Any]:
        carried = movement.carried
        stamps = [one for one in carried.stamps if one.command] if carried else []
        return {
            "bundle": movement.bundle,
            "claimed": [
                *([{"what": "created", "at": format_time(carried.created_at)}] if carried else []),
                *(
                    {
                        "what": f"{step.entry.event} ({step.ledger.label})",
                        "at": format_time(step.entry.at),
                    }
                    for step in movement.list_steps(_DATED)
                ),
            ],
            "stamped": _format(carried.find_proven()) if carried else None,
            "index": [f"{step.ledger.label} {step.audited.number}" for step in movement.steps],
            "evidence": [
                *(self._citations.cite_entry(step.ledger, step.audited) for step in movement.steps),
                *(self._cite_stamp(one) for one in stamps),
            ],
        }

    def _describe_medium(self, movement: Movement) -> dict[str, Any]:
        carried = movement.carried
        if carried is None:
            return {"bundle": movement.bundle, "source": None, "evidence": []}
        return {
            "bundle": movement.bundle,
            "source": carried.source,
            "form": carried.medium,
            "volumes": carried.volumes or None,
            "stored_size": carried.stored_size,
            "packs": carried.packs,
            "sealed_to": carried.recipients,
            "opened": bool(carried.index),
            "evidence": self._cite_manifest(carried),
        }

    def _describe_rules(self) -> dict[str, Any]:
        rows = [
            {
                "bundle": movement.bundle,
                "results": {
                    str(number): {"result": result, "reason": reason}
                    for number, (result, reason) in self._list_results(movement)
                },
                "signatures": self._describe_signatures(movement.carried),
                "evidence": self._cite_manifest(movement.carried),
            }
            for movement in self._movements
            if movement.carried is not None
        ]
        rules = {str(number): text for number, text in _RULES.items()}
        return {"rules": rules, "bundles": rows}

    def _list_results(self, movement: Movement) -> Iterator[tuple[int, tuple[str, str]]]:
        yield from (movement.carried.rules.items() if movement.carried else ())
        passed = movement.list_steps({"imported", "waived"}, "imports")
        refused = movement.list_steps({"refused"}, "imports")
        if passed:
            step = passed[-1]
            where = f"{step.ledger.label}, entry {step.audited.number}"
            waived = step.entry.event == "waived"
            yield 10, ("yes", f"{where}: {'by a waiver' if waived else 'accepted'}")
        elif refused:
            step = refused[-1]
            yield 10, ("not checked", f"{step.ledger.label}, entry {step.audited.number}: refused")
        else:
            yield 10, ("not checked", "no ledger of imports that was read names it")

    def _describe_signatures(self, carried: AuditedBundle) -> list[dict[str, Any]]:
        return [
            {
                "role": one.role,
                "name": one.name or None,
                "decision": one.decision or None,
                "key": one.key_id,
                "person": self._people.get(one.key_id) or None,
                "counts": not one.problem,
                "problem": one.problem or None,
                "kept": one.is_kept,
                "stamped": _format(one.proven),
                "evidence": [
                    self._citations.cite(
                        f"signature of {one.role} {one.key_id[:16]} over bundle"
                        f" {carried.bundle[:16]}",
                        one.file,
                        one.command,
                    )
                ],
            }
            for one in carried.signatures
        ]

    def _describe_ledger(self, ledger: AuditedLedger) -> dict[str, Any]:
        entries, signed = ledger.entries, ledger.signed
        events = Counter(one.entry.event for one in entries)
        return {
            "label": ledger.label,
            "origin": ledger.origin,
            "side": ledger.side,
            "source": ledger.source,
            "first": ledger.first,
            "entries": len(entries),
            "begins": _format(entries[0].entry.at if entries else None),
            "ends": _format(entries[-1].entry.at if entries else None),
            "events": dict(sorted(events.items())),
            "fault": ledger.fault or None,
            "put_aside": self._describe_reset(ledger),
            "checkpoint": None
            if signed is None
            else {
                "size": signed.point.size,
                "root": signed.point.root.hex(),
                "recorder": signed.key.id,
                "person": self._people.get(signed.key.id) or None,
                "other_signatures": list(signed.others),
                "stamped": _format(
                    min((s.proven for s in ledger.stamps if s.proven), default=None)
                ),
            },
            "evidence": [
                *self._cite_ledger(ledger),
                *(self._cite_stamp(one) for one in ledger.stamps if one.command),
            ],
        }

    def _describe_reset(self, ledger: AuditedLedger) -> dict[str, Any] | None:
        """Say when a reset put a ledger aside, and by whose decision; None: no ledger says so."""
        successor = self._material.find_successor(ledger)
        first = successor.find(1) if successor else None
        if successor is None or first is None:
            return None
        who = first.entry.who
        return {
            "ledger": successor.label,
            "entry": first.number,
            "at": format_time(first.entry.at),
            "user": who.user,
            "host": who.host,
            "key": who.key or None,
            "note": first.entry.note,
            "evidence": [self._citations.cite_entry(successor, first)],
        }

    def _describe_roots(self) -> Iterator[dict[str, Any]]:
        before = None
        for accepted in self._material.roots.accepted:
            root = accepted.root
            yield {
                "version": root.version,
                "fingerprint": accepted.fingerprint,
                "reason": accepted.reason,
                "created_at": _format(root.created_at),
                "expires_at": _format(root.not_after),
                "roles": {
                    role: {"keys": len(held.key_ids), "threshold": held.threshold}
                    for role, held in root.roles.items()
                },
                "changes": [] if before is None else root_changes(before, root),
                "evidence": [
                    self._cite_root(accepted.fingerprint, root.version),
                    *(
                        self._citations.cite(
                            f"signature over root version {root.version}",
                            name_root(accepted.fingerprint, root.version),
                            command,
                        )
                        for command in self._root_commands.get(accepted.fingerprint, ())
                    ),
                ],
            }
            before = root

    # ---- evidence

    def _cite_root(self, fingerprint: str, version: int) -> int:
        what = f"root version {version}: compare the fingerprint with the site's records"
        return self._citations.cite(what, name_root(fingerprint, version))

    def _cite_ledger(self, ledger: AuditedLedger) -> list[int]:
        number = self._citations.cite_ledger(ledger)
        return [] if number is None else [number]

    def _cite_manifest(self, carried: AuditedBundle | None) -> list[int]:
        return [self._cite_file(file) for file in carried.manifests] if carried else []

    def _cite_file(self, file: str) -> int:
        if file.endswith("/manifest.msgpack"):
            return self._citations.cite("manifest: its SHA-256 is the bundle id", file)
        return self._citations.cite("a file, as it was found", file)

    def _cite_stamp(self, stamp: AuditedStamp) -> int:
        what = f"time stamp over {stamp.over.rpartition('/')[2]}"
        return self._citations.cite(what, stamp.file, stamp.command)

    def _cite_key(self, key_id: str) -> list[int]:
        file = f"keys/{key_id}.pem"
        if not self._citations.has(file):
            return []
        command = f"openssl pkey -pubin -in {file} -outform DER | sha256sum | grep '^{key_id}'"
        return [self._citations.cite("a key: the SHA-256 of its DER form is its id", file, command)]


def _drop_withheld(value: Any) -> Any:  # noqa: ANN401  (plain data)
    """Leave out the numbers 0, which stand for evidence that is withheld."""
    if isinstance(value, dict):
        return {
            name: [number for number in part if number != 0]
            if name == "evidence"
            else _drop_withheld(part)
            for name, part in value.items()
        }
    return [_drop_withheld(part) for part in value] if isinstance(value, list) else value


def _describe_seal(carried: AuditedBundle | None) -> dict[str, Any] | None:
    """Say how a bundle is sealed; None: it is not, or no location was read that has it."""
    if carried is None or carried.recipients is None:
        return None
    index = carried.index or carried.bundle
    return {"index": index, "recipients": carried.recipients, "opened": bool(carried.index)}


def _describe_items(movement: Movement, hidden: Collection[str]) -> list[dict[str, Any]] | None:
    """Return the items, by the manifest or else by a receipt; None: neither was read.

    A receipt does not tell of a ``hidden`` bundle what its seal keeps secret.
    """
    carried = movement.carried
    if carried is not None and not carried.is_closed:
        return [
            {
                "kind": item.kind,
                "tag": item.tag,
                "digest": item.digest,
                "files": item.files,
                "size": item.size,
                "licences": None if item.licences is None else list(item.licences),
            }
            for item in carried.items
        ]
    named = [one.receipt.items for one in movement.receipts if one.receipt and one.receipt.items]
    if not named or movement.bundle in hidden:
        return None
    return [
        {
            "kind": item.name.partition(" ")[0],
            "tag": item.name.partition(" ")[2],
            "digest": item.digest.hex(),
            "files": None,
            "size": None,
            "licences": None,
        }
        for item in named[-1]
    ]


def _find_signers(movement: Movement) -> set[tuple[str, str]]:
    """Return the roles and keys that count for a bundle, by ledgers or by its own signatures."""
    signers = {
        (role, key_id)
        for step in movement.list_steps({*DECIDED, "exported", "signed", "approved"})
        for role, ids in step.entry.signed_by.items()
        for key_id in ids
    }
    signatures = movement.carried.signatures if movement.carried else ()
    return signers | {(one.role, one.key_id) for one in signatures if not one.problem}


def _find_outcome(movement: Movement) -> str:
    """Say what became of a bundle, in one word of format §17.3, or where it was last seen."""
    decision = movement.decision
    if decision is not None:
        return decision.entry.event
    for receipt in movement.receipts:
        if receipt.receipt is not None:
            return receipt.receipt.event
    if movement.list_steps({"deleted"}):
        return "deleted"
    return "exported" if movement.list_steps({"exported"}) else "seen"


def _describe_filter(wanted: AuditFilter) -> dict[str, Any] | None:
    if wanted.is_empty:
        return None
    return {
        "bundle": wanted.bundle or None,
        "since": _format(wanted.since),
        "until": _format(wanted.until),
        "item": wanted.item or None,
        "person": wanted.person or None,
    }


def _describe_item(item: EvidenceItem) -> dict[str, Any]:
    return {
        "number": item.number,
        "what": item.what,
        "file": item.file,
        "sha256": item.sha256,
        "command": item.command,
    }


def _format(at: int | None) -> str | None:
    return None if at is None else format_time(at)
