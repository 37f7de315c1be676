"""Export with Python packages: real uv and pip, and an index on the loopback."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap.format.wheelhouse import Wheelhouse
from airgap.store.item_kind import Reference
from airgap.store.kinds import find_kind
from airgap.store.wheelhouses import digest_requirements, list_wheelhouses
from tests.support import stores
from tests.support.package_index import PackageIndex, make_sdist, make_wheel, serve
from tests.support.sides import Ran, Side, Site

GLIBC = "cp311-manylinux_2_28_x86_64"
MUSL = "cp310-musllinux_1_2_aarch64"
ARM_TAG = "cp310-cp310-musllinux_1_2_aarch64"
X86_TAG = "cp311-cp311-manylinux_2_17_x86_64"

WHEELS = dict(
    [
        make_wheel("pip", "99.0"),
        make_wheel(
            "app", "2.0", requires=['old; python_version < "3.11"', "native", "quick[fast]"]
        ),
        make_wheel("app", "3.0"),
        make_wheel("old", "1.5"),
        make_wheel("native", "1.0", X86_TAG),
        make_wheel("native", "1.0", "cp311-cp311-manylinux_2_34_x86_64"),
        make_wheel("native", "1.0", ARM_TAG),
        make_wheel("quick", requires=['speed; extra == "fast"']),
        make_wheel("speed"),
        make_wheel("helper", "4.0"),
        make_wheel("secret", "1.0"),
        make_wheel("onlyarm", "1.0", ARM_TAG),
    ]
)
INHOUSE, INHOUSE_WHEEL = make_wheel("inhouse", "1.2", requires=["helper"])
LOCK = b"app==2.0\nnative==1.0\nquick==1.0\nspeed==1.0\nhelper==4.0\n"


def add_bento(
    side: Side,
    tag: str,
    asked: bytes,
    lock: bytes,
    *,
    index: str = "",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Put a Bento with an image into a store; its lock names the index."""
    line = f"--index-url {index}\n\n".encode() if index else b""
    folder = stores.add_bento(
        side,
        tag,
        {
            "env/python/requirements.in": asked,
            "env/python/requirements.txt": line + lock,
            "src/service.py": b"pass\n",
            **(files or {}),
        },
    )
    with (folder / "bento.yaml").open("a") as description:
        description.write("image:\n  python_version: '3.11'\n  base_image: python:3.11-slim\n")
    return folder


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    """An index with small packages, one of which is private, and lies on another host."""
    sdists = dict(
        [make_sdist("sourceonly"), make_sdist("nativesource", tag="cp311-cp311-linux_x86_64")]
    )
    made = PackageIndex(
        {**WHEELS, **sdists}, private=frozenset({"secret"}), redirected=frozenset({"secret"})
    )
    with serve(made):
        yield made


@pytest.fixture(autouse=True)
def no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let uv and pip remember nothing of other tests."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def export(side: Side, site: Site, depot: Path, *options: str | Path) -> Ran:
    return side.run("export", *options, "--with-env", "--key", site.key(), "-o", depot, "--json")


def names(wheelhouse: Wheelhouse) -> list[str]:
    return [package.file for package in wheelhouse.packages]


@dataclass
class Story:
    """One export for two targets, and the same again."""

    side: Side
    depot: Path
    first: Ran
    again: Ran
    asked_again: Sequence[tuple[str, str, str | None]]


@pytest.fixture(scope="module")
def story(index: PackageIndex, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Export a Bento with a local wheel for two targets."""
    top = tmp_path_factory.mktemp("story")
    side = Side(top / "side")
    asked = b"app\n./wheels/" + INHOUSE.encode() + b"\n"
    lock = LOCK + b"./wheels/" + INHOUSE.encode() + b"\n"
    local = {f"src/wheels/{INHOUSE}": INHOUSE_WHEEL}
    add_bento(side, "shop:v1", asked, lock, index=index.url, files=local)
    options = ("shop:v1", "--target", GLIBC, "--target", MUSL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(top / "uv"))
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        first = export(side, site, top / "depot", *options)
        assert first.code == 0, first.err
        index.requests.clear()
        patch.setenv("PATH", "")  # nor is a program needed
        again = export(side, site, top / "depot", *options)
    return Story(side, top / "depot", first, again, list(index.requests))


def installed(side: Side, target: str) -> Wheelhouse:
    with side.here():
        (found,) = [
            one.wheelhouse for one in list_wheelhouses() if str(one.wheelhouse.target) == target
        ]
    return found


def test_each_target_gets_what_its_markers_and_tags_say(story: Story) -> None:
    glibc, musl = installed(story.side, GLIBC), installed(story.side, MUSL)
    assert names(glibc) == [
        *("app-2.0-py3-none-any.whl", "helper-4.0-py3-none-any.whl", INHOUSE),
        *(f"native-1.0-{X86_TAG}.whl", "quick-1.0-py3-none-any.whl", "speed-1.0-py3-none-any.whl"),
    ]
    assert names(musl) == [
        *("app-2.0-py3-none-any.whl", "helper-4.0-py3-none-any.whl", INHOUSE),
        *(f"native-1.0-{ARM_TAG}.whl", "old-1.5-py3-none-any.whl"),
        *("quick-1.0-py3-none-any.whl", "speed-1.0-py3-none-any.whl"),
    ]
    assert [tool.file for tool in glibc.tools] == ["pip-99.0-py3-none-any.whl"]
    assert glibc.indexes == ("127.0.0.1",)


def test_what_airgap_chose_is_told(story: Story) -> None:
    assert (installed(story.side, GLIBC).locked, installed(story.side, MUSL).locked) == (
        True,
        False,
    )
    assert "airgap chose old 1.5." in story.first.err
    assert story.first.err.count("airgap chose") == 1


def test_the_bento_leads_to_its_wheelhouses(story: Story) -> None:
    with story.side.here():
        tree = find_kind("bento").scan(Reference("bento", "shop", "v1")).tree
        found = list(list_wheelhouses(digest_requirements(tree)))
    assert len(found) == 2


def test_the_same_export_asks_no_index_and_adds_nothing(story: Story) -> None:
    assert story.again.code == 0, story.again.err
    assert story.asked_again == []
    assert story.again.json["bundle"] == story.first.json["bundle"]
    assert story.again.json["packs_written"] == 0


def test_nothing_is_left_in_staging(story: Story) -> None:
    assert not (story.side.bentoml / ".airgap").exists()


def test_equal_wheels_of_two_targets_are_one_file(story: Story) -> None:
    links = {
        path.stat().st_ino
        for path in story.side.bentoml.glob("wheelhouses/*/*/wheels/app-2.0-py3-none-any.whl")
    }
    assert len(links) == 1


def test_an_importer_gets_every_wheel(story: Story, isolated: Side) -> None:
    imported = isolated.run("import", story.depot)
    assert imported.code == 0, imported.err
    for target in (GLIBC, MUSL):
        assert installed(isolated, target) == installed(story.side, target)
    for wheel in isolated.bentoml.glob("wheelhouses/*/*/wheels/*.whl"):
        assert wheel.read_bytes() == {**WHEELS, INHOUSE: INHOUSE_WHEEL}[wheel.name]
