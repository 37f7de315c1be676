"""Archives that stock BentoML made and nobody signed: refused, unless a person insists."""

import shutil
from pathlib import Path

import pytest

from airgap.errors import ConflictError, CorruptError, NotTrustedError, StorageError
from tests.support import refusals, sides, store_invariants, stores
from tests.support.faults import Fault, Launcher
from tests.support.python_scripts import Scripts
from tests.support.sides import Side
from tests.support.stock_shop import COMMIT, contents, make_shop, tree

FLAG = "--insecure-allow-unsigned"


@pytest.fixture
def shop(tmp_path: Path) -> Side:
    """A store with ``shop:v1`` and a model, for the real bentoml to write into."""
    side = Side(tmp_path / "shop")
    make_shop(side)
    (side.bentoml / "bentos" / "shop" / "v1" / "nowhere").unlink()  # stock export fails on it
    return side


@pytest.fixture
def folder(shop: Side, tmp_path: Path) -> Path:
    """The Bento and its model as a folder, as stock BentoML lays them out."""
    made = tmp_path / "unsigned"
    shutil.copytree(shop.bentoml / "bentos" / "shop" / "v1", made, symlinks=True)
    shutil.copytree(shop.bentoml / "models", made / "models", symlinks=True)
    return made


@pytest.mark.bentoml
@pytest.mark.parametrize("suffix", ["bento", "tar", "tar.gz", "tar.bz2", "zip"])
def test_what_stock_bentoml_exports_arrives(
    scripts: Scripts, suffix: str, shop: Side, connected: Side, tmp_path: Path
) -> None:
    made = tmp_path / f"shop.{suffix}"
    scripts.bentoml(shop.environment, "export", "shop:v1", made)

    ran = connected.run("import", made, FLAG, "--json")

    assert ran.code == 0, ran.err
    assert (ran.json["bundle"], ran.json["signed_by"]) == (None, [])
    assert ran.json["missing"] == [f"hugging-face acme--tiny:{COMMIT}"]
    sent = contents(shop.bentoml / "bentos" / "shop" / "v1")
    there = contents(connected.bentoml / "bentos" / "shop" / "v1")
    del sent["folder-link"], there["folder-link"]  # an empty folder in a zip
    assert there == sent
    assert (connected.bentoml / "bentos" / "shop" / "v1" / "run.sh").stat().st_mode & 0o100
    model = Path("models", "ranker", "v1")
    assert tree(connected.bentoml / model) == tree(shop.bentoml / model)
    assert (connected.bentoml / "bentos" / "shop" / "latest").read_text() == "v1"


@pytest.mark.bentoml
def test_a_model_that_stock_bentoml_exports_arrives(
    scripts: Scripts, shop: Side, connected: Side, tmp_path: Path
) -> None:
    made = tmp_path / "ranker.bentomodel"
    scripts.bentoml(shop.environment, "models", "export", "ranker:v1", made)

    ran = connected.run("import", made, FLAG)

    assert ran.code == 0, ran.err
    model = Path("models", "ranker", "v1")
    assert tree(connected.bentoml / model) == tree(shop.bentoml / model)


def test_a_folder_arrives_as_it_is(folder: Path, shop: Side, connected: Side) -> None:
    ran = connected.run("import", folder, FLAG)

    assert ran.code == 0, ran.err
    bento = Path("bentos", "shop", "v1")
    assert tree(connected.bentoml / bento) == tree(shop.bentoml / bento)
    assert not (connected.bentoml / ".airgap").exists()


def test_without_the_flag_nothing_unsigned_is_read(folder: Path, connected: Side) -> None:
    site = sides.make_site(connected.top.parent / "site")
    sides.trust(connected, site)

    refusals.expect_refusal(connected, "import", folder, error=NotTrustedError)


def test_the_flag_says_loudly_what_it_means(folder: Path, connected: Side) -> None:
    ran = connected.run("import", folder, FLAG, "--quiet", "--json")

    assert "NOT SIGNED" in ran.err


def test_the_flag_does_not_excuse_a_bad_signature(
    shop: Side, connected: Side, tmp_path: Path
) -> None:
    ours, theirs = (sides.make_site(tmp_path / name) for name in ("ours", "theirs"))
    made = tmp_path / "shop.tar"
    assert shop.run("export", "shop:v1", "-o", made, "--key", theirs.key()).code == 0
    sides.trust(connected, ours)

    refusals.expect_refusal(connected, "import", made, FLAG, error=NotTrustedError)


def test_the_same_again_does_nothing(folder: Path, connected: Side) -> None:
    assert connected.run("import", folder, FLAG).code == 0
    before = stores.snapshot(connected.top)

    ran = connected.run("import", folder, FLAG, "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}
    assert stores.snapshot(connected.top) == before


def test_other_content_is_a_conflict_that_replace_solves(folder: Path, connected: Side) -> None:
    stores.add_model(connected, "ranker:v1", {"weights.bin": b"other"})

    refusals.expect_refusal(connected, "import", folder, FLAG, error=ConflictError)
    ran = connected.run("import", folder, FLAG, "--replace", "--json")

    assert [item["outcome"] for item in ran.json["items"]] == ["replaced", "installed"]


def test_a_dry_run_writes_nothing(folder: Path, connected: Side) -> None:
    before = stores.snapshot(connected.top)

    ran = connected.run("import", folder, FLAG, "--dry-run", "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"would install"}
    assert stores.snapshot(connected.top) == before


def test_a_rerun_without_an_atomic_swap_keeps_what_was_to_be_replaced(
    folder: Path, connected: Side, launcher: Launcher
) -> None:
    assert connected.run("import", folder, FLAG).code == 0
    (folder / "models/ranker/v1/more").write_bytes(b"more")
    before = store_invariants.items(connected)
    between = Fault(before=r"^rename \S*\.airgap\S* -> \S*models/")
    ended = launcher.run(connected, "import", folder, FLAG, "--replace", fault=between, swap=False)
    assert ended.killed
    assert not (connected.bentoml / "models/ranker/v1").exists()

    assert connected.run("import", folder, FLAG).code == ConflictError.exit_code
    assert store_invariants.items(connected) == before
    assert connected.run("import", folder, FLAG, "--replace").code == 0
    assert not (connected.bentoml / ".airgap").exists()


def test_the_only_copy_of_an_item_stays_where_it_cannot_be_put_back(
    folder: Path, connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connected.run("import", folder, FLAG).code == 0
    (folder / "models/ranker/v1/more").write_bytes(b"more")
    before = store_invariants.items(connected)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        is_installed = target.parent.name == "ranker" and "staging" not in target.parts
        if is_installed and target.name == "v1" and "unsigned" not in path.parts:
            raise PermissionError(13, "Permission denied", str(target))
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr("airgap.store.install._exchange", lambda *_: False)
        patch.setattr(Path, "rename", refuse)
        assert connected.run("import", folder, FLAG, "--replace").code == StorageError.exit_code

    assert [*(connected.bentoml / ".airgap").glob("staging/*/model/ranker/v1~old/model.yaml")]
    assert connected.run("import", folder, FLAG).code == ConflictError.exit_code
    assert store_invariants.items(connected) == before


def test_what_a_killed_import_left_is_no_hindrance(folder: Path, connected: Side) -> None:
    stores.write_files(
        connected.bentoml / ".airgap" / "staging" / "unsigned", {"bento.yaml": b"half"}
    )

    assert connected.run("import", folder, FLAG).code == 0

    assert not (connected.bentoml / ".airgap").exists()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("bento.yaml", b"name: [a"),
        ("bento.yaml", b"[" * 100_000),
        ("bento.yaml", b"name: ../evil\nversion: v1\ncreation_time: '2026-01-02T03:04:05+00:00'\n"),
        ("bento.yaml", b"name: shop\nversion: v1\ncreation_time: never\n"),
        ("bento.yaml", b"a: " + b"x" * 5_000_000),
        ("models/ranker/v1/model.yaml", b"name: other\nversion: v1\ncreation_time: 2026-01-02\n"),
        ("models/stray", b"belongs to no model"),
        ("models/other/v1/weights.bin", b"a model without model.yaml"),
        ("SRC/service.py", b"collides with src/service.py"),
    ],
    ids=lambda value: value[:20].decode() if isinstance(value, bytes) else value,
)
def test_what_is_no_bento_is_refused(path: str, text: bytes, folder: Path, connected: Side) -> None:
    stores.write_files(folder, {path: text})

    refusals.expect_refusal(connected, "import", folder, FLAG, error=CorruptError)


def test_a_folder_without_a_description_is_no_bento(connected: Side, tmp_path: Path) -> None:
    stores.write_files(tmp_path / "mine", {"model.yaml": b"x: y\n"})

    refusals.expect_refusal(connected, "import", tmp_path / "mine", FLAG, error=CorruptError)


def test_a_link_that_leads_out_is_refused(folder: Path, connected: Side) -> None:
    (folder / "out").symlink_to("../../etc")

    refusals.expect_refusal(connected, "import", folder, FLAG, error=CorruptError)


def test_a_disk_that_is_too_small_is_told(
    folder: Path, connected: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(9, 9, 0))

    refusals.expect_refusal(connected, "import", folder, FLAG, error=StorageError)
