"""A scratched disc: what is damaged is named, all of it, and costs no more than itself."""

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
