"""Bentos that hold their models themselves, as BentoML 1.0 built them, and half of such models."""

import shutil
from pathlib import Path

import pytest

from airgap.errors import MissingError, StorageError
from tests.support import refusals, stores
from tests.support.sides import Ran, Side, Site

WEIGHTS = stores.noise(300_000)


@pytest.fixture
def old(connected: Side) -> Path:
    """A Bento of BentoML 1.0 and its folder: its model is nowhere else."""
    bento = stores.add_bento(connected, "old:v1", {"src/x.py": b"x"}, models=["ranker:v1"])
    stores.add_model(connected, "ranker:v1", {"w": WEIGHTS})
    (connected.bentoml / "models").rename(bento / "models")
    return bento


def export(side: Side, site: Site, *words: str) -> Ran:
    return side.run("export", *words, "-o", side.top / "depot", "--key", site.key(), "--json")


def tags(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [f"{item['kind']} {item['tag']}" for item in ran.json["items"]]


def test_the_models_of_an_old_bento_travel_and_are_installed_as_models(
    old: Path, connected: Side, isolated: Side, site: Site
) -> None:
    before = stores.snapshot(connected.bentoml)

    assert tags(export(connected, site, "old")) == ["model ranker:v1", "bento old:v1"]
    assert isolated.run("import", connected.top / "depot").code == 0

    assert (isolated.bentoml / "models/ranker/v1/w").read_bytes() == WEIGHTS
    assert (isolated.bentoml / "models/ranker/latest").read_text() == "v1"
    assert not (isolated.bentoml / "bentos/old/v1/models").exists()
    assert (isolated.bentoml / "bentos/old/v1/bento.yaml").read_bytes() == (
        old / "bento.yaml"
    ).read_bytes()
    assert stores.snapshot(connected.bentoml) == before


def test_the_item_is_the_same_as_without_models_in_it(
    old: Path, connected: Side, site: Site
) -> None:
    with_models = export(connected, site, "old").json["bundle"]
    (old / "models").rename(connected.bentoml / "models")

    assert export(connected, site, "old").json["bundle"] == with_models


@pytest.mark.usefixtures("old")
def test_an_old_bento_fits_an_archive_for_stock_bentoml(
    connected: Side, isolated: Side, site: Site
) -> None:
    archive = connected.top / "old.tar.gz"

    ran = connected.run("export", "old", "-o", archive, "--format", "tar.gz", "--key", site.key())

    assert ran.code == 0, ran.err
    assert isolated.run("import", archive).code == 0
    assert (isolated.bentoml / "models/ranker/v1/w").read_bytes() == WEIGHTS


@pytest.mark.usefixtures("old")
def test_its_models_stay_on_request(connected: Side, site: Site) -> None:
    assert tags(export(connected, site, "old", "--no-models")) == ["bento old:v1"]


def test_a_model_that_the_bento_does_not_name_travels_too(
    old: Path, connected: Side, site: Site
) -> None:
    other = stores.add_model(connected, "sorter:v2", {"w": b"s"})
    other.parent.rename(old / "models" / "sorter")

    assert tags(export(connected, site, "old"))[:2] == ["model ranker:v1", "model sorter:v2"]


def test_half_a_model_that_is_in_the_store_is_taken_from_there(
    old: Path, connected: Side, isolated: Side, site: Site
) -> None:
    stores.add_model(connected, "ranker:v1", {"w": WEIGHTS})
    (old / "models/ranker/latest").unlink()
    (old / "models/ranker/v1/w").write_bytes(WEIGHTS[:100])

    assert tags(export(connected, site, "old")) == ["model ranker:v1", "bento old:v1"]
    assert isolated.run("import", connected.top / "depot").code == 0
    assert (isolated.bentoml / "models/ranker/v1/w").read_bytes() == WEIGHTS


@pytest.mark.parametrize("lost", ["latest", "v1/model.yaml"])
def test_half_a_model_that_is_nowhere_else_is_missing_and_kept(
    lost: str, old: Path, connected: Side, site: Site
) -> None:
    (old / "models/ranker" / lost).unlink()

    ran = refusals.expect_refusal(
        connected, "export", "old", "-o", connected.top / "d", "--key", site.key(),
        error=MissingError,
    )  # fmt: skip

    told = ran.json["error"]
    assert f"its copy {old / 'models/ranker/v1'} is not complete" in told["message"]
    assert "keep the copy" in told["hint"]


def test_a_model_that_is_in_the_store_too_travels_once(
    old: Path, connected: Side, site: Site
) -> None:
    shutil.copytree(old / "models", connected.bentoml / "models")

    assert tags(export(connected, site, "old")) == ["model ranker:v1", "bento old:v1"]


def test_a_model_that_differs_in_the_store_is_refused(
    old: Path, connected: Side, site: Site
) -> None:
    stores.add_model(connected, "ranker:v1", {"w": WEIGHTS[:-1] + b"x"})

    ran = refusals.expect_refusal(
        connected, "export", "old", "-o", connected.top / "d", "--key", site.key(),
        error=StorageError,
    )  # fmt: skip

    assert f"differs from its copy {old / 'models/ranker/v1'}" in ran.json["error"]["message"]


@pytest.mark.parametrize(("content", "code"), [(WEIGHTS, 0), (b"other", 15)])
def test_two_bentos_with_the_same_model_travel_together_if_it_is_the_same(
    content: bytes, code: int, old: Path, connected: Side, site: Site
) -> None:
    other = stores.add_bento(connected, "desk:v1", {})
    shutil.copytree(old / "models", other / "models")
    (other / "models/ranker/v1/w").write_bytes(content)

    assert export(connected, site, "old", "desk").code == code


@pytest.mark.parametrize("stray", ["notes.txt", "ranker/notes.txt", "ranker/Notes/a"])
def test_what_is_no_model_is_not_left_behind_without_a_word(
    stray: str, old: Path, connected: Side, site: Site
) -> None:
    stores.write_files(old / "models", {stray: b"x"})

    ran = refusals.expect_refusal(
        connected, "export", "old", "-o", connected.top / "d", "--key", site.key(),
        error=StorageError,
    )  # fmt: skip

    assert "is not part of a model" in ran.json["error"]["message"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_models_that_are_no_folder_are_told(kind: str, connected: Side, site: Site) -> None:
    bento = stores.add_bento(connected, "shop:v1", {})
    if kind == "file":
        (bento / "models").write_bytes(b"x")
    else:
        (bento / "models").mkdir()
        (bento / "models/ranker").symlink_to("/")

    ran = export(connected, site, "shop")

    assert ran.code == 15
    assert "is not part of a model" in ran.json["error"]["message"]
