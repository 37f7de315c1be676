"""``latest`` moves as BentoML itself moves it: to what was created later, or at the same time."""

from pathlib import Path

import pytest

from tests.support import stores
from tests.support.sides import Side, Site

TIMES = {
    "older": "2026-01-01T00:00:00+00:00",
    "same": stores.CREATED,
    "newer": "2026-02-01T00:00:00+00:00",
}


@pytest.fixture
def carried(connected: Side, site: Site, tmp_path: Path) -> Path:
    """A depot with ``shop:v1``."""
    stores.add_model(connected, "shop:v1", {"w": b"1"})
    stores.add_bento(connected, "shop:v1", {}, models=["shop:v1"])
    ran = connected.run("export", "shop", "-o", tmp_path / "depot", "--key", site.key())
    assert ran.code == 0, ran.err
    return tmp_path / "depot"


def latest(side: Side, store: str) -> str:
    return (side.bentoml / store / "shop" / "latest").read_text()


def test_the_first_version_is_the_latest_without_a_newline(carried: Path, isolated: Side) -> None:
    assert isolated.run("import", carried).code == 0

    assert (latest(isolated, "bentos"), latest(isolated, "models")) == ("v1", "v1")


@pytest.mark.parametrize(
    ("installed", "expected"), [("older", "v1"), ("same", "v1"), ("newer", "v0")]
)
def test_latest_moves_only_forward(
    installed: str, expected: str, carried: Path, isolated: Side
) -> None:
    stores.add_bento(isolated, "shop:v0", {}, created=TIMES[installed])
    stores.add_model(isolated, "shop:v0", {}, created=TIMES[installed])

    assert isolated.run("import", carried).code == 0

    assert (latest(isolated, "bentos"), latest(isolated, "models")) == (expected, expected)
    assert (isolated.bentoml / "bentos/shop/v0/bento.yaml").exists()


@pytest.mark.parametrize("pointer", ["gone", "", "../../..", "\0"])
def test_a_broken_latest_is_replaced(pointer: str, carried: Path, isolated: Side) -> None:
    (isolated.bentoml / "bentos" / "shop").mkdir(parents=True)
    (isolated.bentoml / "bentos" / "shop" / "latest").write_text(pointer)

    assert isolated.run("import", carried).code == 0

    assert latest(isolated, "bentos") == "v1"


@pytest.mark.parametrize(("installed", "sent"), [("v10", "v1"), ("v1", "v10")])
def test_a_longer_version_is_another_version(
    installed: str, sent: str, connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    stores.add_bento(connected, f"shop:{sent}", {"src/a": b"sent"})
    stores.add_bento(isolated, f"shop:{installed}", {"src/a": b"there"})
    target = tmp_path / "depot"
    assert connected.run("export", f"shop:{sent}", "-o", target, "--key", site.key()).code == 0

    ran = isolated.run("import", target, "--json")

    assert ran.json["items"][0]["outcome"] == "installed"
    folder = isolated.bentoml / "bentos" / "shop"
    assert (folder / sent / "src" / "a").read_bytes() == b"sent"
    assert (folder / installed / "src" / "a").read_bytes() == b"there"


def test_nothing_but_versions_and_latest_lies_in_the_store(carried: Path, isolated: Side) -> None:
    assert isolated.run("import", carried).code == 0

    there = sorted(path.name for path in isolated.bentoml.iterdir())
    assert there == [".airgap", "bentos", "models"]
    for store in ("bentos", "models"):
        found = sorted(path.name for path in (isolated.bentoml / store / "shop").iterdir())
        assert found == ["latest", "v1"]


FUTURE = "9000-12-31T00:00:00+00:00"


@pytest.fixture
def pinned(connected: Side, isolated: Side, site: Site, tmp_path: Path) -> Path:
    """The depot whose number 1, of a day in the future, was imported; number 2 is in it too."""
    depot = tmp_path / "numbered"
    for version, created in (("v1", FUTURE), ("v2", TIMES["same"])):
        stores.add_bento(connected, f"shop:{version}", {}, created=created)
        words = ("--channel", "shops", "-o", depot, "--key", site.key())
        assert connected.run("export", f"shop:{version}", *words).code == 0
        if version == "v1":
            ran = isolated.run("import", depot)
            assert ran.code == 0
            assert "bento shop:v1 says that it was created on 9000-12-31" in ran.err
    assert latest(isolated, "bentos") == "v1"
    return depot


def test_a_higher_number_wins_over_a_day_that_lies_ahead(pinned: Path, isolated: Side) -> None:
    ran = isolated.run("import", pinned)

    assert ran.code == 0
    assert latest(isolated, "bentos") == "v2"
    assert "now names v2. v1 says that it was created on 9000-12-31" in ran.err


def test_without_a_number_a_day_that_lies_ahead_keeps_latest_and_that_is_told(
    pinned: Path, connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    assert pinned.exists()
    stores.add_bento(connected, "shop:v3", {}, created=TIMES["newer"])
    words = ("-o", tmp_path / "plain", "--key", site.key())
    assert connected.run("export", "shop:v3", *words).code == 0

    ran = isolated.run("import", tmp_path / "plain")

    assert ran.code == 0
    assert latest(isolated, "bentos") == "v1"
    assert "still names v1. v1 says that it was created on 9000-12-31" in ran.err
