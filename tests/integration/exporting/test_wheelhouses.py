"""Export with Python packages: real uv and pip, and an index on the loopback."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import airgap
from airgap.errors import MissingError, TransportError, UsageError
from airgap.format.wheelhouse import Wheelhouse
from airgap.store.bento_runtime import digest_requirements
from airgap.store.wheelhouses import list_wheelhouses
from airgap.wheels.choose import ChosenFile
from airgap.wheels.fetch import Fetcher
from airgap.wheels.indexes import Indexes, make_environment
from airgap.wheels.programs import find_programs
from airgap.wheels.resolve import Distribution
from airgap.wheels.targets import read_target
from tests.support import stores
from tests.support.package_index import PackageIndex, make_sdist, make_wheel, serve
from tests.support.refusals import expect_refusal
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
        (found,) = [one.lock for one in list_wheelhouses() if str(one.lock.target) == target]
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
        folder = story.side.bentoml / "bentos" / "shop" / "v1"
        found = list(list_wheelhouses(digest_requirements(folder)))
    assert len(found) == 2


def test_the_same_export_asks_no_index_and_adds_nothing(story: Story) -> None:
    assert story.again.code == 0, story.again.err
    assert story.asked_again == []
    assert story.again.json["bundle"] == story.first.json["bundle"]
    assert story.again.json["packs_written"] == 0


def test_a_new_version_with_the_same_lock_asks_no_index_and_adds_its_code_only(
    story: Story, site: Site, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = story.side.bentoml / "bentos/shop/v1"
    files = {
        path.relative_to(old).as_posix(): path.read_bytes()
        for path in old.rglob("*")
        if path.is_file() and path.name != "bento.yaml"
    }
    folder = stores.add_bento(story.side, "shop:v2", {**files, "src/service.py": b"pass  # 2\n"})
    with (folder / "bento.yaml").open("a") as description:
        description.write("image:\n  python_version: '3.11'\n")
    before, packs = _measure(story.depot), _measure(story.depot / "packs")
    index.requests.clear()
    monkeypatch.setenv("PATH", "")

    ran = export(story.side, site, story.depot, "shop:v2", "--target", GLIBC, "--target", MUSL)

    assert ran.code == 0, ran.err
    assert index.requests == []
    assert ran.json["packs_written"] == 1
    assert _measure(story.depot / "packs") - packs < 1_000  # none of the wheels' 9,000 bytes
    assert _measure(story.depot) - before < 1_000_000


def _measure(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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
    wheels = list(isolated.bentoml.glob("wheelhouses/*/*/wheels/*.whl"))
    for wheel in wheels:
        assert wheel.read_bytes() == {**WHEELS, INHOUSE: INHOUSE_WHEEL}[wheel.name]
    assert len(wheels) == 13


def test_an_import_of_a_wheel_that_is_there_gives_it_another_name(
    story: Story, classic: tuple[Side, Ran], isolated: Side
) -> None:
    top = classic[0].top.parent
    for depot in (story.depot, top / "depot"):
        imported = isolated.run("import", depot)
        assert imported.code == 0, imported.err
    equal = [*isolated.bentoml.glob("wheelhouses/*/*/wheels/app-2.0-py3-none-any.whl")]
    assert len(equal) == 3
    assert len({wheel.stat().st_ino for wheel in equal}) == 1
    tools = [*isolated.bentoml.glob("wheelhouses/*/*/tools/pip-99.0-py3-none-any.whl")]
    assert len({tool.stat().st_ino for tool in tools}) == 1


@pytest.fixture(scope="module")
def classic(
    index: PackageIndex, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Side, Ran]:
    """Export a Bento of the older layout, without a lock, of which two packages have no wheel."""
    top = tmp_path_factory.mktemp("classic")
    side = Side(top / "side")
    file, data = make_wheel("onlyarm", "1.0", X86_TAG)
    stores.write_files(top, {file: data})
    stores.add_bento(
        side,
        "old:v1",
        {
            "env/python/requirements.txt": b"sourceonly\nonlyarm\napp>=2,<3\n",
            "env/python/version.txt": b"3.11.7",
            "env/python/install.sh": f"PIP_ARGS=(--index-url {index.url})\n".encode(),
            f"env/python/wheels/{INHOUSE}": INHOUSE_WHEEL,
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(top / "uv"))
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        options = ("old:v1", "--target", GLIBC, "--wheel", top / file, "--build-sdists")
        return side, export(side, site, top / "depot", *options)


def test_the_older_layout_installs_its_own_wheels_and_what_they_need(
    classic: tuple[Side, Ran],
) -> None:
    side, ran = classic
    assert ran.code == 0, ran.err
    assert names(installed(side, GLIBC)) == [
        *("app-2.0-py3-none-any.whl", "helper-4.0-py3-none-any.whl", INHOUSE),
        *(f"native-1.0-{X86_TAG}.whl", f"onlyarm-1.0-{X86_TAG}.whl", "quick-1.0-py3-none-any.whl"),
        *("sourceonly-1.0-py3-none-any.whl", "speed-1.0-py3-none-any.whl"),
    ]


def test_a_bento_without_a_lock_is_told_what_was_chosen(classic: tuple[Side, Ran]) -> None:
    side, ran = classic
    assert not installed(side, GLIBC).locked
    assert "old:v1 does not say which version of 7 of its packages it needs" in ran.err


def test_a_wheel_that_was_built_says_from_what(
    classic: tuple[Side, Ran], index: PackageIndex
) -> None:
    side, ran = classic
    (built,) = installed(side, GLIBC).built
    sdist = index.files["sourceonly-1.0.tar.gz"]
    assert (built.name, built.sdist) == ("sourceonly", hashlib.sha256(sdist).digest())
    assert "sourceonly 1.0 has no wheel and was built here." in ran.err


def test_two_builds_give_the_same_wheel(tmp_path: Path) -> None:
    file, data = make_sdist("sourceonly")
    stores.write_files(tmp_path, {file: data})
    sdist = Distribution(file, str(tmp_path / file), len(data), hashlib.sha256(data).digest())
    built = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "tmp").mkdir(parents=True)
        environment = make_environment(Indexes(()), str(folder / "tmp"))
        pip = find_programs().pip
        fetcher = Fetcher(pip, environment, folder, read_target(MUSL), {}, lambda _: None)
        built += fetcher.fetch([ChosenFile("sourceonly", "1.0", sdist)])
    assert built[0].sha256 == built[1].sha256


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (b"sourceonly\n", "sourceonly 1.0 has no wheel for cp311-manylinux_2_28_x86_64."),
        (b"onlyarm==1.0\n", "onlyarm 1.0 has no wheel for cp311-manylinux_2_28_x86_64."),
        (
            b"app==9\n",
            "The packages of shop:v2 cannot be resolved for cp311-manylinux_2_28_x86_64.",
        ),
    ],
)
def test_what_cannot_be_had_is_refused(
    connected: Side, site: Site, index: PackageIndex, asked: bytes, message: str, tmp_path: Path
) -> None:
    add_bento(connected, "shop:v2", asked, asked, index=index.url)
    ran = expect_refusal(
        connected,
        *("export", "shop:v2", "--with-env", "--target", GLIBC, "--key", site.key()),
        *("-o", tmp_path / "depot"),
        error=MissingError,
    )
    assert ran.json["error"]["message"] == message


def test_an_index_that_is_not_there_is_named(
    connected: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "5")
    nowhere = "http://127.0.0.1:9/simple"
    add_bento(connected, "shop:v2", b"app\n", b"app==2.0\n", index=nowhere)
    ran = expect_refusal(
        connected,
        *("export", "shop:v2", "--with-env", "--target", GLIBC, "--key", site.key()),
        *("-o", tmp_path / "depot"),
        error=TransportError,
    )
    assert nowhere in ran.json["error"]["message"]


def test_lines_that_cannot_be_locked_are_refused_before_an_index_is_asked(
    connected: Side, site: Site, tmp_path: Path
) -> None:
    lock = b"bentoml==1.4.40\ntools @ git+https://github.com/a/tools\n"
    add_bento(connected, "shop:v2", b"tools\n", lock, index="http://127.0.0.1:9/simple")
    ran = expect_refusal(
        connected,
        *("export", "shop:v2", "--with-env", "--key", site.key(), "-o", tmp_path / "depot"),
        error=MissingError,
    )
    assert "line 4 of env/python/requirements.txt in shop:v2" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--target", GLIBC], "say how packages are collected"),
        (["--build-sdists"], "say how packages are collected"),
        (["--with-env", "--target", "cp311"], "'cp311' is not a target"),
        (["--with-env", "--index", "nowhere"], "'nowhere' is not the URL of an index"),
        (["--with-env", "--wheel", "none-1-py3-none-any.whl"], "is not a wheel"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    small: Side, site: Site, options: list[str], problem: str, tmp_path: Path
) -> None:
    ran = expect_refusal(
        small,
        *("export", "shop:v1", "--key", site.key(), "-o", tmp_path / "depot"),
        *options,
        error=UsageError,
    )
    assert problem in ran.json["error"]["message"]


def test_a_bento_without_requirements_travels_alone(
    small: Side, site: Site, tmp_path: Path
) -> None:
    ran = export(small, site, tmp_path / "depot", "shop:v1")
    assert ran.code == 0, ran.err
    assert "shop:v1 names no Python packages." in ran.err
    assert [item["kind"] for item in ran.json["items"]] == ["model", "bento"]


def test_a_wheel_that_nothing_needs_is_refused(story: Story, site: Site, tmp_path: Path) -> None:
    file, data = make_wheel("misspelled")
    stores.write_files(tmp_path, {file: data})
    words = ("export", "shop:v1", "--with-env", "--key", site.key(), "-o", tmp_path / "depot")
    ran = expect_refusal(story.side, *words, "--wheel", tmp_path / file, error=UsageError)
    assert ran.json["error"]["message"] == f"No package that is needed can be {file}."


def test_python_exports_packages_too(story: Story, site: Site, tmp_path: Path) -> None:
    with story.side.here():
        airgap.export_bento(
            *("shop:v1", tmp_path / "depot", "depot"),
            with_env=True,
            targets=[GLIBC, MUSL],
            key=site.key(),
        )
        described = airgap.inspect(tmp_path / "depot")
    assert [item["kind"] for item in described["items"]] == ["wheelhouse", "wheelhouse", "bento"]
