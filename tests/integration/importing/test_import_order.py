"""Bundles of one depot: an import leaves none behind that it makes impossible, unless asked to."""

import shutil
from pathlib import Path

import pytest

from airgap.errors import MissingError, PolicyError
from airgap.flow.bundle.import_order import choose_lost
from airgap.flow.bundle.open_bundle import EarlierBundle
from airgap.flow.depot import pull
from tests.support import forge, refusals, stores
from tests.support.forge import Draft, Forge
from tests.support.sides import Side, Site


@pytest.fixture
def forged(tmp_path: Path, site: Site) -> Forge:
    """Writes bundles that ``site``'s builder has signed."""
    return Forge(tmp_path, forge.load_signer(site.key()))


def make(*items: forge.Item, number: int, channel: str = "production") -> Draft:
    return forge.draft(*items, sequence=number, channel=channel)


def bento(tag: str, content: bytes = b"code") -> forge.Item:
    return forge.bento({"src.py": content}, tag)


def join(forged: Forge, *drafts: Draft) -> Path:
    top = forged.folder / "joined"
    for draft in drafts:
        shutil.copytree(forged.depot(draft), top, dirs_exist_ok=True)
    return top


def earlier(number: int, *items: tuple[str, str]) -> EarlierBundle:
    tags = tuple((kind, name, "v1") for kind, name in items)
    return EarlierBundle(f"depot#{number}", "production", number, tags)


A, B, M, N = ("bento", "a"), ("bento", "b"), ("model", "m"), ("model", "n")
IMAGE = ("image", "i")


@pytest.mark.parametrize(
    ("bundles", "newest", "lost"),
    [
        ([earlier(1, A)], [A], []),
        ([earlier(1, A)], [B], [1]),
        ([earlier(1, A), earlier(2, A)], [B], [2]),
        ([earlier(2, B), earlier(1, A)], [A], [2]),
        ([earlier(1, A, M)], [A, N], []),
        ([earlier(1, M)], [A, N], [1]),
        ([earlier(1, M)], [A, M], []),
        ([earlier(1, IMAGE)], [A], [1]),
        ([], [A], []),
    ],
)
def test_a_bundle_is_lost_if_no_higher_number_has_its_names(
    bundles: list[EarlierBundle], newest: list[tuple[str, str]], lost: list[int]
) -> None:
    items = [(kind, name, "v2") for kind, name in newest]

    assert [bundle.sequence for bundle in choose_lost(bundles, items)] == lost


def test_an_import_that_would_shut_out_another_bento_is_refused_and_writes_nothing(
    forged: Forge, isolated: Side
) -> None:
    depot = join(forged, make(bento("mood:v1"), number=1), make(bento("words:v1"), number=2))
    before = stores.snapshot(isolated.top)

    ran = refusals.expect_refusal(isolated, "import", depot, error=PolicyError)

    assert stores.snapshot(isolated.top) == before
    assert ran.json["error"]["details"][0] == "number 1: bento mood:v1"
    command = ran.json["error"]["details"][1].removeprefix("airgap ").split()
    assert isolated.run(*command).code == 0
    assert isolated.run("import", depot).code == 0
    assert isolated.run("list", "--json").code == 0


def test_newest_takes_it_all_the_same_and_says_what_is_left_behind(
    forged: Forge, isolated: Side
) -> None:
    drafts = [make(bento(f"{name}:v1"), number=number) for name, number in (("a", 2), ("b", 7))]
    assert isolated.run("import", forged.depot(make(bento("c:v1"), number=1))).code == 0

    ran = isolated.run("import", join(forged, *drafts), "--newest")

    assert ran.code == 0
    assert "NOTE: numbers 3 to 6 did not come; ask the sender if that is meant" in ran.out
    assert "NOTE: number 2 is in this depot and was not imported" in ran.out


def test_a_bundle_that_replaces_older_ones_is_imported_and_they_are_no_gap(
    forged: Forge, isolated: Side
) -> None:
    assert isolated.run("import", forged.depot(make(bento("c:v1"), number=4))).code == 0
    drafts = [make(bento(f"a:v{number}"), number=number) for number in (5, 6, 7)]

    ran = isolated.run("import", join(forged, *drafts))

    assert ran.code == 0
    assert "did not come" not in ran.out
    assert "NOTE: numbers 5 and 6 are in this depot and were not imported" in ran.out


def test_of_bundles_with_an_old_number_nothing_is_printed(forged: Forge, isolated: Side) -> None:
    old, new = make(bento("a:v1"), number=1), make(bento("a:v2"), number=2)
    depot = join(forged, old, new)
    assert isolated.run("import", depot).code == 0

    ran = isolated.run("import", depot)

    assert "passed over" not in ran.out
    assert "nothing was done" in ran.out
    assert len(isolated.run("import", depot, "--json").json["passed_over"]) == 1


def test_an_import_that_installs_nothing_and_raises_the_number_says_both(
    forged: Forge, isolated: Side
) -> None:
    assert isolated.run("import", forged.depot(make(bento("a:v1"), number=1))).code == 0

    ran = isolated.run("import", forged.depot(make(bento("a:v1"), number=3)))

    assert (
        "Nothing was installed: all of it was there. This site now has number 3 of channel"
        " production." in " ".join(ran.out.split())
    )
    assert "nothing was done" not in ran.out


def test_an_export_says_which_bundles_of_its_channel_the_depot_holds_too(
    small: Side, site: Site, tmp_path: Path
) -> None:
    words = ("-o", tmp_path / "depot", "--key", site.key(), "--channel")
    assert small.run("export", "--model", "ranker:v1", *words, "a").code == 0

    other = small.run("export", "shop:v1", "--no-models", *words, "b")
    second = small.run("export", "shop:v1", "--no-models", *words, "a")
    third = small.run("export", "shop:v1", *words, "b")

    assert (other.code, second.code, third.code) == (0, 0, 0)
    assert "also holds number 1 (model ranker:v1) of channel a" in " ".join(second.err.split())
    assert "also holds" not in other.err + third.err


def test_a_pull_says_which_bundles_of_its_depot_it_shuts_out(forged: Forge, isolated: Side) -> None:
    drafts = [make(bento(f"{name}:v1"), number=number) for number, name in enumerate("abc", 1)]
    other_channel = make(bento("d:v1"), number=1, channel="nightly")
    depot = join(forged, *drafts, other_channel)

    tried = isolated.run("pull", "b:v1", depot, "--dry-run")
    ran = isolated.run("pull", "b:v1", depot)

    note = (
        "After number 2 of channel production, this site can no longer import number 1"
        " (bento a:v1) of the same depot. To have both, import the lower number first: airgap"
        f" import {depot}#"
    )
    assert note in tried.err
    assert note in ran.err
    assert "NOTE: number 1 is in this depot and was not imported" in ran.out
    assert "can no longer import" not in isolated.run("pull", "b:v1", depot).err
    assert "can no longer import" not in isolated.run("pull", "c:v1", depot).err


def test_a_pull_past_many_other_bundles_looks_at_some_of_them(
    forged: Forge, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "_MOST_READ", 1)
    names = ("alpha", "beta", "gamma")
    drafts = [make(bento(f"{name}:v1"), number=number) for number, name in enumerate(names, 1)]

    ran = isolated.run("pull", "gamma:v1", join(forged, *drafts))

    assert ran.err.count("can no longer import") == 1
    assert ("(bento alpha:v1)" in ran.err) != ("(bento beta:v1)" in ran.err)


def test_a_pull_of_what_only_older_bundles_have_names_their_numbers(
    forged: Forge, isolated: Side
) -> None:
    drafts = [make(bento("a:v1", letter), number=n) for n, letter in ((1, b"1"), (5, b"5"))]
    depot = join(forged, *drafts, make(bento("b:v1"), number=6))
    assert isolated.run("import", depot, "--newest").code == 0

    ran = refusals.expect_refusal(isolated, "pull", "a:v1", depot, error=PolicyError)

    message = "a:v1 is in bundles 1 and 5 of channel production; this site has number 6."
    assert ran.json["error"]["message"] == message


def test_a_pull_of_a_model_as_a_bento_says_which_option_is_missing(
    forged: Forge, isolated: Side
) -> None:
    words = forge.model({"weights.bin": b"w"}, "words:v1")
    depot = join(forged, make(words, number=1), make(words, bento("a:v1"), number=2))
    assert isolated.run("import", depot).code == 0

    ran = refusals.expect_refusal(isolated, "pull", "words:v1", depot, error=MissingError)
    other = refusals.expect_refusal(isolated, "pull", "a", depot, "--model", error=MissingError)

    assert ran.json["error"]["message"] == "words:v1 is a model."
    assert ran.json["error"]["hint"] == "Add --model."
    assert other.json["error"]["hint"] == "Leave out --model."
