"""What travels: tags, several of them, models that are shared, left out, or missing."""

import json
import shutil
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError, StorageError, UsageError
from tests.support import refusals, stores
from tests.support.sides import Ran, Side, Site
from tests.support.terminal import run_at_terminal

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "depot"


def export(side: Side, target: Path, site: Site, *words: str | Path) -> Ran:
    return side.run("export", *words, "-o", target, "--key", site.key(), "--json")


def tags(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [f"{item['kind']} {item['tag']}" for item in ran.json["items"]]


def packs(depot: Path) -> list[Path]:
    return sorted(depot.glob("packs/*/*.pack"))


@pytest.mark.parametrize("tag", ["shop", "shop:latest", "shop:v2"])
def test_a_tag_is_a_version_or_the_latest(
    tag: str, connected: Side, site: Site, target: Path
) -> None:
    stores.add_bento(connected, "shop:v1", {}, created=OLD)
    stores.add_bento(connected, "shop:v2", {}, created=NEW)

    assert tags(export(connected, target, site, tag)) == ["bento shop:v2"]


def test_latest_is_what_bentoml_says_even_if_it_is_older(
    connected: Side, site: Site, target: Path
) -> None:
    stores.add_bento(connected, "shop:v2", {}, created=NEW)
    stores.add_bento(connected, "shop:v1", {}, created=OLD)

    assert tags(export(connected, target, site, "shop:latest")) == ["bento shop:v1"]


@pytest.mark.parametrize("latest", [None, "gone", "", "../../etc"])
def test_without_a_usable_latest_the_newest_is_meant(
    latest: str | None, connected: Side, site: Site, target: Path
) -> None:
    stores.add_bento(connected, "shop:v2", {}, created=NEW)
    pointer = stores.add_bento(connected, "shop:v1", {}, created=OLD).parent / "latest"
    pointer.unlink()
    if latest is not None:
        pointer.write_text(latest)

    assert tags(export(connected, target, site, "shop")) == ["bento shop:v2"]


def test_the_beginning_of_a_version_is_no_version(
    connected: Side, site: Site, target: Path
) -> None:
    stores.add_bento(connected, "shop:v10", {})

    ran = refusals.expect_refusal(
        connected, "export", "shop:v1", "-o", target, "--key", site.key(), error=MissingError
    )

    assert ran.json["error"]["details"] == ["there is shop:v10"]


@pytest.mark.parametrize("tag", ["Shop:v1", "shop:", ":v1", "shop:../v1", "shop/v1", "", "a:b:c"])
def test_what_is_no_tag_is_a_usage_error(
    tag: str, connected: Side, site: Site, target: Path
) -> None:
    refusals.expect_refusal(
        connected, "export", tag, "-o", target, "--key", site.key(), error=UsageError
    )


def test_nothing_to_export_is_a_usage_error(connected: Side, site: Site, target: Path) -> None:
    refusals.expect_refusal(
        connected, "export", "-o", target, "--key", site.key(), error=UsageError
    )


def test_several_tags_travel_together(
    connected: Side, isolated: Side, site: Site, target: Path
) -> None:
    for tag in ("shop:v1", "shop:v2", "desk:v1"):
        stores.add_bento(connected, tag, {"src/tag": tag.encode()})

    sent = tags(export(connected, target, site, "shop:v2", "desk:v1", "shop:v1", "shop:v2"))

    assert sent == ["bento desk:v1", "bento shop:v1", "bento shop:v2"]
    assert isolated.run("import", target).code == 0
    assert (isolated.bentoml / "bentos/shop/v1/src/tag").read_bytes() == b"shop:v1"


def test_a_model_travels_alone(connected: Side, isolated: Side, site: Site, target: Path) -> None:
    stores.add_model(connected, "ranker:v1", {"w": b"1"})

    assert tags(export(connected, target, site, "--model", "ranker")) == ["model ranker:v1"]
    assert isolated.run("import", target).code == 0
    assert (isolated.bentoml / "models/ranker/latest").read_text() == "v1"
    assert not (isolated.bentoml / "bentos").exists()


def test_a_model_of_two_bentos_travels_once(connected: Side, site: Site, target: Path) -> None:
    stores.add_model(connected, "ranker:v1", {"w": stores.noise(300_000)})
    for name in ("desk", "shop"):
        stores.add_bento(connected, f"{name}:v1", {}, models=["ranker:v1"])

    ran = export(connected, target, site, "desk", "shop", "--model", "ranker:v1")

    assert tags(ran) == ["model ranker:v1", "bento desk:v1", "bento shop:v1"]
    assert ran.json["stored_size"] < 310_000


def test_models_at_the_top_of_a_bento_travel_too(connected: Side, site: Site, target: Path) -> None:
    stores.add_model(connected, "ranker:v1", {})
    stores.add_model(connected, "sorter:v1", {})
    bento = stores.add_bento(connected, "shop:v1", {}, models=["ranker:v1"])
    described = (bento / "bento.yaml").read_text()
    (bento / "bento.yaml").write_text(f"{described}models:\n- tag: sorter:v1\n  alias: s\n")

    assert tags(export(connected, target, site, "shop"))[:2] == [
        "model ranker:v1",
        "model sorter:v1",
    ]


def test_models_of_old_bentos_are_bare_tags(connected: Side, site: Site, target: Path) -> None:
    stores.add_model(connected, "ranker:v1", {})
    bento = stores.add_bento(connected, "shop:v1", {})
    described = (bento / "bento.yaml").read_text()
    (bento / "bento.yaml").write_text(f"{described}models:\n- ranker:v1\n")

    assert tags(export(connected, target, site, "shop")) == ["model ranker:v1", "bento shop:v1"]


def test_a_second_export_writes_only_what_is_new(connected: Side, site: Site, target: Path) -> None:
    stores.add_model(connected, "ranker:v1", {"w": stores.noise(300_000)})
    stores.add_bento(connected, "desk:v1", {"src/a": b"desk"}, models=["ranker:v1"])
    stores.add_bento(connected, "shop:v1", {"src/a": b"shop"}, models=["ranker:v1"])
    first = export(connected, target, site, "desk").json
    before = stores.snapshot(target / "packs")

    second = export(connected, target, site, "shop").json

    assert (first["packs_written"], first["packs_there"]) == (2, 0)
    assert (second["packs_written"], second["packs_there"]) == (1, 1)
    assert len(packs(target)) == 3
    assert before.items() <= stores.snapshot(target / "packs").items()
    assert len(list(target.glob("bundles/*"))) == 2


def test_the_same_export_again_writes_no_pack(small: Side, site: Site, target: Path) -> None:
    first = export(small, target, site, "shop").json
    before = stores.snapshot(target)

    second = export(small, target, site, "shop").json

    assert second["bundle"] == first["bundle"]
    assert (second["packs_written"], second["packs_there"]) == (0, first["packs"])
    assert stores.snapshot(target) == before


def test_a_damaged_pack_of_the_depot_is_written_again(
    small: Side, isolated: Side, site: Site, target: Path
) -> None:
    export(small, target, site, "shop")
    packs(target)[0].write_bytes(b"x" * packs(target)[0].stat().st_size)

    again = export(small, target, site, "shop").json

    assert again["packs_written"] == 1
    assert isolated.run("verify", target).code == 0


def test_models_are_left_out_on_request_and_told_at_import(
    small: Side, isolated: Side, site: Site, target: Path
) -> None:
    sent = tags(export(small, target, site, "shop", "--no-models"))

    ran = isolated.run("import", target)

    assert sent == ["bento shop:v1"]
    assert ran.code == 0
    assert "still missing here: model ranker:v1; the Bento needs it" in ran.out
    assert isolated.run("import", target, "--json").json["missing"] == ["model ranker:v1"]


def test_a_model_that_is_there_already_is_not_told_as_lacking(
    small: Side, isolated: Side, site: Site, target: Path
) -> None:
    stores.add_model(isolated, "ranker:v1", {"w": b"whatever"})
    export(small, target, site, "shop", "--no-models")

    assert isolated.run("import", target, "--json").json["missing"] == []


def test_a_snapshot_that_was_left_out_is_told_at_import(
    connected: Side, isolated: Side, site: Site, target: Path
) -> None:
    entry = stores.hugging_face_entry("Org/Mini", COMMIT)
    stores.add_bento(connected, "shop:v1", {}, models=[entry])
    export(connected, target, site, "shop", "--no-models")

    ran = isolated.run("import", target, "--json")

    assert ran.json["missing"] == [f"hugging-face org--mini:{COMMIT}"]


def test_every_missing_model_is_named_with_how_to_fetch_it(
    connected: Side, site: Site, target: Path
) -> None:
    stores.add_model(connected, "ranker:v1", {})
    entry = stores.hugging_face_entry("Org/Mini", COMMIT, include=["*.json", "a b"], exclude=["x"])
    stores.add_bento(connected, "shop:v1", {}, models=["gone:v1", "ranker:v1", "lost:v2", entry])

    ran = refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=MissingError
    )

    told = ran.json["error"]
    assert "3 models are missing" in told["message"]
    assert [line.split(" is not in ")[0] for line in told["details"]] == [
        "The model gone:v1",
        "The model lost:v2",
        f"The Hugging Face model org/mini at {COMMIT}",
        (
            f"hf download org/mini --revision {COMMIT} --include '*.json' --include 'a b'"
            f" --exclude x --cache-dir {connected.hugging_face}"
        ),
    ]
    assert "`bentoml models list`" in told["hint"]
    assert "`hf download`" in told["hint"]
    assert not target.exists()


def test_a_snapshot_without_any_file_that_the_bento_takes_is_missing(
    connected: Side, site: Site, target: Path
) -> None:
    stores.add_snapshot(connected, "Org/Mini", COMMIT, {"readme.md": b"x"})
    stores.add_bento(
        connected,
        "shop:v1",
        {},
        models=[stores.hugging_face_entry("Org/Mini", COMMIT, include=["*.json"])],
    )

    refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=MissingError
    )


def test_a_snapshot_of_which_a_part_was_fetched_is_missing(
    connected: Side, site: Site, target: Path
) -> None:
    top = stores.add_snapshot(connected, "Org/Mini", COMMIT, {"config.json": b"{}"}).parent.parent
    noted = b'{"format_version": 1, "files": {"config.json": {}, "weights.bin": {}, "x.md": {}}}'
    stores.write_files(top / "trees", {f"{COMMIT}.json": noted})
    entry = stores.hugging_face_entry("Org/Mini", COMMIT, exclude=["*.md"])
    stores.add_bento(connected, "shop:v1", {}, models=[entry])

    ran = refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=MissingError
    )

    assert "not all that the Bento takes of it: weights.bin." in ran.json["error"]["message"]


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b'{"files": 3}', b"\xff"])
def test_a_note_that_says_nothing_is_passed_over(
    note: bytes, connected: Side, site: Site, target: Path
) -> None:
    top = stores.add_snapshot(connected, "Org/Mini", COMMIT, {"config.json": b"{}"}).parent.parent
    stores.write_files(top / "trees", {f"{COMMIT}.json": note})
    stores.add_bento(
        connected, "shop:v1", {}, models=[stores.hugging_face_entry("Org/Mini", COMMIT)]
    )

    assert export(connected, target, site, "shop").code == 0


SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
INDEX = json.dumps({"metadata": {}, "weight_map": dict(zip("ab", SHARDS, strict=True))}).encode()


def _shop_with_shards(side: Side, files: dict[str, bytes], **patterns: list[str]) -> Path:
    """Put a Bento and an index of two shards into the stores; return the repository's folder."""
    files = {"model.safetensors.index.json": INDEX, **files}
    snapshot = stores.add_snapshot(side, "Org/Mini", COMMIT, files)
    entry = stores.hugging_face_entry("Org/Mini", COMMIT, **patterns)
    stores.add_bento(side, "shop:v1", {}, models=[entry])
    return snapshot.parent.parent


def test_a_shard_that_was_not_fetched_is_missing(connected: Side, site: Site, target: Path) -> None:
    _shop_with_shards(connected, {SHARDS[1]: b"2"})

    ran = refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=MissingError
    )

    assert f"not all that the Bento takes of it: {SHARDS[0]}." in ran.json["error"]["message"]
    assert ran.json["error"]["details"] == [
        f"hf download org/mini --revision {COMMIT} --cache-dir {connected.hugging_face}"
    ]


def test_the_command_that_fetches_a_model_can_be_copied_from_a_terminal(
    connected: Side, site: Site, target: Path
) -> None:
    entry = stores.hugging_face_entry("Org/Mini", COMMIT)
    stores.add_bento(connected, "shop:v1", {}, models=[entry])

    ran = run_at_terminal(connected, "export", "shop", "-o", target, "--key", site.key())

    rows = ran.err.replace("\x1b[0m", "").splitlines()
    command = f"hf download org/mini --revision {COMMIT} --cache-dir {connected.hugging_face}"
    assert f"  {command}" in rows
    assert ran.err.count("is not in") == 1


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["ranker:v1"], "A model of that name is there: give --model ranker:v1."),
        (["ranker"], "A model of that name is there: give --model ranker:v1."),
        (["--model", "desk"], "A Bento of that name is there: give desk:v1 without --model."),
        (
            ["nothing:v1"],
            "See `bentoml list` for what is there. Build it on this machine, or import it.",
        ),
    ],
)
def test_the_name_of_an_item_of_the_other_kind_is_answered_with_how_to_name_it(
    words: list[str], hint: str, connected: Side, site: Site, target: Path
) -> None:
    stores.add_model(connected, "ranker:v1", {})
    stores.add_bento(connected, "desk:v1", {})

    ran = refusals.expect_refusal(
        connected, "export", *words, "-o", target, "--key", site.key(), error=MissingError
    )

    assert ran.json["error"]["hint"] == hint


def test_a_shard_in_a_folder_is_named_from_there(connected: Side, site: Site, target: Path) -> None:
    _shop_with_shards(connected, {"unet/w.index.json": INDEX, f"unet/{SHARDS[1]}": b"2"})

    ran = export(connected, target, site, "shop")

    assert f"takes of it: unet/{SHARDS[0]}." in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("files", "patterns"),
    [
        ({"model.safetensors": b"one"}, {}),  # the index is stale
        ({SHARDS[1]: b"2"}, {"exclude": ["*-00001-*"]}),
        ({SHARDS[1]: b"2"}, {"exclude": ["*.index.json"]}),
        (dict.fromkeys(SHARDS, b"w"), {}),
        ({"a.index.json": b"[" * 9999, "b.index.json": b'{"weight_map": [1]}'}, {}),
    ],
)
def test_shards_that_the_bento_does_not_need_are_not_missing(
    files: dict[str, bytes],
    patterns: dict[str, list[str]],
    connected: Side,
    site: Site,
    target: Path,
) -> None:
    _shop_with_shards(connected, files, **patterns)

    assert export(connected, target, site, "shop").code == 0


def test_what_huggingface_hub_recorded_says_more_than_an_index(
    connected: Side, site: Site, target: Path
) -> None:
    top = _shop_with_shards(connected, {SHARDS[1]: b"2"})
    recorded: dict[str, object] = {"files": {"model.safetensors.index.json": {}, SHARDS[1]: {}}}
    stores.write_files(top / "trees", {f"{COMMIT}.json": json.dumps(recorded).encode()})

    assert export(connected, target, site, "shop").code == 0


def test_unfinished_downloads_are_noted(connected: Side, site: Site, target: Path) -> None:
    top = _shop_with_shards(connected, {"model.safetensors": b"one"})
    (top / "blobs" / "abcd.incomplete").write_bytes(b"half")

    ran = connected.run("export", "shop", "-o", target, "--key", site.key())

    assert ran.code == 0
    assert f"{top / 'blobs'} has 1 unfinished downloads" in ran.err
    assert "hf download org/mini" in ran.err


def test_blobs_may_lie_on_another_disk(
    connected: Side, isolated: Side, site: Site, target: Path
) -> None:
    top = _shop_with_shards(connected, dict.fromkeys(SHARDS, b"w"))
    (top / "blobs").rename(connected.top / "large")
    (top / "blobs").symlink_to(connected.top / "large")

    assert export(connected, target, site, "shop").code == 0
    assert isolated.run("import", target).code == 0


def test_blobs_may_be_shared_by_all_repositories_of_a_cache(
    connected: Side, site: Site, target: Path
) -> None:
    top = _shop_with_shards(connected, dict.fromkeys(SHARDS, b"w"))
    shared = connected.hugging_face / "blobs" / "ab"
    shared.mkdir(parents=True)
    for blob in (top / "blobs").iterdir():
        blob.rename(shared / blob.name)
        blob.symlink_to(f"../../blobs/ab/{blob.name}")

    assert export(connected, target, site, "shop").code == 0


def test_a_link_out_of_the_cache_is_refused(connected: Side, site: Site, target: Path) -> None:
    top = _shop_with_shards(connected, dict.fromkeys(SHARDS, b"w"))
    (top / "snapshots" / COMMIT / "passwd").symlink_to("/etc/passwd")

    ran = refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=StorageError
    )

    assert "leads out of the cache (to /etc/passwd)" in ran.json["error"]["message"]
    assert f"move its whole folder {top} there" in ran.json["error"]["hint"]


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["aux.py"], "aux.py"),
        (["model:int4.onnx"], "model:int4.onnx"),
        (["README.md", "readme.md"], "readme.md"),
        (["what?[1].bin"], "what[?][[]1].bin"),
        (["a/con/x", "b"], "a/con/x"),
    ],
)
def test_a_file_of_another_s_repository_is_excluded_not_renamed(
    names: list[str], pattern: str, connected: Side, site: Site, target: Path
) -> None:
    files = {**dict.fromkeys(names, b"x"), "config.json": b"{}"}
    stores.add_snapshot(connected, "Org/Mini", COMMIT, files)
    entry = stores.hugging_face_entry("Org/Mini", COMMIT)
    stores.add_bento(connected, "shop:v1", {}, models=[entry])

    ran = refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=CorruptError
    )

    assert ran.json["error"]["hint"].endswith(f"HuggingFaceModel(…, exclude=[{pattern!r}]).")
    entry = stores.hugging_face_entry("Org/Mini", COMMIT, exclude=[pattern])
    stores.add_bento(connected, "shop:v1", {}, models=[entry])
    assert export(connected, target, site, "shop").code == 0


def test_a_hint_fits_the_kind_of_item(connected: Side, site: Site, target: Path) -> None:
    stores.add_bento(connected, "shop:v1", {"src/aux.py": b""})
    stores.add_model(connected, "ranker:v1", {"aux.py": b""})
    linked = stores.add_model(connected, "sorter:v1", {})
    (linked / "w.bin").symlink_to("/mnt/w.bin")

    hints = [
        export(connected, target, site, *words).json["error"]["hint"]
        for words in (["shop"], ["--model", "ranker"], ["--model", "sorter"])
    ]

    assert hints == [
        "Rename 'src/aux.py', or exclude it in bentofile.yaml, and build the Bento again.",
        "Rename 'aux.py', and save the model again.",
        "Put the file there in place of the link, and build again.",
    ]


def test_a_snapshot_in_two_spellings_is_one(
    connected: Side, isolated: Side, site: Site, target: Path
) -> None:
    stores.add_snapshot(connected, "org/mini", COMMIT, {"config.json": b"{}"})
    stores.add_snapshot(connected, "Org/Mini", COMMIT, {"config.json": b"{}", "weights.bin": b"w"})
    stores.add_bento(
        connected, "shop:v1", {}, models=[stores.hugging_face_entry("Org/Mini", COMMIT)]
    )

    assert export(connected, target, site, "shop").code == 0
    assert isolated.run("import", target).code == 0

    snapshot = isolated.hugging_face / "models--org--mini" / "snapshots" / COMMIT
    assert sorted(path.name for path in snapshot.iterdir()) == ["config.json", "weights.bin"]
    assert not (snapshot / "weights.bin").is_symlink()


def test_two_bentos_take_their_parts_of_one_snapshot(
    connected: Side, site: Site, target: Path
) -> None:
    stores.add_snapshot(connected, "Org/Mini", COMMIT, {"a.json": b"a", "b.bin": b"b", "c": b"c"})
    for name, pattern in (("desk", "*.json"), ("shop", "*.bin")):
        entry = stores.hugging_face_entry("Org/Mini", COMMIT, include=[pattern])
        stores.add_bento(connected, f"{name}:v1", {}, models=[entry])

    ran = export(connected, target, site, "desk", "shop")
    listed = connected.run("inspect", target, "--files", "--json").json["items"][0]

    assert tags(ran)[0] == f"hugging-face org--mini:{COMMIT}"
    assert [entry["path"] for entry in listed["entries"]] == ["a.json", "b.bin"]


def test_a_revision_that_is_no_commit_is_missing(connected: Side, site: Site, target: Path) -> None:
    stores.add_bento(
        connected, "shop:v1", {}, models=[stores.hugging_face_entry("Org/Mini", "main")]
    )

    ran = refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=MissingError
    )

    assert "names revision 'main' of org/mini" in ran.json["error"]["message"]


def test_a_snapshot_whose_file_leads_out_of_its_repository_is_refused(
    connected: Side, site: Site, target: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    snapshot = stores.add_snapshot(connected, "Org/Mini", COMMIT, {"a": b"a"})
    (snapshot / "b").symlink_to(tmp_path / "secret")
    stores.add_bento(
        connected, "shop:v1", {}, models=[stores.hugging_face_entry("Org/Mini", COMMIT)]
    )

    refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=StorageError
    )


def test_a_model_of_an_unknown_registry_is_refused(
    connected: Side, site: Site, target: Path
) -> None:
    entry = {"tag": "x:v1", "registry": "elsewhere"}
    stores.add_bento(connected, "shop:v1", {}, models=[entry])

    refusals.expect_refusal(
        connected, "export", "shop", "-o", target, "--key", site.key(), error=CorruptError
    )


@pytest.mark.parametrize("complete", [True, False])
def test_what_an_interrupted_bentoml_export_left_in_a_bento_is_not_exported(
    complete: bool,  # noqa: FBT001
    small: Side,
    site: Site,
    target: Path,
) -> None:
    bundle = export(small, target, site, "shop").json["bundle"]
    left = small.bentoml / "bentos" / "shop" / "v1" / "models"
    shutil.copytree(small.bentoml / "models", left)
    if not complete:
        (left / "ranker" / "latest").unlink()
        (left / "ranker" / "v1" / "weights.bin").write_bytes(b"half")

    assert export(small, target, site, "shop").json["bundle"] == bundle


def test_a_bento_that_calls_itself_otherwise_is_refused(
    small: Side, site: Site, target: Path
) -> None:
    (small.bentoml / "bentos/shop/v1").rename(small.bentoml / "bentos/shop/v9")

    refusals.expect_refusal(
        small, "export", "shop:v9", "-o", target, "--key", site.key(), error=StorageError
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "name: shop", "{{", "name: shop\nversion: v1\ncreation_time: never\n"]
)
def test_a_bento_that_bentoml_did_not_write_is_refused(
    text: str, small: Side, site: Site, target: Path
) -> None:
    (small.bentoml / "bentos/shop/v1/bento.yaml").write_text(text)

    refusals.expect_refusal(
        small, "export", "shop", "-o", target, "--key", site.key(), error=CorruptError
    )


def test_what_python_wrote_when_the_bento_was_served_does_not_travel(
    small: Side, site: Site, target: Path, tmp_path: Path
) -> None:
    first = export(small, target, site, "shop").json["bundle"]
    bento = small.bentoml / "bentos/shop/v1"
    stores.write_files(bento, {"src/__pycache__/service.cpython-311.pyc": b"\0" * 16})

    assert export(small, tmp_path / "other", site, "shop").json["bundle"] == first


def test_code_of_another_repository_that_does_not_travel_is_named(
    connected: Side, site: Site, target: Path
) -> None:
    config = json.dumps({"auto_map": {"AutoModel": "Org/Code--modeling.Model"}}).encode()
    stores.add_snapshot(connected, "Org/Mini", COMMIT, {"config.json": config})
    stores.add_snapshot(connected, "Org/Code", COMMIT, {"modeling.py": b"class Model: ...\n"})
    entries = [stores.hugging_face_entry(f"Org/{name}", COMMIT) for name in ("Mini", "Code")]
    stores.add_bento(connected, "alone:v1", {}, models=entries[:1])
    stores.add_bento(connected, "both:v1", {}, models=entries)

    alone = export(connected, target, site, "alone:v1")
    both = export(connected, target, site, "both:v1")

    assert (alone.code, both.code) == (0, 0)
    assert "org--mini" in alone.err
    assert "runs code of Org/Code (auto_map in config.json)" in " ".join(alone.err.split())
    assert "Org/Code" not in both.err
