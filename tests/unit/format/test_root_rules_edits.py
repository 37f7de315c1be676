"""Changes that make a root of format 2 (format §7.6), and back."""

from dataclasses import replace
from typing import Final

import pytest

from airgap.errors import UsageError
from airgap.format import root_edits
from airgap.format.root import Root
from airgap.format.site_rules import Demand, LabelRule, ReceiptRules, Recipient, TimestampAuthority
from tests.support.signers import make_root, person, team

ROOT: Final = replace(make_root(scanner=team("sam kim"), approver=team("dan")), created_at=7)


def test_each_change_can_be_taken_back() -> None:
    root = root_edits.forbid_options(ROOT, ["http", "allow-unsigned"])
    assert root.rules.forbidden_options == ("allow-unsigned", "http")
    root = root_edits.set_demand(root, Demand("licence", "scanner", 2))
    root = root_edits.set_label_rule(root, "class", LabelRule(("public",)))
    root = root_edits.set_trust_anchors(root, ["ca"])
    root = root_edits.name_key(root, person("sam").key.id, "Sam")
    assert root.format == 2

    root = root_edits.permit_options(root, ["http", "allow-unsigned"])
    root = root_edits.remove_demand(root, "licence")
    root = root_edits.set_label_rule(root, "class", None)
    root = root_edits.set_trust_anchors(root, None)
    root = root_edits.name_key(root, person("sam").key.id, "")

    assert root == ROOT


def test_a_demand_by_the_default_name_is_the_threshold_of_its_role() -> None:
    root = root_edits.set_demand(ROOT, Demand("malware", "scanner", 2))
    assert (root.format, root.threshold("scanner")) == (1, 2)

    root = root_edits.remove_demand(root, "malware")
    assert (root.threshold("scanner"), [demand.name for demand in root.demands()]) == (
        0,
        ["review"],
    )

    root = root_edits.set_demand(ROOT, Demand("malware", "scanner", 1, 3600))
    assert [(demand.name, demand.max_age) for demand in root.demands()] == [
        ("malware", None),
        ("review", None),
        ("malware", 3600),
    ]


def test_a_key_that_is_revoked_with_a_date_keeps_its_roles_and_counts_for_none() -> None:
    kim = person("kim").key.id

    root = root_edits.revoke_key(ROOT, kim, since=5)

    assert kim in root.roles["scanner"].key_ids
    assert kim not in root.signers("scanner")
    assert root.rules.revoked_since == {kim: 5}
    assert root_edits.revoke_key(ROOT, kim).roles["scanner"].key_ids == (person("sam").key.id,)


def test_a_key_that_leaves_takes_its_name_along() -> None:
    root = root_edits.name_key(ROOT, person("kim").key.id, "Kim")

    assert root_edits.remove_key(root, "scanner", person("kim").key.id).rules.people == {}
    assert root_edits.revoke_key(root, person("kim").key.id).rules.people != {}


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root_edits.forbid_options(root, ["insecure-http"]),
        lambda root: root_edits.forbid_options(root, ["--x"]),
        lambda root: root_edits.permit_options(root, ["http"]),
        lambda root: root_edits.set_demand(root, Demand("Malware", "scanner", 1)),
        lambda root: root_edits.set_demand(root, Demand("licence", "approver", 2)),
        lambda root: root_edits.remove_demand(root, "licence"),
        lambda root: root_edits.set_label_rule(root, "A b", LabelRule()),
        lambda root: root_edits.set_trust_anchors(root, ["CA"]),
        lambda root: root_edits.name_key(root, "0" * 64, "Zoe"),
        lambda root: root_edits.set_threshold(root, "recorder", 1),
    ],
)
def test_what_makes_no_root_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(UsageError):
        change(ROOT)


def test_a_role_whose_attestation_is_demanded_stays() -> None:
    root: Root = root_edits.set_demand(ROOT, Demand("licence", "scanner", 1))

    with pytest.raises(UsageError):
        root_edits.set_threshold(root, "scanner", 0)


def test_recipients_are_added_changed_and_removed() -> None:
    ward, safe = (
        Recipient("age1zz9", "Ward", "site"),
        Recipient("age1qqqqqqqqqqq", "Safe", "escrow"),
    )
    root = root_edits.add_recipient(root_edits.add_recipient(ROOT, ward), safe)
    assert root.rules.recipients == (safe, ward)

    root = root_edits.add_recipient(root, replace(ward, label="Gate", purpose="gate"))
    assert [one.label for one in root.rules.recipients] == ["Safe", "Gate"]

    root = root_edits.remove_recipient(root, "age1qqqqqqqq")
    assert root_edits.remove_recipient(root, "Gate") == ROOT


@pytest.mark.parametrize("text", ["age1", "age1zz", "Nobody", ""])
def test_a_recipient_is_removed_by_a_name_of_its_own(text: str) -> None:
    root = root_edits.add_recipient(ROOT, Recipient("age1zz9", "Ward", "site"))

    with pytest.raises(UsageError, match="0 recipients"):
        root_edits.remove_recipient(root, text)


@pytest.mark.parametrize(
    "recipient",
    [
        Recipient("ssh-ed25519 AAAA", "Ward", "site"),
        Recipient("age1zz9", "", "site"),
        Recipient("age1zz9", "a\u202eb", "site"),
        Recipient("age1zz9", "Ward", "friend"),
    ],
)
def test_what_is_no_recipient_is_refused(recipient: Recipient) -> None:
    with pytest.raises(UsageError):
        root_edits.add_recipient(ROOT, recipient)


def test_authorities_are_added_changed_and_removed() -> None:
    first, second = bytes(32), bytes([1]) * 32
    root = root_edits.add_authority(ROOT, TimestampAuthority(second))
    root = root_edits.add_authority(root, TimestampAuthority(first, 5, 9))
    assert [one.certificate for one in root.rules.timestamp_authorities] == [first, second]

    root = root_edits.add_authority(root, TimestampAuthority(second, None, 7))
    assert root.rules.timestamp_authorities[1].end == 7

    for certificate in (first, second):
        root = root_edits.remove_authority(root, certificate)
    assert root == ROOT
    with pytest.raises(UsageError, match="does not name"):
        root_edits.remove_authority(root, first)
    with pytest.raises(UsageError, match="after its end"):
        root_edits.add_authority(root, TimestampAuthority(first, 9, 5))


def test_policies_and_rules_for_receipts_are_set_and_lifted() -> None:
    root = root_edits.set_policy(ROOT, "licence", bytes(32))
    root = root_edits.set_receipts(root, 1)
    root = root_edits.set_receipts(root, notes=True)
    assert (root.rules.policies, root.rules.receipts) == (
        {"licence": bytes(32)},
        ReceiptRules(1, notes=True),
    )

    root = root_edits.set_receipts(root, 0, notes=False)
    assert root_edits.set_policy(root, "licence", None) == ROOT
    with pytest.raises(UsageError, match="names no policy"):
        root_edits.set_policy(ROOT, "licence", None)
    with pytest.raises(UsageError, match="cannot name"):
        root_edits.set_policy(ROOT, "../x", bytes(32))
    with pytest.raises(UsageError, match="approvals of receipts"):
        root_edits.set_receipts(ROOT, 2)


def test_a_key_that_is_revoked_for_good_has_no_date_any_more() -> None:
    kim = person("kim").key.id
    root = root_edits.revoke_key(ROOT, kim, since=5)

    root = root_edits.revoke_key(root, kim)

    assert (root.rules.revoked_since, root.revoked_keys) == ({}, (kim,))
    assert kim not in root.roles["scanner"].key_ids
