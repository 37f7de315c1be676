"""The record of a snapshot's files, as huggingface_hub 2 reads it."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from airgap.format.inventory import File, Item, make_item
from airgap.format.limits import MIB
from airgap.store.hugging_face_record import Record, complete_record, read_record, record_path
from airgap.store.install_paths import InstallPath
from tests.support import stores

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
FILES = {"config.json": b"{}", "onnx/model.onnx": b"weights"}
BY_HUB = {"size": 2, "blob_id": "of the hub"}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def target(cache: Path) -> InstallPath:
    final = cache / "models--org--mini" / "snapshots" / COMMIT
    return InstallPath(final, cache, None, may_hold_more=True)


def installed(cache: Path, files: dict[str, bytes]) -> Item:
    stores.write_files(target(cache).final, files)
    return make_item(
        "hugging-face",
        "org--mini",
        COMMIT,
        [
            File(path, executable=False, size=len(data), digest=sha256(data), chunks=())
            for path, data in files.items()
        ],
    )


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def complete(cache: Path, files: dict[str, bytes]) -> None:
    complete_record(installed(cache, files), target(cache), lambda: cache / "part")


def path_of(cache: Path) -> Path:
    return record_path(cache / "models--org--mini", COMMIT)


def recorded(cache: Path) -> dict[str, dict[str, object]]:
    document = json.loads(path_of(cache).read_bytes())
    assert document["format_version"] == 1
    files: dict[str, dict[str, object]] = document["files"]
    return files


def test_a_file_is_recorded_as_git_has_it(cache: Path) -> None:
    complete(cache, FILES)

    # as `git hash-object` has them
    assert recorded(cache) == {
        "config.json": {"size": 2, "blob_id": "9e26dfeeb6e641a33dae4961196235bdb965b21b"},
        "onnx/model.onnx": {"size": 7, "blob_id": "3ab313fff6f41bb35969cd359e9ddfb8033b3ac2"},
    }


def test_a_large_file_is_recorded_as_git_lfs_has_it(cache: Path) -> None:
    data = bytes(10 * MIB + 1)

    complete(cache, {"w": data})

    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(data).hex()}\n"
        f"size {len(data)}\n"
    ).encode()
    blob = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()  # noqa: S324  (git's)
    assert recorded(cache)["w"] == {
        "size": len(data),
        "blob_id": blob,
        "lfs_sha256": sha256(data).hex(),
        "lfs_size": len(data),
    }


def test_what_is_recorded_stays_and_what_is_not_comes_in(cache: Path) -> None:
    more = {"config.json": BY_HUB, "not fetched.bin": BY_HUB}
    document = {"format_version": 1, "files": more}
    stores.write_files(path_of(cache).parent, {path_of(cache).name: json.dumps(document).encode()})

    complete(cache, FILES)

    assert recorded(cache).keys() == {"config.json", "not fetched.bin", "onnx/model.onnx"}
    assert recorded(cache)["config.json"] == BY_HUB


def test_a_record_of_the_hub_stays_a_complete_one(cache: Path) -> None:
    document = {"format_version": 1, "files": {"config.json": BY_HUB}}
    stores.write_files(path_of(cache).parent, {path_of(cache).name: json.dumps(document).encode()})
    assert read_record(path_of(cache)) == Record(frozenset({"config.json"}), is_complete=True)

    complete(cache, FILES)

    assert read_record(path_of(cache)) == Record(frozenset(FILES), is_complete=True)


def test_a_record_of_an_import_never_becomes_a_complete_one(cache: Path) -> None:
    for files in (FILES, {"tokenizer.json": b"[]"}):
        complete(cache, files)

        assert not read_record(path_of(cache)).is_complete

    assert read_record(path_of(cache)).files == {*FILES, "tokenizer.json"}


def test_a_record_that_has_all_files_is_not_written_again(cache: Path) -> None:
    complete(cache, FILES)
    before = path_of(cache).stat()

    complete(cache, FILES)

    assert path_of(cache).stat() == before
    assert not (cache / "part").exists()


def test_files_that_another_bento_took_are_recorded_too(cache: Path) -> None:
    complete(cache, FILES)
    path_of(cache).unlink()

    complete(cache, {"tokenizer.json": b"[]"})

    assert recorded(cache).keys() == {*FILES, "tokenizer.json"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"format_version": 1}',
        b'{"format_version": 1, "files": []}',
        b'{"format_version": 1, "files": {"config.json": {"size": 2}}}',
        b'{"format_version": 1, "files": {"a": {"size": 2, "blob_id": "", "xet_hash": "x"}}}',
        b"[" * 100_000,
    ],
)
def test_a_record_that_huggingface_hub_would_not_use_is_made_anew(data: bytes, cache: Path) -> None:
    stores.write_files(path_of(cache).parent, {path_of(cache).name: data})

    complete(cache, FILES)

    assert recorded(cache).keys() == FILES.keys()


def test_a_record_in_a_newer_form_is_left_alone(cache: Path) -> None:
    newer = b'{"format_version": 2, "files": []}'
    stores.write_files(path_of(cache).parent, {path_of(cache).name: newer})

    complete(cache, FILES)

    assert path_of(cache).read_bytes() == newer


@pytest.mark.parametrize("linked", ["trees", "record"])
def test_a_link_is_left_alone_and_not_followed(linked: str, cache: Path, tmp_path: Path) -> None:
    record, outside = path_of(cache), tmp_path / "outside"
    text = json.dumps({"format_version": 1, "files": {"other": BY_HUB}}).encode()
    stores.write_files(outside, {record.name: text})
    if linked == "trees":
        record.parent.parent.mkdir(parents=True)
        record.parent.symlink_to(outside)
    else:
        record.parent.mkdir(parents=True)
        record.symlink_to(outside / record.name)

    complete(cache, FILES)

    assert (outside / record.name).read_bytes() == text
    assert [path.name for path in outside.iterdir()] == [record.name]
    assert read_record(record).files == frozenset()


def test_a_fifo_in_place_of_a_record_is_left_alone(cache: Path) -> None:
    path_of(cache).parent.mkdir(parents=True)
    os.mkfifo(path_of(cache))

    complete(cache, FILES)

    assert path_of(cache).is_fifo()
    assert read_record(path_of(cache)).files == frozenset()


@pytest.mark.bentoml
def test_huggingface_hub_reads_the_record(cache: Path) -> None:
    from huggingface_hub import get_cached_repo_tree

    complete(cache, {**FILES, "w": bytes(10 * MIB + 1)})

    entries = get_cached_repo_tree("org/mini", revision=COMMIT, cache_dir=cache)

    assert {entry.path: entry.size for entry in entries} == {
        "config.json": 2,
        "onnx/model.onnx": 7,
        "w": 10 * MIB + 1,
    }


@pytest.mark.parametrize("data", [b'{"files": [1, 2]}', b'{"files": "abc"}', b'{"files": 7}'])
def test_a_record_of_another_form_names_no_files(data: bytes, tmp_path: Path) -> None:
    path = record_path(tmp_path, COMMIT)
    stores.write_files(path.parent, {path.name: data})
    assert read_record(path) == Record(frozenset(), is_complete=False)
