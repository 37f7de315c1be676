"""What scanners and approvers say, counted (format §7.5, §14)."""

from typing import Final

import pytest

from airgap.errors import AirgapError, CorruptError, NotTrustedError, PolicyError
from airgap.format import attestation, manifest
from airgap.format.attestation import Attestation, Decision
from airgap.format.envelope import Role
from airgap.format.manifest import ChunkTable, Manifest
from airgap.signing import trust
from airgap.signing.thresholds import Evidence, Pair
from airgap.signing.trust import Verified
from tests.support.signers import Team, accepted, make_root, person, signatures, team

RAW: Final = manifest.encode(Manifest((), ChunkTable(b"", ()), (), 0, "test"))
BUNDLE: Final = bytes.fromhex(manifest.bundle_id(RAW))
NOW: Final = 1_800_000_000


def say(
    name: str, role: Role = "approver", decision: Decision = "accept", bundle: bytes = BUNDLE
) -> Pair:
    raw = attestation.encode(Attestation(bundle, role, decision, NOW, "because"))
    return raw, signatures(role, raw, name)[0]


def admit(
    pairs: dict[Role, list[Pair]],
    builders: str = "bob",
    revoked: str = "",
    scanner: Team | None = None,
    approver: Team | None = None,
) -> Verified[Manifest]:
    root = accepted(make_root(revoked=revoked, scanner=scanner, approver=approver))
    return trust.admit(RAW, Evidence(signatures("builder", RAW, builders), pairs), root, NOW)


def test_the_keys_that_were_counted_are_told_by_role() -> None:
    pairs: dict[Role, list[Pair]] = {
        "scanner": [say("sam", "scanner")],
        "approver": [say("eve"), say("dan")],
    }

    good = admit(pairs, scanner=team("sam"), approver=team("dan eve", 2))

    assert set(good.signers) == {"builder", "scanner", "approver"}
    assert set(good.signers["approver"]) == {person("dan").key.id, person("eve").key.id}


def test_a_root_without_approvers_demands_none() -> None:
    assert set(admit({"approver": [say("eve", decision="reject")]}).signers) == {"builder"}


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        pytest.param([], PolicyError, id="none"),
        pytest.param([say("eve")], PolicyError, id="too few"),
        pytest.param([say("eve"), say("eve")], PolicyError, id="the same key twice"),
        pytest.param([say("eve"), say("zoe")], PolicyError, id="a stranger"),
        pytest.param([say("eve"), say("bob")], PolicyError, id="the builder approves"),
        pytest.param([say("eve"), say("mia")], PolicyError, id="a revoked key"),
        pytest.param(
            [say("eve"), say("dan"), say("kim", decision="reject")], PolicyError, id="one rejects"
        ),
        pytest.param(
            [say("eve"), say("dan"), say("dan", decision="reject")], PolicyError, id="and the same"
        ),
        pytest.param(
            [say("eve"), say("dan", bundle=bytes(32))], NotTrustedError, id="of another bundle"
        ),
        pytest.param([say("eve"), say("dan", "scanner")], NotTrustedError, id="of another role"),
        pytest.param(
            [say("eve"), (say("dan")[0], say("eve")[1])], PolicyError, id="the same key elsewhere"
        ),
        pytest.param(
            [say("eve"), (say("dan", decision="reject")[0], say("dan")[1])],
            NotTrustedError,
            id="a signature of something else",
        ),
        pytest.param(
            [say("eve"), (RAW, signatures("builder", RAW, "dan")[0])],
            NotTrustedError,
            id="a builder's envelope",
        ),
        pytest.param(
            [say("eve"), (RAW, signatures("approver", RAW, "dan")[0])],
            CorruptError,
            id="no attestation at all",
        ),
    ],
)
def test_a_threshold_of_two_approvers_is_not_reached_by(
    pairs: list[Pair], error: type[AirgapError]
) -> None:
    with pytest.raises(error):
        admit({"approver": pairs}, revoked="mia", approver=team("dan eve kim mia", 2))


def test_a_rejection_is_told_with_its_reason() -> None:
    with pytest.raises(PolicyError) as refused:
        admit({"scanner": [say("sam", "scanner", "reject")]}, scanner=team("sam"))

    assert "because" in refused.value.details[1]


def test_an_approval_is_no_builders_signature() -> None:
    with pytest.raises(NotTrustedError):
        admit({"approver": [say("eve")]}, builders="eve", approver=team("eve"))


def test_what_is_missing_is_told_role_by_role() -> None:
    with pytest.raises(PolicyError) as refused:
        admit({"approver": [say("eve")]}, scanner=team("sam"), approver=team("dan eve", 2))

    assert [line for line in refused.value.details if not line.startswith(" ")] == [
        "builder: 1 of 1",
        "scanner: 0 of 1, 1 more needed",
        "approver: 1 of 2, 1 more needed",
    ]
    assert refused.value.details[-1] == f"  can sign: {person('dan').key.id}"
    assert "airgap attest" in refused.value.hint
    assert "airgap approve" in refused.value.hint


def test_the_builders_are_counted_before_anything_else_is_decoded() -> None:
    junk: Pair = (b"\xc1", signatures("approver", b"\xc1", "eve")[0])

    with pytest.raises(NotTrustedError):
        admit({"approver": [junk]}, builders="", approver=team("eve"))
