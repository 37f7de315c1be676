"""Threat model, time: what stamps prove, and what they do not (format §33)."""

from dataclasses import replace

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from airgap.errors import CorruptError
from airgap.format import attestation, layout
from airgap.format import envelope as dsse
from airgap.format import root as roots
from airgap.format.attestation import Attestation
from airgap.format.envelope import Role
from airgap.format.root import Root, SignedRoot
from airgap.format.site_rules import SiteRules, TimestampAuthority
from airgap.format.stamp_files import certificate_file, find_chain, stamp_file
from airgap.signing.as_of import (
    AcceptedRoot,
    Authenticity,
    SignatureThen,
    accept_older_roots,
    choose_root,
    judge_authenticity,
)
from airgap.signing.stamp_chains import JudgedChain, judge_chain
from airgap.signing.time_stamps import Authorities, decode_stamp, gather_authorities
from tests.support import forge
from tests.support.signers import accepted, make_root, person, signatures, team
from tests.support.stamp_authority import DAY, YEAR, StampAuthority

NOW = 20 * YEAR
STAMPED = 2 * YEAR
FILE = layout.envelope_file("builder", person("bob").key.id)
ANN, EVE = StampAuthority("Ann"), StampAuthority("Eve")
AMY = StampAuthority("Amy", start=YEAR, end=30 * YEAR)


def authorities(*known: StampAuthority, **rule: int) -> Authorities:
    rules = [TimestampAuthority(one.digest, **rule) for one in known]
    return gather_authorities(rules, [(one.digest, one.pem) for one in (ANN, EVE, AMY)])


def judge(data: bytes, *stamps: bytes, by: Authorities | None = None) -> JudgedChain:
    files = {stamp_file(FILE, number): raw for number, raw in enumerate(stamps, 1)}
    return judge_chain(find_chain(FILE, data, files), by or authorities(ANN, AMY), NOW)


def problem(data: bytes, *stamps: bytes, by: Authorities | None = None) -> str:
    judged = judge(data, *stamps, by=by)
    assert judged.proven is None
    return judged.stamps[0].problem


def test_a_stamp_proves_by_when_the_bytes_existed() -> None:
    assert judge(b"envelope", ANN.stamp(b"envelope", STAMPED)).proven == STAMPED + 2


def test_a_stamp_of_another_authority_proves_nothing() -> None:
    assert "no valid certificate" in problem(b"envelope", EVE.stamp(b"envelope", STAMPED))


def test_a_stamp_with_the_certificates_of_another_authority_proves_nothing() -> None:
    raw = EVE.stamp(b"envelope", STAMPED, extra=(ANN.certificate, ANN.ca))

    assert "no valid certificate" in problem(b"envelope", raw)


def test_a_self_signed_certificate_beside_a_stamp_is_not_trusted() -> None:
    rules = [TimestampAuthority(ANN.digest)]
    files = [(one.digest, one.pem) for one in (ANN, EVE)]

    by = gather_authorities(rules, files)

    assert "no valid certificate" in problem(b"e", EVE.stamp(b"e", STAMPED), by=by)


def test_a_certificate_under_the_name_of_another_is_passed_over() -> None:
    by = gather_authorities([TimestampAuthority(ANN.digest)], [(ANN.digest, EVE.pem)])

    assert by.missing == [ANN.digest]
    assert "is not beside it" in problem(b"e", EVE.stamp(b"e", STAMPED), by=by)


def test_an_authority_that_is_not_in_the_root_proves_nothing() -> None:
    by = authorities()

    assert "names no authority" in problem(b"e", ANN.stamp(b"e", STAMPED), by=by)


def test_a_stamp_over_other_data_proves_nothing() -> None:
    assert problem(b"envelope", ANN.stamp(b"other", STAMPED)) == "it is over other bytes"


@pytest.mark.parametrize("position", [0, 10_000])
def test_one_byte_more_is_refused(position: int) -> None:
    raw = bytearray(ANN.stamp(b"envelope", STAMPED))
    raw.insert(position, 0)

    assert "is not a response" in problem(b"envelope", bytes(raw))


def test_a_certificate_without_a_critical_usage_is_refused() -> None:
    lax = StampAuthority("Lax", is_critical=False)
    by = gather_authorities([TimestampAuthority(lax.digest)], [(lax.digest, lax.pem)])

    assert "no valid certificate" in problem(b"e", lax.stamp(b"e", STAMPED), by=by)


def test_a_certificate_for_something_else_is_refused() -> None:
    web = StampAuthority("Web", usage=ExtendedKeyUsageOID.SERVER_AUTH)
    by = gather_authorities([TimestampAuthority(web.digest)], [(web.digest, web.pem)])

    assert "no valid certificate" in problem(b"e", web.stamp(b"e", STAMPED), by=by)


def test_a_signer_with_two_certificates_is_refused() -> None:
    """A library may check one, and verify the signature by the other."""
    double = StampAuthority("Double")
    usage, serial = ExtendedKeyUsageOID.TIME_STAMPING, double.certificate.serial_number
    other = double._certify("other", EVE.key, (0, YEAR), usage, serial)

    raw = double.stamp(b"e", STAMPED, extra=(other,))

    with pytest.raises(CorruptError, match="exactly one signer"):
        decode_stamp(raw, "the stamp")


def test_a_stamp_from_after_the_end_of_its_certificate_is_refused() -> None:
    assert "no valid certificate" in problem(b"e", ANN.stamp(b"e", 5 * YEAR))


def test_a_stamp_from_the_future_proves_nothing() -> None:
    far = StampAuthority("Far", end=50 * YEAR)
    by = gather_authorities([TimestampAuthority(far.digest)], [(far.digest, far.pem)])

    assert problem(b"e", far.stamp(b"e", NOW + 2 * DAY), by=by) == "it is from the future"
    assert judge(b"e", far.stamp(b"e", NOW + DAY // 2), by=by).proven


@pytest.mark.parametrize(
    ("status", "word"), [(1, "modifications"), (2, "rejected"), (3, "waiting")]
)
def test_what_was_not_granted_is_refused(status: int, word: str) -> None:
    raw = ANN.stamp(b"e", STAMPED, status=status)

    assert "was not granted: " in problem(b"e", raw)
    assert word in problem(b"e", raw)
    assert "\x1b" not in problem(b"e", raw)


@pytest.mark.parametrize(
    ("rule", "text"),
    [({"start": STAMPED + 1}, "dated before"), ({"end": STAMPED + 1}, "dated after")],
)
def test_the_root_bounds_the_time_of_an_authority(rule: dict[str, int], text: str) -> None:
    assert text in problem(b"e", ANN.stamp(b"e", STAMPED), by=authorities(ANN, **rule))


def test_a_renewal_proves_it_when_the_first_authority_is_gone() -> None:
    first = ANN.stamp(b"e", STAMPED)
    second = AMY.stamp(first, 3 * YEAR, "sha512")

    assert judge(b"e", first, second).proven == STAMPED + 2
    assert judge(b"e", first, second, by=authorities(AMY)).proven == 3 * YEAR + 2


def test_a_chain_whose_middle_is_missing_proves_what_is_before_it() -> None:
    first = ANN.stamp(b"e", STAMPED)
    second = AMY.stamp(first, 3 * YEAR)
    third = AMY.stamp(second, 4 * YEAR)
    files = {stamp_file(FILE, 1): first, stamp_file(FILE, 3): third}

    judged = judge_chain(find_chain(FILE, b"e", files), authorities(AMY), NOW)

    assert (judged.proven, judged.is_broken, len(judged.stamps)) == (None, True, 1)


def test_a_chain_ends_at_a_stamp_over_something_else() -> None:
    first = ANN.stamp(b"e", STAMPED)
    forged = AMY.stamp(b"another stamp", YEAR + 9)

    judged = judge(b"e", first, forged, AMY.stamp(forged, YEAR + 10))

    assert (judged.proven, judged.is_broken) == (STAMPED + 2, True)
    assert [one.problem for one in judged.stamps] == ["", "it is over other bytes"]


def test_a_renewal_that_is_older_than_what_it_renews_ends_the_chain() -> None:
    first = ANN.stamp(b"e", STAMPED)

    judged = judge(b"e", first, AMY.stamp(first, STAMPED - DAY))

    assert judged.proven == STAMPED + 2
    assert "before a stamp that it is over" in judged.stamps[1].problem


def test_a_gap_between_a_certificate_and_its_renewal_is_told() -> None:
    first = ANN.stamp(b"e", STAMPED)

    late = judge(b"e", first, AMY.stamp(first, 5 * YEAR))
    in_time = judge(b"e", first, AMY.stamp(first, 3 * YEAR))

    assert late.stamps[0].gap == (ANN.end, 5 * YEAR)
    assert [one.gap for one in in_time.stamps] == [None, None]
    assert judge(b"e", first).stamps[0].gap == (ANN.end, NOW)


# Roots and revocations

MANIFEST = b"the manifest"


def as_of(at: int, proven: int | None, *later: Root, chosen: Root | None = None) -> Authenticity:
    (envelope,) = signatures("builder", MANIFEST, "bob")
    known = [chosen or replace(make_root(), created_at=1), *later]
    chain = accept_older_roots(accepted(known[-1]), [sign_root(one) for one in known[:-1]])
    return judge_authenticity(MANIFEST, {FILE: envelope}, {FILE: proven}, chain, at)


def sign_root(root: Root, names: str = "ann") -> SignedRoot:
    raw = roots.encode(root)
    return SignedRoot(raw, tuple(signatures("root", raw, names)))


def revoking(since: int | None) -> Root:
    times = {} if since is None else {person("bob").key.id: since}
    root = make_root(2, builder=team("bob ben"), revoked="bob")
    return replace(
        root, created_at=9 * YEAR, rules=SiteRules(revoked_since=times, forbidden_options=("http",))
    )


def test_a_stamped_signature_is_authentic_then() -> None:
    judged = as_of(STAMPED, STAMPED)

    assert judged.is_authentic
    assert judged.reason == "1 of 1 builders of root version 1"


def test_a_signature_without_a_stamp_is_not_proven() -> None:
    judged = as_of(STAMPED, None)

    assert not judged.is_authentic
    assert "no time stamp" in judged.signatures[0].problem


def test_a_stamp_from_later_does_not_prove_it_then() -> None:
    assert "and later" in as_of(STAMPED - 1, STAMPED).signatures[0].problem


def test_a_stamp_from_before_the_theft_stands() -> None:
    assert as_of(STAMPED, STAMPED, revoking(STAMPED + 1)).is_authentic


def test_a_stamp_from_after_the_theft_does_not_stand() -> None:
    judged = as_of(8 * YEAR, STAMPED, revoking(STAMPED))

    assert not judged.is_authentic
    assert "revokes its key since" in judged.signatures[0].problem


def test_nothing_stands_by_a_key_that_is_revoked_without_a_time() -> None:
    judged = as_of(8 * YEAR, STAMPED, revoking(None))

    assert not judged.is_authentic
    assert "does not say since when" in judged.signatures[0].problem


def test_the_root_of_then_decides_whose_signature_counts() -> None:
    """A builder of today was none then, and one of then need not be one today."""
    today = replace(make_root(2, builder=team("ben")), created_at=9 * YEAR)

    assert as_of(STAMPED, STAMPED, today).is_authentic
    judged = as_of(10 * YEAR, STAMPED, today)
    assert "does not name its key as builder" in judged.signatures[0].problem


def test_a_time_before_every_root_is_told() -> None:
    assert "no root of that time is known" in as_of(0, 0).reason


def test_a_bundle_that_the_root_of_then_revokes_is_not_authentic() -> None:
    revoked = replace(make_root(revoked_bundles=(forge.sha256(MANIFEST),)), created_at=1)

    assert as_of(STAMPED, STAMPED, chosen=revoked).reason == "revoked by root version 1"


@pytest.mark.parametrize(
    "envelope",
    [b"no envelope", *signatures("builder", b"another manifest", "bob")],
)
def test_what_is_not_the_builders_signature_does_not_count(envelope: bytes) -> None:
    chain = accept_older_roots(accepted(replace(make_root(), created_at=1)), [])

    judged = judge_authenticity(MANIFEST, {FILE: envelope}, {FILE: 1}, chain, STAMPED)

    assert not judged.is_authentic
    assert judged.signatures[0].problem


SCANNER = layout.envelope_file("scanner", person("sue").key.id)


def judge_scanner(
    statement: bytes, proven: int | None = STAMPED, signed: bytes | None = None
) -> SignatureThen:
    """Judge an attestation of sue's, of which a copy of the envelope lies here."""
    root = replace(make_root(scanner=team("sue")), created_at=1)
    (envelope,) = signatures("scanner", signed or statement, "sue")
    files = {SCANNER: envelope, layout.attestation_beside(SCANNER): statement}
    chain = accept_older_roots(accepted(root), [])
    judged = judge_authenticity(MANIFEST, files, {SCANNER: proven}, chain, STAMPED)
    assert not judged.is_authentic
    return judged.signatures[0]


def attest(bundle: bytes = forge.sha256(MANIFEST), role: Role = "scanner") -> bytes:
    return attestation.encode(Attestation(bundle, role, "reject", 5))


def test_what_a_scanner_said_is_told_and_is_no_builders_signature() -> None:
    signature = judge_scanner(attest())

    assert (signature.decision, signature.name, signature.problem) == ("reject", "malware", "")


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (attest(bundle=b"x" * 32), "for another bundle or role"),
        (attest(role="approver"), "for another bundle or role"),
        (b"not an attestation", "attestation"),
    ],
)
def test_an_attestation_of_another_bundle_says_nothing(statement: bytes, text: str) -> None:
    signature = judge_scanner(statement)

    assert text in signature.problem
    assert not signature.decision


def test_an_attestation_is_not_read_before_its_signature_and_its_stamp() -> None:
    assert "not that key's" in judge_scanner(b"x", signed=b"y").problem
    assert "no time stamp" in judge_scanner(b"x", proven=None).problem


def test_an_old_root_of_a_strangers_is_not_accepted_for_signing_todays() -> None:
    """The stranger's keys sign the pinned root as well; that proves nothing."""
    pinned = accepted(replace(make_root(2), created_at=9 * YEAR))
    forged = replace(make_root(root=team("eve"), builder=team("eve")), created_at=1)

    chain = accept_older_roots(pinned, [sign_root(forged, "eve")])

    assert [one.root.version for one in chain] == [2]


def test_an_old_root_is_accepted_by_keys_of_a_later_one_or_by_its_fingerprint() -> None:
    pinned = accepted(make_root(3, root=team("amy")), "amy")
    second, first = make_root(2, root=team("amy")), make_root()
    candidates = [sign_root(first), sign_root(second, "amy")]

    named = [roots.fingerprint(candidates[0].raw)]

    by_keys = accept_older_roots(pinned, candidates)
    assert [one.reason for one in by_keys] == [
        "signed by the root keys of version 3",
        "pinned on this machine",
    ]
    by_name = accept_older_roots(pinned, candidates, named)
    assert [one.root.version for one in by_name] == [1, 2, 3]


def make_backdated() -> tuple[Root, Root, Root]:
    """Version 3, of which two keys; version 2, of which one; a version 1 that this one made."""
    third = replace(make_root(3, root=team("ann amy", 2), builder=team("ben")), created_at=9 * YEAR)
    second = replace(make_root(2, root=team("ann amy")), created_at=5 * YEAR)
    forged = replace(make_root(root=team("ann"), builder=team("eve")), created_at=10 * YEAR)
    return third, second, forged


def test_an_older_version_with_a_later_date_is_not_accepted() -> None:
    """Keys that were once enough make an older version today."""
    third, second, forged = make_backdated()
    candidates = [sign_root(forged), sign_root(second, "ann amy")]

    for at in (10 * YEAR, 6 * YEAR):
        late = sign_root(replace(forged, created_at=at))
        chain = accept_older_roots(accepted(third, "ann amy"), [*candidates, late])

        assert [one.root.version for one in chain] == [2, 3]


def test_of_the_roots_of_then_the_highest_version_was_in_force() -> None:
    third, second, forged = make_backdated()
    known = [AcceptedRoot(root, str(root.version), "named") for root in (forged, second, third)]

    assert [
        chosen and chosen.root.version
        for chosen in (choose_root(known, year * YEAR) for year in (11, 9, 6, 5, 4))
    ] == [3, 3, 2, 2, None]


def test_nothing_is_authentic_when_the_root_of_then_had_expired() -> None:
    root = replace(make_root(), created_at=1, not_after=3 * YEAR)

    assert as_of(3 * YEAR, STAMPED, chosen=root).is_authentic
    judged = as_of(3 * YEAR + 1, STAMPED, chosen=root)
    assert not judged.is_authentic
    assert "root version 1 had expired at 1972-12-31" in judged.reason


def test_a_root_key_that_is_revoked_today_vouches_for_no_older_root() -> None:
    today = replace(make_root(2, root=team("ann amy"), revoked="ann"), created_at=9 * YEAR)
    pinned = accepted(today, "amy")

    assert len(accept_older_roots(pinned, [sign_root(make_root())])) == 1


@pytest.mark.parametrize("changes", [{"version": 2}, {"site": "other"}])
def test_a_root_that_is_not_older_or_of_another_site_is_not_accepted(
    changes: dict[str, object],
) -> None:
    other = replace(make_root(), created_at=5, **changes)  # type: ignore[arg-type]

    assert len(accept_older_roots(accepted(make_root(2)), [sign_root(other)])) == 1


def test_a_certificate_has_the_name_that_a_reader_looks_for() -> None:
    assert certificate_file(ANN.digest) == f"tsa.{ANN.digest.hex()}.pem"
    assert dsse.decode(signatures("builder", MANIFEST, "bob")[0]).key_id == person("bob").key.id
