"""Links in place of the folders of installed items: what is behind them is not in the item."""

from pathlib import Path

import pytest

from tests.support import forge, stores, whole_shop
from tests.support.forge import Forge, Item
from tests.support.sides import Side

COMMIT = "1" * 40
FILES = {"weights.bin": b"weights", "below/more/a.bin": b"a", "below/b.bin": b"b"}
ITEMS = {
    "bento": forge.bento(FILES, "shop:v1"),
    "model": forge.model(FILES, "ranker:v1"),
    "hugging-face": Item("hugging-face", "acme--tiny", COMMIT, FILES),
}
FOLDERS = {
    "bento": "bentos/shop/v1",
    "model": "models/ranker/v1",
    "hugging-face": f"models--acme--tiny/snapshots/{COMMIT}",
}


def install(kind: str, side: Side, forged: Forge) -> tuple[Path, Path]:
    """Import an item; return its depot and its folder."""
    depot = forged.depot(forge.draft(ITEMS[kind]))
    assert side.run("import", depot).code == 0
    top = side.hugging_face if kind == "hugging-face" else side.bentoml
    return depot, top / FOLDERS[kind]


def replace_by_link(folder: Path, outside: Path) -> None:
    """Move a folder away, put another file in it, and link to it."""
    folder.rename(outside)
    (outside / "other").write_bytes(b"other")
    folder.symlink_to(outside)


@pytest.mark.parametrize("path", ["", "below", "below/more"])
@pytest.mark.parametrize("kind", ITEMS)
def test_a_link_in_place_of_a_folder_is_a_difference(
    kind: str, path: str, isolated: Side, forged: Forge
) -> None:
    depot, folder = install(kind, isolated, forged)
    assert isolated.run("check").code == 0
    outside = isolated.top / "outside"
    replace_by_link(folder / path, outside)
    before = stores.snapshot(outside)

    (item,) = isolated.run("check", "--json").json["items"]
    again = isolated.run("import", depot, "--json")

    assert (item["state"], len(item["differences"])) == ("damaged", 1)
    assert item["differences"][0]["path"] == path
    assert "is a link" in item["differences"][0]["problem"]
    assert again.json["error"]["kind"] == "conflict"
    (detail,) = again.json["error"]["details"]
    assert detail.endswith(
        "is a link here, and not a folder" if path else "is a link, and not a folder"
    )
    assert isolated.run("import", depot, "--replace").code == 0
    assert isolated.run("check").code == 0
    assert not (folder / path).is_symlink()
    assert stores.snapshot(outside) == before


def test_the_folders_of_every_kind_may_not_be_links(isolated: Side, forged: Forge) -> None:
    whole_shop.install(isolated, forged)
    tops = [isolated.bentoml / name / "*/*" for name in ("files", "images", "wheelhouses")]
    for number, pattern in enumerate(tops):
        for folder in [*isolated.bentoml.glob(str(pattern.relative_to(isolated.bentoml)))]:
            if folder.is_dir():
                outside = isolated.top / f"outside{number}"
                folder.rename(outside)
                folder.symlink_to(outside)
    ran = isolated.run("check", "--json")

    damaged = {item["kind"] for item in ran.json["items"] if item["state"] == "damaged"}
    assert (ran.code, damaged) == (10, {"files", "image", "wheelhouse"})
