"""Archives for stock BentoML (format §10)."""

from dataclasses import replace

import pytest

from airgap.errors import CorruptError
from airgap.format import manifest
from airgap.format import stock_archive as stock
from airgap.format.inventory import Entry, File, Folder, Item, Link, make_item
from tests.support import forge

COMMIT = "0a" * 20
KEY = "0b" * 32


def file(path: str) -> File:
    return File(path, executable=False, size=1, digest=forge.sha256(b"x"), chunks=(0,))


def item(kind: str, *entries: Entry) -> Item:
    match kind:
        case "model":
            return make_item("model", "ranker", "v1", entries)
        case "bento":
            return make_item("bento", "shop", "v1", entries)
        case _:
            return make_item("hugging-face", "org--mini", COMMIT, entries)


MODEL = item("model", file("w.bin"))
BENTO = item("bento", file("src/a.py"), Link("link", "src/a.py"), Folder("empty"))
MINI = item("hugging-face", file("words"), file("more/words"))


def test_what_lies_beside_an_archive_has_its_name() -> None:
    assert stock.manifest_name("x.tar") == "x.tar.airgap-manifest"
    name = stock.envelope_name("x.tar", "builder", KEY)
    assert name == f"x.tar.airgap-manifest.builder.{KEY}.dsse"
    assert stock.parse_envelope_name("x.tar", name) == ("builder", KEY)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x.tar",
        "x.tar.airgap-manifest",
        f"y.tar.airgap-manifest.builder.{KEY}.dsse",
        f"x.tar.airgap-manifest.admin.{KEY}.dsse",
    ],
)
def test_another_name_is_no_envelopes(name: str) -> None:
    assert stock.parse_envelope_name("x.tar", name) is None


def test_an_archive_holds_a_bento_with_its_models() -> None:
    contents = stock.list_contents([MODEL, MINI, BENTO], folder=True)

    digest = forge.sha256(b"x").hex()
    assert set(contents.files) == {
        "models/ranker/v1/w.bin",
        f"models/hugging-face/{digest}",
        "src/a.py",
    }
    assert contents.links == {"link": "src/a.py"}
    assert contents.empty_folders == {"empty"}
    targets = contents.files[f"models/hugging-face/{digest}"].targets
    assert [(number, one.path) for number, one in targets] == [(1, "more/words"), (1, "words")]
    assert contents.nonempty_folders() == {
        *("src", "models", "models/hugging-face", "models/ranker", "models/ranker/v1"),
    }


def test_links_are_stored_as_the_file_they_lead_to_where_there_are_none() -> None:
    links = (
        Link("a", "b"),
        Link("b", "d/../d/./f"),
        Link("c", "c"),
        Link("e", "../d/f"),
        Link("g", "d"),
    )
    bento = item("bento", file("d/f"), *links[:3], links[4])

    contents = stock.list_contents([bento], folder=False)

    assert set(contents.files) == {"d/f", "a", "b"}
    assert contents.files["a"].targets == []
    assert contents.links == {}


def test_a_link_in_a_long_row_is_followed_no_further() -> None:
    links = {f"l{number}": f"l{number + 1}" for number in range(50)}

    assert stock.resolve_link("l45", {**links, "l50": "f"}, {"f"}) == "f"
    assert stock.resolve_link("l0", {**links, "l50": "f"}, {"f"}) is None


def test_a_model_alone_is_at_the_top() -> None:
    assert set(stock.list_contents([MODEL], folder=True).files) == {"w.bin"}


@pytest.mark.parametrize(
    "items", [[], [BENTO, BENTO], [MINI], [MODEL, MODEL], [MODEL, MINI]], ids=len
)
def test_an_archive_has_one_bento_or_one_model(items: list[Item]) -> None:
    with pytest.raises(CorruptError, match="one Bento or one model"):
        stock.check_items(items)


def test_a_bento_with_its_models_is_one() -> None:
    stock.check_items([MODEL, MINI, BENTO])
    stock.check_items([MODEL])


@pytest.mark.parametrize("path", ["models/x", "Models", "MODELS/a/b"])
def test_a_bento_has_nothing_where_its_models_belong(path: str) -> None:
    with pytest.raises(CorruptError, match="where its models belong"):
        stock.check_items([item("bento", file(path))])


def test_the_manifest_of_an_archive_has_no_packs() -> None:
    decoded = manifest.decode(forge.draft(forge.model({"a": b"a"})).raw())

    stock.check_manifest(replace(decoded, packs=()))
    with pytest.raises(CorruptError):
        stock.check_manifest(decoded)
