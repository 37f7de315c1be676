"""Admission and roots: the rules of format §7 that no signature can bend."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap.errors import (
    ConflictError,
    CorruptError,
    NotTrustedError,
    PolicyError,
    StorageError,
    UsageError,
)
from airgap.format import envelope as dsse
from airgap.format import manifest as manifests
from airgap.format import root as roots
from airgap.format.envelope import Role
from airgap.format.manifest import ChunkTable, Manifest
from airgap.format.root import Key, RoleKeys, Root
from airgap.signing import trust
from airgap.signing.private_keys import FileSigner
from airgap.signing.public_keys import check_key
from airgap.signing.thresholds import Evidence
from airgap.signing.trust import Verified
from tests.support import refusals, sides
from tests.support.sides import Side, Site

NOW = 1_800_000_000
SIGNER = FileSigner(Ed25519PrivateKey.generate())
ROLE = RoleKeys((SIGNER.key.id,), 1)
ROOT = Root("ward", 1, (SIGNER.key,), {"root": ROLE, "builder": ROLE}, {"weekly": 7})
MANIFEST = Manifest((), ChunkTable(b"", ()), (), 0, "test")


def _accepted(root: Root) -> Verified[Root]:
    raw = roots.encode(root)
    signed = dsse.encode(SIGNER.sign("root", raw))
    return trust.accept_root(raw, [signed], roots.fingerprint(raw))


def _admit(manifest: Manifest, root: Root = ROOT) -> Verified[Manifest]:
    raw = manifests.encode(manifest)
    evidence = Evidence([dsse.encode(SIGNER.sign("builder", raw))])
    return trust.admit(raw, evidence, _accepted(root), NOW)


@pytest.mark.parametrize(
    "good",
    [
        MANIFEST,
        replace(MANIFEST, audience=("attic", "ward")),
        replace(MANIFEST, expires_at=NOW),
        replace(MANIFEST, channel="weekly", sequence=7),
        replace(MANIFEST, channel="daily", sequence=0),
    ],
)
def test_a_bundle_for_this_site_and_time_is_admitted(good: Manifest) -> None:
    assert _admit(good).raw == manifests.encode(good)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (replace(MANIFEST, audience=("attic",)), "for attic; this site is ward"),
        (
            replace(MANIFEST, expires_at=NOW - 1),
            "bundle expired at 20.*clock says 20",
        ),
        (replace(MANIFEST, channel="weekly", sequence=6), "accepts 7 and later"),
    ],
)
def test_a_bundle_is_refused_by_policy(bad: Manifest, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        _admit(bad)


def test_nothing_is_admitted_by_a_root_that_has_expired() -> None:
    with pytest.raises(PolicyError, match="root expired at"):
        _admit(MANIFEST, replace(ROOT, not_after=NOW - 1))


def test_a_bundle_that_the_root_revokes_is_not_trusted() -> None:
    revoked = bytes.fromhex(manifests.bundle_id(manifests.encode(MANIFEST)))

    with pytest.raises(NotTrustedError, match="revoked by the site's root"):
        _admit(MANIFEST, replace(ROOT, revoked_bundles=(revoked,)))


def test_a_revoked_key_counts_for_nothing() -> None:
    other = FileSigner(Ed25519PrivateKey.generate())
    keys = tuple(sorted((SIGNER.key, other.key), key=lambda one: one.id))
    builders = RoleKeys(tuple(one.id for one in keys), 1)
    root = Root("ward", 1, keys, {"root": ROLE, "builder": builders}, {}, (other.key.id,))
    raw = manifests.encode(MANIFEST)
    signed = [dsse.encode(other.sign("builder", raw))]

    with pytest.raises(NotTrustedError, match="0 of the 1"):
        trust.admit(raw, Evidence(signed), _accepted(root), NOW)


@pytest.mark.parametrize(
    ("signed", "told"),
    [
        (SIGNER.sign("root", manifests.encode(MANIFEST)), "not for the role builder"),
        (SIGNER.sign("builder", b"another document"), "does not match"),
    ],
)
def test_a_signature_for_something_else_is_not_passed_over(
    signed: dsse.Envelope, told: str
) -> None:
    with pytest.raises(NotTrustedError, match=told):
        trust.admit(
            manifests.encode(MANIFEST), Evidence([dsse.encode(signed)]), _accepted(ROOT), NOW
        )


def test_a_root_without_its_own_signature_is_not_accepted() -> None:
    raw = roots.encode(ROOT)

    with pytest.raises(NotTrustedError, match="0 of the 1"):
        trust.accept_root(raw, [], roots.fingerprint(raw))


def test_a_root_whose_key_is_builder_and_approver_is_refused() -> None:
    roles: dict[Role, RoleKeys] = {"root": ROLE, "builder": ROLE, "approver": ROLE}

    with pytest.raises(CorruptError, match="both builder and approver"):
        roots.decode(roots.encode(replace(ROOT, roles=roles)))


SPKI = bytes.fromhex("302a300506032b6570032100")
MIXED = 0x26E8958FC2B227B045C3F489F2EF98F0D5DFAC05D3C63339B13802886D53FC05


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param((1).to_bytes(32, "little"), id="the neutral point"),
        pytest.param(bytes(32), id="of order four"),
        pytest.param(MIXED.to_bytes(32, "big"), id="of order eight"),
        pytest.param((2**255 - 20).to_bytes(32, "little"), id="of order two"),
        pytest.param((2**255 - 18).to_bytes(32, "little"), id="not canonical"),
    ],
)
def test_no_root_has_a_key_that_anyone_can_sign_for(raw: bytes) -> None:
    with pytest.raises(NotTrustedError, match="anyone could forge"):
        check_key(Key(SPKI + raw, "ed25519"))


def test_a_key_of_this_spelling_is_good_otherwise() -> None:
    assert SIGNER.key.spki.startswith(SPKI)
    check_key(SIGNER.key)


def test_a_verified_value_is_made_nowhere_else() -> None:
    with pytest.raises(TypeError, match=r"only airgap\.signing\.trust"):
        Verified(MANIFEST, b"", {})


# ---- the same, at the command line


def test_a_root_with_another_fingerprint_is_not_trusted(
    isolated: Side, site: Site, tmp_path: Path
) -> None:
    other = sides.make_site(tmp_path / "other")
    init = ("trust", "init", other.root, "--fingerprint", site.fingerprint)

    refusals.expect_refusal(isolated, *init, error=NotTrustedError)


def test_another_root_does_not_take_the_place_of_the_pinned_one(
    isolated: Side, tmp_path: Path
) -> None:
    other = sides.make_site(tmp_path / "other")
    init = ("trust", "init", other.root, "--fingerprint", other.fingerprint)

    refusals.expect_refusal(isolated, *init, error=ConflictError)


def test_a_fingerprint_that_is_cut_off_is_not_understood(isolated: Side, site: Site) -> None:
    init = ("trust", "init", site.root, "--fingerprint", site.fingerprint[:-1])

    refusals.expect_refusal(isolated, *init, error=UsageError)


def test_a_private_key_that_others_can_read_does_not_sign(
    small: Side, site: Site, tmp_path: Path
) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(site.key().read_bytes())
    key.chmod(0o640)

    export = ("export", "shop:v1", "-o", tmp_path / "depot", "--key", key)
    refusals.expect_refusal(small, *export, error=StorageError)

    assert not (tmp_path / "depot").exists()


def test_a_damaged_bundle_does_not_make_an_older_one_look_like_the_newest(
    depot: Path, small: Side, site: Site, isolated: Side
) -> None:
    newer = ("export", "shop:v1", "-o", depot, "--key", site.key(), "--sequence", "2", "--json")
    bundle = small.run(*newer).json["bundle"]
    (depot / "bundles" / bundle / "manifest.msgpack").write_bytes(b"\x80")

    refusals.expect_refusal(isolated, "import", depot, error=CorruptError)
