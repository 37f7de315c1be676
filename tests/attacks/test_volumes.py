"""Threat model, mixing and medium: labels and parity are not signed and admit nothing."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError, NotTrustedError, UsageError
from airgap.format import canonical, limits
from airgap.format.fields import encode_u32
from tests.support import refusals, sides, volumes
from tests.support.sides import Side, Site
from tests.support.volumes import Discs

Hurt = Callable[[Discs], object]


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Side:
    side = Side(tmp_path_factory.mktemp("sender"))
    volumes.fill(side)
    return side


@pytest.fixture(scope="module")
def pressed(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Discs:
    return volumes.burn(sender, site, tmp_path_factory.mktemp("pressed"), "--parity", "10%")


@pytest.fixture
def copies(pressed: Discs, tmp_path: Path) -> Discs:
    shutil.copytree(pressed.folders[0].parent, tmp_path / "copies")
    return volumes.found(tmp_path / "copies")


@pytest.fixture
def others(small: Side, site: Site, tmp_path: Path) -> Discs:
    """Volumes of another bundle of the same site."""
    return volumes.burn(small, site, tmp_path / "others", size="1500k")


def relabel(path: Path, **changes: object) -> None:
    value = json.loads(path.read_bytes()) | changes
    path.write_text(json.dumps(value, separators=(",", ":"), sort_keys=True) + "\n")


def replace_by_link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    os.truncate(path, 2**40)


def index_of(copies: Discs) -> Path:
    """The parity index of the first volume, and of no other."""
    first, *more = [next(one.rglob("parity.msgpack")) for one in copies.folders]
    for path in more:
        path.unlink()
    return first


LABELS: dict[str, Hurt] = {
    "gone": lambda one: one.label(3).unlink(),
    "empty": lambda one: one.label(3).write_bytes(b""),
    "no label": lambda one: one.label(3).write_bytes(b"\xff" * 100),
    "nested": lambda one: one.label(3).write_bytes(b"[" * 60_000),
    "too long": lambda one: one.label(3).write_bytes(b"1" * (limits.VOLUME_LABEL_BYTES + 1)),
    "huge": lambda one: make_huge(one.label(3)),
    "link": lambda one: replace_by_link(one.label(3), "/etc/passwd"),
    "link in a circle": lambda one: replace_by_link(one.label(3), "volume.json"),
    "pipe": lambda one: replace_by_pipe(one.label(3)),
    "all on one volume": lambda one: relabel(
        one.label(3), count=1, number=1, packs=[len(one.manifest.packs)], parity=[0]
    ),
    "none here": lambda one: relabel(
        one.label(3), count=2, number=2, packs=[len(one.manifest.packs), 0], parity=[0, 0]
    ),
    "another number": lambda one: relabel(one.label(3), number=5),
    "another bundle": lambda one: relabel(one.label(3), bundle="ab" * 32),
    "fewer packs": lambda one: relabel(one.label(3), count=1, number=1, packs=[3], parity=[0]),
}


@pytest.mark.parametrize("lie", LABELS)
def test_a_label_that_lies_keeps_nothing_out(lie: str, copies: Discs, isolated: Side) -> None:
    LABELS[lie](copies)

    ran = isolated.run("import", copies.folders[2], *copies.folders)

    assert ran.code == 0, ran.err
    assert volumes.installed(isolated) == volumes.everything()


@pytest.mark.parametrize("lie", LABELS)
def test_a_label_that_lies_lets_nothing_in(lie: str, copies: Discs, isolated: Side) -> None:
    LABELS[lie](copies)

    ran = refusals.expect_refusal(
        isolated, "import", copies.folders[2], error=MissingError, staging=True
    )

    assert not volumes.installed(isolated)
    assert ran.json["error"]["message"]


@pytest.mark.parametrize("lie", LABELS)
def test_without_being_asked_for_a_part_verify_is_content_with_nothing_less_than_all(
    lie: str, copies: Discs, isolated: Side
) -> None:
    LABELS[lie](copies)
    copies.packs(3)[0].unlink()

    ran = isolated.run("verify", copies.folders[2], "--json")

    assert ran.code == MissingError.exit_code
    assert not ran.json.get("verified")


def regroup(copies: Discs, change: Callable[[list[dict[str, bytes]]], object]) -> None:
    path = index_of(copies)
    value = canonical.decode(path.read_bytes(), limit=10**6, what="index")
    change(value["groups"])
    path.write_bytes(canonical.encode(value))


def most(groups: list[dict[str, bytes]]) -> dict[str, bytes]:
    return max(groups, key=lambda one: len(one["packs"]))


INDEXES: dict[str, Hurt] = {
    "gone": lambda one: index_of(one).unlink(),
    "empty": lambda one: index_of(one).write_bytes(b""),
    "no index": lambda one: index_of(one).write_bytes(b"\xc1" * 100),
    "an array of a billion": lambda one: index_of(one).write_bytes(b"\xdd\xff\xff\xff\xff"),
    "nested": lambda one: index_of(one).write_bytes(b"\x91" * 100_000),
    "huge": lambda one: make_huge(index_of(one)),
    "link": lambda one: replace_by_link(index_of(one), "/dev/zero"),
    "pipe": lambda one: replace_by_pipe(index_of(one)),
    "other packs": lambda one: regroup(
        one, lambda groups: most(groups).update(packs=encode_u32(range(9)))
    ),
    "packs that are not there": lambda one: regroup(
        one, lambda groups: most(groups).update(packs=encode_u32([2**32 - 1]))
    ),
    "the parity of others": lambda one: regroup(
        one, lambda groups: most(groups).update(parity=bytes(range(64)))
    ),
    "rows exchanged": lambda one: regroup(
        one,
        lambda groups: most(groups).update(
            parity=most(groups)["parity"][32:] + most(groups)["parity"][:32]
        ),
    ),
    "ten thousand groups": lambda one: regroup(
        one, lambda groups: groups.extend([{"packs": b"", "parity": b""}] * 10_000)
    ),
}


@pytest.mark.parametrize("lie", INDEXES)
def test_an_index_that_lies_makes_no_pack_that_was_not_signed(
    lie: str, copies: Discs, isolated: Side
) -> None:
    INDEXES[lie](copies)
    bad = copies.packs(3)[1]
    volumes.scratch(bad)

    ran = isolated.run("import", *copies.folders, "--json")

    assert ran.code == CorruptError.exit_code
    assert bad.stem in json.dumps(ran.json)
    assert not volumes.installed(isolated)


@pytest.mark.parametrize("lie", INDEXES)
def test_an_index_that_lies_keeps_nothing_out_of_what_is_whole(
    lie: str, copies: Discs, isolated: Side
) -> None:
    INDEXES[lie](copies)

    assert isolated.run("import", *copies.folders).code == 0


PARITY: dict[str, Callable[[Path], object]] = {
    "scratched": volumes.scratch,
    "gone": Path.unlink,
    "longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "shorter": lambda path: os.truncate(path, path.stat().st_size - 1),
    "huge": make_huge,
    "link": lambda path: replace_by_link(path, "/dev/zero"),
    "pipe": replace_by_pipe,
}


@pytest.mark.parametrize("lie", PARITY)
def test_parity_that_is_not_authentic_is_not_used(lie: str, copies: Discs, isolated: Side) -> None:
    volumes.scratch(copies.packs(3)[1])
    for number in range(1, len(copies.folders) + 1):
        for path in copies.parity(number):
            PARITY[lie](path)

    ran = isolated.run("import", *copies.folders)

    assert ran.code == CorruptError.exit_code
    assert not volumes.installed(isolated)


def test_volumes_of_two_bundles_are_told_apart(
    copies: Discs, others: Discs, isolated: Side
) -> None:
    ran = refusals.expect_refusal(
        isolated, "import", copies.folders[0], others.folders[-1], error=UsageError
    )

    told = " ".join(ran.json["error"]["details"])
    assert copies.bundle in told
    assert others.bundle in told
    runs = f"with {copies.folders[0]}, then with {others.folders[-1]}."
    assert f"Run the command once for each bundle: {runs}" in ran.json["error"]["hint"]


def test_volumes_of_two_bundles_one_by_one_do_not_complete_each_other(
    copies: Discs, others: Discs, isolated: Side
) -> None:
    index_of(copies).unlink()
    assert isolated.run("import", *copies.folders[:-1]).code == MissingError.exit_code
    shutil.rmtree(others.folders[0] / "packs")
    refusals.expect_refusal(isolated, "import", *others.folders, error=MissingError, staging=True)

    assert isolated.run("import", copies.folders[-1]).code == 0


def test_packs_of_another_bundle_in_a_volume_count_for_nothing(
    copies: Discs, others: Discs, isolated: Side
) -> None:
    index_of(copies).unlink()
    shutil.rmtree(copies.folders[1] / "packs")
    shutil.copytree(others.folders[0] / "packs", copies.folders[1] / "packs")

    refusals.expect_refusal(isolated, "import", *copies.folders, error=MissingError, staging=True)

    assert not volumes.installed(isolated)


@pytest.mark.parametrize("command", ["import", "verify"])
def test_a_volume_that_a_stranger_signed_spoils_the_set(
    command: str, sender: Side, copies: Discs, isolated: Side, tmp_path: Path
) -> None:
    stranger = sides.make_site(tmp_path / "stranger")
    forged = volumes.burn(sender, stranger, tmp_path / "forged")
    assert forged.bundle == copies.bundle

    refusals.expect_refusal(
        isolated, command, *copies.folders[:3], forged.folders[3], error=NotTrustedError
    )


def test_join_writes_no_pack_that_is_not_what_its_name_says(
    copies: Discs, connected: Side, tmp_path: Path
) -> None:
    for path in copies.packs(3):
        shutil.copy(copies.packs(4)[0], path)
    index_of(copies).unlink()

    ran = connected.run("join", *copies.folders, "-o", tmp_path / "joined")

    assert ran.code == CorruptError.exit_code
    names = {path.stem for path in (tmp_path / "joined").rglob("*.pack")}
    assert names.isdisjoint(path.stem for path in copies.packs(3))
    assert not list((tmp_path / "joined").rglob("manifest.msgpack"))
