"""The root (format §7.1). What is refused: tests/attacks/test_root.py."""

from dataclasses import replace

import pytest

from airgap.errors import CorruptError
from airgap.format import root
from airgap.format.root import Key, RoleKeys, Root

KEYS = tuple(sorted((Key(b"one", "ed25519"), Key(b"two", "ed25519")), key=lambda key: key.id))
IDS = tuple(key.id for key in KEYS)
GOOD = Root(
    site="ward",
    version=3,
    keys=KEYS,
    roles={"root": RoleKeys(IDS[:1], 1), "builder": RoleKeys(IDS, 1)},
    channels={"weekly": 7},
    revoked_keys=(IDS[1],),
    revoked_bundles=(bytes(32), b"\1" * 32),
    not_after=9,
)


def test_a_root_is_read_as_it_was_written() -> None:
    assert root.decode(root.encode(GOOD)) == GOOD


def test_a_key_is_named_by_the_sha256_of_its_encoding() -> None:
    assert Key(b"", "ed25519").id == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert root.fingerprint(b"") == f"SHA256:{Key(b'', 'ed25519').id}"


def test_a_role_has_its_keys_but_for_those_revoked() -> None:
    assert [*GOOD.signers("builder")] == [IDS[0]]
    assert GOOD.threshold("builder") == 1


def test_a_role_that_a_root_does_not_have_has_nobody() -> None:
    assert GOOD.signers("approver") == {}
    assert GOOD.threshold("approver") == 0


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(replace(GOOD, keys=KEYS[::-1]), id="keys in another order"),
        pytest.param(replace(GOOD, keys=(KEYS[0], *KEYS)), id="a key twice"),
        pytest.param(replace(GOOD, keys=(Key(b"x", "rsa"),)), id="another algorithm"),
        pytest.param(replace(GOOD, roles={"root": GOOD.roles["root"]}), id="no builder"),
        pytest.param(
            replace(GOOD, roles={**GOOD.roles, "builder": RoleKeys(("0" * 64,), 1)}),
            id="a key that it does not have",
        ),
        pytest.param(
            replace(GOOD, roles={**GOOD.roles, "builder": RoleKeys(IDS, 2)}),
            id="a threshold that revocation put out of reach",
        ),
        pytest.param(
            replace(GOOD, roles={**GOOD.roles, "approver": RoleKeys(IDS[:1], 1)}),
            id="a builder who approves",
        ),
        pytest.param(replace(GOOD, version=0), id="version 0"),
        pytest.param(replace(GOOD, site="Ward"), id="a site in upper case"),
        pytest.param(replace(GOOD, channels={"a b": 1}), id="a channel that is no name"),
        pytest.param(replace(GOOD, revoked_keys=("x",)), id="a revoked key that is no id"),
        pytest.param(replace(GOOD, revoked_bundles=(b"\1" * 32, bytes(32))), id="unsorted"),
        pytest.param(replace(GOOD, revoked_bundles=(b"short",)), id="a short digest"),
    ],
)
def test_a_root_that_breaks_a_rule_is_corrupt(bad: Root) -> None:
    with pytest.raises(CorruptError):
        root.decode(root.encode(bad))


def test_a_scanner_and_an_approver_have_roles_of_their_own() -> None:
    roles = {**GOOD.roles, "scanner": RoleKeys(IDS[:1], 1), "approver": RoleKeys((), 1)}

    with pytest.raises(CorruptError, match="requires 1 signers for the role approver and has 0"):
        root.decode(root.encode(replace(GOOD, roles=roles)))
