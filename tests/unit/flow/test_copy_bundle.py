"""Copies: everything that belongs to a bundle, nothing that is damaged, and nothing twice."""

from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError, UsageError
from tests.support import refusals, stores
from tests.support.sides import Side, Site


@pytest.fixture
def spoken(depot: Path, small: Side, site: Site) -> Path:
    """A depot whose bundle was approved, and that carries a root."""
    assert small.run("approve", depot, "--key", site.key(), "--note", "seen").code == 0
    words = ("export", "shop:v1", "-o", depot, "--key", site.key(), "--include-root", site.root)
    assert small.run(*words).code == 0
    return depot


def content(top: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()
    }


def test_signatures_statements_and_roots_come_along(
    spoken: Path, isolated: Side, tmp_path: Path
) -> None:
    assert isolated.run("copy", spoken, tmp_path / "copy").code == 0

    assert content(tmp_path / "copy") == content(spoken)


def test_they_come_along_in_a_single_file_too(spoken: Path, isolated: Side, tmp_path: Path) -> None:
    assert isolated.run("copy", spoken, tmp_path / "one.airgap").code == 0
    assert isolated.run("copy", tmp_path / "one.airgap", tmp_path / "copy").code == 0

    assert content(tmp_path / "copy") == content(spoken)


def test_all_bundles_of_a_depot_are_copied(
    depot: Path, small: Side, site: Site, tmp_path: Path
) -> None:
    stores.add_bento(small, "other:v1", {"src/x": b"1"})
    assert small.run("export", "other:v1", "-o", depot, "--key", site.key()).code == 0

    ran = small.run("copy", depot, tmp_path / "copy", "--json")

    assert len(ran.json["bundles"]) == 2
    assert content(tmp_path / "copy") == content(depot)
    for single in (tmp_path / "one.airgap", "sftp://host/one.airgap?agent=no"):
        refusals.expect_refusal(small, "copy", depot, single, error=UsageError)


def test_what_is_there_is_not_copied(depot: Path, isolated: Side, tmp_path: Path) -> None:
    isolated.run("copy", depot, tmp_path / "copy")
    (pack, *_) = (tmp_path / "copy").rglob("*.pack")
    pack.write_bytes(b"damaged")

    ran = isolated.run("copy", depot, tmp_path / "copy", "--json")

    (about,) = ran.json["bundles"]
    assert (about["packs_copied"], about["packs_there"]) == (1, 1)
    assert content(tmp_path / "copy") == content(depot)


def test_a_damaged_pack_is_told_and_the_others_are_copied(
    depot: Path, isolated: Side, tmp_path: Path
) -> None:
    good, bad = sorted(depot.rglob("*.pack"))
    data = bad.read_bytes()
    bad.write_bytes(bytes([data[0] ^ 1]) + data[1:])

    ran = refusals.expect_refusal(isolated, "copy", depot, tmp_path / "copy", error=CorruptError)

    assert bad.name in ran.json["error"]["message"]
    assert list(content(tmp_path / "copy")) == [str(good.relative_to(depot))]


def test_a_pack_that_is_not_there_is_missing(depot: Path, isolated: Side, tmp_path: Path) -> None:
    next(depot.rglob("*.pack")).unlink()

    refusals.expect_refusal(isolated, "copy", depot, tmp_path / "one.airgap", error=MissingError)

    assert not (tmp_path / "one.airgap").exists()


def test_a_manifest_that_was_changed_is_not_copied(
    depot: Path, isolated: Side, tmp_path: Path
) -> None:
    manifest = next(depot.rglob("manifest.msgpack"))
    manifest.write_bytes(manifest.read_bytes()[:-1] + b"?")

    refusals.expect_refusal(isolated, "copy", depot, tmp_path / "copy", error=CorruptError)

    assert not (tmp_path / "copy").exists()


def test_an_archive_for_stock_bentoml_is_not_copied(
    small: Side, site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "shop.bento"
    assert small.run("export", "shop:v1", "-o", file, "--key", site.key()).code == 0

    refusals.expect_refusal(small, "copy", file, tmp_path / "copy", error=UsageError)


def test_a_copy_reads_a_pipe(archive: Path, isolated: Side, tmp_path: Path) -> None:
    ran = isolated.process("copy", "-", tmp_path / "copy", stdin=archive.read_bytes())

    assert ran.returncode == 0, ran.stderr
    assert isolated.run("verify", tmp_path / "copy").code == 0
