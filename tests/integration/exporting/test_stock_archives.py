"""To and from the archives of stock BentoML (format §10), with the real ``bentoml import``."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Final

import pytest

from airgap.errors import (
    ConflictError,
    CorruptError,
    NotTrustedError,
    UsageError,
)
from tests.support import refusals, sides, store_invariants, stores
from tests.support.python_scripts import Scripts
from tests.support.sides import Side, Site
from tests.support.stock_shop import COMMIT, contents, make_shop, tree

FORMATS: Final = ("bento", "tar", "tar.gz", "tar.xz", "tar.bz2", "zip", "folder")
ARCHIVES: Final = FORMATS[:-1]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """A store with ``shop:v1``, a model and a Hugging Face snapshot. Tests change nothing in it."""
    side = Side(tmp_path_factory.mktemp("shop"))
    make_shop(side)
    return side


def export(side: Side, site: Site, form: str, output: Path, *what: str) -> Path:
    """Export and return the path that was written."""
    made = side.run(
        "export",
        *(what or ("shop:v1",)),
        "--format",
        form,
        "-o",
        output,
        "--key",
        site.key(),
        "--json",
    )
    assert made.code == 0, made.err
    return Path(made.json["output"])


@pytest.fixture(params=FORMATS)
def stock(request: pytest.FixtureRequest, shop: Side, site: Site, tmp_path: Path) -> Path:
    """The Bento in each format in turn."""
    (tmp_path / "out").mkdir()
    return export(shop, site, request.param, tmp_path / "out" / "shop")


@pytest.fixture
def tar(shop: Side, site: Site, tmp_path: Path) -> Path:
    """The Bento as a plain tar."""
    return export(shop, site, "tar", tmp_path / "shop.tar")


@pytest.fixture
def zipped(shop: Side, site: Site, tmp_path: Path) -> Path:
    """The Bento as a zip."""
    return export(shop, site, "zip", tmp_path / "shop.zip")


def test_an_archive_brings_what_was_sent(stock: Path, shop: Side, isolated: Side) -> None:
    assert isolated.run("verify", stock).code == 0
    ran = isolated.run("import", stock, "--json")

    assert [item["outcome"] for item in ran.json["items"]] == ["installed"] * 3
    assert ran.json["missing"] == []
    for store in ("bentos", "models"):
        assert tree(isolated.bentoml / store) == {**tree(shop.bentoml / store), **latest(store)}
    cache = {
        path: said for path, said in tree(isolated.hugging_face).items() if "trees" not in path
    }
    assert cache == tree(shop.hugging_face)  # but for what is recorded for huggingface_hub
    assert not store_invariants.left_over(isolated)


def latest(store: str) -> dict[str, str]:
    """The pointers that an import adds to the store of ``shop``, which has none."""
    name = "shop/latest" if store == "bentos" else "ranker/latest"
    return {name: f"100644 {hashlib.sha256(b'v1').hexdigest()}"}


def test_the_same_archive_again_does_nothing(stock: Path, isolated: Side) -> None:
    assert isolated.run("import", stock).code == 0
    before = stores.snapshot(isolated.top)

    ran = isolated.run("import", stock, "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}
    assert stores.snapshot(isolated.top) == before


@pytest.mark.bentoml
@pytest.mark.parametrize("form", ARCHIVES)
def test_stock_bentoml_imports_an_archive(
    scripts: Scripts, form: str, shop: Side, site: Site, connected: Side, tmp_path: Path
) -> None:
    made = export(shop, site, form, tmp_path / "shop")

    scripts.bentoml(connected.environment, "import", made)

    assert (
        json.loads(scripts.bentoml(connected.environment, "list", "-o", "json"))[0]["tag"]
        == "shop:v1"
    )
    assert (
        scripts.bentoml(connected.environment, "get", "shop:v1", "-o", "path")
        .strip()
        .endswith("shop/v1")
    )
    assert (
        json.loads(scripts.bentoml(connected.environment, "models", "list", "-o", "json"))[0]["tag"]
        == "ranker:v1"
    )
    assert not (connected.bentoml / "models" / "hugging-face").exists()
    there = contents(connected.bentoml / "bentos" / "shop" / "v1")
    sent = contents(shop.bentoml / "bentos" / "shop" / "v1")
    assert there == {path: data for path, data in sent.items() if path in there}
    assert sent.keys() - there.keys() == {"folder-link", "nowhere"}
    assert contents(connected.bentoml / "models" / "ranker" / "v1") == contents(
        shop.bentoml / "models" / "ranker" / "v1"
    )


@pytest.mark.bentoml
def test_stock_bentoml_imports_a_folder(
    scripts: Scripts, shop: Side, site: Site, connected: Side, tmp_path: Path
) -> None:
    made = export(shop, site, "folder", tmp_path / "shop")
    program = f"import bentoml; bentoml.import_bento({str(made)!r}, 'folder')"

    scripts.print(program, connected.environment)

    sent = tree(shop.bentoml / "bentos" / "shop" / "v1")
    assert tree(connected.bentoml / "bentos" / "shop" / "v1") == sent


@pytest.mark.bentoml
@pytest.mark.parametrize(("form", "suffix"), [("bento", ".bentomodel"), ("tar.gz", ".tar.gz")])
def test_stock_bentoml_imports_a_model(
    scripts: Scripts,
    form: str,
    suffix: str,
    shop: Side,
    site: Site,
    connected: Side,
    isolated: Side,
    tmp_path: Path,
) -> None:
    made = export(shop, site, form, tmp_path / "ranker", "--model", "ranker:v1")
    assert made.name == "ranker" + suffix

    scripts.bentoml(connected.environment, "models", "import", made)
    came = isolated.run("import", made, "--json")

    sent = shop.bentoml / "models" / "ranker" / "v1"
    assert contents(connected.bentoml / "models" / "ranker" / "v1") == contents(sent)
    assert tree(isolated.bentoml / "models" / "ranker" / "v1") == tree(sent)
    assert [item["tag"] for item in came.json["items"]] == ["ranker:v1"]


def test_the_export_tells_what_stock_import_leaves_out(
    shop: Side, site: Site, tmp_path: Path
) -> None:
    output = tmp_path / "shop.bento"
    ran = shop.run("export", "shop:v1", "-o", output, "--key", site.key(), "--json")

    assert ran.json["not_loadable_by_stock_import"] == [f"hugging-face acme--tiny:{COMMIT}"]
    assert "does not install hugging-face acme--tiny" in ran.err


def test_a_snapshots_files_are_stored_once_by_their_digest(tar: Path) -> None:
    with tarfile.open(tar) as archive:
        stored = [name for name in archive.getnames() if name.startswith("models/hugging-face/")]

    config = hashlib.sha256(b"{}").hexdigest()
    assert len(stored) == 2
    assert f"models/hugging-face/{config}" in stored


@pytest.mark.parametrize("form", ARCHIVES)
def test_the_same_bento_gives_the_same_bytes(
    form: str, shop: Side, site: Site, tmp_path: Path
) -> None:
    one = export(shop, site, form, tmp_path / "one")
    other = export(shop, site, form, tmp_path / "two")

    assert one.read_bytes() == other.read_bytes()
    beside = (
        one.with_name(one.name + ".airgap-manifest"),
        other.with_name(other.name + ".airgap-manifest"),
    )
    assert beside[0].read_bytes() == beside[1].read_bytes()


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("out/", "out/shop-v1.tar.gz"),
        ("plain", "plain.tar.gz"),
        ("a.tar.gz", "a.tar.gz"),
        ("a.zip", "a.zip.tar.gz"),
    ],
)
def test_the_archive_gets_a_name_that_stock_bentoml_understands(
    asked: str, got: str, shop: Side, site: Site, tmp_path: Path
) -> None:
    made = shop.run(
        "export",
        "shop:v1",
        "--format",
        "tar.gz",
        "-o",
        f"{tmp_path}/{asked}",
        "--key",
        site.key(),
        "--json",
    )

    assert made.json["output"] == f"{tmp_path}/{got}"


def test_an_export_over_an_older_one_leaves_no_signature_of_it(shop: Side, tmp_path: Path) -> None:
    site = sides.make_site(tmp_path / "site", builders=2)
    made = export(shop, site, "tar", tmp_path / "shop.tar")
    again = ("export", "shop:v1", "--channel", "other", "--format", "tar", "-o", made)

    assert shop.run(*again, "--key", site.key(2)).code == 0

    assert len(list(tmp_path.glob("shop.tar.airgap-manifest.*.dsse"))) == 1


def test_an_archive_holds_one_bento(site: Site, connected: Side, tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        stores.add_bento(connected, f"shop:{version}", {})

    refusals.expect_refusal(
        connected,
        *("export", "shop:v1", "shop:v2", "-o", tmp_path / "shop.tar", "--key", site.key()),
        error=UsageError,
    )

    assert list(tmp_path.glob("shop.tar*")) == []


def test_an_archive_does_not_go_to_standard_output(shop: Side, site: Site) -> None:
    told = ("--format", "tar", "-o", "-", "--key", site.key())

    ran = shop.run("export", "shop:v1", *told)

    assert (ran.code, ran.out) == (2, "")


def test_a_folder_that_is_there_is_not_overwritten(shop: Side, site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_bytes(b"keep")
    before = stores.snapshot(tmp_path / "out")

    refusals.expect_refusal(
        shop,
        "export",
        "shop:v1",
        "--format",
        "folder",
        "-o",
        tmp_path / "out",
        *("--key", site.key()),
        error=ConflictError,
    )

    assert stores.snapshot(tmp_path / "out") == before


def test_a_conflict_is_told_and_replace_solves_it(tar: Path, isolated: Side) -> None:
    stores.add_model(isolated, "ranker:v1", {"weights.bin": b"other"})

    refusals.expect_refusal(isolated, "import", tar, error=ConflictError)
    ran = isolated.run("import", tar, "--replace", "--json")

    assert ran.json["items"][0]["outcome"] == "replaced"


def test_a_second_builder_signs_an_archive(shop: Side, connected: Side, tmp_path: Path) -> None:
    site = sides.make_site(tmp_path / "site", builders=2, threshold=2)
    made = export(shop, site, "zip", tmp_path / "shop.zip")
    sides.trust(connected, site)
    refusals.expect_refusal(connected, "import", made, error=NotTrustedError)

    assert connected.run("sign", made, "--key", site.key(2)).code == 0

    assert connected.run("import", made).code == 0


def test_inspect_says_that_an_archive_is_not_verified(tar: Path, isolated: Side) -> None:
    ran = isolated.run("inspect", tar, "--json")

    assert ran.json["verified"] is False
    assert [item["kind"] for item in ran.json["items"]] == ["model", "hugging-face", "bento"]


@pytest.mark.parametrize("command", ["import", "verify", "inspect"])
def test_an_archive_without_its_manifest_is_refused(
    command: str, stock: Path, isolated: Side
) -> None:
    stock.with_name(stock.name + ".airgap-manifest").unlink()

    refusals.expect_refusal(isolated, command, stock, error=NotTrustedError)


def test_an_archive_signed_by_a_stranger_is_refused(
    stock: Path, connected: Side, tmp_path: Path
) -> None:
    sides.trust(connected, sides.make_site(tmp_path / "elsewhere"))

    refusals.expect_refusal(connected, "import", stock, error=NotTrustedError)


def test_the_manifest_of_a_depot_is_none_for_an_archive(
    tar: Path, shop: Side, site: Site, isolated: Side, tmp_path: Path
) -> None:
    made = shop.run("export", "shop:v1", "-o", tmp_path / "depot", "--key", site.key(), "--json")
    bundle = tmp_path / "depot" / "bundles" / made.json["bundle"]
    for old in tar.parent.glob("shop.tar.airgap-manifest*"):
        old.unlink()
    tar.with_name("shop.tar.airgap-manifest").write_bytes(
        (bundle / "manifest.msgpack").read_bytes()
    )
    for envelope in bundle.glob("*.dsse"):
        tar.with_name(f"shop.tar.airgap-manifest.{envelope.name}").write_bytes(
            envelope.read_bytes()
        )

    refusals.expect_refusal(isolated, "import", tar, error=CorruptError)
