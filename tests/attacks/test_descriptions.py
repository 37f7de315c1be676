"""Signed Bentos and models that BentoML could not list: one of them breaks its whole list."""

from pathlib import Path

import pytest

from airgap.errors import CorruptError
from airgap.format import limits
from tests.support import forge, refusals
from tests.support.forge import Content, File, Forge, Item, Link
from tests.support.sides import Side

HEAD = "name: shop\nversion: v1\ncreation_time: '2026-01-02T03:04:05+00:00'\n"
MERGES = "".join(f"a{at}: &a{at} {{<<: [*a{at - 1}, *a{at - 1}]}}\n" for at in range(1, 40))

TEXTS = {
    "nothing": "",
    "a list": "- 1\n",
    "no YAML": "\t:",
    "no version": HEAD.replace("version", "revision"),
    "another name": HEAD.replace("shop", "other"),
    "another version": HEAD.replace("v1", "v2"),
    "no time": HEAD.replace("2026-01-02", "yesterday"),
    "deep nesting": HEAD + "x: " + "[" * 100_000 + "\n",
    "maps that double forty times": HEAD + "a0: &a0 {k: v}\n" + MERGES,
    "services that are a number": HEAD + "services: 7\n",
    "a Python object": HEAD + "x: !!python/object/apply:os.system [true]\n",
}

ENTRIES: dict[str, dict[str, Content]] = {
    "no description": {"README.md": HEAD.encode()},
    "an empty one": {"bento.yaml": b""},
    "a link for one": {"bento.yaml": Link("real.yaml"), "real.yaml": HEAD.encode()},
    "one in a folder": {"src/bento.yaml": HEAD.encode()},
    "one of a model": {"model.yaml": HEAD.encode()},
    "a very long one": {"bento.yaml": File((b"#" * limits.CHUNK_BYTES, HEAD.encode()))},
    **{name: {"bento.yaml": text.encode()} for name, text in TEXTS.items()},
}


def bento(forged: Forge, entries: dict[str, Content]) -> Path:
    return forged.depot(forge.draft(Item("bento", "shop", "v1", entries)))


@pytest.mark.parametrize("name", ENTRIES)
def test_a_bento_is_refused_that_has(name: str, forged: Forge, isolated: Side) -> None:
    depot = bento(forged, ENTRIES[name])

    refusals.expect_refusal(isolated, "verify", depot, error=CorruptError)
    refusals.expect_refusal(isolated, "import", depot, error=CorruptError, staging=True)


def test_a_description_in_several_chunks_is_read(forged: Forge, isolated: Side) -> None:
    text = HEAD.encode()
    content = File((text[:20], text[20:30], text[30:]))

    assert isolated.run("verify", bento(forged, {"bento.yaml": content})).code == 0
    assert isolated.run("import", bento(forged, {"bento.yaml": content})).code == 0


@pytest.mark.parametrize(
    "tag", ["a" * 300 + ":v1", "../../../etc:v1", '"\\e]0;owned\\a:v1"', '"a\\0b:v1"', "A:v1"]
)
def test_a_model_that_cannot_be_is_lacking_and_told_harmlessly(
    tag: str, forged: Forge, isolated: Side
) -> None:
    (isolated.bentoml / "models").mkdir(parents=True)
    text = HEAD + f"models:\n- tag: {tag}\n"

    ran = isolated.run("import", bento(forged, {"bento.yaml": text.encode()}))

    assert ran.code == 0, ran.err
    assert "still missing here: model '" in ran.out
    assert all(one.isprintable() for one in ran.out.replace("\n", ""))


def test_a_chunk_is_in_no_more_places_than_there_may_be(
    forged: Forge, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 128 MiB of manifest could name 32 million places, of a hundred bytes each in memory.
    made = forge.draft(forge.model({"a": File((b"x",) * 9), "b": File((b"x",) * 9)}))
    depot = forged.depot(made)
    assert isolated.run("verify", depot).code == 0

    monkeypatch.setattr(limits, "CHUNK_USES", 18)
    refusals.expect_refusal(isolated, "inspect", depot, error=CorruptError)
