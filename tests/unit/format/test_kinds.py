"""Kinds of items: their order, the reserved ones, and the reader they need (format §3.2)."""

import pytest

from airgap.errors import CorruptError, PolicyError
from airgap.format import kinds, manifest
from airgap.format.inventory import make_item
from airgap.format.kinds import BENTO, HUGGING_FACE, MODEL, RESERVED, KindRules
from airgap.format.manifest import ChunkTable, Manifest

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"


def test_reserved_kinds_lie_between_what_a_bento_needs_and_the_bento() -> None:
    ranks = range(HUGGING_FACE.rank + 1, BENTO.rank)

    assert MODEL.rank < HUGGING_FACE.rank
    assert len(ranks) == len(RESERVED)


@pytest.mark.parametrize("kind", RESERVED)
def test_a_reserved_kind_needs_a_newer_version(kind: str) -> None:
    with pytest.raises(PolicyError) as refused:
        kinds.find_rules(kind)

    assert kind in refused.value.message
    assert "newer airgap" in refused.value.hint


@pytest.mark.parametrize("kind", ["wheel", "", "Bento", "hugging_face"])
def test_any_other_kind_is_corrupt(kind: str) -> None:
    with pytest.raises(CorruptError, match="unknown kind"):
        kinds.find_rules(kind)


@pytest.mark.parametrize(
    ("rules", "tag"),
    [(MODEL, "m:v1"), (MODEL, f"org--m:{COMMIT}"), (HUGGING_FACE, f"_m:{COMMIT}")],
)
def test_a_kind_accepts_its_own_tags(rules: KindRules, tag: str) -> None:
    assert rules.is_tag(*tag.split(":"))


@pytest.mark.parametrize(
    ("rules", "tag"), [(MODEL, "_m:v1"), (BENTO, "m:latest"), (HUGGING_FACE, "m:v1")]
)
def test_a_kind_refuses_the_tags_of_another(rules: KindRules, tag: str) -> None:
    assert not rules.is_tag(*tag.split(":"))


def test_a_manifest_says_which_reader_its_kinds_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_RULES", dict(kinds._RULES))
    kinds.add_rules(KindRules("files", 2, lambda *_: True, reader=2))

    def encode(*items: str) -> bytes:
        made = tuple(make_item(kind, "n", "v1", []) for kind in items)
        return manifest.encode(Manifest(made, ChunkTable(b"", ()), (), 0, "test"))

    assert b"\xa6reader\x01" in encode("model", "bento")
    raw = encode("model", "files", "bento")
    assert b"\xa6reader\x02" in raw
    assert [item.kind for item in manifest.decode(raw).items] == ["model", "files", "bento"]
    with pytest.raises(CorruptError, match="'reader'"):
        manifest.decode(raw.replace(b"\xa6reader\x02", b"\xa6reader\x01"))
