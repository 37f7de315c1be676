"""Folders that travel beside Bentos, for libraries that read them at run time (format §25)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import airgap
from airgap.errors import UsageError
from airgap.flow.exporting.closure import FilesFolder, parse_files
from tests.support import stores
from tests.support.sides import Side, Site

ENCODINGS = {"9b5ad716": stores.noise(300_000), "deep/er/tool": b"#!/bin/sh\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, an executable, a link and an empty folder."""
    made = tmp_path / "cache"
    stores.write_files(made, ENCODINGS)
    (made / "deep/er/tool").chmod(0o755)
    (made / "same").symlink_to("9b5ad716")
    (made / "none").mkdir()
    return made


def test_a_folder_is_installed_once_as_it_is(
    small: Side, isolated: Side, site: Site, folder: Path, tmp_path: Path
) -> None:
    named = f"encodings={folder}:TIKTOKEN_CACHE_DIR"
    options = ("--files", named, "--key", site.key(), "-o", tmp_path / "depot")

    first = small.run("export", "shop:v1", *options, "--json")
    again = small.run("export", "shop:v1", *options, "--json")

    assert first.code == 0, first.err
    assert again.json["bundle"] == first.json["bundle"]
    assert again.json["packs_written"] == 0
    imported = isolated.run("import", tmp_path / "depot")
    assert imported.code == 0, imported.err
    (installed,) = (isolated.bentoml / "files/encodings").iterdir()
    content = installed / "content"
    assert {path: (content / path).read_bytes() for path in ENCODINGS} == ENCODINGS
    assert os.access(content / "deep/er/tool", os.X_OK)
    assert (content / "same").readlink() == Path("9b5ad716")
    assert (content / "none").is_dir()
    assert b'"variable":"TIKTOKEN_CACHE_DIR"' in (installed / "files.json").read_bytes()


def test_python_exports_a_folder_too(small: Side, site: Site, folder: Path, tmp_path: Path) -> None:
    with small.here():
        path = airgap.export_bento(
            "shop:v1", tmp_path / "x.airgap", key=site.key(), files=[f"encodings={folder}"]
        )

    items = small.run("inspect", path, "--json").json["items"]
    assert "files" in [item["kind"] for item in items]


def test_a_folder_travels_alone_and_is_dated_by_its_files(
    small: Side, site: Site, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    stores.write_files(data, {"words.txt": b"a b c"})
    os.utime(data / "words.txt", (1_700_000_000, 1_700_000_000))

    done = small.run(
        "export", "--files", f"nltk={data}", "--key", site.key(), "-o", tmp_path / "depot", "--json"
    )

    assert done.code == 0, done.err
    assert done.json["created_at"] == "2023-11-14T22:13:20Z"
    assert [item["tag"].split(":")[0] for item in done.json["items"]] == ["nltk"]


def lead_out(top: Path) -> None:
    top.mkdir()
    (top / "out").symlink_to("../secret")


def add_fifo(top: Path) -> None:
    top.mkdir()
    os.mkfifo(top / "fifo")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Path.mkdir, "is empty"),
        (lambda _: None, "cannot be read"),
        (lambda top: stores.write_files(top, {"con": b""}), "con"),
        (lead_out, "leads out of"),
        (add_fifo, "neither a file nor a folder"),
    ],
    ids=["empty", "absent", "a name that may not travel", "a link that leads out", "a FIFO"],
)
def test_a_folder_is_refused_before_anything_is_written(
    small: Side,
    site: Site,
    tmp_path: Path,
    make: Callable[[Path], None],
    sentence: str,
) -> None:
    make(tmp_path / "data")
    before = stores.snapshot(small.bentoml)

    done = small.run(
        *("export", "--files", f"nltk={tmp_path / 'data'}"),
        *("--key", site.key(), "-o", tmp_path / "depot"),
    )

    assert done.code != 0
    assert sentence in " ".join(done.err.split())
    assert not (tmp_path / "depot").exists()
    assert stores.snapshot(small.bentoml) == before


def test_a_secret_in_a_folder_is_found(
    small: Side, site: Site, folder: Path, tmp_path: Path
) -> None:
    (folder / "hub.toml").write_text("url = 'https://joe:hunter22@hub.bank/'\n")

    done = small.run(
        "export", "--files", f"a={folder}", "--key", site.key(), "-o", tmp_path / "depot"
    )

    assert done.code == 12
    assert "hub.toml" in done.err
    assert "hunter22" not in done.err


def test_two_folders_cannot_have_one_variable(small: Side, site: Site, folder: Path) -> None:
    done = small.run(
        *("export", "--files", f"a={folder}:NLTK_DATA", "--files", f"b={folder}:NLTK_DATA"),
        *("--key", site.key(), "-o", folder.parent / "depot"),
    )

    assert done.code == 2
    assert "a and b both want the variable NLTK_DATA" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("a=b", FilesFolder("a", Path("b"))),
        ("a=b:NLTK_DATA", FilesFolder("a", Path("b"), "NLTK_DATA")),
        ("a=b=c:d/e", FilesFolder("a", Path("b=c:d/e"))),
        ("a.b-c_1=/b:/c:D", FilesFolder("a.b-c_1", Path("/b:/c"), "D")),
    ],
)
def test_what_a_person_writes(text: str, folder: FilesFolder) -> None:
    assert parse_files(text) == folder


@pytest.mark.parametrize(
    "text",
    ["", "a", "=b", "a=", "a=:NLTK_DATA", "A=b", "a=b:PATH", "a=b:nltk", "a=b:LD_PRELOAD", "a=b:1"],
)
def test_what_cannot_travel_so_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_files(text)
