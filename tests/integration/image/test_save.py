"""`airgap image save`: what other tools read, the same bytes each time, and nothing half."""

import json
import tarfile
from pathlib import Path

import pytest

from airgap.errors import ConflictError, CorruptError, MissingError
from airgap.flow.exporting.images import make_source, parse_image
from tests.integration.image.test_push import (
    AMD,
    AMD_BLOBS,
    ARM,
    ARM_BLOBS,
    INDEX,
    LAYERS,
)
from tests.support import oci_images, refusals
from tests.support.closure_items import hex_of
from tests.support.oci_images import install
from tests.support.sides import Side


def test_a_saved_image_is_the_same_each_time_and_reads_as_itself(
    isolated: Side, tmp_path: Path
) -> None:
    install(isolated, AMD, AMD_BLOBS)
    for name in ("one.tar", "two.tar", "folder"):
        ran = isolated.run("image", "save", "shop", tmp_path / name, "--json")
        assert ran.code == 0, ran.err
        assert ran.json["digest"] == f"sha256:{hex_of(AMD)}"
        private = tmp_path / f"private-{name}"
        private.mkdir()
        source = make_source(parse_image(str(tmp_path / name)), [], private)
        assert (source.name, source.version) == ("shop", oci_images.version_of(AMD, AMD_BLOBS))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_docker_finds_the_same_blobs(isolated: Side, tmp_path: Path) -> None:
    install(isolated, AMD, AMD_BLOBS)
    saved = tmp_path / "shop.tar"
    assert isolated.run("image", "save", "shop", saved, "--reference", "site/shop:2").code == 0
    with tarfile.open(saved) as archive:
        members = {m.name: (archive.extractfile(m) or saved.open("rb")).read() for m in archive}
    (image,) = json.loads(members["manifest.json"])
    assert image["RepoTags"] == ["site/shop:2"]
    assert [members[path] for path in image["Layers"]] == list(LAYERS)
    assert json.loads(members[image["Config"]])["architecture"] == "amd64"


def test_an_archive_for_docker_has_one_platform(isolated: Side, tmp_path: Path) -> None:
    install(isolated, INDEX, [INDEX, *AMD_BLOBS, *ARM_BLOBS])
    both = refusals.expect_refusal(
        isolated, "image", "save", "shop", isolated.top / "x.tar", error=MissingError
    )
    one = isolated.run("image", "save", "shop", tmp_path / "x.tar", "--platform", "linux/arm64")
    oci = isolated.run("image", "save", "shop", tmp_path / "y.tar", "--format", "oci-archive")

    assert "there is linux/amd64" in both.err
    assert hex_of(ARM) in one.out
    assert hex_of(INDEX) in oci.out


@pytest.mark.parametrize("name", ["x.tar", "folder"])
def test_a_damaged_blob_leaves_nothing(name: str, isolated: Side) -> None:
    tag = install(isolated, AMD, AMD_BLOBS)
    layer = isolated.bentoml / "images" / tag.replace(":", "/") / "blobs/sha256" / hex_of(LAYERS[0])
    layer.write_bytes(b"x" + LAYERS[0][1:])
    (isolated.top / "out").mkdir()

    ran = refusals.expect_refusal(
        isolated, "image", "save", "shop", isolated.top / "out" / name, error=CorruptError
    )

    assert "is damaged" in ran.err


def test_a_folder_that_is_there_is_kept(isolated: Side) -> None:
    install(isolated, AMD, AMD_BLOBS)
    folder = isolated.top / "folder"
    folder.mkdir()
    refusals.expect_refusal(isolated, "image", "save", "shop", folder, error=ConflictError)


def test_an_image_whose_documents_are_damaged_is_listed_as_such(isolated: Side) -> None:
    tag = install(isolated, AMD, AMD_BLOBS)
    folder = isolated.bentoml / "images" / tag.replace(":", "/")
    (folder / "blobs/sha256" / hex_of(AMD)).write_bytes(AMD + b" ")
    assert "DAMAGED: The blob" in isolated.run("image", "list").out
    nothing = isolated.bentoml / "images"
    nothing.rename(isolated.top / "away")
    assert isolated.run("image", "list").out == "This machine has no images.\n"
