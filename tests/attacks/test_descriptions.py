"""Signed Bentos and models that BentoML could not list: one of them breaks its whole list."""

from pathlib import Path

import pytest

from airgap.errors import ConflictError, CorruptError
from airgap.format import limits
from tests.support import forge, refusals
from tests.support.forge import Content, File, Forge, Item, Link
from tests.support.sides import Side

HEAD = forge.describe("bento", "shop:v1")
MERGES = "".join(f"a{at}: &a{at} {{<<: [*a{at - 1}, *a{at - 1}]}}\n" for at in range(1, 40))
DOUBLES = "".join(f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}]\n" for at in range(1, 20))

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
    # What made the YAML reader itself raise, and so ended airgap with a traceback.
    "an empty integer": HEAD + "x: !!int ''\n",
    "an infinite number": HEAD + f"x: {':'.join('1' * 200)}:1.0\n",
    # What BentoML would construct for hours.
    "a long integer in base 60": HEAD + f"labels: {{a: {':'.join('1' * 400_000)}}}\n",
    "a merge by its tag": HEAD + "a: &a {k: v}\nb: {!!merge x: *a}\n",
    "lists that double twenty times": HEAD + "a0: &a0 [k]\n" + DOUBLES,
    # What BentoML cannot structure, so that it lists nothing at all.
    "no service": HEAD.replace("service: service:Main\n", ""),
    "labels that are a list": HEAD + "labels: [a]\n",
    "services without names": HEAD + "services: [{x: 1}]\n",
    "a model with an impossible tag": HEAD + "models: ['A B:c']\n",
    "a model in upper case": HEAD + "models: ['A:v1']\n",
    "models that are null": HEAD + "models: null\n",
    "a version that is a number": HEAD.replace("v1", "0x1f"),
    "a time before the year 1 in UTC": HEAD.replace("2026-01-02", "0001-01-01"),
    "a time after the year 9999 in the west": HEAD.replace("2026-01-02T03", "9999-12-31T23"),
    # What only BentoML's own parser refuses: this one and libyaml differ.
    "a tab": HEAD + "labels:\t{}\n",
}

ENTRIES: dict[str, dict[str, Content]] = {
    "no description": {"README.md": HEAD.encode()},
    "an empty one": {"bento.yaml": b""},
    "a link for one": {"bento.yaml": Link("real.yaml"), "real.yaml": HEAD.encode()},
    "a link at which the list ends": {"bento.yaml": HEAD.encode(), "l": Link("a/" + "b" * 256)},
    "a model in its own folder": {"bento.yaml": HEAD.encode(), "models/a/b/model.yaml": b"x"},
    "a link for its models": {"bento.yaml": HEAD.encode(), "models": Link("src")},
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


@pytest.mark.parametrize("name", ["a" * 300, "../../../etc", '"\\e]0;owned\\a"', '"a\\0b"'])
def test_a_model_that_cannot_be_is_lacking_and_told_harmlessly(
    name: str, forged: Forge, isolated: Side
) -> None:
    metadata = f"{{model_id: {name}, revision: main}}"
    text = HEAD + f"models:\n- {{tag: 'a:b', registry: huggingface, metadata: {metadata}}}\n"

    ran = isolated.run("import", bento(forged, {"bento.yaml": text.encode()}))

    assert ran.code == 0, ran.err
    assert "still missing here: hugging-face '" in ran.out
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


def shop(version: str, *, created: str = "2026-01-02T03:04:05+00:00", model: str = "") -> Item:
    text = forge.describe("bento", f"shop:{version}")
    text = text.replace("2026-01-02T03:04:05+00:00", created)
    text += f"models:\n- tag: {model}\n" if model else ""
    return Item("bento", "shop", version, {"bento.yaml": text.encode()})


NO_ZONE = "2026-01-02T03:04:05"
TOGETHER = {
    "a time without a zone, after one with": ([shop("v1")], [shop("v2", created=NO_ZONE)]),
    "a time with a zone, after one without": ([shop("v1", created=NO_ZONE)], [shop("v2")]),
    "a Bento that needs one of two models": (
        [forge.model({}, "ranker:v11"), forge.model({}, "ranker:v12")],
        [shop("v1", model="ranker:v1")],
    ),
    "a second model that may be the one": (
        [forge.model({}, "ranker:v11"), shop("v1", model="ranker:v1")],
        [forge.model({}, "ranker:v12")],
    ),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_items_that_break_the_list_together_are_refused(
    name: str, forged: Forge, isolated: Side
) -> None:
    before, after = TOGETHER[name]
    assert isolated.run("import", forged.depot(forge.draft(*before))).code == 0

    depot = forged.depot(forge.draft(*after))
    assert isolated.run("verify", depot).code == 0
    refusals.expect_refusal(isolated, "import", depot, error=ConflictError, staging=True)

    assert isolated.run("doctor").code == 0


def test_a_model_in_the_bento_itself_is_the_one(forged: Forge, isolated: Side) -> None:
    assert isolated.run("import", forged.depot(forge.draft(shop("v1", model="r:v1")))).code == 0
    copy = isolated.bentoml / "bentos/shop/v1/models/r/v1"  # as BentoML 1.0 built it
    copy.mkdir(parents=True)

    models = forge.model({}, "r:v11"), forge.model({}, "r:v12")
    assert isolated.run("import", forged.depot(forge.draft(*models))).code == 0


def test_a_store_whose_list_is_broken_already_takes_more(forged: Forge, isolated: Side) -> None:
    assert isolated.run("import", forged.depot(forge.draft(shop("v1")))).code == 0
    folder = isolated.bentoml / "bentos" / "shop" / "v2"
    folder.mkdir()
    content = shop("v2", created=NO_ZONE).entries["bento.yaml"]
    assert isinstance(content, bytes)
    (folder / "bento.yaml").write_bytes(content)

    assert isolated.run("import", forged.depot(forge.draft(shop("v3")))).code == 0
    ran = isolated.run("doctor")
    assert "BentoML cannot list both" in ran.out


def test_a_broken_item_in_a_store_is_named_beside_the_others(forged: Forge, isolated: Side) -> None:
    assert isolated.run("import", forged.depot(forge.draft(shop("v1")))).code == 0
    broken = isolated.bentoml / "bentos" / "shop" / "v2"
    broken.mkdir()
    (broken / "bento.yaml").write_text(HEAD.replace("v1", "v2") + "x: !!int ''\n")
    (broken.parent / "latest").unlink()

    rows = {row["tag"]: row["problem"] for row in isolated.run("list", "--json").json["items"]}
    assert rows["shop:v1"] == ""
    assert "bento.yaml is malformed: it has the tag" in rows["shop:v2"]
    assert isolated.run("get", "shop", "--json").json["tag"] == "shop:v1"
    assert "line 5" in isolated.run("get", "shop:v2").out

    ran = isolated.run("doctor")
    assert ran.code != 0
    out = "".join(ran.out.split())  # it is wrapped
    assert f"{broken}/bento.yamlismalformed" in out
    assert "BentoMLcannotdeletesuchanitem" in out
