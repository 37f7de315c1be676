"""A scratched disc: what is damaged is named, all of it, and costs no more than itself."""

import tarfile
from pathlib import Path

from airgap.errors import CorruptError, MissingError
from tests.support import refusals, sides, stores
from tests.support.sides import Side


def packs_of(depot: Path) -> list[Path]:
    return sorted((depot / "packs").rglob("*.pack"))


def test_verify_names_every_damaged_pack(depot: Path, isolated: Side) -> None:
    first, second = packs_of(depot)
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()

    ran = refusals.expect_refusal(isolated, "verify", depot, error=CorruptError)

    told = "\n".join(ran.json["error"]["details"])
    assert first.name in told
    assert second.name in told


def test_a_damaged_pack_is_named_with_its_path(depot: Path, isolated: Side) -> None:
    damaged, _ = packs_of(depot)
    _damage(damaged)

    ran = refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)

    assert f"{damaged} is damaged (SHA-256 is " in f"{ran.json['error']}"


def test_a_damaged_pack_of_an_archive_is_named_with_the_path_of_the_archive(
    small: Side, isolated: Side, site: sides.Site, tmp_path: Path
) -> None:
    archive = tmp_path / "shop.airgap"
    exported = small.run("export", "shop:v1", "-o", archive, "--key", site.key())
    assert exported.code == 0
    sides.trust(isolated, site)
    with tarfile.open(archive) as members:
        pack = next(member for member in members if member.name.endswith(".pack"))
    data = bytearray(archive.read_bytes())
    data[pack.offset_data + pack.size // 2] ^= 1
    archive.write_bytes(data)

    ran = refusals.expect_refusal(isolated, "import", archive, error=CorruptError, staging=True)

    assert f"{pack.name} in {archive} is damaged (SHA-256 is " in f"{ran.json['error']}"


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_missing_packs_are_missing_not_corrupt(depot: Path, isolated: Side) -> None:
    for pack in packs_of(depot):
        pack.unlink()

    ran = refusals.expect_refusal(isolated, "verify", depot, error=MissingError)

    assert "2 of 2 packs" in ran.json["error"]["message"]


def test_a_pack_that_is_copied_again_is_all_that_the_next_try_reads(
    depot: Path, isolated: Side
) -> None:
    first, second = packs_of(depot)
    whole = first.read_bytes()
    first.write_bytes(whole[:-1])
    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)

    first.write_bytes(whole)
    second.unlink()

    assert isolated.run("import", depot).code == 0


def test_an_export_keeps_its_hands_off_a_readme_that_is_not_its_own(
    small: Side, site: sides.Site, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    stores.write_files(stick, {"README.txt": b"my notes"})

    assert small.run("export", "shop:v1", "-o", stick, "--key", site.key()).code == 0

    assert (stick / "README.txt").read_bytes() == b"my notes"
