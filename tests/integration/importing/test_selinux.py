"""Items that an import installs have the SELinux type of their destination, not of staging."""

import os
from pathlib import Path

import pytest

from airgap.disk import labels
from airgap.errors import StorageError
from airgap.store.staging import StagedItem
from tests.support import forge, refusals, selinux, whole_shop
from tests.support.forge import Forge
from tests.support.sides import Side, Site

KINDS = {
    "bentos": "bento_t",
    "models": "model_t",
    "wheelhouses": "wheel_t",
    "files": "files_t",
    "images": "image_t",
}
ITEMS = {"bentos": "bentos/shop", "models": "models/ranker"}
"""Folders that a kernel with SELinux would label as the one above when they are made."""


@pytest.fixture
def labelled(isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Side:
    """A side whose stores are labelled, each folder otherwise, with SELinux in use."""
    selinux.demand_labels(tmp_path)
    selinux.switch_on(monkeypatch, tmp_path)
    isolated.bentoml.mkdir(exist_ok=True)
    selinux.write(isolated.bentoml, "home_t")
    for name, label in KINDS.items():
        for folder in (name, *([ITEMS[name]] if name in ITEMS else [])):
            (isolated.bentoml / folder).mkdir()
            selinux.write(isolated.bentoml / folder, label)
    begin = StagedItem.finish

    def finish(staged: StagedItem) -> None:
        """Label what is staged as such a kernel does: as the store."""
        begin(staged)
        for path in selinux.walk(staged.folder):
            selinux.write(path, "home_t")

    monkeypatch.setattr(StagedItem, "finish", finish)
    return isolated


def types_below(folder: Path) -> set[str]:
    return {labels.read_type(path) for path in selinux.walk(folder) if path != folder}


def test_installed_items_have_the_type_of_their_destination(labelled: Side, depot: Path) -> None:
    ran = labelled.run("import", depot)

    assert ran.code == 0, ran.err
    for store, item in (("bentos", "shop/v1"), ("models", "ranker/v1")):
        installed = labelled.bentoml / store / item
        assert {labels.read_type(path) for path in selinux.walk(installed)} == {KINDS[store]}
        assert labels.read_type(installed.parent / "latest") == KINDS[store]


def test_what_is_replaced_has_it_too(labelled: Side, depot: Path) -> None:
    assert labelled.run("import", depot).code == 0
    (labelled.bentoml / "models/ranker/v1/notes.txt").write_bytes(b"changed")

    ran = labelled.run("import", depot, "--replace")

    assert ran.code == 0, ran.err
    assert types_below(labelled.bentoml / "models/ranker/v1") == {KINDS["models"]}


def test_items_of_every_kind_have_it(labelled: Side, site: Site, tmp_path: Path) -> None:
    labelled.hugging_face.mkdir()
    selinux.write(labelled.hugging_face, "cache_t")

    whole_shop.install(labelled, Forge(tmp_path, forge.load_signer(site.key())))

    (snapshots,) = labelled.hugging_face.glob("*/snapshots")
    tops = {labelled.bentoml / name: label for name, label in KINDS.items()}
    for top, label in {**tops, snapshots: "cache_t"}.items():
        files = [path for path in top.rglob("*") if path.is_file() and path.name != "latest"]
        assert len(files) > 1, top
        assert {labels.read_type(path) for path in files} == {label}


def test_an_import_that_may_not_label_installs_nothing(
    labelled: Side, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    write = os.setxattr
    finish = StagedItem.finish

    def finish_and_refuse(staged: StagedItem) -> None:
        """From now on SELinux refuses."""
        monkeypatch.setattr(os, "setxattr", write)
        finish(staged)
        monkeypatch.setattr(os, "setxattr", refuse)

    monkeypatch.setattr(StagedItem, "finish", finish_and_refuse)

    words = ("import", depot)
    refused = refusals.expect_refusal(labelled, *words, error=StorageError, staging=True)

    assert "SELinux" in refused.json["error"]["message"]


def test_the_doctor_names_what_a_service_may_not_read(labelled: Side, depot: Path) -> None:
    assert labelled.run("import", depot).code == 0
    model = labelled.bentoml / "models/ranker/v1"
    selinux.write(model, "home_t")

    findings = labelled.run("doctor", "--json").json["findings"]

    found = [one for one in findings if one["about"] == "selinux"]
    assert "enforcing" in found[0]["message"]
    (note,) = [one for one in found if one["level"] == "note"]
    assert (
        f"The SELinux type of {model} is home_t, and that of its folder is model_t"
        in note["message"]
    )
    assert f"chcon -R --reference={model.parent} {model}" in note["hint"]
