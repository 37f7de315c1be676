"""A root from its first version on: several people, several machines, one proposal."""

import shutil
from pathlib import Path

import pytest

from airgap.errors import ConflictError, NotTrustedError, UsageError
from airgap.format import root as roots
from airgap.format.root import Root
from tests.support import refusals, sides, signers, stores
from tests.support.sides import Side
from tests.support.signers import make_root, person, team

NAMES = ("ann", "amy", "bob", "bea", "dan", "eve", "sam")


@pytest.fixture
def office(tmp_path: Path) -> Side:
    """A machine with everybody's keys in ``keys``."""
    side = Side(tmp_path / "office")
    for name in NAMES:
        signers.write_key(side.top / "keys", name)
    return side


def private(office: Side, name: str) -> Path:
    return office.top / "keys" / f"{name}.key"


def public(office: Side, name: str) -> Path:
    return office.top / "keys" / f"{name}.pub"


def run(office: Side, *words: str | Path) -> sides.Ran:
    ran = office.run(*words)
    assert ran.code == 0, ran.err
    return ran


def pin(path: Path) -> tuple[str, str]:
    """The option that names the root that is to be signed."""
    return "--fingerprint", roots.fingerprint(path.read_bytes())


def create(office: Side, *words: str | Path) -> Path:
    """Make a root of which ``ann`` and ``amy`` have the keys; only ``ann`` is here."""
    path = office.top / "root.msgpack"
    keys = ("--root-key", private(office, "ann"), "--root-key", public(office, "amy"))
    staff = ("--builder", public(office, "bob"), *words, "-o", path)
    run(office, "root", "create", "--site", "ward", *keys, *staff)
    return path


@pytest.fixture
def signed(office: Side) -> Path:
    """A root of two root keys, both of which must sign, and have."""
    path = create(office, "--threshold", "root=2")
    run(office, "root", "sign", path, *pin(path), "--key", private(office, "amy"))
    return path


@pytest.fixture
def proposal(office: Side, signed: Path) -> Path:
    """Version 2, in which ``amy`` has left and ``bea`` has come. Nobody has signed it."""
    path = office.top / "next.msgpack"
    run(office, "root", "add-key", signed, "root", public(office, "bea"), "-o", path)
    run(office, "root", "remove-key", path, "root", public(office, "amy"))
    return path


def shown(office: Side, path: Path, *words: str | Path) -> dict[str, object]:
    return office.run("root", "show", path, *words, "--json").json


def test_a_root_says_what_it_was_made_with(office: Side) -> None:
    path = create(
        office,
        *("--builder", public(office, "bea"), "--scanner", public(office, "sam")),
        *("--approver", public(office, "dan"), "--approver", public(office, "eve")),
        *("--threshold", "approver=2", "--threshold", "builder=2", "--expires", "2030-12-31"),
    )

    made = roots.decode(path.read_bytes())

    wanted = make_root(
        root=team("ann amy"),
        builder=team("bob bea", 2),
        scanner=team("sam"),
        approver=team("dan eve", 2),
        not_after=1_924_991_999,
    )
    assert (made.roles, made.keys, made.not_after) == (wanted.roles, wanted.keys, wanted.not_after)
    assert made.created_at is not None
    assert made.created_at > 1_767_225_600


def test_a_root_is_complete_when_its_last_key_has_signed(office: Side) -> None:
    path = create(office, "--threshold", "root=2")
    assert shown(office, path)["complete"] is False
    side = Side(office.top.parent / "isolated")
    side.top.mkdir()
    words = ("trust", "init", path, "--fingerprint", roots.fingerprint(path.read_bytes()))
    refusals.expect_refusal(side, *words, error=NotTrustedError)

    run(office, "root", "sign", path, *pin(path), "--key", private(office, "amy"))

    assert shown(office, path)["complete"] is True
    assert side.run(*words).code == 0


def test_a_proposal_collects_signatures_until_the_other_side_takes_it(
    office: Side, signed: Path, proposal: Path, tmp_path: Path
) -> None:
    side = Side(tmp_path / "isolated")
    run(side, "trust", "init", signed, "--fingerprint", roots.fingerprint(signed.read_bytes()))
    mail = tmp_path / "mail"
    mail.mkdir()
    for name in ("amy", "bea", "ann"):  # each at home, with a copy of the proposal
        home = tmp_path / name
        home.mkdir()
        for one in (proposal, signed):
            shutil.copy(one, home)
        words = ("--from", home / signed.name, "--key", private(office, name))
        run(office, "root", "sign", home / proposal.name, *pin(proposal), *words)
        for envelope in home.glob("next.*.dsse"):
            shutil.copy(envelope, proposal.parent)
        done = shown(office, proposal, "--from", signed)["complete"]
        assert done is (name == "ann")

    assert side.run("trust", "update", proposal).code == 0


def test_what_changed_is_told_before_anybody_signs(
    office: Side, signed: Path, proposal: Path
) -> None:
    run(office, "root", "set-expiry", proposal, "2031-01-02T03:04:05Z")
    run(office, "root", "set-min-sequence", proposal, "default=7")
    run(office, "root", "revoke-bundle", proposal, "ab" * 32)

    assert shown(office, proposal, "--from", signed)["changes"] == [
        f"+ root key {person('bea').key.id}",
        f"- root key {person('amy').key.id}",
        f"+ revoked bundle {'ab' * 32}",
        "+ minimum sequence default 7",
        "expires: never -> 2031-01-02T03:04:05Z",
    ]


def edited(office: Side, path: Path, *words: str | Path) -> Root:
    run(office, "root", words[0], path, *words[1:])
    return roots.decode(path.read_bytes())


def test_edits_of_a_proposal_are_made_in_place(office: Side, proposal: Path) -> None:
    edited(office, proposal, "add-key", "approver", public(office, "dan"))
    edited(office, proposal, "add-key", "approver", public(office, "eve"))
    root = edited(office, proposal, "set-threshold", "approver=2", "root=1")

    assert root.version == 2
    assert (root.threshold("approver"), root.threshold("root")) == (2, 1)


def test_a_revoked_key_has_no_role_and_does_not_come_back(office: Side, proposal: Path) -> None:
    edited(office, proposal, "add-key", "builder", public(office, "bea"))
    beginning = person("bob").key.id[:12]

    root = edited(office, proposal, "revoke-key", beginning)

    assert root.revoked_keys == (person("bob").key.id,)
    assert person("bob").key not in root.keys
    words = ("root", "add-key", proposal, "builder", public(office, "bob"))
    refusals.expect_refusal(office, *words, error=UsageError)


def test_the_role_of_approvers_ends_with_a_threshold_of_nought(
    office: Side, proposal: Path
) -> None:
    edited(office, proposal, "add-key", "approver", public(office, "dan"))

    root = edited(office, proposal, "set-threshold", "approver=0")

    assert "approver" not in root.roles
    assert person("dan").key not in root.keys


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("add-key", "approver", "keys/bob.pub"), id="builder as approver"),
        pytest.param(("add-key", "builder", "keys/bob.pub"), id="twice"),
        pytest.param(("remove-key", "builder", "keys/bob.pub"), id="the last builder"),
        pytest.param(("remove-key", "builder", "keys/eve.pub"), id="no builder"),
        pytest.param(("remove-key", "root", "ffffffff"), id="no key begins so"),
        pytest.param(("remove-key", "root", ""), id="too short"),
        pytest.param(("revoke-key", "keys/bob.pub"), id="revoke the last builder"),
        pytest.param(("set-threshold", "builder=2"), id="more than there are"),
        pytest.param(("set-threshold", "builder=0"), id="no builders"),
        pytest.param(("set-threshold", "approver=1"), id="no such role"),
        pytest.param(("set-threshold", "builder"), id="no number"),
        pytest.param(("set-threshold", "chef=1"), id="no such word"),
        pytest.param(("set-min-sequence", "default"), id="no sequence"),
        pytest.param(("set-min-sequence", "Default=1"), id="no channel"),
        pytest.param(("set-min-sequence", f"default={2**53}"), id="beyond all sequences"),
        pytest.param(("set-expiry", "soon"), id="no time"),
        pytest.param(("revoke-bundle", "abcd"), id="no bundle id"),
    ],
)
def test_an_edit_that_makes_no_root_is_refused(
    office: Side, proposal: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(office.top)

    refusals.expect_refusal(office, "root", words[0], proposal, *words[1:], error=UsageError)


def test_a_signed_root_does_not_change(office: Side, signed: Path) -> None:
    words = ("root", "set-expiry", signed, "2y")

    ran = refusals.expect_refusal(office, *words, error=UsageError)

    assert "-o" in ran.json["error"]["hint"]


def test_a_proposal_that_is_being_signed_does_not_change(
    office: Side, signed: Path, proposal: Path
) -> None:
    words = ("--key", private(office, "amy"), "--from", signed)
    run(office, "root", "sign", proposal, *pin(proposal), *words)

    refusals.expect_refusal(office, "root", "set-expiry", proposal, "2y", error=UsageError)


def test_a_root_without_its_signatures_is_not_taken_for_a_signed_one(
    office: Side, signed: Path, tmp_path: Path
) -> None:
    alone = shutil.copy(signed, tmp_path / "alone.msgpack")
    words = ("root", "set-expiry", alone, "2y", "-o", tmp_path / "next.msgpack")

    refusals.expect_refusal(office, *words, error=UsageError)


@pytest.mark.parametrize("name", ["root.v2.msgpack", "root.msgpack"])
def test_a_proposal_takes_no_name_under_which_signatures_lie(
    office: Side, signed: Path, name: str
) -> None:
    words = ("root", "set-expiry", signed, "2y", "-o", signed.with_name(name))

    refusals.expect_refusal(office, *words, error=ConflictError)


@pytest.mark.parametrize("name", ["bob", "amy"])
def test_only_root_keys_of_either_version_sign(office: Side, proposal: Path, name: str) -> None:
    words = ("root", "sign", proposal, *pin(proposal), "--key", private(office, name))

    refusals.expect_refusal(office, *words, error=UsageError)


def test_what_a_proposal_follows_is_the_version_before(office: Side, proposal: Path) -> None:
    words = ("root", "show", proposal, "--from", proposal)

    refusals.expect_refusal(office, *words, error=UsageError)


def test_a_second_signature_of_one_key_is_none(office: Side, signed: Path) -> None:
    before = stores.snapshot(office.top)

    words = (*pin(signed), "--key", private(office, "amy"), "--json")
    ran = office.run("root", "sign", signed, *words)

    assert ran.json["new"] is False
    assert stores.snapshot(office.top) == before


def test_a_signature_of_something_else_is_told_by_show(office: Side, signed: Path) -> None:
    one, other = sorted(signed.parent.glob("root.*.dsse"))
    other.write_bytes(one.read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))

    refusals.expect_refusal(office, "root", "show", signed, error=NotTrustedError)


def test_an_unsigned_root_does_not_travel(office: Side, proposal: Path, small: Side) -> None:
    words = ("export", "shop:v1", "-o", office.top / "out", "--key", private(office, "bob"))

    refusals.expect_refusal(small, *words, "--include-root", proposal, error=UsageError)


@pytest.mark.parametrize("people_there", [1, 5, 11, 12, 40])
def test_a_ceremony_sheet_is_one_page(office: Side, tmp_path: Path, people_there: int) -> None:
    crowd = " ".join(f"person{number}" for number in range(people_there))
    path = tmp_path / "root.msgpack"
    revoked = tuple(bytes([number]) * 32 for number in range(9))
    root = make_root(
        root=team(crowd, people_there), approver=team("dan eve"), revoked_bundles=revoked
    )
    fingerprint = signers.write_root(path, root, "person0")

    page = run(office, "root", "ceremony-sheet", path).out.splitlines()

    assert len(page) <= 60
    assert max(map(len, page)) <= 80
    digits = "".join("".join(page).split())
    assert fingerprint.removeprefix("SHA256:") in digits


def test_a_ceremony_sheet_has_every_key_whole(office: Side, signed: Path) -> None:
    page = run(office, "root", "ceremony-sheet", signed).out.splitlines()

    groups = [line.split()[-8:] for line in page if len(line.split()) >= 8]
    halves = {"".join(group) for group in groups}
    for name in ("ann", "amy", "bob"):
        assert {person(name).key.id[:32], person(name).key.id[32:]} <= halves
