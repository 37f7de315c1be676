"""Waivers that are forged, borrowed or stretched: the old bundle stays out (format §16)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    ConflictError,
    CorruptError,
    NotTrustedError,
    PolicyError,
    UsageError,
)
from airgap.format import canonical
from airgap.format import envelope as dsse
from airgap.format import waiver as waivers
from airgap.format.envelope import Role
from airgap.format.root import Root
from airgap.format.waiver import Waiver
from airgap.signing import trust
from tests.support import forge, refusals, sides, signers, stores
from tests.support.forge import Draft, Forge
from tests.support.sides import Side
from tests.support.signers import make_root, person, team

LONG = 4_000_000_000
ROOT = replace(make_root(approver=team("dan eve mia", 2), revoked="mia"), channels={"weekly": 3})


def bundle(letter: str, sequence: int, **fields: object) -> Draft:
    model = forge.model({"w": letter.encode()}, f"{letter}:v1")
    return forge.draft(model, **{"sequence": sequence, "channel": "nightly", **fields})


def id_of(made: Draft) -> str:
    return forge.names_of(made.raw())[0]


OLD = bundle("old", 2)
GOOD = Waiver(bytes.fromhex(id_of(OLD)), "ward", "release 3 fails", 1_790_000_000, LONG)


@pytest.fixture
def built(tmp_path: Path) -> Forge:
    """Writes what ``bob`` built."""
    return Forge(tmp_path, person("bob"))


@pytest.fixture
def ward(tmp_path: Path, built: Forge) -> Side:
    """A site with two approvers, that has number 3 of the channel and is offered number 2."""
    side = Side(tmp_path / "ward")
    side.top.mkdir()
    signers.pin(side, ROOT)
    with_approvals(built.depot(bundle("new", 3)))
    assert side.run("import", built.depot(bundle("new", 3))).code == 0
    return side


def with_approvals(location: Path) -> Path:
    """Let both approvers accept a bundle: a waiver is none of that."""
    from airgap.format import attestation, layout

    (folder,) = location.glob("bundles/*")
    for name in ("dan", "eve"):
        said = attestation.Attestation(bytes.fromhex(folder.name), "approver", "accept", 0)
        raw = attestation.encode(said)
        (signed,) = signers.signatures("approver", raw, name)
        (folder / layout.attestation_file("approver", person(name).key.id)).write_bytes(raw)
        (folder / layout.envelope_file("approver", person(name).key.id)).write_bytes(signed)
    return location


def write(folder: Path, made: Waiver | bytes, names: str = "dan eve") -> Path:
    """Write a waiver, whatever it says, with the signatures of these people beside it."""
    raw = made if isinstance(made, bytes) else waivers.encode(made)
    path = folder / "x.waiver"
    path.write_bytes(raw)
    for name in names.split():
        envelope = dsse.encode(person(name).sign("waiver", raw))
        (folder / f"x.{person(name).key.id}.dsse").write_bytes(envelope)
    return path


def test_a_waiver_lets_in_just_what_it_names(ward: Side, built: Forge, tmp_path: Path) -> None:
    waiver, other = write(tmp_path, GOOD), with_approvals(built.depot(bundle("other", 1)))
    old = with_approvals(built.depot(OLD))

    refusals.expect_refusal(ward, "import", other, "--waiver", waiver, error=PolicyError)
    verified = ward.run("verify", old, "--waiver", waiver, "--json")
    ran = ward.run("import", old, "--waiver", waiver, "--json")

    assert (verified.code, ran.code) == (0, 0), ran.err
    assert ran.json["waived"] == verified.json["waived"] != []
    assert ran.json["waiver"]["reason"] == GOOD.reason
    memory = ward.run("trust", "show", "--json").json["history"]
    assert memory["channels"]["nightly"]["sequence"] == 3


@pytest.mark.parametrize(
    ("made", "names", "error"),
    [
        pytest.param(GOOD, "", NotTrustedError, id="nobody signed"),
        pytest.param(GOOD, "dan", NotTrustedError, id="below the threshold"),
        pytest.param(GOOD, "dan bob", NotTrustedError, id="the builder"),
        pytest.param(GOOD, "dan ann", NotTrustedError, id="a root key"),
        pytest.param(GOOD, "dan mia", NotTrustedError, id="a revoked approver"),
        pytest.param(GOOD, "dan zoe", NotTrustedError, id="a stranger"),
        pytest.param(replace(GOOD, site="attic"), "dan eve", PolicyError, id="other site"),
        pytest.param(replace(GOOD, bundle=bytes(32)), "dan eve", PolicyError, id="other bundle"),
        pytest.param(replace(GOOD, expires_at=1), "dan eve", PolicyError, id="expired"),
        pytest.param(waivers.encode(GOOD) + b"\0", "dan eve", CorruptError, id="bytes after it"),
        pytest.param(b"\xc1", "dan eve", CorruptError, id="no document"),
        pytest.param(b"", "dan eve", CorruptError, id="nothing"),
    ],
)
def test_a_waiver_that_does_not_hold_lets_nothing_in(
    made: Waiver | bytes,
    names: str,
    error: type[AirgapError],
    ward: Side,
    built: Forge,
    tmp_path: Path,
) -> None:
    old, waiver = with_approvals(built.depot(OLD)), write(tmp_path, made, names)

    refusals.expect_refusal(ward, "verify", old, "--waiver", waiver, error=error)
    refusals.expect_refusal(ward, "import", old, "--waiver", waiver, error=error)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(GOOD, reason="release 4 fails"), id="reason"),
        pytest.param(replace(GOOD, expires_at=LONG + 1), id="end"),
        pytest.param(replace(GOOD, time=0), id="time"),
        pytest.param(replace(GOOD, site="attic"), id="site"),
    ],
)
def test_a_waiver_that_was_changed_is_not_trusted(
    changed: Waiver, ward: Side, built: Forge, tmp_path: Path
) -> None:
    old, waiver = with_approvals(built.depot(OLD)), write(tmp_path, GOOD)
    waiver.write_bytes(waivers.encode(changed))

    refusals.expect_refusal(ward, "import", old, "--waiver", waiver, error=NotTrustedError)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"reason": ""}, id="no reason"),
        pytest.param({"reason": "two\nlines"}, id="a reason of two lines"),
        pytest.param({"site": "Ward"}, id="no site"),
        pytest.param({"format": 2}, id="another format"),
        pytest.param({"hash": "md5"}, id="another digest"),
        pytest.param({"bundle": bytes(20)}, id="a short digest"),
        pytest.param({"expires_at": None}, id="no end"),
        pytest.param({"more": 1}, id="one field more"),
    ],
)
def test_a_signed_waiver_is_read_strictly(
    fields: dict[str, object], ward: Side, built: Forge, tmp_path: Path
) -> None:
    value = {**canonical.decode(waivers.encode(GOOD), limit=9999, what="waiver"), **fields}
    waiver = write(tmp_path, canonical.encode(value))

    location = with_approvals(built.depot(OLD))
    refusals.expect_refusal(ward, "import", location, "--waiver", waiver, error=CorruptError)


def test_one_signature_under_two_names_counts_once(
    ward: Side, built: Forge, tmp_path: Path
) -> None:
    waiver = write(tmp_path, GOOD, "dan")
    (signed,) = tmp_path.glob("x.*.dsse")
    (tmp_path / f"x.{person('eve').key.id}.dsse").write_bytes(signed.read_bytes())

    location = with_approvals(built.depot(OLD))
    refusals.expect_refusal(ward, "import", location, "--waiver", waiver, error=NotTrustedError)


@pytest.mark.parametrize("purpose", ["approver", "root"])
def test_what_an_approver_signed_for_something_else_is_no_waiver(
    purpose: Role, ward: Side, built: Forge, tmp_path: Path
) -> None:
    waiver = write(tmp_path, GOOD, "dan")
    raw = waivers.encode(GOOD)
    envelope = dsse.encode(person("eve").sign(purpose, raw))
    (tmp_path / f"x.{person('eve').key.id}.dsse").write_bytes(envelope)

    location = with_approvals(built.depot(OLD))
    refusals.expect_refusal(ward, "import", location, "--waiver", waiver, error=NotTrustedError)


def waived(built: Forge, made: Draft, tmp_path: Path) -> tuple[Path, str, Path]:
    """Give a bundle that two approvers accept and waive."""
    named = replace(GOOD, bundle=bytes.fromhex(id_of(made)))
    return with_approvals(built.depot(made)), "--waiver", write(tmp_path, named)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(bundle("a", 4, expires_at=1_700_000_000), id="expired"),
        pytest.param(bundle("a", 2, channel="weekly"), id="below the root's minimum"),
        pytest.param(bundle("a", 0), id="without a number"),
        pytest.param(bundle("a", 2, expires_at=0), id="old and expired"),
    ],
)
def test_a_waiver_lifts_age(made: Draft, ward: Side, built: Forge, tmp_path: Path) -> None:
    location, option, waiver = waived(built, made, tmp_path)
    refusals.expect_refusal(ward, "import", location, error=PolicyError)

    assert ward.run("import", location, option, waiver).code == 0


def test_a_waived_bundle_that_is_newer_moves_the_channel(
    ward: Side, built: Forge, tmp_path: Path
) -> None:
    made = bundle("a", 7, expires_at=0)
    assert ward.run("import", *waived(built, made, tmp_path)).code == 0

    location = with_approvals(built.depot(bundle("b", 6)))
    refusals.expect_refusal(ward, "import", location, error=PolicyError)


@pytest.mark.parametrize(
    ("made", "error"),
    [
        pytest.param(bundle("a", 3), NotTrustedError, id="a second bundle with the number"),
        pytest.param(bundle("a", 2, audience=["attic"]), PolicyError, id="another audience"),
    ],
)
def test_a_waiver_lifts_nothing_else(
    made: Draft, error: type[AirgapError], ward: Side, built: Forge, tmp_path: Path
) -> None:
    refusals.expect_refusal(ward, "import", *waived(built, made, tmp_path), error=error)


def test_a_waiver_does_not_lift_a_revocation(built: Forge, tmp_path: Path) -> None:
    side = pinned(tmp_path, replace(ROOT, revoked_bundles=(bytes.fromhex(id_of(OLD)),)))

    refusals.expect_refusal(side, "import", *waived(built, OLD, tmp_path), error=NotTrustedError)


def test_a_waiver_does_not_replace_an_approval(ward: Side, built: Forge, tmp_path: Path) -> None:
    words = ("import", built.depot(OLD), "--waiver", write(tmp_path, GOOD))

    refusals.expect_refusal(ward, *words, error=PolicyError)


def test_an_older_second_bundle_with_a_number_of_the_ledger_is_refused_in_spite_of_a_waiver(
    ward: Side, built: Forge, tmp_path: Path
) -> None:
    assert ward.run("import", with_approvals(built.depot(bundle("x", 5)))).code == 0

    words = waived(built, bundle("second", 3), tmp_path)

    refusals.expect_refusal(ward, "import", *words, error=NotTrustedError)


def test_a_site_without_approvers_has_no_waivers(built: Forge, tmp_path: Path) -> None:
    side = pinned(tmp_path, make_root())
    words = ("import", built.depot(OLD), "--waiver", write(tmp_path, GOOD))

    refusals.expect_refusal(side, *words, error=PolicyError)


def pinned(tmp_path: Path, root: Root) -> Side:
    side = Side(tmp_path / "side")
    side.top.mkdir()
    signers.pin(side, root)
    return side


def test_a_waiver_that_was_not_needed_is_not_told_as_used(
    ward: Side, built: Forge, tmp_path: Path
) -> None:
    ran = ward.run("import", *waived(built, bundle("a", 4), tmp_path), "--json")

    assert (ran.code, ran.json["waived"]) == (0, [])
    assert "waiver" not in ran.json


def test_a_waiver_ends_by_the_floor_and_not_by_a_clock_that_was_set_back(
    built: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = pinned(tmp_path, replace(ROOT, created_at=1_800_000_000, channels={"nightly": 3}))
    made = replace(GOOD, expires_at=1_799_999_999)
    words = (with_approvals(built.depot(OLD)), "--waiver", write(tmp_path, made))
    monkeypatch.setattr(time, "time", lambda: 0.0)

    refusals.expect_refusal(side, "import", *words, error=PolicyError)


def test_a_waiver_that_was_changed_in_any_byte_does_not_hold() -> None:
    root, raw = signers.accepted(ROOT), waivers.encode(GOOD)
    signed = signers.signatures("waiver", raw, "dan eve")
    assert trust.accept_waiver(raw, signed, root, 0).value == GOOD

    for changed in damaged(raw):
        with pytest.raises((NotTrustedError, CorruptError)):
            trust.accept_waiver(changed, signed, root, 0)
    for changed in damaged(signed[0]):
        with pytest.raises(NotTrustedError):
            trust.accept_waiver(raw, (changed, signed[1]), root, 0)


def damaged(raw: bytes) -> Iterator[bytes]:
    """Every byte changed in one bit and in all, cut off at every place, and longer."""
    for at in range(len(raw)):
        for mask in (1, 0xFF):
            yield raw[:at] + bytes([raw[at] ^ mask]) + raw[at + 1 :]
        yield raw[:at]
    yield raw + b"\0"
    yield b"\0" + raw


# ---- writing and signing them


@pytest.fixture
def office(tmp_path: Path, built: Forge) -> Callable[..., sides.Ran]:
    """Runs ``airgap waive`` about the old bundle, with these people's keys in ``keys``."""
    side = Side(tmp_path / "office")
    side.top.mkdir()
    location = built.depot(OLD)

    def waive(name: str, *words: str | Path, source: Path = location) -> sides.Ran:
        key = signers.write_key(tmp_path / "keys", name)
        return side.run("waive", source, "--key", key, *words, "--json")

    return waive


TERMS = ("--site", "ward", "--reason", "release 3 fails", "--expires", "7d")


def test_a_waiver_collects_signatures_until_it_holds(
    office: Callable[..., sides.Ran], ward: Side, built: Forge, tmp_path: Path
) -> None:
    path = tmp_path / "back.waiver"
    old = with_approvals(built.depot(OLD))
    made = office("dan", *TERMS, "-o", path)
    assert made.code == 0, made.err
    refusals.expect_refusal(ward, "import", old, "--waiver", path, error=NotTrustedError)

    added = office("eve", "--digest", made.json["digest"], source=path)

    assert (added.json["new"], len(added.json["signed_by"])) == (True, 2)
    assert added.json["bundle"] == id_of(OLD)
    assert ward.run("import", old, "--waiver", path).code == 0


def test_a_second_signature_of_one_key_is_none(
    office: Callable[..., sides.Ran], tmp_path: Path
) -> None:
    made = office("dan", *TERMS, "-o", tmp_path / "x.waiver")

    again = office("dan", "--digest", made.json["digest"], source=tmp_path / "x.waiver")

    assert (again.code, again.json["new"], len(again.json["signed_by"])) == (0, False, 1)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param(TERMS[:4], UsageError, id="no end"),
        pytest.param((*TERMS[:5], "never"), UsageError, id="for ever"),
        pytest.param((*TERMS[:5], "2020-01-01"), UsageError, id="over before it began"),
        pytest.param((*TERMS[:3], "a\nb", *TERMS[4:]), UsageError, id="a reason of two lines"),
        pytest.param((*TERMS[:3], " ", *TERMS[4:]), UsageError, id="no reason"),
        pytest.param(("--site", "Ward", *TERMS[2:]), UsageError, id="no site"),
    ],
)
def test_a_waiver_that_no_site_would_take_is_not_written(
    words: tuple[str, ...],
    error: type[AirgapError],
    office: Callable[..., sides.Ran],
    tmp_path: Path,
) -> None:
    ran = office("dan", *words, "-o", tmp_path / "x.waiver")

    assert ran.code == error.exit_code
    assert not [*tmp_path.glob("x.*")]


def test_a_waiver_is_never_overwritten(office: Callable[..., sides.Ran], tmp_path: Path) -> None:
    office("dan", *TERMS, "-o", tmp_path / "x.waiver")
    before = stores.snapshot(tmp_path)

    assert office("eve", *TERMS, "-o", tmp_path / "x.waiver").code == ConflictError.exit_code
    assert office("eve", *TERMS, "-o", tmp_path / "x.y.waiver").code == ConflictError.exit_code

    after = stores.snapshot(tmp_path, without="keys")
    assert after.items() <= before.items()


def test_a_waiver_that_is_there_takes_no_other_terms(
    office: Callable[..., sides.Ran], tmp_path: Path
) -> None:
    office("dan", *TERMS, "-o", tmp_path / "x.waiver")

    assert office("eve", *TERMS, source=tmp_path / "x.waiver").code == UsageError.exit_code


def test_a_waiver_that_is_not_there_is_told(
    office: Callable[..., sides.Ran], ward: Side, built: Forge, tmp_path: Path
) -> None:
    missing = tmp_path / "none.waiver"

    assert office("dan", source=missing).code == ConfigurationError.exit_code
    words = ("import", built.depot(OLD), "--waiver", missing)
    refusals.expect_refusal(ward, *words, error=ConfigurationError)


def test_a_script_names_the_waiver_that_it_signs(
    office: Callable[..., sides.Ran], tmp_path: Path
) -> None:
    path = tmp_path / "x.waiver"
    made = office("dan", *TERMS, "-o", path)
    digest = made.json["digest"]
    raw = path.read_bytes()
    longer = replace(waivers.decode(raw), expires_at=LONG)

    for words, error in (
        ((), UsageError),
        (("--digest", digest[:-1]), UsageError),
        (("--digest", digest.removeprefix("SHA256:")), UsageError),
        (("--digest", "SHA256:" + "0" * 64), NotTrustedError),
    ):
        assert office("eve", *words, source=path).code == error.exit_code, words
    path.write_bytes(waivers.encode(longer))
    changed = office("eve", "--digest", digest, source=path)
    assert changed.code == NotTrustedError.exit_code
    assert len([*tmp_path.glob("x.*.dsse")]) == 1, "only the signature of the first approver"

    path.write_bytes(raw)
    groups = " ".join([digest[:7].lower(), digest[7:39].upper(), digest[39:]])
    assert office("eve", "--digest", groups, source=path).json["digest"] == digest
    assert digest == f"SHA256:{forge.sha256(raw).hex()}"


def test_a_digest_is_of_a_waiver_and_not_of_a_bundle(
    office: Callable[..., sides.Ran], tmp_path: Path
) -> None:
    words = ("--digest", "SHA256:" + "0" * 64, "-o", tmp_path / "x.waiver")

    assert office("dan", *TERMS, *words).code == UsageError.exit_code
    assert not [*tmp_path.glob("x.*")]
