"""Push and pull carry what a Bento needs beside its models."""

import hashlib
from pathlib import Path

import pytest

import airgap
from airgap.errors import UsageError
from airgap.format.inventory import File
from airgap.format.wheelhouse import requirements_digest
from tests.support import closure_items, environments, oci_images, refusals, stores
from tests.support.sides import Ran, Side, Site

TARGET = "cp311-manylinux_2_28_x86_64"
AMD, AMD_BLOBS = oci_images.image_for("amd64", b"a layer")


def add_wheelhouse(side: Side, tag: str, requirements: bytes, models: tuple[str, ...] = ()) -> str:
    """Add a Bento, and the wheelhouse that an earlier export made for it; return its tag."""
    stores.add_bento(side, tag, {"env/python/requirements.txt": requirements}, models=models)
    digest = hashlib.sha256(requirements).digest()
    file = File(
        "env/python/requirements.txt",
        executable=False,
        size=len(requirements),
        digest=digest,
        chunks=(),
    )
    item = closure_items.wheelhouse(
        dict([closure_items.wheel()]),
        target=TARGET,
        requirements_digest=requirements_digest([file]),
        tools=dict([environments.quick_pip()]),
    )
    environments.install(side, item)
    return f"{item.name}:{item.version}"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Options for a wheelhouse, a folder and an image."""
    stores.write_files(tmp_path, {"cache/words.txt": b"a b c"})
    layout = oci_images.write_layout(tmp_path / "layout", closure_items.image_of(AMD, AMD_BLOBS))
    return [
        *("--with-env", "--target", TARGET, "--files", f"words={tmp_path}/cache:WORDS"),
        *("--image", str(layout)),
    ]


def kinds(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [item["kind"] for item in ran.json["items"]]


def test_a_push_carries_the_closure_and_a_pull_installs_it(
    connected: Side, isolated: Side, site: Site, words: list[str], tmp_path: Path
) -> None:
    wheelhouse = add_wheelhouse(connected, "shop:v1", b"tiny==1.0\n")
    push = ("push", "shop:v1", tmp_path / "depot", "--key", site.key(), "--json")

    alone = connected.run(*push)
    pushed = connected.run(*push, *words)
    again = connected.run(*push, *words)
    pulled = isolated.run("pull", "shop:v1", f"{tmp_path}/depot#{pushed.json['bundle']}", "--json")

    assert kinds(alone) == ["bento"]
    assert "names 1 Python package, and the bundle does not carry them." in alone.err
    assert kinds(pushed) == ["files", "wheelhouse", "image", "bento"]
    assert again.json["was_there"]
    assert pulled.code == 0, pulled.err
    for path in (f"wheelhouses/{wheelhouse.replace(':', '/')}", "bentos/shop/v1"):
        assert (isolated.bentoml / path).is_dir()
    assert len(list(isolated.bentoml.glob("files/words/*/content/words.txt"))) == 1
    assert len(list(isolated.bentoml.glob("images/*/*/index.json"))) == 1


def test_a_pull_leaves_the_wheelhouses_of_other_bentos(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    add_wheelhouse(connected, "other:v1", b"tiny==1.0 # other\n")
    wheelhouse = add_wheelhouse(connected, "shop:v1", b"tiny==1.0\n")
    options = ("--with-env", "--target", TARGET, "--key", site.key(), "--json")
    exported = connected.run("export", "shop:v1", "other:v1", *options, "-o", tmp_path / "depot")
    assert kinds(exported) == ["wheelhouse", "wheelhouse", "bento", "bento"]

    pulled = isolated.run("pull", "shop:v1", tmp_path / "depot")

    assert pulled.code == 0, pulled.err
    assert [path.name for path in isolated.bentoml.glob("wheelhouses/*/*")] == [
        wheelhouse.partition(":")[2]
    ]
    assert not (isolated.bentoml / "bentos/other").exists()


def test_a_pull_without_models_takes_the_packages(
    connected: Side, isolated: Side, site: Site, words: list[str], tmp_path: Path
) -> None:
    stores.add_model(connected, "ranker:v1", {"weights.bin": b"weights"})
    add_wheelhouse(connected, "shop:v1", b"tiny==1.0\n", models=("ranker:v1",))
    pushed = connected.run("push", "shop:v1", tmp_path / "depot", "--key", site.key(), *words)
    assert pushed.code == 0, pushed.err

    pulled = isolated.run("pull", "shop:v1", tmp_path / "depot", "--no-models")

    assert pulled.code == 0, pulled.err
    there = sorted(path.name for path in isolated.bentoml.glob("[!.]*"))
    assert there == ["bentos", "files", "images", "wheelhouses"]


def test_packages_of_a_model_are_refused(small: Side, site: Site, tmp_path: Path) -> None:
    ran = refusals.expect_refusal(
        small,
        *("push", "--model", "ranker:v1", tmp_path / "depot", "--with-env", "--key", site.key()),
        error=UsageError,
    )
    assert ran.json["error"]["message"] == "--with-env needs a Bento, whose packages travel."


def test_python_pushes_the_closure_too(connected: Side, site: Site, tmp_path: Path) -> None:
    add_wheelhouse(connected, "shop:v1", b"tiny==1.0\n")
    stores.write_files(tmp_path, {"cache/words.txt": b"a b c"})
    with connected.here():
        airgap.push(
            "shop:v1",
            tmp_path / "depot",
            key=site.key(),
            with_env=True,
            targets=[TARGET],
            files=[f"words={tmp_path}/cache"],
        )
        described = airgap.inspect(tmp_path / "depot")
    assert [item["kind"] for item in described["items"]] == ["files", "wheelhouse", "bento"]
