"""Any mutation of what lies beside a bundle: refused, or the same result; never a bug (exit 1)."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import AirgapError, CorruptError, MissingError, NotTrustedError, PolicyError
from airgap.format import attestation as attestations
from airgap.format import envelope as dsse
from airgap.format import waiver as waivers
from airgap.format import want as wants
from airgap.format.attestation import Attestation
from airgap.format.ledger import digest
from airgap.format.waiver import Waiver
from airgap.signing import trust
from airgap.signing.thresholds import Evidence
from tests.attacks import test_differences as differences
from tests.support import forge, sides, signers, stores
from tests.support.forge import Forge
from tests.support.mutations import FEW, Mutation, mutations
from tests.support.sides import Side, Site
from tests.support.signers import make_root, person, team

FEWER = settings(FEW, max_examples=40)
RAW = forge.draft(forge.model({"w.bin": b"w"})).raw()
ROOT = signers.accepted(make_root(approver=team("dan")))
BUILT = signers.signatures("builder", RAW, "bob")
SAID = attestations.encode(Attestation(digest(RAW), "approver", "accept", 9, "read"))
WAIVER = waivers.encode(Waiver(digest(RAW), "ward", "needed", 9, 99))


def signed(purpose: Any, raw: bytes) -> bytes:  # noqa: ANN401
    """Sign as Dan, who approves."""
    return dsse.encode(person("dan").sign(purpose, raw))


def admitted(statement: bytes, envelope: bytes) -> bool:
    evidence = Evidence(BUILT, {"approver": [(statement, envelope)]})
    try:
        trust.admit(RAW, evidence, ROOT, 0)
    except (CorruptError, NotTrustedError, PolicyError):
        return False
    return True


def test_what_is_mutated_below_is_good_before() -> None:
    assert admitted(SAID, signed("approver", SAID))
    assert trust.accept_waiver(WAIVER, [signed("waiver", WAIVER)], ROOT, 0).raw == WAIVER


@FEW
@given(mutations)
def test_a_mutated_approval_approves_nothing(mutate: Mutation) -> None:
    envelope = signed("approver", SAID)

    assert admitted(mutate(SAID), envelope) == (mutate(SAID) == SAID)
    assert admitted(SAID, mutate(envelope)) == (mutate(envelope) == envelope)


@FEW
@given(mutations)
def test_a_mutated_approval_that_is_signed_is_refused_or_approves_this_bundle(
    mutate: Mutation,
) -> None:
    statement = mutate(SAID)
    if admitted(statement, signed("approver", statement)):
        said = attestations.decode(statement)
        assert (said.bundle, said.role, said.decision) == (digest(RAW), "approver", "accept")


@FEW
@given(mutations)
def test_a_mutated_waiver_waives_nothing(mutate: Mutation) -> None:
    envelope = signed("waiver", WAIVER)
    for raw, beside in ((mutate(WAIVER), envelope), (WAIVER, mutate(envelope))):
        if (raw, beside) == (WAIVER, envelope):
            continue
        with pytest.raises((CorruptError, NotTrustedError, PolicyError)):
            trust.accept_waiver(raw, [beside], ROOT, 0)


@FEW
@given(mutations)
def test_a_mutated_waiver_that_is_signed_is_refused_or_for_this_site(mutate: Mutation) -> None:
    raw = mutate(WAIVER)
    try:
        held = trust.accept_waiver(raw, [signed("waiver", raw)], ROOT, 0)
    except (CorruptError, NotTrustedError, PolicyError):
        return
    assert held.value.site == "ward"
    assert waivers.encode(held.value) == raw


# ---- through the command line


def verdict(side: Side, *arguments: str | Path) -> int:
    ran = side.run(*arguments, "--json")
    assert ran.code != AirgapError.exit_code, ran.err
    return ran.code


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side, Site]:
    """An office with a model, a ward that trusts its builder, and the keys."""
    top = tmp_path_factory.mktemp("companions")
    site = sides.make_site(top / "site", algorithm="ecdsa-p256-sha256")
    office, ward = Side(top / "office"), Side(top / "ward")
    stores.add_model(
        office, "ranker:v1", {"a.bin": stores.noise(3000), "b.bin": stores.noise(9000, 2)}
    )
    ward.top.mkdir()
    sides.trust(ward, site)
    return office, ward, site


def exported(sites: tuple[Side, Side, Site], location: Path, *options: str) -> Path:
    office, _, site = sites
    words = ("export", "--model", "ranker:v1", "-o", location, "--key", site.key())
    ran = office.run(*words, *options)
    assert ran.code == 0, ran.err
    return location


def test_a_mutated_signature_of_a_model_changes_no_verdict(
    sites: tuple[Side, Side, Site], tmp_path: Path
) -> None:
    depot = exported(sites, tmp_path / "depot", "--emit-model-signature")
    (file,) = depot.rglob("*.model.sig")
    raw = file.read_bytes()

    @FEWER
    @given(mutations)
    def check(mutate: Mutation) -> None:
        forge.put(file, mutate(raw))
        assert verdict(sites[1], "verify", depot) == 0

    check()


@pytest.mark.parametrize("pattern", ["volume.json", "parity.msgpack", "*.parity"])
def test_mutated_labels_and_parity_keep_nothing_out_and_let_nothing_in(
    pattern: str, sites: tuple[Side, Side, Site], tmp_path: Path
) -> None:
    exported(sites, tmp_path / "discs", "--volume-size", "2M", "--parity", "20%")
    (disc,) = (tmp_path / "discs").glob("volume-*")
    file = min(disc.rglob(pattern))
    broken = tmp_path / "broken"
    shutil.copytree(disc, broken)
    pack = min(broken.rglob("*.pack"))
    forge.put(pack, pack.read_bytes()[:-1] + b"x")
    raw = file.read_bytes()
    assert verdict(sites[1], "verify", broken) == 0  # made good from parity

    @FEWER
    @given(mutations)
    def check(mutate: Mutation) -> None:
        for top in (disc, broken):
            forge.put(top / file.relative_to(disc), mutate(raw))
        assert verdict(sites[1], "verify", disc) == 0
        mended = verdict(sites[1], "verify", broken)
        assert mended in (0, CorruptError.exit_code, MissingError.exit_code)

    check()


def test_a_mutated_want_is_refused_or_answered(
    sites: tuple[Side, Side, Site], tmp_path: Path
) -> None:
    file = tmp_path / "want"
    raw = wants.encode(wants.Want(bytes(32), ("model ranker:v1",), (bytes(32),)))

    @FEWER
    @given(mutations)
    def check(mutate: Mutation) -> None:
        forge.put(file, mutate(raw))
        key = sites[2].key()
        words = ("--model", "ranker:v1", "--for", file, "-o", tmp_path / "answer", "--key", key)
        verdict(sites[0], "export", *words)

    check()


@pytest.mark.parametrize("form", ["depot", "archive"])
def test_a_mutated_difference_that_is_signed_is_refused_or_what_its_digest_says(
    form: str, isolated: Side, forged: Forge
) -> None:
    assert isolated.run("import", forged.depot(differences.holding(differences.OLD))).code == 0

    @FEWER
    @given(mutations, st.booleans())
    def check(mutate: Mutation, base: bool) -> None:  # noqa: FBT001
        stored = mutate(differences.STORED)
        made = differences.difference(stored, *((differences.OTHER,) if base else ()))
        if not stored:
            return
        location = forged.depot(made) if form == "depot" else forged.archive(made)
        code = verdict(isolated, "verify", location)
        assert code == 0 or base or stored != differences.STORED
        shutil.rmtree(location) if location.is_dir() else location.unlink()

    check()


@pytest.fixture
def forged(tmp_path: Path, site: Site) -> Forge:
    return Forge(tmp_path, forge.load_signer(site.key()))
