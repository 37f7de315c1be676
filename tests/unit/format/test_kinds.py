"""Kinds of items: their order, and the reader they need (format §3.2)."""

import pytest

from airgap.errors import CorruptError
from airgap.format import kinds, manifest
from airgap.format.inventory import make_item
from airgap.format.kinds import BENTO, FILES, HUGGING_FACE, IMAGE, MODEL, WHEELHOUSE, KindRules
from airgap.format.manifest import ChunkTable, Manifest

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"


def test_an_item_comes_after_what_it_needs() -> None:
    kinds_in_order = (MODEL, HUGGING_FACE, FILES, WHEELHOUSE, IMAGE, BENTO)

    assert [rules.rank for rules in kinds_in_order] == list(range(6))


@pytest.mark.parametrize("kind", ["wheel", "", "Bento", "hugging_face"])
def test_any_other_kind_is_corrupt(kind: str) -> None:
    with pytest.raises(CorruptError, match="unknown kind"):
        kinds.find_rules(kind)


@pytest.mark.parametrize(
    ("rules", "tag"),
    [
        (MODEL, "m:v1"),
        (MODEL, f"org--m:{COMMIT}"),
        (HUGGING_FACE, f"_m:{COMMIT}"),
        (FILES, f"x:{COMMIT[:32]}"),
    ],
)
def test_a_kind_accepts_its_own_tags(rules: KindRules, tag: str) -> None:
    assert rules.is_tag(*tag.split(":"))


@pytest.mark.parametrize(
    ("rules", "tag"),
    [(MODEL, "_m:v1"), (BENTO, "m:latest"), (HUGGING_FACE, "m:v1"), (IMAGE, "m:v1")],
)
def test_a_kind_refuses_the_tags_of_another(rules: KindRules, tag: str) -> None:
    assert not rules.is_tag(*tag.split(":"))


def test_a_manifest_says_which_reader_its_kinds_need() -> None:
    def encode(*items: str) -> bytes:
        made = tuple(
            make_item(kind, "n", COMMIT[:32] if kind == "files" else "v1", []) for kind in items
        )
        return manifest.encode(Manifest(made, ChunkTable(b"", ()), (), 0, "test"))

    assert b"\xa6reader\x01" in encode("model", "bento")
    raw = encode("model", "files", "bento")
    assert b"\xa6reader\x02" in raw
    assert [item.kind for item in manifest.decode(raw).items] == ["model", "files", "bento"]
    with pytest.raises(CorruptError, match="'reader'"):
        manifest.decode(raw.replace(b"\xa6reader\x02", b"\xa6reader\x01"))
