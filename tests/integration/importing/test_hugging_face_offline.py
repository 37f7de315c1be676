"""Snapshots that were imported load at once, without asking a server that never answers."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers import silent
from tests.support import refusals, stores
from tests.support.sides import Side, Site

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
FILES = {"config.json": b"{}", "onnx/model.onnx": b"weights", "README.md": b"# mini"}


@pytest.fixture
def connected(connected: Side) -> Side:
    """The connected side, with the snapshot."""
    stores.add_snapshot(connected, "Org/Mini", COMMIT, FILES)
    return connected


def bundle(side: Side, site: Site, tag: str, include: Sequence[str] | None = None) -> Path:
    """Export a Bento that takes some files of the snapshot."""
    entry = stores.hugging_face_entry("Org/Mini", COMMIT, include=include)
    stores.add_bento(side, tag, {}, models=[entry])
    folder = side.top / tag.partition(":")[0]
    ran = side.run("export", tag, "-o", folder, "--key", site.key())
    assert ran.code == 0, ran.err
    return folder


def load(side: Side, hub: str, include: Sequence[str] | None) -> set[str]:
    """Load the snapshot as BentoML's HuggingFaceModel does; return the files that are there."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        "org/mini",
        revision=COMMIT,
        endpoint=hub,
        cache_dir=str(side.hugging_face),
        allow_patterns=None if include is None else list(include),
        ignore_patterns=None,
    )
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files}


def record(side: Side) -> Path:
    return side.hugging_face / "models--org--mini" / "trees" / f"{COMMIT}.json"


@pytest.mark.bentoml
@pytest.mark.parametrize("include", [None, ["*.json", "onnx/"]])
def test_an_imported_snapshot_loads_where_the_hub_never_answers(
    include: list[str] | None, connected: Side, isolated: Side, site: Site
) -> None:
    assert isolated.run("import", bundle(connected, site, "shop:v1", include)).code == 0

    with silent.endpoint() as hub:
        loaded = load(isolated, hub.url, include)

    assert hub.requests == 0
    assert loaded == FILES.keys() - (set() if include is None else {"README.md"})


@pytest.mark.bentoml
def test_two_bentos_that_take_parts_of_a_snapshot_both_load(
    connected: Side, isolated: Side, site: Site
) -> None:
    for tag, pattern in (("shop:v1", "*.json"), ("desk:v1", "*.md")):
        assert isolated.run("import", bundle(connected, site, tag, [pattern])).code == 0

    with silent.endpoint() as hub:
        for pattern in ("*.json", "*.md"):
            assert load(isolated, hub.url, [pattern]) == {"config.json", "README.md"}

    assert hub.requests == 0


@pytest.mark.bentoml
def test_huggingface_hub_lists_a_cache_with_records(
    connected: Side, isolated: Side, site: Site
) -> None:
    from huggingface_hub import scan_cache_dir

    assert isolated.run("import", bundle(connected, site, "shop:v1")).code == 0

    (repository,) = scan_cache_dir(isolated.hugging_face).repos

    assert (repository.repo_id, repository.nb_files) == ("org/mini", len(FILES))


def test_a_record_is_no_part_of_the_item(connected: Side, isolated: Side, site: Site) -> None:
    first = bundle(connected, site, "shop:v1")
    assert isolated.run("import", first).code == 0
    assert record(isolated).is_file()
    again = isolated.top / "again"

    ran = isolated.run("export", "shop:v1", "-o", again, "--key", site.key())

    assert ran.code == 0, ran.err
    assert [path.name for path in again.glob("bundles/*")] == [
        path.name for path in first.glob("bundles/*")
    ]


SHARDS = {f"w-0000{number}-of-00002.bin": b"w" for number in (1, 2)}
INDEX = {"w.index.json": json.dumps({"weight_map": dict(zip("ab", SHARDS, strict=True))}).encode()}


def test_a_part_that_was_imported_is_not_exported_as_the_whole(
    connected: Side, isolated: Side, site: Site
) -> None:
    stores.add_snapshot(connected, "Org/Mini", COMMIT, SHARDS | INDEX)
    include = ["*.json", "*-00001-*"]
    assert isolated.run("import", bundle(connected, site, "shop:v1", include)).code == 0
    entry = stores.hugging_face_entry("Org/Mini", COMMIT, include=["*.json", "*.bin"])
    stores.add_bento(isolated, "desk:v1", {}, models=[entry])
    words = ("-o", isolated.top / "again", "--key", site.key())

    same = isolated.run("export", "shop:v1", *words)
    more = isolated.run("export", "desk:v1", *words, "--json")

    assert same.code == 0, same.err
    assert "takes of it: w-00002-of-00002.bin." in more.json["error"]["message"]


def test_a_file_of_an_imported_snapshot_that_is_gone_is_missing(
    connected: Side, isolated: Side, site: Site
) -> None:
    assert isolated.run("import", bundle(connected, site, "shop:v1")).code == 0
    (record(isolated).parents[1] / "snapshots" / COMMIT / "onnx" / "model.onnx").unlink()

    ran = isolated.run(
        "export", "shop:v1", "-o", isolated.top / "again", "--key", site.key(), "--json"
    )

    assert "takes of it: onnx/model.onnx." in ran.json["error"]["message"]


def test_the_same_import_again_brings_a_lost_record_back_and_changes_nothing_else(
    connected: Side, isolated: Side, site: Site
) -> None:
    source = bundle(connected, site, "shop:v1")
    assert isolated.run("import", source).code == 0
    before = stores.snapshot(isolated.hugging_face, isolated.bentoml)
    assert isolated.run("import", source).code == 0
    assert stores.snapshot(isolated.hugging_face, isolated.bentoml) == before
    record(isolated).unlink()

    assert isolated.run("import", source).code == 0

    assert stores.snapshot(isolated.hugging_face, isolated.bentoml) == before


def test_a_dry_run_writes_no_record(connected: Side, isolated: Side, site: Site) -> None:
    assert isolated.run("import", bundle(connected, site, "shop:v1"), "--dry-run").code == 0

    assert not isolated.hugging_face.exists()


def test_a_record_that_differs_is_no_conflict(connected: Side, isolated: Side, site: Site) -> None:
    by_hub = {"size": 1, "blob_id": "of the hub"}
    document = {"format_version": 1, "files": dict.fromkeys(FILES, by_hub)}
    stores.write_files(
        record(isolated).parent, {record(isolated).name: json.dumps(document).encode()}
    )

    assert isolated.run("import", bundle(connected, site, "shop:v1")).code == 0

    assert json.loads(record(isolated).read_bytes()) == document


def test_a_record_that_cannot_be_written_is_noted(
    connected: Side, isolated: Side, site: Site
) -> None:
    stores.write_files(record(isolated).parent.parent, {"trees": b"a file where a folder belongs"})

    ran = isolated.run("import", bundle(connected, site, "shop:v1"))

    assert ran.code == 0, ran.err
    assert "Set HF_HUB_OFFLINE=1" in ran.err


def test_an_import_that_is_refused_writes_no_record(
    connected: Side, isolated: Side, site: Site
) -> None:
    from airgap.errors import ConflictError

    source = bundle(connected, site, "shop:v1")
    stores.add_bento(isolated, "shop:v1", {"src/mine": b"mine"})

    refusals.expect_refusal(isolated, "import", source, error=ConflictError)

    assert not record(isolated).exists()
