"""Packs that are made again from parity (format §20)."""

import random
import re
import shutil
from pathlib import Path

import pytest

from airgap.cli.media_options import parity_lines
from airgap.errors import CorruptError, MissingError
from airgap.format import canonical
from airgap.format.fields import encode_u32
from tests.support import refusals, stores, volumes
from tests.support.sides import Side, Site
from tests.support.volumes import Discs

SEED = 20260102
MODELS = volumes.MODELS + 1


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Side:
    side = Side(tmp_path_factory.mktemp("sender"))
    volumes.fill(side, MODELS)
    return side


def pressed(percent: str, sender: Side, site: Site, top: Path) -> Discs:
    made = volumes.burn(sender, site, top, "--parity", percent, size=volumes.SEVEN_WITH_PARITY)
    assert len(made.folders) == 7
    return made


@pytest.fixture(scope="module")
def ten(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Discs:
    """Seven volumes with 10 % of parity; nobody writes to them."""
    return pressed("10%", sender, site, tmp_path_factory.mktemp("ten"))


@pytest.fixture(scope="module")
def twenty(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Discs:
    """Seven volumes with 20 % of parity; nobody writes to them."""
    return pressed("20%", sender, site, tmp_path_factory.mktemp("twenty"))


def copied(pressing: Discs, top: Path) -> Discs:
    shutil.copytree(pressing.folders[0].parent, top / "copies")
    return volumes.found(top / "copies")


@pytest.fixture
def copies(ten: Discs, tmp_path: Path) -> Discs:
    """Copies of the seven volumes with 10 %, to be damaged."""
    return copied(ten, tmp_path)


@pytest.fixture
def protected(sender: Side, site: Site, tmp_path: Path) -> Path:
    """A depot with 10 % of parity, to be damaged."""
    words = ("export", "shop:v1", "-o", tmp_path / "depot", "--parity", "10%", "--key", site.key())
    assert sender.run(*words).code == 0
    return tmp_path / "depot"


def test_seven_volumes_in_random_order_with_one_damaged_are_imported(
    copies: Discs, isolated: Side
) -> None:
    volumes.scratch(copies.packs(3)[1])
    order = list(copies.folders)
    random.Random(SEED).shuffle(order)  # noqa: S311

    codes = [isolated.run("import", one).code for one in order]
    again = isolated.run("import", order[-1])
    for one in order:
        if again.code:
            again = isolated.run("import", one)

    assert sorted(codes) == [CorruptError.exit_code] + [MissingError.exit_code] * 6
    assert again.code == 0, again.err
    assert volumes.installed(isolated) == volumes.everything(MODELS)


def test_given_together_a_damaged_volume_is_made_good_at_once(
    copies: Discs, isolated: Side
) -> None:
    volumes.scratch(copies.packs(3)[1])
    copies.packs(6)[0].unlink()

    ran = isolated.run("import", *copies.folders)

    assert ran.code == 0, ran.err
    assert "Restoring from parity: 2 of" in ran.err
    assert volumes.installed(isolated) == volumes.everything(MODELS)


def test_a_run_says_which_volumes_parity_needs_once_more(copies: Discs, isolated: Side) -> None:
    volumes.scratch(copies.packs(3)[1])
    for number in (1, 2, 3, 4, 5, 6):
        isolated.run("import", copies.folders[number - 1])

    ran = isolated.run("import", copies.folders[6])
    assert (
        "Run the same command with volumes 1 and 2 once more, in any order: parity needs them."
        in ran.err
    )
    assert isolated.run("import", copies.folders[0]).code == MissingError.exit_code
    ran = isolated.run("import", copies.folders[1])

    assert ran.code == 0, ran.err


def test_verify_reads_damaged_volumes_as_an_import_would(copies: Discs, isolated: Side) -> None:
    volumes.scratch(copies.packs(3)[1])

    ran = isolated.run("verify", *copies.folders)

    assert ran.code == 0, ran.err
    assert "Restoring from parity" in ran.err
    assert "1 pack was restored for this run only: it is still damaged or missing" in ran.err
    assert "`airgap repair VOLUME...`" in ran.err
    count = len(copies.manifest.packs)
    assert f"Packs intact: {count - 1} of {count}, restored: 1 (" in ran.out


def test_more_damage_than_parity_is_told_pack_by_pack(copies: Discs, isolated: Side) -> None:
    bad = [path for number in (2, 3) for path in copies.packs(number)]
    for path in bad:
        volumes.scratch(path)

    ran = isolated.run("import", *copies.folders, "--json")

    assert ran.code == CorruptError.exit_code
    assert len(ran.json["error"]["details"]) == len(bad)


@pytest.mark.parametrize("lost", range(1, 8))
def test_with_twenty_percent_any_one_of_seven_volumes_may_be_lost(
    lost: int, twenty: Discs, isolated: Side
) -> None:
    left = [one for one in twenty.folders if one.name != f"volume-{lost}of7"]

    ran = isolated.run("import", *left)

    assert ran.code == 0, ran.err
    assert volumes.installed(isolated) == volumes.everything(MODELS)


def test_the_writer_says_whether_a_volume_may_be_lost(
    sender: Side, site: Site, tmp_path: Path
) -> None:
    for percent, told in (("20%", True), ("5%", False)):
        output = tmp_path / percent
        words = ("export", "shop:v1", "-o", output, "--volume-size", volumes.SEVEN_WITH_PARITY)
        ran = sender.run(*words, "--parity", percent, "--key", site.key(), "--json")
        assert ran.json["survives_loss_of_a_volume"] is told


def test_damaged_parity_is_found_out_and_not_used(copies: Discs, isolated: Side) -> None:
    parity = [path for number in range(1, 8) for path in copies.parity(number)]
    large = [path for path in parity if path.stat().st_size > 10_000]
    assert len(large) == 3
    volumes.scratch(large[0])
    volumes.scratch(large[2])
    volumes.scratch(copies.packs(3)[1])

    ran = isolated.run("import", *copies.folders)
    assert ran.code == 0, ran.err

    volumes.scratch(copies.packs(4)[1])
    refused = isolated.run("verify", *copies.folders)
    assert refused.code == CorruptError.exit_code


def test_repair_makes_a_depot_whole_byte_for_byte(
    protected: Path, connected: Side, isolated: Side
) -> None:
    before = stores.snapshot(protected)
    bad = [path for path in sorted(protected.rglob("*.pack")) if path.stat().st_size > 10_000]
    volumes.scratch(bad[0])
    bad[7].unlink()

    verified = isolated.run("verify", protected, "--json")
    assert verified.json["parity"]["packs_restored"] == 2
    assert f"`airgap repair {protected}`" in verified.err

    ran = connected.run("repair", protected, "--json")

    assert ran.code == 0, ran.err
    assert (ran.json["packs_restored"], ran.json["parity_lost"]) == (2, 0)
    assert stores.snapshot(protected) == before


def test_repair_of_what_is_whole_changes_nothing(protected: Path, connected: Side) -> None:
    before = stores.snapshot(protected)

    ran = connected.run("repair", protected, "--json")

    assert ran.json["packs_restored"] == 0
    assert stores.snapshot(protected) == before


def test_repair_puts_packs_back_on_the_volume_that_lost_them(
    copies: Discs, connected: Side
) -> None:
    before = stores.snapshot(*copies.folders)
    volumes.scratch(copies.packs(3)[1])
    copies.packs(6)[0].unlink()

    ran = connected.run("repair", *copies.folders)

    assert ran.code == 0, ran.err
    assert stores.snapshot(*copies.folders) == before


def test_media_that_cannot_be_written_are_repaired_into_another_place(
    copies: Discs, connected: Side, isolated: Side, tmp_path: Path
) -> None:
    volumes.scratch(copies.packs(3)[1])
    before = stores.snapshot(*copies.folders)

    ran = connected.run("repair", *copies.folders, "-o", tmp_path / "whole")

    assert ran.code == 0, ran.err
    assert stores.snapshot(*copies.folders) == before
    assert isolated.run("verify", tmp_path / "whole").code == 0


def test_repair_that_comes_to_nothing_names_what_is_bad(depot: Path, connected: Side) -> None:
    bad = min(depot.rglob("*.pack"))
    volumes.scratch(bad)

    ran = refusals.expect_refusal(connected, "repair", depot, error=CorruptError)

    assert bad.name in ran.json["error"]["message"]


def test_split_carries_the_parity_that_a_bundle_has(
    protected: Path, connected: Side, isolated: Side, tmp_path: Path
) -> None:
    words = (
        "split",
        protected,
        "-o",
        tmp_path / "made",
        "--volume-size",
        volumes.SEVEN_WITH_PARITY,
    )
    assert connected.run(*words).code == 0
    made = volumes.found(tmp_path / "made")
    volumes.scratch(made.packs(3)[1])

    ran = isolated.run("import", *made.folders)

    assert ran.code == 0, ran.err


def test_joined_volumes_keep_their_parity(copies: Discs, connected: Side, tmp_path: Path) -> None:
    assert connected.run("join", *copies.folders, "-o", tmp_path / "joined").code == 0
    volumes.scratch(next(path for path in (tmp_path / "joined").rglob("*.pack")))

    ran = connected.run("repair", tmp_path / "joined", "--json")

    assert ran.json["packs_restored"] == 1


def test_an_index_that_lies_about_the_groups_gives_nothing_that_is_not_signed(
    protected: Path, isolated: Side
) -> None:
    (index,) = protected.rglob("parity.msgpack")
    value = canonical.decode(index.read_bytes(), limit=10_000, what="index")
    group = max(value["groups"], key=lambda one: len(one["packs"]))
    group["packs"] = encode_u32(range(1, len(group["packs"]) // 4))
    value["groups"] = [group]
    index.write_bytes(canonical.encode(value))
    bad = [path for path in sorted(protected.rglob("*.pack")) if path.stat().st_size > 10_000]
    for path in bad:
        volumes.scratch(path)

    refusals.expect_refusal(isolated, "import", protected, error=CorruptError, staging=True)


def test_verify_tells_of_damaged_parity(copies: Discs, isolated: Side) -> None:
    bad = next(path for number in range(1, 8) for path in copies.parity(number))
    volumes.scratch(bad)

    ran = isolated.run("verify", *copies.folders)

    assert ran.code == 0
    assert bad.name in ran.out
    assert "Parity packs intact: 3 of 4." in ran.out


def test_a_copy_says_that_it_is_without_parity(
    protected: Path, sender: Side, tmp_path: Path
) -> None:
    ran = sender.run("copy", protected, tmp_path / "copy")

    assert ran.code == 0, ran.err
    assert "Parity is not copied" in ran.err
    assert not list((tmp_path / "copy").rglob("*parity*"))


def test_an_export_says_how_much_parity_it_made(sender: Side, site: Site, tmp_path: Path) -> None:
    key = ("--key", site.key())
    ran = sender.run("export", "shop:v1", "-o", tmp_path / "depot", "--parity", "10%", *key)

    assert re.search(r"(?m)^Parity: \d+ packs? for \d+ \(\d+ %.*\)\.$", ran.out)


def test_more_parity_than_was_asked_for_is_explained() -> None:
    assert parity_lines(3, 3, 50, survives=False) == [
        "Parity: 3 packs for 3 (100 %; each group of packs of similar size has at least one).",
        "Parity restores single damaged packs, but not a whole volume.",
    ]
    assert parity_lines(10, 1, 10, survives=True) == [
        "Parity: 1 pack for 10 (10 %).",
        "Any one of these volumes may be lost: parity restores its packs.",
    ]
    assert parity_lines(10, 0, 0, survives=False) == []


def test_a_bundle_with_parity_may_be_complete_sooner(ten: Discs, isolated: Side) -> None:
    ran = isolated.run("import", ten.folders[0])

    assert ran.code == MissingError.exit_code
    assert "There is parity: fewer may do." in ran.err
