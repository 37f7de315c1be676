"""Roots that must not take over, offered to a machine that trusts an earlier one (format §15)."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    PolicyError,
)
from airgap.format.root import Root
from tests.support import refusals, signers, stores
from tests.support.sides import Side
from tests.support.signers import make_root, team

PAST = 1_000_000_000
TWO = team("ann amy", 2)


@pytest.fixture
def machine(tmp_path: Path) -> Side:
    """The isolated side, trusting version 3 of a root of which ``ann`` has the key."""
    side = Side(tmp_path / "isolated")
    side.top.mkdir()
    signers.pin(side, make_root(3))
    return side


@pytest.fixture
def offered(tmp_path: Path) -> Path:
    return tmp_path / "offered"


def version_of(side: Side) -> int:
    return int(side.run("trust", "show", "--json").json["version"])


@pytest.mark.parametrize(
    ("root", "signed_by", "error"),
    [
        pytest.param(make_root(5), "ann", PolicyError, id="skipped"),
        pytest.param(make_root(2), "ann", PolicyError, id="lower"),
        pytest.param(make_root(3, builder=team("eve")), "ann", PolicyError, id="equal"),
        pytest.param(make_root(4, root=team("amy")), "ann", NotTrustedError, id="old only"),
        pytest.param(make_root(4, root=team("amy")), "amy", NotTrustedError, id="new only"),
        pytest.param(make_root(4, root=TWO), "ann", NotTrustedError, id="too few of its own"),
        pytest.param(make_root(4), "", NotTrustedError, id="unsigned"),
        pytest.param(make_root(4), "bob", NotTrustedError, id="by the builder"),
        pytest.param(make_root(4, not_after=PAST), "ann", PolicyError, id="expired"),
        pytest.param(make_root(4, site="other"), "ann", NotTrustedError, id="other site"),
    ],
)
def test_a_root_that_may_not_take_over_is_refused(
    machine: Side, offered: Path, root: Root, signed_by: str, error: type[AirgapError]
) -> None:
    signers.write_root(offered / "next.msgpack", root, signed_by)

    refusals.expect_refusal(machine, "trust", "update", offered / "next.msgpack", error=error)


def test_a_root_with_two_old_keys_is_not_followed_on_the_word_of_one(tmp_path: Path) -> None:
    side = Side(tmp_path / "isolated")
    side.top.mkdir()
    signers.pin(side, make_root(1, root=TWO), "ann amy")
    path = tmp_path / "next.msgpack"
    signers.write_root(path, make_root(2, root=team("ann")), "ann")
    (envelope,) = path.parent.glob("next.*.dsse")
    shutil.copy(envelope, path.parent / f"next.{signers.person('amy').key.id}.dsse")

    refusals.expect_refusal(side, "trust", "update", path, error=NotTrustedError)


def test_a_key_that_was_revoked_does_not_bring_in_a_root(machine: Side, offered: Path) -> None:
    revoking = make_root(4, root=team("ann amy"), revoked="ann")
    signers.write_root(offered / "4.msgpack", revoking, "ann amy")
    assert machine.run("trust", "update", offered / "4.msgpack").code == 0
    signers.write_root(offered / "5.msgpack", make_root(5), "ann")

    refusals.expect_refusal(
        machine, "trust", "update", offered / "5.msgpack", error=NotTrustedError
    )


def test_of_several_roots_none_is_taken_if_one_is_refused(machine: Side, offered: Path) -> None:
    signers.write_root(offered / "4.msgpack", make_root(4), "ann")
    signers.write_root(offered / "6.msgpack", make_root(6), "ann")

    refusals.expect_refusal(
        machine, "trust", "update", *offered.glob("*.msgpack"), error=PolicyError
    )


def test_two_roots_with_one_version_are_not_chosen_between(machine: Side, offered: Path) -> None:
    signers.write_root(offered / "a.msgpack", make_root(4), "ann")
    signers.write_root(offered / "b.msgpack", make_root(4, builder=team("eve")), "ann")

    refusals.expect_refusal(
        machine, "trust", "update", *offered.glob("*.msgpack"), error=PolicyError
    )


def test_an_expired_root_is_a_step_but_not_an_end(machine: Side, offered: Path) -> None:
    signers.write_root(offered / "4.msgpack", make_root(4, not_after=PAST), "ann")
    refusals.expect_refusal(machine, "trust", "update", offered / "4.msgpack", error=PolicyError)
    signers.write_root(offered / "5.msgpack", make_root(5), "ann")

    done = machine.run("trust", "update", *sorted(offered.glob("*.msgpack"), reverse=True))

    assert done.code == 0, done.err
    assert version_of(machine) == 5


def test_the_same_root_again_is_nothing_new(machine: Side, offered: Path) -> None:
    signers.write_root(offered / "again.msgpack", make_root(3), "ann")
    before = stores.snapshot(machine.top)

    ran = machine.run("trust", "update", offered / "again.msgpack", "--json")

    assert ran.json["new"] is False
    assert stores.snapshot(machine.top) == before


def test_signatures_that_came_on_two_media_count_together(machine: Side, offered: Path) -> None:
    root = make_root(4, root=TWO)
    signers.write_root(offered / "stick1" / "next.msgpack", root, "ann")
    signers.write_root(offered / "stick2" / "next.msgpack", root, "amy")

    ran = machine.run("trust", "update", *offered.glob("*/next.msgpack"))

    assert ran.code == 0, ran.err
    assert version_of(machine) == 4


@pytest.mark.parametrize("damage", ["flip", "cut", "append"])
def test_a_root_that_was_changed_on_the_way_is_refused(
    machine: Side, offered: Path, damage: str
) -> None:
    path = offered / "next.msgpack"
    signers.write_root(path, make_root(4), "ann")
    raw = path.read_bytes()
    changed = {"flip": bytes([raw[0] ^ 1]) + raw[1:], "cut": raw[:-1], "append": raw + b"\0"}
    path.write_bytes(changed[damage])

    refusals.expect_refusal(machine, "trust", "update", path, error=CorruptError)


def test_a_signature_that_was_damaged_is_refused(machine: Side, offered: Path) -> None:
    path = offered / "next.msgpack"
    signers.write_root(path, make_root(4), "ann")
    (envelope,) = offered.glob("*.dsse")
    envelope.write_bytes(envelope.read_bytes().replace(b'"sig":"', b'"sig": "'))

    refusals.expect_refusal(machine, "trust", "update", path, error=NotTrustedError)


def test_a_machine_that_trusts_nobody_takes_no_root(tmp_path: Path, offered: Path) -> None:
    side = Side(tmp_path / "isolated")
    side.top.mkdir()
    signers.write_root(offered / "next.msgpack", make_root(2), "ann")

    refusals.expect_refusal(
        side, "trust", "update", offered / "next.msgpack", error=ConfigurationError
    )


@pytest.fixture
def carried(small: Side, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A depot or file with roots 2 to 5, and a bundle by ``eve``, whom version 5 brings in."""
    ways: list[str | Path] = []
    for version in (2, 3, 4, 5):
        builder = team("eve" if version == 5 else "bob")
        path = tmp_path / "out" / f"{version}.msgpack"
        signers.write_root(path, make_root(version, builder=builder), "ann")
        ways += ["--include-root", path]
    location = tmp_path / str(request.param)
    key = signers.write_key(tmp_path / "keys", "eve")
    ran = small.run("export", "shop:v1", "-o", location, "--key", key, *ways)
    assert ran.code == 0, ran.err
    return location


@pytest.mark.parametrize("carried", ["depot", "shop.airgap"], indirect=True)
def test_an_import_takes_no_root_on_its_own(machine: Side, carried: Path) -> None:
    refusals.expect_refusal(machine, "import", carried, error=NotTrustedError)


@pytest.mark.parametrize("carried", ["depot", "shop.airgap"], indirect=True)
def test_roots_that_travel_with_a_bundle_take_over_when_told(machine: Side, carried: Path) -> None:
    ran = machine.run("trust", "update", carried, "--json")

    assert (ran.json["before"], ran.json["version"]) == (3, 5)
    assert machine.run("import", carried).code == 0


@pytest.mark.parametrize("carried", ["depot"], indirect=True)
def test_a_root_of_the_pinned_version_with_other_content_is_told(
    machine: Side, carried: Path
) -> None:
    root = replace(make_root(3), created_at=7)
    signers.write_root(carried / "roots" / "3.root.msgpack", root, "ann")

    refusals.expect_refusal(machine, "trust", "update", carried, error=PolicyError)


@pytest.mark.parametrize("carried", ["depot"], indirect=True)
def test_a_root_in_a_depot_is_not_read_through_a_link(machine: Side, carried: Path) -> None:
    path = carried / "roots" / "5.root.msgpack"
    path.rename(carried.parent / "elsewhere")
    path.symlink_to(carried.parent / "elsewhere")

    refusals.expect_refusal(machine, "trust", "update", carried, error=CorruptError)


def test_a_depot_without_roots_says_so(machine: Side, depot: Path) -> None:
    refusals.expect_refusal(machine, "trust", "update", depot, error=MissingError)


def test_an_export_does_not_replace_a_root_in_a_depot(
    small: Side, depot: Path, offered: Path
) -> None:
    (depot / "roots").mkdir()
    (depot / "roots" / "4.root.msgpack").write_bytes(b"another")
    signers.write_root(offered / "next.msgpack", make_root(4), "ann")

    refusals.expect_refusal(
        small,
        *("export", "shop:v1", "-o", depot, "--key", signers.write_key(offered, "bob")),
        *("--include-root", offered / "next.msgpack"),
        error=ConflictError,
    )
    assert (depot / "roots" / "4.root.msgpack").read_bytes() == b"another"


STRANGERS = {
    "another site": make_root(6, site="other", root=team("eve")),
    "this site": make_root(6, root=team("eve")),
    "the pinned version": make_root(3, root=team("eve")),
    "no root": b"not a root",
}


@pytest.mark.parametrize("carried", ["depot"], indirect=True)
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
@pytest.mark.parametrize("own", ["newer", "the pinned one"])
def test_a_strangers_root_in_a_depot_keeps_nobody_from_this_sites(
    own: str, stranger: Root | bytes, machine: Side, carried: Path
) -> None:
    if own != "newer":
        for path in [*carried.glob("roots/4*"), *carried.glob("roots/5*")]:
            path.unlink()
    version = 6 if isinstance(stranger, bytes) or stranger.version == 6 else 3
    path = carried / "roots" / f"{version}.root.msgpack"
    if version == 3 and own != "newer":
        shutil.copytree(carried, carried.parent / "own")
    if isinstance(stranger, bytes):
        path.write_bytes(stranger)
    else:
        signers.write_root(path, stranger, "eve")
    ways = [way for way in (carried, carried.parent / "own") if way.exists()]

    ran = machine.run("trust", "update", *ways, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["version"] == (5 if own == "newer" else 3)
    (line,) = ran.json["passed_over"]
    assert line.startswith(
        "A file that is not a root in" if isinstance(stranger, bytes) else "A root of version"
    )
    if version == 6:  # one that is older than the new root is not looked at any more
        assert line in " ".join(machine.run("trust", "update", *ways).out.split())


@pytest.mark.parametrize("carried", ["depot"], indirect=True)
def test_a_depot_with_strangers_roots_only_is_refused(machine: Side, carried: Path) -> None:
    for path in carried.glob("roots/*"):
        path.unlink()
    signers.write_root(carried / "roots" / "4.root.msgpack", make_root(4, root=team("eve")), "eve")

    refusals.expect_refusal(machine, "trust", "update", carried, error=NotTrustedError)


@pytest.mark.parametrize("carried", ["depot"], indirect=True)
def test_a_root_that_lacks_a_signature_is_not_passed_over(machine: Side, carried: Path) -> None:
    signers.write_root(carried / "roots" / "6.root.msgpack", make_root(6, root=TWO), "ann")

    refusals.expect_refusal(machine, "trust", "update", carried, error=NotTrustedError)


def test_a_strangers_root_that_a_person_names_is_refused(machine: Side, offered: Path) -> None:
    signers.write_root(offered / "4.msgpack", make_root(4), "ann")
    signers.write_root(offered / "6.msgpack", make_root(6, root=team("eve")), "eve")

    refusals.expect_refusal(
        machine,
        "trust",
        "update",
        offered / "4.msgpack",
        offered / "6.msgpack",
        error=NotTrustedError,
    )
