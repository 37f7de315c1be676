"""Images travel with their digests: from layouts, OCI archives, `docker save`, another import."""

import gzip
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    MissingError,
    StorageError,
    UsageError,
)
from airgap.flow.exporting.images import make_source, parse_image, parse_platforms
from airgap.store.item_kind import Source
from airgap.store.source_tree import read_stable
from tests.support import closure_items, oci_images, refusals, stores
from tests.support.closure_items import hex_of
from tests.support.sides import Side, Site

LAYERS = (stores.noise(70_000), b"second layer")
AMD, AMD_BLOBS = oci_images.image_for("amd64", *LAYERS)
ARM, ARM_BLOBS = oci_images.image_for("arm64", LAYERS[1])
SUBJECT = {"vnd__docker__reference__digest": f"sha256:{hex_of(AMD)}"}
PROOF, PROOF_BLOBS = oci_images.image_for("unknown", b"in-toto")
INDEX = oci_images.index_of(
    (AMD, "linux/amd64"), (ARM, "linux/arm64/v8"), (PROOF, "unknown/unknown"), **SUBJECT
)
ALL_BLOBS = [INDEX, *AMD_BLOBS, *ARM_BLOBS, *PROOF_BLOBS]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    item = closure_items.image_of(
        INDEX, ALL_BLOBS, "registry.example/shop:1", media_type=closure_items.INDEX_TYPE
    )
    return oci_images.write_layout(tmp_path / "layout", item)


def made(text: str | Path, tmp_path: Path, platforms: Sequence[str] = ()) -> Source:
    private = tempfile.mkdtemp(dir=tmp_path)
    return make_source(parse_image(str(text)), parse_platforms(platforms), Path(private))


def blobs_of(source: Source) -> dict[str, bytes]:
    return {file.path: b"".join(read_stable(file)) for file in source.tree.files}


def named(*blobs: bytes) -> set[str]:
    return {"index.json", "oci-layout", *(f"blobs/sha256/{hex_of(blob)}" for blob in blobs)}


def test_a_layout_is_installed_as_it_is_and_travels_on(
    small: Side, isolated: Side, site: Site, layout: Path, tmp_path: Path
) -> None:
    options = ("--key", site.key(), "-o", tmp_path / "depot", "--json")

    first = small.run("export", "shop:v1", "--image", layout, *options)
    again = small.run("export", "shop:v1", "--image", f"{layout}:1", *options)
    imported = isolated.run("import", tmp_path / "depot")

    assert first.code == 0, first.err
    assert again.json["bundle"] == first.json["bundle"]
    assert imported.code == 0, imported.err
    version = oci_images.version_of(INDEX, ALL_BLOBS)
    installed = isolated.bentoml / "images/shop" / version
    for blob in ALL_BLOBS:
        assert (installed / "blobs/sha256" / hex_of(blob)).read_bytes() == blob
    (image,) = json.loads((installed / "index.json").read_bytes())["manifests"]
    assert image["annotations"]["org.opencontainers.image.ref.name"] == "registry.example/shop:1"
    onward = ("export", "--image", f"shop:{installed.name}", "--key", site.key(), "--json")
    ran = isolated.run(*onward, "-o", tmp_path / "onward.airgap")
    assert ran.code == 0, ran.err
    assert [item["kind"] for item in ran.json["items"]] == ["image"]


def test_an_image_needs_no_bento_and_no_copy(layout: Path, tmp_path: Path) -> None:
    source = made(layout, tmp_path)

    assert source.version == oci_images.version_of(INDEX, ALL_BLOBS)
    assert blobs_of(source).keys() == named(*ALL_BLOBS)
    kept = {Path(file.location).parent for file in source.tree.files if file.path[:5] == "blobs"}
    assert kept == {layout / "blobs/sha256"}


def test_an_archive_of_a_layout_is_read_in_place(layout: Path, tmp_path: Path) -> None:
    members = {
        path.relative_to(layout).as_posix(): path.read_bytes()
        for path in layout.rglob("*")
        if path.is_file()
    }
    archive = tmp_path / "shop.tar"
    archive.write_bytes(oci_images.tar_of(members))

    source = made(archive, tmp_path)

    assert blobs_of(source) == blobs_of(made(layout, tmp_path))
    layer = next(file for file in source.tree.files if file.size == len(LAYERS[0]))
    assert layer.location == str(archive)


def test_a_platform_leaves_the_others_out(layout: Path, tmp_path: Path) -> None:
    arm = made(layout, tmp_path, ["linux/arm64"])
    amd = made(layout, tmp_path, ["linux/amd64"])

    assert blobs_of(arm).keys() == named(INDEX, *ARM_BLOBS)
    assert blobs_of(amd).keys() == named(INDEX, *AMD_BLOBS, *PROOF_BLOBS)  # it is about this one
    whole = oci_images.version_of(INDEX, ALL_BLOBS)
    assert arm.version == oci_images.version_of(INDEX, [INDEX, *ARM_BLOBS])
    assert len({arm.version, amd.version, whole}) == 3
    assert arm.notes == (
        "The image registry.example/shop:1 is carried for linux/arm64/v8, without linux/amd64.",
    )
    with pytest.raises(MissingError, match="linux/s390x") as refused:
        made(layout, tmp_path, ["linux/s390x"])
    assert "there is linux/amd64" in refused.value.details


def test_what_is_carried_of_an_index_is_imported(
    small: Side, isolated: Side, site: Site, layout: Path, tmp_path: Path
) -> None:
    options = ("--image", layout, "--platform", "linux/arm64", "--key", site.key())
    done = small.run("export", *options, "-o", tmp_path / "depot")
    assert done.code == 0, done.err
    assert "without linux/amd64" in done.err
    imported = isolated.run("import", tmp_path / "depot")
    assert imported.code == 0, imported.err


def test_bundles_with_other_platforms_or_another_name_of_one_image_are_no_conflict(
    small: Side, isolated: Side, site: Site, layout: Path, tmp_path: Path
) -> None:
    retagged = closure_items.image_of(
        INDEX, ALL_BLOBS, "registry.example/shop:2", media_type=closure_items.INDEX_TYPE
    )
    oci_images.write_layout(tmp_path / "retagged", retagged)
    exports: list[tuple[str | Path, ...]] = [
        (layout, "--platform", "linux/arm64"),
        (layout, "--platform", "linux/amd64"),
        (layout,),
        (tmp_path / "retagged",),
    ]
    for number, words in enumerate(exports):
        depot = tmp_path / f"depot{number}"
        done = small.run("export", "--image", *words, "--key", site.key(), "-o", depot)
        assert done.code == 0, done.err
        imported = isolated.run("import", depot)
        assert imported.code == 0, imported.err

    listed = isolated.run("image", "list", "--json").json["images"]
    assert {image["digest"] for image in listed} == {f"sha256:{hex_of(INDEX)}"}
    assert sorted(map(len, (image["platforms_left_out"] for image in listed))) == [0, 0, 1, 1]
    layers = isolated.bentoml.glob(f"images/shop/*/blobs/sha256/{hex_of(LAYERS[1])}")
    assert len({layer.stat().st_ino for layer in layers}) == 1  # no blob is there twice


def test_an_installed_image_travels_on_for_one_platform(
    small: Side, isolated: Side, site: Site, layout: Path, tmp_path: Path
) -> None:
    small.run("export", "--image", layout, "--key", site.key(), "-o", tmp_path / "depot")
    assert isolated.run("import", tmp_path / "depot").code == 0

    onward = ("export", "--image", "shop", "--platform", "linux/arm64", "--key", site.key())
    ran = isolated.run(*onward, "-o", tmp_path / "onward", "--json")

    assert ran.code == 0, ran.err
    version = oci_images.version_of(INDEX, [INDEX, *ARM_BLOBS])
    assert [item["tag"] for item in ran.json["items"]] == [f"shop:{version}"]


def test_docker_save_gives_the_same_image_each_time(tmp_path: Path) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(oci_images.docker_archive(LAYERS))
    config = oci_images.config_of(*LAYERS)
    manifest = closure_items.manifest(config, *LAYERS)

    source = made(archive, tmp_path)

    assert source.name == "shop"
    reference = "registry.example/team/shop:1.4"
    assert source.version == oci_images.version_of(manifest, [], reference)
    assert blobs_of(source).keys() == named(manifest, config, *LAYERS)


def test_layers_of_docker_save_may_be_links_and_compressed(tmp_path: Path) -> None:
    packed = gzip.compress(LAYERS[0], mtime=0)
    archive = tmp_path / "saved.tar"
    links: dict[str, bytes | str | None] = {"0/layer.tar": "../real.tar", "real.tar": packed}
    archive.write_bytes(oci_images.docker_archive([packed, LAYERS[1]], members=links))

    blobs = blobs_of(made(archive, tmp_path))

    assert blobs[f"blobs/sha256/{hex_of(packed)}"] == packed
    manifest = next(data for data in blobs.values() if b'"config":{' in data)
    assert [layer["mediaType"] for layer in json.loads(manifest)["layers"]] == [
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar",
    ]


def test_one_of_several_images_is_named(tmp_path: Path) -> None:
    layout = tmp_path / "many"
    both = [
        {
            **closure_items.descriptor(top, closure_items.MANIFEST_TYPE),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        for top, tag in ((AMD, "1.0"), (ARM, "registry.example/other:2"))
    ]
    item = closure_items.image_of(AMD, [*AMD_BLOBS, *ARM_BLOBS])
    oci_images.write_layout(layout, item)
    (layout / "index.json").write_bytes(json.dumps({"manifests": both}).encode())

    assert made(f"{layout}:1.0", tmp_path).name == "many"
    assert made(f"{layout}:registry.example/other:2", tmp_path).name == "other"
    with pytest.raises(UsageError, match="2 images") as several:
        made(layout, tmp_path)
    assert several.value.details == ("there is many:1.0", "there is registry.example/other:2")
    with pytest.raises(MissingError, match="no image '3'"):
        made(f"{layout}:3", tmp_path)


def change(layout: Path, blob: bytes, new: bytes | None) -> None:
    path = layout / "blobs/sha256" / hex_of(blob)
    path.unlink()
    if new is not None:
        path.write_bytes(new)


@pytest.mark.parametrize(
    ("blob", "new", "error", "why"),
    [
        (AMD, None, MissingError, "names images that are not there"),
        (AMD, AMD.replace(b"sha256", b"sha512"), CorruptError, "is damaged"),
        (LAYERS[1], None, MissingError, "is missing"),
        (LAYERS[1], b"short", CorruptError, r"is damaged \(5 bytes, expected 12\)"),
        (INDEX, b"x" * (5 << 20), CorruptError, r"5,242,880 bytes"),
    ],
)
def test_a_layout_that_is_incomplete_is_refused_before_it_is_packed(
    blob: bytes, new: bytes | None, error: type[AirgapError], why: str, layout: Path, tmp_path: Path
) -> None:
    change(layout, blob, new)
    with pytest.raises(error, match=why):
        made(layout, tmp_path, ["linux/amd64"])


def test_a_layer_under_a_wrong_name_is_found_while_it_is_read(
    small: Side, site: Site, layout: Path, tmp_path: Path
) -> None:
    change(layout, LAYERS[0], LAYERS[0][:-1] + b"?")

    words = ("export", "--image", layout, "--key", site.key(), "-o", tmp_path / "depot")
    done = refusals.expect_refusal(small, *words, error=CorruptError)

    assert f"The blob {hex_of(LAYERS[0])} in {layout}" in done.err
    assert not list((tmp_path / "depot").glob("bundles/*/manifest*"))


def test_an_installed_image_that_was_damaged_does_not_travel(
    small: Side, isolated: Side, site: Site, layout: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "shop.airgap"
    assert small.run("export", "--image", layout, "--key", site.key(), "-o", bundle).code == 0
    assert isolated.run("import", bundle).code == 0
    (installed,) = (isolated.bentoml / "images/shop").iterdir()
    change(installed, LAYERS[1], b"second LAYER")

    words = ("export", "--image", "shop", "--key", site.key())
    done = refusals.expect_refusal(
        isolated, *words, "-o", isolated.top / "onward.airgap", error=CorruptError
    )

    assert "is damaged" in done.err


@pytest.mark.parametrize(
    ("members", "paths", "why"),
    [
        ({"0/layer.tar": b"evil"}, None, "is damaged"),
        ({"0/layer.tar": None}, None, "lacks '0/layer.tar'"),
        ({"0/layer.tar": "../../../etc/passwd"}, None, "lacks"),
        ({}, ["/etc/passwd", "../x"], "lacks '/etc/passwd'|is damaged"),
        ({"config.json": None}, None, "lacks 'config.json'"),
        ({"config.json": b"{}"}, None, "names no layers"),
        ({"config.json": b"[" * 100_000}, None, "not a valid document"),
        ({"manifest.json": b'[{"Config":1,"Layers":[]}]'}, None, "malformed"),
        ({"manifest.json": b'[{"Config":"config.json","Layers":[]}]'}, None, "0 layers"),
        ({"manifest.json": b"["}, None, "not a valid document"),
    ],
)
def test_an_archive_of_docker_that_does_not_fit_is_refused(
    members: dict[str, bytes | str | None], paths: list[str] | None, why: str, tmp_path: Path
) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(oci_images.docker_archive(LAYERS, members=members, paths=paths))
    with pytest.raises(CorruptError, match=why):
        made(archive, tmp_path)


def test_what_is_neither_file_nor_reference_says_how_to_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain.tar"
    plain.write_bytes(oci_images.tar_of({"a": b""}))
    monkeypatch.setenv("PATH", str(tmp_path))
    for text, error, why in [
        (str(plain), UsageError, "holds no image"),
        (str(tmp_path / "none"), MissingError, "is not there"),
        ("python:3.11", UsageError, "does not name a registry"),
        ("registry.example/shop:1", ConfigurationError, "skopeo is not installed"),
        ("docker://registry.example/shop:1", ConfigurationError, "skopeo is not installed"),
    ]:
        with pytest.raises(error, match=why):
            made(text, tmp_path)


def test_an_archive_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(oci_images.docker_archive(LAYERS))
    source = made(archive, tmp_path)
    with archive.open("ab") as file:
        file.write(b"\0")
    layer = next(file for file in source.tree.files if file.size == len(LAYERS[0]))
    with pytest.raises(StorageError, match="changed"):
        list(read_stable(layer))
