"""What a root has only in format 2 (format §7.6)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgpack
import pytest

from airgap.errors import CorruptError, PolicyError
from airgap.format import root as roots
from airgap.format.root import Key, RoleKeys, Root
from airgap.format.site_rules import (
    Demand,
    LabelRule,
    ReceiptRules,
    Recipient,
    SiteRules,
    TimestampAuthority,
    format_age,
)
from tests.support import forge
from tests.support.signers import make_root, person, team

VECTORS: Final = Path(__file__).parents[2] / "vectors"
PLAIN: Final = replace(make_root(scanner=team("sam kim"), approver=team("dan eve")), created_at=7)
SAM: Final = person("sam").key.id
RULES: Final = SiteRules(
    demands=(Demand("licence", "approver", 2), Demand("rehearsal", "scanner", 1, 86_400)),
    forbidden_options=("allow-unsigned", "http"),
    labels={"class": LabelRule(("internal", "public"), required=True), "project": LabelRule()},
    people={SAM: "Sam, virus scanner"},
    revoked_since={person("kim").key.id: 5},
    trust_anchors=("ca",),
    policies={"licence": bytes(32)},
    receipts=ReceiptRules(1, notes=True),
    recipients=(Recipient("age1abc", "ward", "site"), Recipient("age1pq1xyz", "vault", "escrow")),
    timestamp_authorities=(TimestampAuthority(b"\1" * 32, 3, None),),
)
GOOD: Final = replace(PLAIN, rules=RULES, revoked_keys=(person("kim").key.id,))


def changed(change: Callable[[dict[str, Any]], object], root: Root = GOOD) -> bytes:
    value = msgpack.unpackb(roots.encode(root))
    change(value)
    return forge.pack(value)


def test_a_root_of_format_2_is_read_as_it_was_written() -> None:
    assert (GOOD.format, roots.decode(roots.encode(GOOD))) == (2, GOOD)


def test_a_root_without_rules_has_the_bytes_of_format_1() -> None:
    golden = (VECTORS / "root" / "root.msgpack").read_bytes()

    assert PLAIN.format == 1
    assert roots.encode(roots.decode(golden)) == golden


@pytest.mark.parametrize(
    "rules",
    [
        SiteRules(demands=(Demand("malware", "scanner", 1),)),
        SiteRules(forbidden_options=("all",)),
        SiteRules(labels={"class": LabelRule()}),
        SiteRules(people={SAM: "Sam"}),
        SiteRules(trust_anchors=()),
        SiteRules(policies={"scan": bytes(32)}),
        SiteRules(receipts=ReceiptRules(0, notes=True)),
        SiteRules(recipients=(Recipient("age1a", "x", "gate"),)),
        SiteRules(timestamp_authorities=(TimestampAuthority(bytes(32)),)),
    ],
)
def test_each_rule_alone_needs_format_2(rules: SiteRules) -> None:
    root = replace(PLAIN, rules=rules)

    assert root.format == 2
    assert roots.decode(roots.encode(root)) == root


def test_a_recorder_a_witness_and_a_threshold_of_0_need_format_2() -> None:
    recorder = {**PLAIN.roles, "recorder": RoleKeys((person("ray").key.id,), 1)}
    keys = tuple(sorted((*PLAIN.keys, person("ray").key), key=lambda key: key.id))
    idle = {**PLAIN.roles, "scanner": replace(PLAIN.roles["scanner"], threshold=0)}

    for root in (replace(PLAIN, roles=recorder, keys=keys), replace(PLAIN, roles=idle)):
        assert root.format == 2
        assert roots.decode(roots.encode(root)) == root


def test_a_newer_root_needs_a_newer_reader() -> None:
    with pytest.raises(PolicyError, match="format 3") as caught:
        roots.decode(changed(lambda root: root.update(format=3, surprise=1)))

    assert "newer version of airgap is needed" in caught.value.hint


BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "no created_at": lambda root: root.pop("created_at"),
    "a field too few": lambda root: root.pop("receipts"),
    "a field too many": lambda root: root.update(more=1),
    "format 1 with the fields of format 2": lambda root: root.update(format=1),
    "revoked keys as an array": lambda root: root.update(revoked_keys=[SAM]),
    "a date of revocation that is text": lambda root: root["revoked_keys"].update(
        {person("kim").key.id: {"since": "now"}}
    ),
    "a demand of nobody": lambda root: root["demands"]["licence"].update(threshold=0),
    "a demand of more keys than there are": lambda root: root["demands"]["licence"].update(
        threshold=3
    ),
    "a demand of a revoked key": lambda root: root["demands"]["rehearsal"].update(threshold=2),
    "a demand of a builder": lambda root: root["demands"]["licence"].update(role="builder"),
    "a demand of age 0": lambda root: root["demands"]["licence"].update(max_age=0),
    "a demand of a long name": lambda root: root["demands"].update(
        {"a" * 12: root["demands"]["licence"]}
    ),
    "an option twice": lambda root: root.update(forbidden_options=["http", "http"]),
    "an option in upper case": lambda root: root.update(forbidden_options=["HTTP"]),
    "a label without values": lambda root: root["labels"]["class"].update(values=[]),
    "a label with an invisible value": lambda root: root["labels"]["class"].update(
        values=["a\u200bb"]
    ),
    "a person without a name": lambda root: root["people"].update({SAM: ""}),
    "a person whose name steers a terminal": lambda root: root["people"].update({SAM: "\x1b[2J"}),
    "a person of a strange key": lambda root: root["people"].update({"0" * 64: "Zoe"}),
    "more approvals of receipts than approvers": lambda root: root["receipts"].update(approvals=3),
    "a recipient that is not of age": lambda root: root["recipients"][0].update(
        recipient="ssh-rsa"
    ),
    "recipients in another order": lambda root: root["recipients"].reverse(),
    "a recipient for nothing": lambda root: root["recipients"][0].update(purpose="fun"),
    "a short certificate digest": lambda root: root["timestamp_authorities"][0].update(
        certificate=bytes(31)
    ),
    "an authority that ends before it begins": lambda root: root["timestamp_authorities"][0].update(
        until=2
    ),
    "a policy that is text": lambda root: root["policies"].update(licence="x" * 32),
    "a role that there is not": lambda root: root["roles"].update(registry=root["roles"]["root"]),
    "a threshold of 0 for builders": lambda root: root["roles"]["builder"].update(threshold=0),
    "a recorder who is a scanner": lambda root: root["roles"].update(
        recorder=root["roles"]["scanner"] | {"threshold": 1}
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_root_of_format_2_is_refused_that_has(name: str) -> None:
    with pytest.raises(CorruptError):
        roots.decode(changed(BAD[name]))


def test_ml_dsa_44_is_for_recorders_and_witnesses_alone() -> None:
    key = Key(b"any", "ml-dsa-44")
    keys = tuple(sorted((*PLAIN.keys, key), key=lambda other: other.id))
    witness = replace(PLAIN, keys=keys, roles={**PLAIN.roles, "witness": RoleKeys((key.id,), 1)})
    assert roots.decode(roots.encode(witness)) == witness

    both = RoleKeys(tuple(sorted((key.id, *PLAIN.roles["root"].key_ids))), 1)
    for roles in (PLAIN.roles, {**witness.roles, "root": both}):
        with pytest.raises(CorruptError, match="ml-dsa-44"):
            roots.decode(roots.encode(replace(witness, roles=roles)))


@pytest.mark.parametrize(
    ("seconds", "text"), [(86_400, "day"), (30 * 86_400, "30 days"), (90, "90 seconds")]
)
def test_an_age_is_written_in_days_if_it_is_whole_days(seconds: int, text: str) -> None:
    assert format_age(seconds) == text
