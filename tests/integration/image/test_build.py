"""`airgap image build`: base, packages and Bento put together, the same digest each time."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, MissingError, PolicyError, UsageError
from tests.support import oci_images, refusals
from tests.support.closure_items import hex_of
from tests.support.image_builds import (
    IMAGE,
    ROOT,
    add_bento,
    base_layout,
    install_wheelhouse,
)
from tests.support.sides import Ran, Side


@pytest.fixture
def ready(isolated: Side) -> Side:
    add_bento(isolated)
    install_wheelhouse(isolated)
    return isolated


def build(side: Side, base: Path | str, *options: str) -> Ran:
    return side.run("image", "build", "shop:v1", "--base", base, *options, "--json")


def refuse(side: Side, base: Path | str, *options: str, error: type[AirgapError]) -> Ran:
    words = ("image", "build", "shop:v1", "--base", base, *options)
    return refusals.expect_refusal(side, *words, error=error)


def opened(side: Side, built: Ran) -> tuple[dict[str, object], list[dict[str, tarfile.TarInfo]]]:
    """The configuration, and the members of each layer, from the installed image."""
    folder = Path(built.json["path"])
    assert folder.parent == side.bentoml / "images/shop"
    blobs = folder / "blobs/sha256"
    digest = built.json["digest"].removeprefix("sha256:")
    index = (folder / "index.json").read_bytes()
    assert folder.name == hex_of(index)[:32]
    assert digest.encode() in index
    manifest = json.loads((blobs / digest).read_bytes())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
    layers = []
    for layer, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = (blobs / layer["digest"][7:]).read_bytes()
        assert hex_of(data) == layer["digest"][7:]
        plain = gzip.decompress(data) if "gzip" in layer["mediaType"] else data
        assert f"sha256:{hex_of(plain)}" == diff
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            layers.append({member.name: member for member in archive})
    return config, layers


def test_an_image_is_the_same_each_time(ready: Side, tmp_path: Path) -> None:
    base = base_layout(tmp_path / "base")

    first = build(ready, base)
    shutil.rmtree(ready.bentoml / "images")
    again = build(ready, base)
    third = build(ready, base)

    assert first.code == 0, first.err
    assert first.json == again.json == third.json
    assert [path.name for path in (ready.bentoml / "images/shop").iterdir()] == [
        first.json["image"].partition(":")[2]
    ]
    assert first.json["base"] == "example.org/python:3.11"


def test_layers_hold_packages_bento_and_models(ready: Side, tmp_path: Path) -> None:
    config, (_, packages, bento) = opened(ready, build(ready, base_layout(tmp_path / "base")))

    venv = "app/.venv"
    assert packages[f"{venv}/bin/python"].linkname == "/usr/local/bin/python3.11"
    assert packages[f"{venv}/bin/activate"].isfile()
    assert packages[f"{venv}/lib/python3.11/site-packages/tiny.py"].uid == 0
    top = "home/bentoml/bento"
    assert bento[f"{top}/src/service.py"].uid == 1034
    assert bento[f"{top}/env/docker/entrypoint.sh"].mode == 0o755
    assert bento[f"{top}/models/weights/w1/weights.bin"].size == 5
    assert not [path for path in bento if "__pycache__" in path]
    assert {member.mtime for layer in (packages, bento) for member in layer.values()} == {315532800}
    assert bento["home"].uid == 0
    assert bento["home/bentoml"].uid == bento["home/bentoml/bento"].uid == 1034
    run = config["config"]
    assert isinstance(run, dict)
    assert run["Entrypoint"] == ["/home/bentoml/bento/env/docker/entrypoint.sh"]
    assert (run["User"], run["WorkingDir"]) == ("1034:1034", "/home/bentoml/bento")
    assert "Cmd" not in run
    variables = dict(text.split("=", 1) for text in run["Env"])
    assert variables["PATH"] == "/app/.venv/bin:/usr/local/bin:/bin"
    assert variables["BASE"] == "yes"
    assert variables["COLOR"] == "red"
    assert not {"SECRET", "LATER"} & set(variables)


@pytest.mark.parametrize(
    "history",
    [None, [], [{"created_by": "a"}], [{"created_by": "a"}, {"created_by": "b"}]],
    ids=["none", "empty", "whole", "longer"],
)
def test_the_history_has_an_entry_for_each_layer(
    history: list[dict[str, str]] | None, ready: Side, tmp_path: Path
) -> None:
    layout = base_layout(tmp_path / "base", history=history)
    config, layers = opened(ready, build(ready, layout))
    told = config["history"]
    assert isinstance(told, list)
    assert len([entry for entry in told if not entry.get("empty_layer")]) == len(layers)
    assert (told[0]["created_by"] == "a") == (history is not None and len(history) == 1)


def test_the_user_is_added_to_the_files_of_the_base(ready: Side, tmp_path: Path) -> None:
    built = build(ready, base_layout(tmp_path / "base", packed=True))
    blobs = Path(built.json["path"]) / "blobs/sha256"
    texts = [path.read_bytes() for path in blobs.iterdir()]
    line = b"root:x:0:0:root:/root:/bin/bash\nbentoml:x:1034:1034::/home/bentoml:/bin/sh\n"
    assert any(line in text for text in texts)


def test_a_built_image_travels_and_builds_on(ready: Side, tmp_path: Path) -> None:
    layout = base_layout(tmp_path / "base")
    built = build(ready, layout)
    saved = tmp_path / "shop.tar"
    assert ready.run("image", "save", "shop", saved).code == 0
    assert ready.run("image", "list").out.startswith(built.json["image"])
    assert build(ready, saved).json["base"] == "shop:v1"
    assert build(ready, built.json["image"]).json["base"] == "shop:v1"


@pytest.mark.parametrize(
    ("extra", "step"),
    [
        (IMAGE.replace("post_commands: []", "post_commands: ['pip install x']"), "pip install x"),
        (IMAGE.replace("commands: ['", "commands: ['echo hi', '", 1), "echo hi"),
        (
            IMAGE.replace("git']", "git', 'apt-get install -q -y libgomp1']"),
            "apt-get install -q -y libgomp1",
        ),
        (IMAGE.replace("git']", "git libgomp1']"), "apt-get update && apt-get install"),
        ("docker: {system_packages: [libgomp1, git]}\n", "system packages: libgomp1 git"),
        ("docker: {setup_script: ./setup.sh}\n", "setup_script: ./setup.sh"),
        ("docker: {dockerfile_template: ./T}\n", "dockerfile_template: ./T"),
        ("conda: {dependencies: [numpy]}\n", "packages of conda"),
    ],
)
def test_what_must_be_run_is_named(extra: str, step: str, ready: Side, tmp_path: Path) -> None:
    add_bento(ready, extra)
    refused = refuse(ready, base_layout(tmp_path / "base"), error=PolicyError)
    assert "that must be run" in refused.err
    assert step in refused.err
    assert not (ready.bentoml / "images").exists()


def test_an_older_bento_says_its_python_in_a_file(ready: Side, tmp_path: Path) -> None:
    add_bento(
        ready, "docker: {env: {COLOR: blue}, system_packages: null}\nconda: {channels: null}\n"
    )
    built = build(ready, base_layout(tmp_path / "base"))
    assert built.code == 0, built.err
    config, _ = opened(ready, built)
    assert "COLOR=blue" in config["config"]["Env"]  # type: ignore[index]


WHITEOUT = oci_images.tar_of({"usr/local/bin/.wh.python3.11": b""})


@pytest.mark.parametrize(
    ("root", "more", "why"),
    [
        ({"bin/bash": b""}, [], "has no python3.11"),
        ({"usr/bin/python3.11": b""}, [], "has no bash"),
        (ROOT, [WHITEOUT], "has no python3.11"),
        (ROOT, [oci_images.tar_of({"usr/.wh..wh..opq": b""})], "has no python3.11"),
        ({**ROOT, "lib/ld-musl-x86_64.so.1": b""}, [], "has musl"),
    ],
)
def test_a_base_that_lacks_something_is_refused(
    root: Mapping[str, bytes], more: list[bytes], why: str, ready: Side, tmp_path: Path
) -> None:
    layout = base_layout(tmp_path / "base", root, *more)
    refused = refuse(ready, layout, error=MissingError)
    assert why in refused.err


def test_a_file_that_a_higher_layer_brings_back_is_there(ready: Side, tmp_path: Path) -> None:
    again = oci_images.tar_of({"usr/local/bin/python3.11": b""})
    assert build(ready, base_layout(tmp_path / "base", ROOT, WHITEOUT, again)).code == 0


def test_packages_and_base_are_for_the_same_machine(ready: Side, tmp_path: Path) -> None:
    arm = base_layout(tmp_path / "arm", architecture="arm64")
    assert "is for linux/arm64" in refuse(ready, arm, error=MissingError).err
    install_wheelhouse(ready, "cp311-manylinux_2_28_aarch64")
    several = refuse(ready, arm, error=UsageError)
    assert "there is cp311-manylinux_2_28_aarch64:" in several.err
    one = build(ready, arm, "--target", "cp311-manylinux_2_28_aarch64")
    assert one.json["platform"] == "linux/arm64"


def test_without_a_wheelhouse_it_says_how_to_get_one(ready: Side, tmp_path: Path) -> None:
    shutil.rmtree(ready.bentoml / "wheelhouses")
    refused = refuse(ready, base_layout(tmp_path / "base"), error=MissingError)
    assert "--with-env" in refused.err


def test_damage_leaves_no_image(ready: Side, tmp_path: Path) -> None:
    base = base_layout(tmp_path / "base")
    layer = hex_of(oci_images.tar_of(ROOT))
    data = bytearray((base / "blobs/sha256" / layer).read_bytes())
    data[data.index(b"\x7fELF")] ^= 1
    (base / "blobs/sha256" / layer).write_bytes(data)
    damaged = refuse(ready, base, error=CorruptError)
    (wheel,) = ready.bentoml.glob("wheelhouses/*/*/wheels/*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    other = refuse(ready, base_layout(tmp_path / "good"), error=CorruptError)

    assert f"The layer {layer}" in damaged.err
    assert f"{wheel} is damaged" in other.err
    assert not (ready.bentoml / "images").exists()
