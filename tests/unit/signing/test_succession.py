"""Who may take over from a root, and who may not (format §15)."""

import pytest

from airgap.errors import AirgapError, CorruptError, NotTrustedError, PolicyError
from airgap.format import root as roots
from airgap.format.root import Root
from airgap.signing import trust
from airgap.signing.trust import Verified
from tests.support.signers import accepted, make_root, signatures, team

NOW = 1_800_000_000


def succeed(
    new: Root, signed_by: str, old: Root | None = None, old_signed_by: str = "ann"
) -> Verified[Root]:
    raw = roots.encode(new)
    before = accepted(old or make_root(), old_signed_by)
    return trust.succeed(before, raw, signatures("root", raw, signed_by), NOW)


def test_the_next_version_takes_over_when_old_and_new_keys_signed_it() -> None:
    new = make_root(2, root=team("amy"))

    after = succeed(new, "ann amy")

    assert after.value == new
    assert after.signers["root"] == tuple(new.signers("root"))


def test_one_signature_counts_on_both_sides_if_its_key_is_in_both() -> None:
    assert succeed(make_root(2), "ann").value.version == 2


def test_the_root_that_is_followed_may_have_expired() -> None:
    assert succeed(make_root(2), "ann", old=make_root(not_after=1)).value.version == 2


def test_a_step_on_the_way_may_have_expired() -> None:
    raw = roots.encode(make_root(2, not_after=1))

    step = trust.succeed(accepted(make_root()), raw, signatures("root", raw, "ann"), None)

    assert step.value.not_after == 1


@pytest.mark.parametrize(
    ("new", "signed_by", "error"),
    [
        pytest.param(make_root(2, root=team("amy")), "ann", NotTrustedError, id="old only"),
        pytest.param(make_root(2, root=team("amy")), "amy", NotTrustedError, id="new only"),
        pytest.param(make_root(2), "", NotTrustedError, id="unsigned"),
        pytest.param(make_root(2), "bob", NotTrustedError, id="by the builder"),
        pytest.param(make_root(3), "ann", PolicyError, id="skipped"),
        pytest.param(make_root(9), "ann", PolicyError, id="skipped many"),
        pytest.param(make_root(1), "ann", PolicyError, id="equal"),
        pytest.param(make_root(2, site="other"), "ann", NotTrustedError, id="other site"),
        pytest.param(make_root(2, not_after=NOW - 1), "ann", PolicyError, id="expired"),
        pytest.param(
            make_root(2, root=team("ann amy"), revoked="ann"),
            "ann",
            NotTrustedError,
            id="own key revoked",
        ),
    ],
)
def test_what_does_not_follow_is_refused(
    new: Root, signed_by: str, error: type[AirgapError]
) -> None:
    with pytest.raises(error):
        succeed(new, signed_by)


def test_a_lower_version_is_refused() -> None:
    with pytest.raises(PolicyError, match="already trusts version 5"):
        succeed(make_root(4), "ann", old=make_root(5))


def test_a_key_that_the_old_root_revokes_does_not_speak_for_it() -> None:
    old = make_root(root=team("ann amy"), revoked="amy")

    with pytest.raises(NotTrustedError, match="0 of the 1"):
        succeed(make_root(2, root=team("amy")), "amy", old=old)


@pytest.mark.parametrize("signed_by", ["ann", "ann ann", "ann zoe"])
def test_a_threshold_of_two_needs_two_keys(signed_by: str) -> None:
    both = team("ann amy", 2)

    with pytest.raises(NotTrustedError, match="1 of the 2"):
        succeed(make_root(2, root=both), signed_by, make_root(root=both), "ann amy")


def test_nothing_is_decoded_before_the_old_keys_have_signed_it() -> None:
    junk = b"\xc1 is not msgpack"
    before = accepted(make_root())

    with pytest.raises(NotTrustedError):
        trust.succeed(before, junk, signatures("root", junk, "amy"), NOW)
    with pytest.raises(CorruptError):
        trust.succeed(before, junk, signatures("root", junk, "ann"), NOW)
