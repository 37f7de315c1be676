"""``airgap check``: what is installed, against what was imported; the medium is gone."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import forge, stores, whole_shop
from tests.support.forge import Forge
from tests.support.sides import Side


@pytest.fixture
def used(isolated: Side, forged: Forge) -> Side:
    """A side that has imported an item of every kind, and lost the medium."""
    shutil.rmtree(whole_shop.install(isolated, forged))
    return isolated


def folder_of(side: Side, kind: str) -> Path:
    name, _, version = whole_shop.tags()[kind].partition(":")
    if kind == "hugging-face":
        return side.hugging_face / f"models--{name}/snapshots/{version}"
    below = {"files": "files"}.get(kind, f"{kind}s")
    return side.bentoml / below / name / version


def check(side: Side, *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the items of the answer by kind and tag."""
    ran = side.run("check", *words, "--json")
    assert ran.json["damaged"] is (ran.code == 10)
    return ran.code, {f"{item['kind']} {item['tag']}": item for item in ran.json["items"]}


def test_what_is_as_it_was_imported_is_intact_and_was_read(used: Side) -> None:
    stores.add_bento(used, "local:v1", {"x": b"x"})
    stores.add_snapshot(used, "other/model", "1" * 40, {"config.json": b"{}"})
    ran = used.run("check", "--json")

    states = {f"{item['kind']} {item['tag']}": item["state"] for item in ran.json["items"]}
    expected = {f"{kind} {tag}": "intact" for kind, tag in whole_shop.tags().items()}
    assert states == {
        **expected,
        "bento local:v1": "not known",
        f"hugging-face other--model:{'1' * 40}": "not known",
    }
    size = sum(
        Path(top, name).stat().st_size
        for kind in whole_shop.tags()
        for top, _, names in os.walk(folder_of(used, kind))
        for name in names
    )
    assert (ran.code, ran.json["bytes_read"], ran.json["forgotten"]) == (0, size, [])


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("bento", "env/python/requirements.txt"),
        ("model", "weights.bin"),
        ("hugging-face", "model.bin"),
        ("files", "content/words.txt"),
        ("wheelhouse", "wheels/tiny-1.0-py3-none-any.whl"),
        ("image", "oci-layout"),
    ],
)
def test_a_changed_byte_and_a_missing_file_of_any_kind_are_damage(
    kind: str, path: str, used: Side
) -> None:
    file = folder_of(used, kind) / path
    good = file.read_bytes()
    status = file.stat()
    bad = bytes([good[0] ^ 1]) + good[1:]
    file.write_bytes(bad)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    code, items = check(used)
    (damaged,) = (item for item in items.values() if item["state"] == "damaged")
    assert (code, damaged["kind"]) == (10, kind)
    assert damaged["differences"] == [
        {
            "path": path,
            "state": "changed",
            "problem": "has different content here",
            "expected": hashlib.sha256(good).hexdigest(),
            "actual": hashlib.sha256(bad).hexdigest(),
        }
    ]
    file.unlink()
    _, items = check(used)
    (damaged,) = (item for item in items.values() if item["state"] == "damaged")
    assert [(found["path"], found["state"]) for found in damaged["differences"]] == [
        (path, "missing")
    ]


def test_an_additional_file_is_damage_but_beside_a_snapshot(used: Side) -> None:
    (folder_of(used, "hugging-face") / "more.bin").write_bytes(b"by another program")
    assert check(used)[0] == 0

    (folder_of(used, "bento") / "evil\x1b[2J.py").write_bytes(b"evil")

    code, items = check(used, "shop")
    (found,) = items["bento shop:v1"]["differences"]
    assert (code, found["path"], found["state"]) == (10, "evil\x1b[2J.py", "additional")
    assert found["actual"] == hashlib.sha256(b"evil").hexdigest()
    text = used.run("check", "shop").out
    assert r"additional: evil\x1b[2J.py: only here" in text
    assert text.replace("\n", "").isprintable()


def test_a_link_in_place_of_a_file_is_damage(used: Side) -> None:
    weights = folder_of(used, "model") / "weights.bin"
    weights.rename(used.top / "weights.bin")
    weights.symlink_to(used.top / "weights.bin")

    code, items = check(used, "ranker")

    assert (code, items["model ranker:v1"]["differences"][0]["state"]) == (10, "changed")


def test_an_item_that_is_gone_is_damage_if_a_bento_needs_it(used: Side) -> None:
    shutil.rmtree(folder_of(used, "model"))
    code, items = check(used)
    assert (code, items["model ranker:v1"]["state"]) == (10, "missing")
    assert items["model ranker:v1"]["needed_by"] == ["bento shop:v1"]

    shutil.rmtree(folder_of(used, "bento"))
    code, items = check(used)
    assert (code, items["model ranker:v1"]["state"]) == (0, "absent")
    assert items["bento shop:v1"]["state"] == "absent"


def test_names_choose_what_is_read(used: Side) -> None:
    (folder_of(used, "model") / "weights.bin").write_bytes(b"other")

    assert check(used, "shop:v1")[0] == 0  # the Bento alone
    assert check(used, "shop", "ranker")[0] == 10
    assert check(used, "acme/tiny")[0] == 0
    assert list(check(used, "acme/tiny")[1]) == [f"hugging-face {whole_shop.SNAPSHOT}"]
    assert used.run("check", "nothing:v1").code == 13


def test_what_was_replaced_is_intact_as_either_of_its_contents(used: Side, forged: Forge) -> None:
    other = forge.model({"weights.bin": b"retrained"}, "ranker:v1")
    depot = forged.depot(forge.draft(other, sequence=2))
    assert used.run("import", depot, "--replace").code == 0

    _, items = check(used, "ranker")

    assert items["model ranker:v1"]["state"] == "intact"
    assert items["model ranker:v1"]["bundle"] == next(depot.glob("bundles/*")).name


def test_all_files_of_a_snapshot_are_compared_whichever_bundle_brought_them(
    used: Side, forged: Forge
) -> None:
    more = forge.Item(
        "hugging-face", "acme--tiny", whole_shop.COMMIT, {"more.bin": b"more", "config.json": b"{}"}
    )
    assert used.run("import", forged.depot(forge.draft(more, sequence=2))).code == 0
    assert check(used)[0] == 0

    (folder_of(used, "hugging-face") / "model.bin").write_bytes(b"HF")

    code, items = check(used)
    differences = items[f"hugging-face {whole_shop.SNAPSHOT}"]["differences"]
    assert (code, [found["path"] for found in differences]) == (10, ["model.bin"])


def test_bundles_whose_manifests_are_lost_are_counted(used: Side) -> None:
    shutil.rmtree(used.state / "manifests")

    ran = used.run("check", "--json")

    assert (ran.code, len(ran.json["forgotten"])) == (0, 1)
    assert {item["state"] for item in ran.json["items"]} == {"not known"}
    assert "What 1 imported bundle held is not known" in used.run("check").out


@pytest.mark.parametrize("prepare", [lambda _: None, lambda side: side.bentoml.mkdir()])
def test_a_machine_without_anything_is_intact(
    prepare: Callable[[Side], None], connected: Side
) -> None:
    prepare(connected)

    assert connected.run("check").out == "No items; 0 B read.\n"


def test_an_import_during_the_check_is_said(
    used: Side, forged: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airgap.flow.installed import check as checking
    from airgap.store.compare import list_differences

    compare = list_differences
    depot = forged.depot(forge.draft(forge.model({}, "late:v1"), sequence=2))

    def import_meanwhile(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        assert used.run("import", depot).code == 0
        return compare(*args, **named)

    monkeypatch.setattr(checking, "list_differences", import_meanwhile)

    assert used.run("check", "ranker", "--json").json["disturbed"] is True


def test_it_changes_nothing(used: Side) -> None:
    before = stores.snapshot(used.top)

    used.run("check")

    assert stores.snapshot(used.top) == before
