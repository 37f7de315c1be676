"""The same tag with other content: told file by file, and replaced only on request."""

import os
from pathlib import Path

import pytest

from airgap.errors import ConflictError
from tests.support import refusals, store_invariants, stores
from tests.support.sides import Side, Site

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
SNAPSHOT = Path("models--org--mini", "snapshots", COMMIT)


@pytest.fixture
def installed(depot: Path, isolated: Side) -> Side:
    """The isolated side after the import of ``depot``."""
    assert isolated.run("import", depot).code == 0
    return isolated


def bento(side: Side) -> Path:
    return side.bentoml / "bentos" / "shop" / "v1"


def test_every_difference_is_told_and_nothing_is_changed(depot: Path, installed: Side) -> None:
    top = bento(installed)
    (top / "README.md").write_bytes(b"# SHOP\n" * 200)
    (top / "src/service.py").write_bytes(b"shorter")
    (top / "src/empty").unlink()
    (top / "run.sh").chmod(0o644)
    (top / "src/link").unlink()
    (top / "src/link").symlink_to("service.py")
    (top / "data/full").write_bytes(b"x")
    (top / "more/empty").mkdir(parents=True)
    (installed.bentoml / "models/ranker/v1/notes.txt").chmod(0o755)

    ran = refusals.expect_refusal(installed, "import", depot, error=ConflictError)

    assert ran.json["error"]["message"] == (
        "Already installed with different content: model ranker:v1, bento shop:v1."
    )
    assert ran.json["error"]["details"] == [
        "model ranker:v1: notes.txt: is executable here",
        "bento shop:v1: README.md: has different content here",
        "bento shop:v1: data: is not an empty folder here",
        "bento shop:v1: run.sh: is not executable here",
        "bento shop:v1: src/empty: missing here",
        "bento shop:v1: src/link: is not the same link here",
        "bento shop:v1: src/service.py: has 7 bytes here, 15 in the bundle",
        "bento shop:v1: data/full: only here",
        "bento shop:v1: more/empty: only here",
    ]


def test_replace_installs_what_was_sent(depot: Path, installed: Side) -> None:
    before = store_invariants.store_contents(installed)
    (bento(installed) / "README.md").write_bytes(b"mine")
    (bento(installed) / "extra").write_bytes(b"mine")

    ran = installed.run("import", depot, "--replace", "--json")

    assert [item["outcome"] for item in ran.json["items"]] == ["already there", "replaced"]
    assert store_invariants.store_contents(installed) == before


def test_replace_of_what_is_the_same_does_nothing(depot: Path, installed: Side) -> None:
    before = stores.snapshot(installed.top)

    ran = installed.run("import", depot, "--replace", "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}
    assert stores.snapshot(installed.top) == before


def test_one_conflict_keeps_everything_out(depot: Path, isolated: Side) -> None:
    stores.add_bento(isolated, "shop:v1", {"src/mine": b"mine"})

    refusals.expect_refusal(isolated, "import", depot, error=ConflictError)

    assert not (isolated.bentoml / "models").exists()


def test_what_is_in_the_way_may_be_no_folder(depot: Path, isolated: Side) -> None:
    bento(isolated).parent.mkdir(parents=True)
    bento(isolated).write_bytes(b"a file")

    refusals.expect_refusal(isolated, "import", depot, error=ConflictError)


def test_a_dry_run_tells_a_conflict_as_well(depot: Path, installed: Side) -> None:
    (bento(installed) / "README.md").write_bytes(b"mine")

    refusals.expect_refusal(installed, "import", depot, "--dry-run", error=ConflictError)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(depot: Path, installed: Side) -> None:
    (bento(installed) / "README.md").write_bytes(b"mine")
    before = stores.snapshot(installed.top)

    ran = installed.run("import", depot, "--dry-run", "--replace", "--json")

    assert [item["outcome"] for item in ran.json["items"]] == ["already there", "would replace"]
    assert ran.json["dry_run"]
    assert stores.snapshot(installed.top) == before


def test_a_dry_run_into_empty_stores_makes_none(depot: Path, isolated: Side) -> None:
    ran = isolated.run("import", depot, "--dry-run")

    assert "would install: bento shop:v1" in ran.out
    assert "Nothing was written" in ran.out
    assert not isolated.bentoml.exists()


def test_serving_a_bento_makes_no_conflict(depot: Path, installed: Side) -> None:
    stores.write_files(bento(installed), {"src/__pycache__/service.cpython-311.pyc": b"\0" * 16})

    ran = installed.run("import", depot, "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}


def test_a_cache_of_python_in_a_model_is_a_difference(depot: Path, installed: Side) -> None:
    model = installed.bentoml / "models" / "ranker" / "v1"
    stores.write_files(model, {"__pycache__/code.cpython-311.pyc": b"\0" * 16})

    refusals.expect_refusal(installed, "import", depot, error=ConflictError)


def test_a_strange_thing_in_an_installed_bento_is_a_difference(
    depot: Path, installed: Side
) -> None:
    os.mkfifo(bento(installed) / "pipe")

    ran = refusals.expect_refusal(installed, "import", depot, error=ConflictError)

    assert "is neither a file nor a folder nor a link" in ran.json["error"]["details"][0]


def carry(connected: Side, site: Site, target: Path, files: dict[str, bytes]) -> Path:
    """Export a snapshot's files as one Bento takes them."""
    stores.add_snapshot(connected, "Org/Mini", COMMIT, files)
    entry = stores.hugging_face_entry("Org/Mini", COMMIT, include=sorted(files))
    name = f"shop-{target.name}"
    stores.add_bento(connected, f"{name}:v1", {}, models=[entry])
    ran = connected.run("export", name, "-o", target, "--key", site.key())
    assert ran.code == 0, ran.err
    return target


def test_parts_of_a_snapshot_add_up(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    one = carry(connected, site, tmp_path / "one", {"a.json": b"a", "sub/shared": b"s"})
    two = carry(connected, site, tmp_path / "two", {"b.bin": b"b", "sub/c": b"c"})
    assert isolated.run("import", one).code == 0
    kept = (isolated.hugging_face / SNAPSHOT / "a.json").stat().st_ino

    ran = isolated.run("import", two, "--json")

    assert ran.json["items"][0]["outcome"] == "installed"
    top = isolated.hugging_face / SNAPSHOT
    found = {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*.*")}
    assert found == {"a.json": b"a", "b.bin": b"b"}
    assert (top / "sub/shared").read_bytes() + (top / "sub/c").read_bytes() == b"sc"
    assert (top / "a.json").stat().st_ino == kept
    assert not (isolated.hugging_face / ".airgap").exists()


def test_parts_of_a_snapshot_that_came_before_are_still_there(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    one = carry(connected, site, tmp_path / "one", {"a.json": b"a"})
    two = carry(connected, site, tmp_path / "two", {"b.bin": b"b"})
    for depot in (one, two):
        assert isolated.run("import", depot).code == 0

    ran = isolated.run("import", one, "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}


def test_links_of_a_cache_that_is_there_are_kept(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = carry(connected, site, tmp_path / "one", {"a.json": b"a"})
    stores.add_snapshot(isolated, "org/mini", COMMIT, {"b.bin": b"b"})

    assert isolated.run("import", depot).code == 0

    top = isolated.hugging_face / SNAPSHOT
    assert (top / "b.bin").is_symlink()
    assert (top / "b.bin").read_bytes() == b"b"
    assert (top / "a.json").read_bytes() == b"a"


def test_a_snapshot_that_huggingface_hub_fetched_is_there_already(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = carry(connected, site, tmp_path / "one", {"a.json": b"a"})
    stores.add_snapshot(isolated, "org/mini", COMMIT, {"a.json": b"a", "b.bin": b"b"})

    ran = isolated.run("import", depot, "--json")

    assert ran.json["items"][0]["outcome"] == "already there"


@pytest.mark.parametrize("installed", [b"other", b"B"])
def test_another_file_in_a_snapshot_is_a_conflict(
    installed: bytes, connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = carry(connected, site, tmp_path / "one", {"a.json": b"a", "b.bin": b"b"})
    stores.add_snapshot(isolated, "org/mini", COMMIT, {"b.bin": installed, "mine": b"m"})

    ran = refusals.expect_refusal(isolated, "import", depot, error=ConflictError)

    (told,) = ran.json["error"]["details"]
    assert told.startswith(f"hugging-face org--mini:{COMMIT}: b.bin: has ")


def test_replace_in_a_snapshot_keeps_the_files_beside(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = carry(connected, site, tmp_path / "one", {"a.json": b"a", "b.bin": b"b"})
    stores.add_snapshot(isolated, "org/mini", COMMIT, {"b.bin": b"other", "mine": b"m"})

    ran = isolated.run("import", depot, "--replace", "--json")

    assert ran.json["items"][0]["outcome"] == "replaced"
    top = isolated.hugging_face / SNAPSHOT
    assert {path.name: path.read_bytes() for path in top.iterdir()} == {
        "a.json": b"a",
        "b.bin": b"b",
        "mine": b"m",
    }


def test_a_part_that_huggingface_hub_fetched_is_completed(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = carry(connected, site, tmp_path / "one", {"sub/a.json": b"a", "b.bin": b"b"})
    stores.add_snapshot(isolated, "org/mini", COMMIT, {"sub/a.json": b"a", "sub/mine": b"m"})

    ran = isolated.run("import", depot, "--json")

    assert ran.json["items"][0]["outcome"] == "installed"
    top = isolated.hugging_face / SNAPSHOT
    assert (top / "sub/a.json").read_bytes() == b"a"
    assert (top / "sub/mine").read_bytes() == b"m"
    assert (top / "b.bin").read_bytes() == b"b"


def test_a_folder_where_a_file_belongs_is_replaced_on_request(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = carry(connected, site, tmp_path / "one", {"a.json": b"a"})
    stores.add_snapshot(isolated, "org/mini", COMMIT, {"a.json/inner": b"i"})
    refusals.expect_refusal(isolated, "import", depot, error=ConflictError)

    assert isolated.run("import", depot, "--replace").code == 0

    assert (isolated.hugging_face / SNAPSHOT / "a.json").read_bytes() == b"a"


def test_a_dangling_link_in_a_snapshot_is_replaced_on_request(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = carry(connected, site, tmp_path / "one", {"a.json": b"a"})
    there = stores.add_snapshot(isolated, "org/mini", COMMIT, {"a.json": b"a"}) / "a.json"
    there.resolve().unlink()
    refusals.expect_refusal(isolated, "import", depot, error=ConflictError)

    assert isolated.run("import", depot, "--replace").code == 0

    assert there.read_bytes() == b"a"
