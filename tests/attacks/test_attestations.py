"""Approvals that are missing, stolen, moved or turned round: nothing is imported (format §14)."""

import os
import shutil
from pathlib import Path

import pytest

from airgap.carrier import archive, archive_signatures
from airgap.errors import (
    AirgapError,
    ConflictError,
    CorruptError,
    NotTrustedError,
    PolicyError,
    UsageError,
)
from airgap.format import attestation, layout
from airgap.format import envelope as dsse
from airgap.format.attestation import Attestation
from airgap.format.envelope import Role
from airgap.format.manifest import bundle_id
from tests.support import refusals, sides, stores
from tests.support import signers as people
from tests.support.sides import Side
from tests.support.signers import make_root, person, team

WHEN = 1_800_000_000


class Office:
    """A bundle on its way, and everybody who may say something of it."""

    def __init__(self, location: Path, keys: Path, side: Side) -> None:
        self.place = location
        self.side = side
        self._keys = keys

    def key(self, name: str) -> Path:
        return people.write_key(self._keys, name)

    def approve(self, name: str, *words: str) -> sides.Ran:
        return self.side.run("approve", self.place, "--key", self.key(name), *words)

    def scan(self, name: str, *words: str) -> sides.Ran:
        findings = self._keys / "report.json"
        findings.write_bytes(b"{}")
        words = ("--role", "scanner", "--findings", str(findings), *words)
        return self.side.run("attest", self.place, "--key", self.key(name), *words)

    @property
    def bundle(self) -> str:
        return str(self.side.run("inspect", self.place, "--json").json["bundle"])

    def put(self, role: Role, name: str, statement: bytes, envelope: bytes) -> None:
        """Put a pair beside the manifest, whatever it says."""
        file = layout.attestation_file(role, person(name).key.id)
        files = [(file, statement), (layout.envelope_file(role, person(name).key.id), envelope)]
        if self.place.is_dir():
            stores.write_files(self.place / "bundles" / self.bundle, dict(files))
        else:
            archive_signatures.add_files(self.place, self.bundle, files)

    def say(self, name: str, said: Attestation, into: Role = "approver") -> None:
        raw = attestation.encode(said)
        self.put(into, name, raw, people.signatures(said.role, raw, name)[0])


@pytest.fixture(params=["depot", "shop.airgap"])
def office(small: Side, tmp_path: Path, request: pytest.FixtureRequest) -> Office:
    """A bundle that ``bob`` built, as a depot and as a file."""
    location = tmp_path / str(request.param)
    key = people.write_key(tmp_path / "keys", "bob")
    ran = small.run("export", "shop:v1", "-o", location, "--key", key)
    assert ran.code == 0, ran.err
    return Office(location, tmp_path / "keys", small)


@pytest.fixture
def ward(tmp_path: Path) -> Side:
    """A site that demands a scanner and two approvers; ``kim`` has both of these roles."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    root = make_root(scanner=team("sam kim"), approver=team("dan eve kim mia", 2), revoked="mia")
    people.pin(side, root)
    return side


def test_with_all_that_is_demanded_the_bundle_is_imported(office: Office, ward: Side) -> None:
    assert [office.scan("sam").code, office.approve("dan").code, office.approve("eve").code] == [
        0,
        0,
        0,
    ]

    ran = ward.run("import", office.place, "--json")

    assert ran.code == 0, ran.err
    signers = {role: about["signed_by"] for role, about in ran.json["roles"].items()}
    assert signers == {
        "builder": [person("bob").key.id],
        "scanner": [person("sam").key.id],
        "approver": sorted([person("dan").key.id, person("eve").key.id]),
    }


@pytest.mark.parametrize(
    ("scanners", "approvers"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("sam", "", id="no approver"),
        pytest.param("", "dan eve", id="no scanner"),
        pytest.param("sam", "dan", id="too few"),
        pytest.param("sam", "dan bob", id="the builder"),
        pytest.param("sam", "dan sam", id="the scanner"),
        pytest.param("sam", "dan zoe", id="a stranger"),
        pytest.param("sam", "dan mia", id="a revoked key"),
        pytest.param("kim", "dan", id="a scanner who could have approved"),
    ],
)
def test_what_is_missing_is_missing(
    office: Office, ward: Side, scanners: str, approvers: str
) -> None:
    for name in scanners.split():
        assert office.scan(name).code == 0
    for name in approvers.split():
        assert office.approve(name).code == 0

    refusals.expect_refusal(ward, "import", office.place, error=PolicyError)


def test_verify_tells_who_signed_who_did_not_and_what_to_do(office: Office, ward: Side) -> None:
    office.approve("dan")

    told = refusals.expect_refusal(ward, "verify", office.place, error=PolicyError).json["error"]

    assert told["details"] == [
        "builder: 1 of 1",
        f"  signed by {person('bob').key.id}",
        "scanner: 0 of 1, 1 more needed",
        *sorted(f"  can sign: {person(name).key.id}" for name in ("sam", "kim")),
        "approver: 1 of 2, 1 more needed",
        f"  signed by {person('dan').key.id}",
        *sorted(f"  can sign: {person(name).key.id}" for name in ("eve", "kim")),
    ]
    assert "airgap attest" in told["hint"]
    assert "airgap approve" in told["hint"]


def test_verify_compares_an_attached_report_with_its_attestation(
    office: Office, ward: Side
) -> None:
    for name in ("sam", "dan", "eve"):
        ran = office.scan(name) if name == "sam" else office.approve(name)
        assert ran.code == 0, ran.err
    file = f"scanner.{person('sam').key.id}.findings"

    assert ward.run("verify", office.place, "--json").json["reports"] == [
        {"file": file, "verdict": "as signed"}
    ]

    path = next(office.place.rglob(file)) if office.place.is_dir() else office.place
    raw = path.read_bytes()
    at = 0 if office.place.is_dir() else raw.index(file.encode()) // 512 * 512 + 512
    path.write_bytes(raw[:at] + raw[at : at + 2].replace(b"{}", b"[]") + raw[at + 2 :])

    ran = ward.run("verify", office.place)
    assert (ran.code, f"report {file}: NOT the file" in ran.out) == (0, True), ran.out
    assert ward.run("verify", office.place, "--json").json["reports"][0]["verdict"] == "differs"


def test_one_rejection_refuses_what_enough_others_accept(office: Office, ward: Side) -> None:
    office.scan("sam")
    for name in ("dan", "eve"):
        office.approve(name)
    office.approve("kim", "--reject", "--note", "weights of unknown origin")

    ran = refusals.expect_refusal(ward, "import", office.place, error=PolicyError)

    assert "weights of unknown origin" in ran.json["error"]["details"][1]


def test_a_key_that_rejects_under_two_names_is_one_approver(office: Office, ward: Side) -> None:
    office.approve("kim", "--reject")
    office.approve("kim", "--reject", "--name", "licence")
    one = ward.run("verify", office.place, "--json").json["error"]["message"]
    office.approve("eve", "--reject")

    two = ward.run("verify", office.place, "--json").json["error"]["message"]

    assert "rejected by 1 approver of site" in one
    assert "rejected by 2 approvers of site" in two


def test_a_rejection_by_a_revoked_key_counts_for_nothing(office: Office, ward: Side) -> None:
    office.scan("sam")
    for name in ("dan", "eve"):
        office.approve(name)
    office.approve("mia", "--reject")

    assert ward.run("verify", office.place).code == 0


def test_a_builders_signature_is_no_approval(office: Office, ward: Side) -> None:
    """Signed by a key that is an approver, but as builders sign: over the manifest."""
    office.scan("sam")
    office.approve("dan")
    with_manifest = office.side.run("sign", office.place, "--key", office.key("eve"))
    assert with_manifest.code == 0
    manifest = _manifest(office)
    office.put("approver", "eve", manifest[:4000], people.signatures("builder", manifest, "eve")[0])

    refusals.expect_refusal(ward, "import", office.place, error=NotTrustedError)


def test_an_approval_is_no_builders_signature(office: Office, tmp_path: Path) -> None:
    side = Side(tmp_path / "strict")
    side.top.mkdir()
    people.pin(side, make_root(builder=team("bob bea", 2), approver=team("dan")))
    office.approve("dan")
    office.approve("bea")

    refusals.expect_refusal(side, "import", office.place, error=NotTrustedError)


@pytest.mark.parametrize(
    ("name", "role", "into", "bundle", "error"),
    [
        pytest.param("eve", "approver", "approver", "00" * 32, NotTrustedError, id="other bundle"),
        pytest.param("kim", "scanner", "approver", "", NotTrustedError, id="other role"),
        pytest.param("sam", "scanner", "approver", "", PolicyError, id="no approver at all"),
        pytest.param("eve", "approver", "scanner", "", PolicyError, id="no scanner at all"),
    ],
)
def test_what_was_said_elsewhere_does_not_count_here(
    office: Office,
    ward: Side,
    name: str,
    role: Role,
    into: Role,
    bundle: str,
    error: type[AirgapError],
) -> None:
    office.approve("dan")
    if into != "scanner":
        office.scan("sam")
    said = Attestation(bytes.fromhex(bundle or office.bundle), role, "accept", WHEN)
    office.say(name, said, into)

    refusals.expect_refusal(ward, "import", office.place, error=error)


def test_one_signature_under_two_names_counts_once(office: Office, ward: Side) -> None:
    office.scan("sam")
    said = Attestation(bytes.fromhex(office.bundle), "approver", "accept", WHEN)
    raw = attestation.encode(said)
    (signed,) = people.signatures("approver", raw, "dan")
    office.put("approver", "dan", raw, signed)
    office.put("approver", "eve", raw, signed)

    refusals.expect_refusal(ward, "import", office.place, error=PolicyError)


def test_a_rejection_turned_into_an_acceptance_is_refused(office: Office, ward: Side) -> None:
    office.scan("sam")
    office.approve("dan")
    said = Attestation(bytes.fromhex(office.bundle), "approver", "reject", WHEN)
    (signed,) = people.signatures("approver", attestation.encode(said), "eve")
    turned = Attestation(said.bundle, "approver", "accept", WHEN)
    office.put("approver", "eve", attestation.encode(turned), signed)

    refusals.expect_refusal(ward, "import", office.place, error=NotTrustedError)


def test_a_signature_with_somebody_elses_key_id_is_refused(office: Office, ward: Side) -> None:
    office.scan("sam")
    office.approve("dan")
    raw = attestation.encode(Attestation(bytes.fromhex(office.bundle), "approver", "accept", WHEN))
    signed = person("zoe").sign("approver", raw)
    forged = dsse.Envelope(signed.payload_type, person("eve").key.id, signed.signature)
    office.put("approver", "eve", raw, dsse.encode(forged))

    refusals.expect_refusal(ward, "import", office.place, error=NotTrustedError)


def test_a_key_speaks_once_of_a_bundle(office: Office) -> None:
    assert office.approve("dan").code == 0
    before = stores.snapshot(office.place)

    again = office.approve("dan", "--reject")

    assert again.code == ConflictError.exit_code
    assert stores.snapshot(office.place) == before


def test_inspect_lists_what_was_said_as_a_claim(office: Office) -> None:
    office.approve("zoe", "--reject", "--note", "no")

    ran = office.side.run("inspect", office.place, "--json")

    assert ran.json["verified"] is False
    assert [one["role"] for one in ran.json["signatures"]] == ["builder", "approver"]
    claim = ran.json["signatures"][1]
    assert (claim["key_id"], claim["decision"]) == (person("zoe").key.id, "reject")
    assert "claims to be signed" in office.side.run("inspect", office.place).out


def test_inspect_shows_a_bundle_with_unreadable_statements(office: Office) -> None:
    office.put("approver", "dan", b"\xc1", b"nonsense")

    ran = office.side.run("inspect", office.place, "--json")

    assert ran.code == 0, ran.err
    assert "unreadable" in ran.json["signatures"][1]


@pytest.mark.parametrize("note", ["two\nlines", "\x1b[2J", "x" * 1001])
def test_a_note_that_would_steer_a_terminal_is_not_signed(office: Office, note: str) -> None:
    words = ("approve", office.place, "--key", office.key("dan"), "--note", note)

    refusals.expect_refusal(office.side, *words, error=UsageError)


def test_of_a_pair_in_a_depot_one_alone_is_passed_over(small: Side, tmp_path: Path) -> None:
    """That is what a crash leaves: the next try completes it."""
    office = _depot(small, tmp_path)
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    people.pin(side, make_root(approver=team("dan")))
    assert office.approve("dan").code == 0
    for suffix in ("dsse", "attestation"):
        alone = tmp_path / f"alone-{suffix}"
        shutil.copytree(office.place, alone)
        (path,) = alone.rglob(f"approver.*.{suffix}")
        path.unlink()

        refusals.expect_refusal(side, "verify", alone, error=PolicyError)
        assert side.run("approve", alone, "--key", office.key("dan")).code == 0
        assert side.run("verify", alone).code == 0


@pytest.mark.parametrize("suffix", ["dsse", "attestation"])
def test_of_a_pair_in_a_file_one_alone_is_corrupt(
    small: Side, tmp_path: Path, ward: Side, suffix: str
) -> None:
    office = _depot(small, tmp_path, "shop.airgap")
    name = f"approver.{person('dan').key.id}.{suffix}"
    archive_signatures.add_files(office.place, office.bundle, [(name, b"alone")])

    refusals.expect_refusal(ward, "verify", office.place, error=CorruptError)


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_file_whose_approval_was_cut_short_is_as_before_or_approved(
    small: Side, tmp_path: Path, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after sync number ``survived`` is lost; what came before is on the disk."""
    office = _depot(small, tmp_path, "shop.airgap")
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    people.pin(side, make_root(approver=team("dan")))
    real, count = os.fsync, 0

    def sync(descriptor: int) -> None:
        nonlocal count
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if "ledgers" not in path.parts:  # those come before
            if count == survived:
                raise OSError(5, "power failure")
            count += 1
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        cut = office.approve("dan").code
    assert (cut == 0) is (survived == 2)

    approved = side.run("verify", office.place).code
    assert approved in (0, PolicyError.exit_code)
    if approved:
        assert office.approve("dan").code == 0
        assert side.run("verify", office.place).code == 0


def test_an_archive_for_stock_bentoml_carries_approvals(small: Side, tmp_path: Path) -> None:
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    people.pin(side, make_root(approver=team("dan")))
    location = tmp_path / "shop.tar"
    key = people.write_key(tmp_path / "keys", "bob")
    assert small.run("export", "shop:v1", "-o", location, "--format", "tar", "--key", key).code == 0
    refusals.expect_refusal(side, "import", location, error=PolicyError)

    ran = small.run("approve", location, "--key", people.write_key(tmp_path / "keys", "dan"))

    assert ran.code == 0, ran.err
    assert side.run("import", location).code == 0


def _depot(small: Side, tmp_path: Path, name: str = "depot") -> Office:
    location = tmp_path / name
    key = people.write_key(tmp_path / "keys", "bob")
    assert small.run("export", "shop:v1", "-o", location, "--key", key).code == 0
    return Office(location, tmp_path / "keys", small)


def _manifest(office: Office) -> bytes:
    """Return the manifest's bytes as they lie there."""
    if office.place.is_dir():
        (path,) = office.place.glob("bundles/*/manifest.msgpack")
        return path.read_bytes()
    with office.place.open("rb") as stream:
        bundle, raw = archive.ArchiveReader(stream, "here").read_manifest()
    assert bundle_id(raw) == bundle
    return raw
