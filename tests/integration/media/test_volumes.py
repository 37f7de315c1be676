"""Bundles that travel on volumes: written, late, out of order, and put together (format §19)."""

import itertools
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from airgap.disk import readback
from airgap.errors import (
    ConflictError,
    CorruptError,
    MissingError,
    StorageError,
    UsageError,
)
from airgap.format import volume
from airgap.printable import size_text
from tests.support import refusals, sides, stores, volumes
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side, Site
from tests.support.volumes import Discs


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Side:
    side = Side(tmp_path_factory.mktemp("sender"))
    volumes.fill(side)
    return side


@pytest.fixture(scope="module")
def pressed(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Discs:
    """Seven volumes; nobody writes to them."""
    made = volumes.burn(sender, site, tmp_path_factory.mktemp("pressed"))
    assert len(made.folders) == 7
    return made


@pytest.fixture
def copies(pressed: Discs, tmp_path: Path) -> Discs:
    """Copies of the seven volumes, to be damaged."""
    shutil.copytree(pressed.folders[0].parent, tmp_path / "copies")
    return volumes.found(tmp_path / "copies")


@pytest.fixture(scope="module")
def depot_of_all(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundle in one piece."""
    folder = tmp_path_factory.mktemp("depot")
    assert sender.run("export", "shop:v1", "-o", folder, "--key", site.key()).code == 0
    return folder


def test_every_pack_is_on_one_volume_in_the_manifests_order(pressed: Discs) -> None:
    names = [sorted(path.stem for path in pressed.packs(one)) for one in range(1, 8)]
    label = volume.decode(pressed.label(1).read_bytes())
    order = iter(pack.digest.hex() for pack in pressed.manifest.packs)
    expected = [sorted(itertools.islice(order, count)) for count in label.packs]

    assert names == expected


def test_a_volume_says_for_people_and_programs_which_it_is(pressed: Discs) -> None:
    for number, folder in enumerate(pressed.folders, 1):
        label = volume.decode(pressed.label(number).read_bytes())
        assert (label.number, label.count) == (number, 7)
        assert folder.name == f"volume-{number}of7"
        assert (folder / "VOLUME.txt").read_text().startswith(f"Volume {number} of 7 ")


def test_stock_tools_check_a_volume_alone(pressed: Discs) -> None:
    for folder in pressed.folders:
        (checksums,) = folder.glob("bundles/*/checksums.txt")
        subprocess.run(
            ["sha256sum", "--strict", "--quiet", "-c", checksums],
            cwd=folder,
            check=True,
            timeout=120,
        )


def test_the_same_bundle_travels_on_volumes_and_in_one_piece(
    pressed: Discs, depot_of_all: Path
) -> None:
    assert {path.name for path in (depot_of_all / "bundles").iterdir()} == {pressed.bundle}


def test_no_volume_is_larger_than_its_medium(pressed: Discs) -> None:
    for folder in pressed.folders:
        clusters = sum(
            -(-path.stat().st_size // 32768) + path.is_dir() for path in folder.rglob("*")
        )
        assert clusters * 32768 <= 1_000_000


def test_volumes_given_together_are_imported(pressed: Discs, isolated: Side) -> None:
    ran = isolated.run("import", *reversed(pressed.folders))

    assert ran.code == 0, ran.err
    assert volumes.installed(isolated) == volumes.everything()


def test_volumes_may_come_one_by_one_in_any_order(pressed: Discs, isolated: Side) -> None:
    order = list(range(1, 8))
    random.Random(20260102).shuffle(order)  # noqa: S311
    for location, number in enumerate(order[:-1]):
        late = sorted(order[location + 1 :])
        folder = pressed.folders[number - 1]
        ran = refusals.expect_refusal(isolated, "import", folder, error=MissingError, staging=True)
        assert _numbers(ran.json["error"]["message"]) == [*late, 7]

    ran = isolated.run("import", pressed.folders[order[-1] - 1])

    assert ran.code == 0, ran.err
    assert volumes.installed(isolated) == volumes.everything()
    assert not (isolated.bentoml / ".airgap").exists() or not list(
        (isolated.bentoml / ".airgap").rglob("*seen*")
    )


def test_what_is_awaited_is_said_with_the_next_step(pressed: Discs, isolated: Side) -> None:
    seen = [folder for folder in pressed.folders if folder.name[7] not in "25"]

    ran = isolated.run("import", *seen)

    assert ran.code == MissingError.exit_code
    assert ran.err.startswith("Writing to ")
    assert ran.err.partition("\n")[2] == (
        "airgap: Waiting for volumes 2 and 5 of 7.\n"
        "  → What was verified is kept: run the same command with each that comes.\n"
    )


def test_a_volume_that_was_read_is_not_needed_again(copies: Discs, isolated: Side) -> None:
    assert isolated.run("import", *copies.folders[:4]).code == MissingError.exit_code
    for folder in copies.folders[:4]:
        shutil.rmtree(folder)

    ran = isolated.run("import", *copies.folders[4:])

    assert ran.code == 0, ran.err


def test_staging_that_was_changed_between_two_volumes_is_found_out(
    pressed: Discs, isolated: Side
) -> None:
    assert isolated.run("import", *pressed.folders[:4]).code == MissingError.exit_code
    first = min((isolated.bentoml / ".airgap").rglob("weights.bin"))
    volumes.scratch(first)

    refused = isolated.run("import", *pressed.folders[4:])
    assert refused.code == CorruptError.exit_code
    assert not volumes.installed(isolated)

    ran = isolated.run("import", *pressed.folders)  # now staging is hashed
    assert ran.code == 0, ran.err
    assert volumes.installed(isolated) == volumes.everything()


@pytest.mark.parametrize("hint", [b"", b"[[[", b'{"staged":[[0,99]],"damaged":[[0,99]]}'])
def test_a_journal_that_is_wrong_installs_nothing_wrong(
    hint: bytes, pressed: Discs, isolated: Side
) -> None:
    assert isolated.run("import", pressed.folders[0]).code == MissingError.exit_code
    (journal,) = (isolated.bentoml / ".airgap").rglob("seen.json")
    journal.write_bytes(hint)
    min((isolated.bentoml / ".airgap").rglob("weights.bin")).write_bytes(b"")

    isolated.run("import", *pressed.folders[1:])
    assert isolated.run("import", *pressed.folders).code == 0

    ran = isolated.run("import", *pressed.folders, "--json")
    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}


def test_a_kill_in_the_middle_of_a_volume_costs_nothing_that_was_read(
    copies: Discs, isolated: Side, launcher: Launcher
) -> None:
    assert isolated.run("import", *copies.folders[:2]).code == MissingError.exit_code
    ended = launcher.run(
        isolated, "import", *copies.folders[2:5], fault=Fault(before="open .*m4.*weights")
    )
    assert ended.killed
    for folder in copies.folders[:2]:
        shutil.rmtree(folder)

    ran = isolated.run("import", *copies.folders[2:])

    assert ran.code == 0, ran.err
    assert volumes.installed(isolated) == volumes.everything()


def test_a_scratched_volume_costs_itself_and_names_its_bad_packs(
    copies: Discs, isolated: Side
) -> None:
    (bad, *_) = copies.packs(3)
    volumes.scratch(bad)

    ran = isolated.run("import", *copies.folders)
    assert ran.code == CorruptError.exit_code
    assert "1 pack of volume 3 is damaged or missing." in ran.err
    assert bad.name in ran.err
    for folder in copies.folders:
        if folder.name != "volume-3of7":
            shutil.rmtree(folder)
    shutil.rmtree(copies.folders[2] / "packs")

    again = isolated.run("import", copies.folders[2])
    assert again.code == MissingError.exit_code
    assert "1 pack of volume 3" in again.err


def test_a_pack_that_is_damaged_on_one_copy_is_taken_from_another(
    copies: Discs, pressed: Discs, isolated: Side
) -> None:
    volumes.scratch(copies.packs(3)[0])

    ran = isolated.run("import", *copies.folders, pressed.folders[2])

    assert ran.code == 0, ran.err


def test_a_volume_whose_manifest_is_scratched_still_gives_its_packs(
    copies: Discs, isolated: Side
) -> None:
    volumes.scratch(next(copies.folders[2].glob("bundles/*/manifest.msgpack")))

    ran = isolated.run("import", *copies.folders)

    assert ran.code == 0, ran.err
    assert "volume-3of7" in ran.err


def test_one_volume_alone_is_verified(pressed: Discs, isolated: Side) -> None:
    ran = isolated.run("verify", pressed.folders[2])

    assert ran.code == MissingError.exit_code
    assert "Volume 3 of 7 is good; missing: volumes 1, 2, 4, 5, 6 and 7." in ran.out
    assert "OK:" not in ran.out


def test_asked_for_a_part_verify_is_content_with_a_good_volume(
    pressed: Discs, isolated: Side
) -> None:
    ran = isolated.run("verify", "--partial", pressed.folders[2], "--json")

    assert ran.code == 0
    assert ran.json["verified"] is False
    assert ran.json["volumes"] == {"count": 7, "good": [3], "missing": [1, 2, 4, 5, 6, 7]}


def test_all_volumes_are_verified(pressed: Discs, isolated: Side) -> None:
    ran = isolated.run("verify", *pressed.folders, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["verified"] is True


def test_verify_tells_a_damaged_volume_from_those_that_are_missing(
    copies: Discs, isolated: Side
) -> None:
    volumes.scratch(copies.packs(3)[0])

    ran = refusals.expect_refusal(
        isolated, "verify", "--partial", copies.folders[2], error=CorruptError
    )

    assert copies.packs(3)[0].name in ran.json["error"]["details"][0]


def test_verify_tells_a_volume_that_lost_a_pack(copies: Discs, isolated: Side) -> None:
    copies.packs(3)[0].unlink()

    refusals.expect_refusal(isolated, "verify", "--partial", copies.folders[2], error=MissingError)


def test_read_only_media_are_read(pressed: Discs, isolated: Side, launcher: Launcher) -> None:
    before = stores.snapshot(*pressed.folders)

    ran = launcher.run(isolated, "import", *pressed.folders, powerless=True)

    assert ran.code == 0, ran.err
    assert stores.snapshot(*pressed.folders) == before


def test_volumes_are_joined_one_by_one_into_the_same_depot(
    copies: Discs, depot_of_all: Path, connected: Side, tmp_path: Path
) -> None:
    joined = tmp_path / "joined"
    for number in (5, 1, 7, 2, 3, 6):
        ran = connected.run("join", copies.folders[number - 1], "-o", joined)
        assert ran.code == MissingError.exit_code
        assert not list(joined.rglob("manifest.msgpack"))
        assert ("Waiting for volume 4 of 7." in ran.err) == (number == 6)
        assert ran.err.startswith(f"Writing to {joined} (")
        shutil.rmtree(copies.folders[number - 1])

    ran = connected.run("join", copies.folders[3], "-o", joined)

    assert ran.code == 0, ran.err
    assert _files(joined) == _files(depot_of_all)


def test_a_signature_that_is_on_one_volume_only_is_on_what_is_joined(
    copies: Discs, connected: Side, tmp_path: Path
) -> None:
    signed, *others = copies.folders
    second = sides.make_site(tmp_path / "second").key()
    told = connected.run("sign", signed, "--key", second)
    assert told.code == 0
    assert "This is volume 1 of 7, and only it is signed" in told.err

    ran = connected.run("join", *others, signed, "-o", tmp_path / "joined")

    assert ran.code == 0, ran.err
    envelopes = {path.name for path in (signed / "bundles").rglob("*.dsse")}
    assert {path.name for path in (tmp_path / "joined").rglob("*.dsse")} == envelopes


def test_what_was_joined_is_digested_before_the_bundle_appears(
    pressed: Discs, connected: Side, tmp_path: Path
) -> None:
    joined = tmp_path / "joined"
    assert connected.run("join", *pressed.folders[:6], "-o", joined).code == 13
    volumes.scratch(min(joined.rglob("*.pack")))

    assert connected.run("join", pressed.folders[6], "-o", joined).code == CorruptError.exit_code
    assert not list(joined.rglob("manifest.msgpack"))
    ran = connected.run("join", *pressed.folders, "-o", joined)

    assert ran.code == 0, ran.err


@pytest.mark.parametrize("form", ["depot", "file"])
def test_a_bundle_is_split_without_a_key(
    form: str, sender: Side, site: Site, depot_of_all: Path, pressed: Discs, tmp_path: Path
) -> None:
    source = depot_of_all
    if form == "file":
        source = tmp_path / "shop.airgap"
        assert sender.run("export", "shop:v1", "-o", source, "--key", site.key()).code == 0

    ran = sender.run("split", source, "-o", tmp_path / "made", "--volume-size", volumes.SEVEN)

    assert ran.code == 0, ran.err
    assert ran.err.startswith(f"Writing to {tmp_path / 'made/volume-1of7'} (")
    assert f"Peak disk use: {size_text(pressed.manifest.stored_size)}." in ran.err
    assert [_files(one) for one in volumes.found(tmp_path / "made").folders] == [
        _files(one) for one in pressed.folders
    ]


def test_a_damaged_bundle_is_not_split(depot: Path, connected: Side, tmp_path: Path) -> None:
    volumes.scratch(next(depot.rglob("*.pack")))

    ran = connected.run("split", depot, "-o", tmp_path / "made", "--volume-size", "DVD")

    assert ran.code == CorruptError.exit_code
    assert not list((tmp_path / "made").rglob("manifest.msgpack"))


def test_a_split_that_was_killed_is_finished_by_the_same_command(
    depot_of_all: Path, connected: Side, pressed: Discs, launcher: Launcher, tmp_path: Path
) -> None:
    words = ("split", depot_of_all, "-o", tmp_path / "made", "--volume-size", volumes.SEVEN)
    ended = launcher.run(connected, *words, fault=Fault(before="rename .*volume-4of7.*pack"))
    assert ended.killed

    assert connected.run(*words).code == 0

    assert [_files(one) for one in volumes.found(tmp_path / "made").folders] == [
        _files(one) for one in pressed.folders
    ]


def test_an_export_onto_volumes_that_was_killed_is_finished_by_the_same_command(
    sender: Side, site: Site, pressed: Discs, launcher: Launcher, tmp_path: Path
) -> None:
    output = tmp_path / "made"
    words = ("export", "shop:v1", "-o", output, "--volume-size", volumes.SEVEN, "--key", site.key())
    for moment in ("rename .*spool.*pack", "rename .*volume-4of7.*pack", "rename .*-6of7.*manif"):
        assert launcher.run(sender, *words, fault=Fault(before=moment)).killed

    assert sender.run(*words).code == 0

    assert sorted(path.name for path in output.iterdir()) == [
        f"volume-{number}of7" for number in range(1, 8)
    ]
    assert [_files(one) for one in volumes.found(output).folders] == [
        _files(one) for one in pressed.folders
    ]


def test_media_that_are_mounted_are_filled_in_turn(
    depot_of_all: Path, connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = [tmp_path / f"mnt{number}" for number in range(4)]
    for one in media:
        one.mkdir()
    monkeypatch.setattr(
        "airgap.flow.media.split.measure_free_space", lambda folders: [1_600_000] * len(folders)
    )

    ran = connected.run("split", depot_of_all, "--volumes", *media, "--json")

    assert ran.code == 0, ran.err
    used = [Path(one) for one in ran.json["volumes"]]
    assert used == media[: len(used)]
    assert len(used) > 1
    assert not list(media[-1].iterdir())


def test_media_that_are_too_small_are_refused_before_anything_is_written(
    depot_of_all: Path, connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnt").mkdir()
    monkeypatch.setattr("airgap.flow.media.split.measure_free_space", lambda _: [1_000_000])

    ran = connected.run("split", depot_of_all, "--volumes", tmp_path / "mnt")

    assert ran.code == StorageError.exit_code
    assert not list((tmp_path / "mnt").iterdir())


def test_an_export_goes_straight_onto_mounted_media(
    sender: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    media = [tmp_path / "a", tmp_path / "b"]
    for one in media:
        one.mkdir()

    ran = sender.run(
        "export", "shop:v1", "--key", site.key(), "--verify-after-write", "--volumes", *media
    )
    assert ran.code == 0, ran.err

    assert isolated.run("import", media[0]).code == 0  # one was enough

    again = sender.run("export", "shop:v1", "--key", site.key(), "--volumes", *media)
    assert again.code == 0, again.err
    note = "These media hold volumes of an earlier run. The items are packed again and compared"
    assert (note in again.err, note in ran.err) == (True, False)


def test_a_medium_that_gives_other_bytes_than_were_written_is_found_out(
    depot_of_all: Path, connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readback, "digest_on_medium", lambda *_: bytes(32))

    words = ("split", depot_of_all, "-o", tmp_path / "made", "--volume-size", volumes.SEVEN)
    ran = connected.run(*words, "--verify-after-write")

    assert ran.code == StorageError.exit_code
    assert "reads back otherwise" in ran.err


def test_volumes_of_another_split_are_not_mixed_with_new_ones(
    depot_of_all: Path, depot: Path, connected: Side, tmp_path: Path
) -> None:
    words = ("-o", tmp_path / "made", "--volume-size", volumes.SEVEN)
    assert connected.run("split", depot_of_all, *words).code == 0
    before = stores.snapshot(tmp_path / "made")

    ran = connected.run("split", depot, "-o", tmp_path / "made", "--volume-size", "DVD")

    assert ran.code == ConflictError.exit_code
    assert stores.snapshot(tmp_path / "made") == before


def test_a_volume_is_given_as_often_as_one_likes(pressed: Discs, isolated: Side) -> None:
    for _ in range(3):
        ran = isolated.run("import", pressed.folders[0], pressed.folders[0])
        assert "Waiting for volumes 2, 3, 4, 5, 6 and 7 of 7." in ran.err


def test_an_archive_and_a_volume_are_not_read_together(
    pressed: Discs, archive: Path, isolated: Side
) -> None:
    refusals.expect_refusal(isolated, "import", archive, pressed.folders[0], error=UsageError)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--volume-size", "DVD", "--volumes", "x"], id="a size and folders"),
        pytest.param(["-o", "x", "--volumes", "y"], id="two places"),
        pytest.param(["-o", "x"], id="no size"),
        pytest.param(["-o", "x", "--volume-size", "large"], id="no number"),
        pytest.param(["-o", "x", "--volume-size", "DVD", "--parity", "101%"], id="too much"),
        pytest.param(["-o", "x", "--volume-size", "DVD", "--parity", "-1"], id="less than none"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    words: list[str], depot: Path, connected: Side
) -> None:
    refusals.expect_refusal(connected, "split", depot, *words, error=UsageError)


def _files(top: Path) -> dict[str, bytes]:
    """The content of all files but signatures, which may be another time's."""
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in top.rglob("*")
        if path.is_file()
    }


def _numbers(text: str) -> list[int]:
    """All numbers in a sentence."""
    words = text.replace(",", "").rstrip(".").split()
    return [int(one) for one in words if one.isdigit()]


def test_a_folder_that_is_given_twice_is_refused(
    depot_of_all: Path, connected: Side, tmp_path: Path
) -> None:
    refusals.expect_refusal(
        connected, "split", depot_of_all, "--volumes", tmp_path, f"{tmp_path}/.", error=UsageError
    )


def test_doctor_tells_what_waits_for_volumes_from_what_was_cut_off(
    pressed: Discs, isolated: Side
) -> None:
    assert isolated.run("import", pressed.folders[0]).code == MissingError.exit_code

    ran = isolated.run("doctor")

    said = " ".join(ran.out.split())  # a long id makes the lines wrap
    assert "waits for more volumes and keeps" in said
    assert "was interrupted" not in said


def test_a_disk_that_is_too_small_to_join_on_is_refused_before_anything_is_written(
    pressed: Discs, connected: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))

    ran = connected.run("join", *pressed.folders, "-o", tmp_path / "joined")

    assert ran.code == StorageError.exit_code
    assert not (tmp_path / "joined").exists()
