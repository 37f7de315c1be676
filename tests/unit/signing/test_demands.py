"""Attestations are counted by name and by age; signatures by revoked keys are not (format §7.6)."""

from dataclasses import replace
from typing import Final

import pytest

from airgap.errors import CorruptError, NotTrustedError, PolicyError
from airgap.format import attestation, manifest
from airgap.format.attestation import Attestation, Decision
from airgap.format.envelope import Role
from airgap.format.manifest import ChunkTable, Manifest
from airgap.format.root import Root
from airgap.format.site_rules import Demand, SiteRules
from airgap.signing import trust
from airgap.signing.thresholds import Evidence, Pair
from airgap.signing.trust import Verified
from tests.support import forge
from tests.support.signers import accepted, make_root, person, signatures, team

RAW: Final = manifest.encode(Manifest((), ChunkTable(b"", ()), (), 0, "test"))
BUNDLE: Final = bytes.fromhex(manifest.bundle_id(RAW))
NOW: Final = 1_800_000_000
DAY: Final = 86_400


def say(
    who: str, name: str = "", role: Role = "scanner", decision: Decision = "accept", time: int = NOW
) -> tuple[Role, Pair]:
    raw = attestation.encode(Attestation(BUNDLE, role, decision, time, name=name))
    return role, (raw, signatures(role, raw, who)[0])


def demanding(*demands: Demand, scanners: int = 1) -> Root:
    root = make_root(scanner=team("sam kim"), approver=team("dan eve"))
    roles = {role: replace(keys, threshold=0) for role, keys in root.roles.items()}
    roles |= {"root": root.roles["root"], "builder": root.roles["builder"]}
    roles["scanner"] = replace(root.roles["scanner"], threshold=scanners)
    return replace(root, roles=roles, created_at=0, rules=SiteRules(demands=demands))


def admit(root: Root, *said: tuple[Role, Pair], undemanded: str = "") -> Verified[Manifest]:
    pairs: dict[Role, list[Pair]] = {}
    for role, pair in said:
        pairs.setdefault(role, []).append(pair)
    evidence = Evidence(signatures("builder", RAW, "bob"), pairs)
    names = {undemanded} if undemanded else set()
    return trust.admit(RAW, evidence, accepted(root), NOW, undemanded=names)


LICENCE: Final = Demand("licence", "scanner", 1)


def test_each_demand_is_met_by_its_own_name() -> None:
    root = demanding(LICENCE, Demand("rehearsal", "approver", 1))

    good = admit(root, say("sam"), say("sam", "licence"), say("dan", "rehearsal", "approver"))

    counted = {(count.demand.role, count.demand.name): count.key_ids for count in good.counts}
    assert counted == {
        ("scanner", "malware"): (person("sam").key.id,),
        ("scanner", "licence"): (person("sam").key.id,),
        ("approver", "rehearsal"): (person("dan").key.id,),
    }


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([say("sam")], id="the other name is missing"),
        pytest.param([say("sam"), say("kim", "rehearsal")], id="another name"),
        pytest.param([say("sam", "licence")], id="the default name is missing"),
        pytest.param([say("sam"), say("dan", "licence", "approver")], id="another role"),
    ],
)
def test_one_name_does_not_stand_for_another(said: list[tuple[Role, Pair]]) -> None:
    with pytest.raises(PolicyError, match="scanner signatures"):
        admit(demanding(LICENCE), *said)


def test_two_names_of_one_key_are_not_two_keys_of_one_name() -> None:
    root = demanding(Demand("licence", "scanner", 2), scanners=0)

    with pytest.raises(PolicyError, match="1 of the 2 scanner signatures for licence"):
        admit(root, say("sam"), say("sam", "licence"), say("sam", "licence", time=NOW - 1))
    admit(root, say("sam", "licence"), say("kim", "licence"))


def test_a_rejection_under_any_name_refuses() -> None:
    with pytest.raises(PolicyError, match="rejected") as caught:
        admit(demanding(), say("sam"), say("kim", "licence", decision="reject"))

    assert caught.value.details[0].startswith("scanner (licence)")


def test_who_makes_an_attestation_need_not_have_it_and_obeys_every_other_rule() -> None:
    root, name = demanding(LICENCE, Demand("rehearsal", "scanner", 1)), "rehearsal"
    licensed = say("sam"), say("sam", "licence")

    admit(root, *licensed, undemanded=name)

    with pytest.raises(PolicyError, match="0 of the 1 scanner signatures for rehearsal"):
        admit(root, *licensed)
    with pytest.raises(PolicyError, match="0 of the 1 scanner signatures for licence"):
        admit(root, say("sam"), undemanded=name)
    with pytest.raises(PolicyError, match="rejected"):
        admit(root, *licensed, say("kim", name, decision="reject"), undemanded=name)


@pytest.mark.parametrize(
    ("age", "is_recent"),
    [(0, True), (30 * DAY, True), (30 * DAY + 1, False), (-DAY, True), (-DAY - 1, False)],
)
def test_an_attestation_is_neither_too_old_nor_from_the_future(age: int, is_recent: bool) -> None:  # noqa: FBT001
    root = demanding(Demand("malware", "scanner", 1, 30 * DAY))
    said = say("sam", time=NOW - age)
    if is_recent:
        admit(root, said)
        return

    with pytest.raises(PolicyError, match="of the last 30 days") as caught:
        admit(root, said)
    assert person("sam").key.id[:16] in caught.value.details[-1]


@pytest.mark.parametrize("ages", [(0, -2 * DAY), (-2 * DAY, 0), (31 * DAY, 0), (0, 31 * DAY)])
def test_of_two_attestations_of_a_key_one_that_counts_suffices(ages: tuple[int, int]) -> None:
    root = demanding(Demand("malware", "scanner", 1, 30 * DAY))

    good = admit(root, *(say("sam", time=NOW - age) for age in ages))

    assert [count.key_ids for count in good.counts] == [(person("sam").key.id,)] * 2


def test_two_attestations_of_a_key_that_do_not_count_are_none() -> None:
    root = demanding(Demand("malware", "scanner", 1, 30 * DAY))

    with pytest.raises(PolicyError, match="of the last 30 days"):
        admit(root, say("sam", time=NOW - 31 * DAY), say("sam", time=NOW + 2 * DAY))


def test_what_nobody_demands_is_listed_too() -> None:
    good = admit(demanding(scanners=0), say("sam", "licence"))

    (count,) = good.counts
    assert (count.demand, count.key_ids) == (
        Demand("licence", "scanner", 0),
        (person("sam").key.id,),
    )


def test_the_command_to_run_has_the_name() -> None:
    with pytest.raises(PolicyError) as caught:
        admit(demanding(LICENCE, Demand("rehearsal", "approver", 1)), say("sam"))

    assert "airgap attest SRC --role scanner --name licence" in caught.value.hint
    assert "airgap approve SRC --name rehearsal" in caught.value.hint


def test_a_name_is_signed() -> None:
    role, (raw, envelope) = say("sam", "rehearsal")
    renamed = raw.replace(b"\xa9rehearsal", b"\xa9rehearsed")
    assert renamed != raw

    with pytest.raises(NotTrustedError):
        admit(demanding(), say("sam"), (role, (renamed, envelope)))


def signed_raw(value: dict[str, object]) -> tuple[Role, Pair]:
    plain: dict[str, object] = {
        "bundle": BUNDLE,
        "decision": "accept",
        "findings": None,
        "hash": "sha256",
        "note": "",
        "role": "scanner",
        "time": NOW,
    }
    raw = forge.pack(plain | value)
    return "scanner", (raw, signatures("scanner", raw, "kim")[0])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"format": 2, "name": "malware"}, id="the default name in format 2"),
        pytest.param({"format": 1, "name": "licence"}, id="a name in format 1"),
        pytest.param({"format": 2}, id="format 2 without a name"),
        pytest.param({"format": 2, "name": "Licence"}, id="upper case"),
        pytest.param({"format": 2, "name": "a" * 12}, id="too long"),
        pytest.param({"format": 2, "name": "a.b"}, id="a dot"),
        pytest.param({"format": 2, "name": ""}, id="empty"),
    ],
)
def test_a_signed_attestation_with_an_odd_name_is_corrupt(value: dict[str, object]) -> None:
    with pytest.raises(CorruptError):
        admit(demanding(), say("sam"), signed_raw(value))


def test_a_newer_attestation_refuses_the_bundle() -> None:
    """It may be a rejection."""
    with pytest.raises(PolicyError, match="format 3"):
        admit(demanding(), say("sam"), signed_raw({"format": 3, "more": 1}))


def test_without_a_threshold_of_approvers_there_are_no_waivers() -> None:
    with pytest.raises(PolicyError, match="no approvers"):
        trust.accept_waiver(b"", [], accepted(demanding()), NOW)


def test_a_revoked_builder_does_not_count_whatever_the_date() -> None:
    """The date in a document is its signer's: a thief can write any."""
    plain = make_root(builder=team("bob bea"), revoked="bob")
    root = replace(plain, created_at=0, rules=SiteRules(revoked_since={person("bob").key.id: NOW}))

    with pytest.raises(NotTrustedError) as caught:
        admit(root)

    assert "revoked" in caught.value.details[0]


def test_a_revoked_scanner_counts_neither_for_nor_against() -> None:
    root = replace(
        make_root(scanner=team("sam kim"), revoked="kim"),
        created_at=0,
        rules=SiteRules(revoked_since={person("kim").key.id: NOW}),
    )

    admit(root, say("sam"), say("kim", decision="reject", time=1))
    with pytest.raises(PolicyError):
        admit(root, say("kim", time=1))
