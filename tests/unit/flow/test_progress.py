"""Which item the packs of a bundle belong to, for a progress display."""

from types import SimpleNamespace
from typing import Any, cast

from airgap.flow.progress import PackItems, Silent


class Names(Silent):
    """Keeps the last name."""

    last = ""

    def name_item(self, name: str) -> None:
        self.last = name


class _Item(SimpleNamespace):
    def __str__(self) -> str:
        return str(self.tag)


def _make_item(tag: str, *files: tuple[int, ...]) -> _Item:
    return _Item(tag=tag, files=[SimpleNamespace(chunks=chunks) for chunks in files])


def _name_packs(items: list[_Item], starts: list[int], carried: int) -> list[str]:
    packs = [SimpleNamespace(chunk_range=range(start, start + 1)) for start in starts]
    manifest = cast("Any", SimpleNamespace(items=items, packs=packs, carried=carried))
    names = Names()
    titles = PackItems(manifest, names)
    found = []
    for index in range(len(packs)):
        titles.name(index)
        found.append(names.last)
    return found


def test_a_pack_has_the_name_of_the_item_that_its_first_chunk_is_of() -> None:
    items = [_make_item("a", (0, 1), (2,)), _make_item("b", (3, 1, 4))]

    assert _name_packs(items, [0, 2, 3, 4], 5) == ["a", "a", "b", "b"]


def test_an_item_that_brings_no_new_chunks_has_no_pack() -> None:
    items = [_make_item("a", (0, 1)), _make_item("b", (1, 0)), _make_item("c", ()), _make_item("d")]

    assert _name_packs(items, [0, 1], 2) == ["a", "a"]


def test_chunks_that_the_other_side_has_do_not_count() -> None:
    items = [_make_item("a", (0, 9)), _make_item("b", (8, 1))]

    assert _name_packs(items, [0, 1], 2) == ["a", "b"]


def test_a_bundle_without_items_names_nothing() -> None:
    assert _name_packs([], [0], 1) == [""]
