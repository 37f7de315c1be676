"""Threat model, mixing: good parts of one bundle where another's belong, and bundles for others."""

import shutil
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, MissingError, NotTrustedError, PolicyError
from airgap.signing.signer import Signer
from tests.support import forge, refusals, sides, stores
from tests.support.forge import Draft, Forge
from tests.support.sides import Side

FUTURE = 253_402_300_799


def one(letter: bytes = b"a", **fields: object) -> Draft:
    return forge.draft(forge.model({"weights.bin": letter * 50}), **fields)


def id_of(made: Draft) -> str:
    return forge.names_of(made.raw())[0]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"audience": ["attic"]}, id="for another site"),
        pytest.param({"audience": ["attic", "warden"]}, id="for two other sites"),
        pytest.param({"expires_at": 1_600_000_000}, id="expired"),
        pytest.param({"expires_at": 0}, id="expired in 1970"),
    ],
)
@pytest.mark.parametrize("form", ["depot", "archive"])
def test_a_signed_bundle_is_refused_by_policy(
    form: str, fields: dict[str, object], forged: Forge, isolated: Side
) -> None:
    made = one(b"a", **fields)
    made.packs = []  # which are not looked at
    location = forged.depot(made) if form == "depot" else forged.archive(made)

    refusals.expect_refusal(isolated, "verify", location, error=PolicyError)
    refusals.expect_refusal(isolated, "import", location, error=PolicyError)


@pytest.mark.parametrize("fields", [{"audience": ["attic", "ward"]}, {"expires_at": FUTURE}])
def test_a_signed_bundle_for_this_site_and_time_is_imported(
    fields: dict[str, object], forged: Forge, isolated: Side
) -> None:
    assert isolated.run("import", forged.depot(one(b"a", **fields))).code == 0


@pytest.mark.parametrize("form", ["depot", "archive"])
def test_a_bundle_under_another_bundles_id_is_corrupt(
    form: str, forged: Forge, isolated: Side
) -> None:
    made, other = one(b"a"), one(b"b")
    raw = made.raw()
    files = forge.members(raw, forge.sign(raw, forged.signer), made.packs, bundle=id_of(other))
    location = forge.write_depot(forged.folder / "mixed", files)
    if form == "archive":
        location = forged.folder / "mixed.airgap"
        location.write_bytes(forge.tar(files))

    refusals.expect_refusal(isolated, "import", location, error=CorruptError)


def test_the_signatures_of_another_bundle_do_not_count(forged: Forge, isolated: Side) -> None:
    made, other = one(b"a"), one(b"b")
    files = forge.members(made.raw(), forge.sign(other.raw(), forged.signer), made.packs)
    depot = forge.write_depot(forged.folder / "mixed", files)

    refusals.expect_refusal(isolated, "import", depot, error=NotTrustedError)


def test_the_packs_of_another_bundle_do_not_fit(forged: Forge, isolated: Side) -> None:
    made, other = one(b"a"), one(b"b")
    depot = forged.depot(made)
    (pack,) = depot.glob("packs/*/*.pack")
    pack.write_bytes(other.packs[0])
    archive = forged.folder / "mixed.airgap"
    raw = made.raw()
    archive.write_bytes(forge.tar(forge.members(raw, forge.sign(raw, forged.signer), other.packs)))

    for location in (depot, archive):
        refusals.expect_refusal(isolated, "verify", location, error=CorruptError)
        refusals.expect_refusal(isolated, "import", location, error=CorruptError)


def test_a_bundle_that_needs_what_it_does_not_carry_is_refused(
    forged: Forge, isolated: Side
) -> None:
    made = one()
    yaml, weights = made.packs[0][:-50], made.packs[0][-50:]
    for field in made.manifest["blocks"]:
        column = made.manifest["blocks"][field]
        made.manifest["blocks"][field] = column[: len(column) // 2]
    made.packs = [yaml]
    made.manifest["packs"] = {
        "block_counts": forge.u32(1),
        "digests": forge.sha256(yaml),
        "sizes": forge.u32(len(yaml)),
    }
    assert weights == b"a" * 50

    for location in (forged.depot(made), forged.archive(made)):
        refusals.expect_refusal(isolated, "verify", location, error=MissingError)
        refusals.expect_refusal(isolated, "import", location, error=MissingError)


# More than one bundle in a depot


def joined(forged: Forge, *drafts: Draft) -> Path:
    top = forged.folder / "joined"
    for made in drafts:
        shutil.copytree(forged.depot(made), top, dirs_exist_ok=True)
    return top


def imported(isolated: Side, location: Path | str) -> str:
    ran = isolated.run("import", location, "--json")
    assert ran.code == 0, ran.err
    bundle: str = ran.json["bundle"]
    return bundle


def test_the_newest_bundle_is_taken(forged: Forge, isolated: Side) -> None:
    old, new = one(b"a", sequence=1, created_at=9), one(b"b", sequence=2, created_at=1)

    assert imported(isolated, joined(forged, old, new)) == id_of(new)


def test_a_number_is_not_compared_with_another_channels(forged: Forge, isolated: Side) -> None:
    high = one(b"a", sequence=90, created_at=100, channel="weekly")
    new = one(b"b", sequence=3, created_at=300, channel="nightly")
    depot = joined(forged, high, new)

    listed = isolated.run("list", depot, "--json").json["bundles"]
    assert [row["bundle"] for row in listed] == [id_of(new), id_of(high)]
    assert isolated.run("inspect", depot, "--json").json["bundle"] == id_of(new)
    assert isolated.run("get", "ranker", depot, "--model", "--json").json["bundle"] == id_of(new)
    assert isolated.run("pull", "ranker", depot, "--model", "--json").json["bundle"] == id_of(new)
    assert imported(isolated, depot) == id_of(new)


def test_a_bundle_for_another_site_is_passed_over(forged: Forge, isolated: Side) -> None:
    mine, other = one(b"a", sequence=1), one(b"b", sequence=2, audience=["attic"])

    assert imported(isolated, joined(forged, mine, other)) == id_of(mine)


def test_what_is_passed_over_is_told_with_the_reason(forged: Forge, isolated: Side) -> None:
    mine, other = one(b"a", sequence=1), one(b"b", sequence=2, audience=["attic"])

    (told,) = isolated.run("verify", joined(forged, mine, other), "--json").json["passed_over"]

    assert id_of(other)[:12] in told
    assert "attic" in told


def test_bundles_that_are_all_for_others_are_refused(forged: Forge, isolated: Side) -> None:
    depot = joined(forged, one(b"a", audience=["attic"]), one(b"b", expires_at=1))

    refusals.expect_refusal(isolated, "import", depot, error=PolicyError)


@pytest.mark.parametrize(
    ("damage", "error"),
    [("stranger", NotTrustedError), ("unsigned", NotTrustedError), ("changed", CorruptError)],
)
def test_a_bundle_that_is_not_trusted_does_not_make_an_older_one_the_newest(
    damage: str, error: type[AirgapError], forged: Forge, isolated: Side, stranger: Signer
) -> None:
    old, new = one(b"a", sequence=1), one(b"b", sequence=2)
    depot = joined(forged, old, new)
    folder = depot / "bundles" / id_of(new)
    (envelope,) = folder.glob("*.dsse")
    if damage == "changed":
        (folder / "manifest.msgpack").write_bytes(old.raw())
    else:
        envelope.unlink()
    if damage == "stranger":
        for name, data in forge.sign(new.raw(), stranger).items():
            (folder / name).write_bytes(data)

    refusals.expect_refusal(isolated, "import", depot, error=error)

    assert imported(isolated, f"{depot}#{id_of(old)}") == id_of(old)


@pytest.fixture
def stranger(tmp_path: Path) -> Signer:
    return forge.load_signer(sides.make_site(tmp_path / "stranger").key())


def test_an_id_that_fits_two_bundles_names_none(forged: Forge, isolated: Side) -> None:
    depot = joined(forged, one(b"a"))
    ident = id_of(one(b"a"))

    refusals.expect_refusal(isolated, "import", f"{depot}#{'0' * 64}", error=MissingError)
    assert imported(isolated, f"{depot}#{ident[:8]}") == ident


def test_a_bundle_of_nothing_installs_nothing(forged: Forge, isolated: Side) -> None:
    bundle = forged.depot(forge.draft())

    assert isolated.run("import", bundle).code == 0  # which is recorded, as every import is
    before = stores.snapshot(isolated.top)
    assert isolated.run("import", bundle).code == 0

    assert stores.snapshot(isolated.top) == before, "importing again appends nothing (§17.3)"
    assert [path.name for path in isolated.bentoml.iterdir()] == [".airgap"]
    assert not isolated.hugging_face.exists()
