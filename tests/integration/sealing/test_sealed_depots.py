"""A depot with sealed bundles: what list, get, pull, diff and a base see with and without a key."""

import shutil
from pathlib import Path

import pytest

import airgap
from airgap.errors import ConfigurationError, MissingError, NotTrustedError, UsageError
from tests.support import refusals, sealing, signers, stores
from tests.support.sealing import SealedSite
from tests.support.sides import Side


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SealedSite:
    """Made once; tests that install do it on a copy of the isolated side."""
    return sealing.make_sealed_site(tmp_path_factory.mktemp("depots") / "site", post_quantum=False)


@pytest.fixture(scope="module")
def depot(site: SealedSite) -> Path:
    """A depot with two sealed bundles of one Bento, numbers 1 and 2 of a channel."""
    depot = site.top / "depot"
    for number in ("1", "2"):
        ran = site.export("-o", depot, "--channel", "shop", "--sequence", number)
        assert ran.code == 0, ran.err
    return depot


@pytest.fixture
def isolated(site: SealedSite, tmp_path: Path) -> Side:
    side = Side(tmp_path / "isolated")
    shutil.copytree(site.isolated.top, side.top)
    return side


def test_list_says_what_is_known_of_a_bundle_that_stays_sealed(
    site: SealedSite, depot: Path, isolated: Side
) -> None:
    ran = isolated.run("list", depot, "--json")
    for row in ran.json["bundles"]:
        assert (row["standing"], row["trusted"], row["items"]) == ("sealed", None, [])
        assert row["stored_size"] > 3 * 1024 * 1024  # noise, which no codec shortens
    lines = isolated.run("list", depot).out
    assert "trusted" not in lines
    assert "0 B" not in lines
    assert "what is inside is not known without --identity" in lines
    assert "claims to be" not in lines  # who signed the index is verified
    row = isolated.run("list", depot, "--identity", site.identity, "--json").json["bundles"][0]
    assert (row["standing"], row["channel"], row["sequence"]) == ("trusted", "shop", 2)
    assert [item["tag"] for item in row["items"]] == ["secret-ranker:v1", "secret-shop:v1"]
    assert row["sealed"] == {"recipients": 2, "inner": row["sealed"]["inner"]}
    assert row["bundle"] != row["sealed"]["inner"]
    assert isolated.run("inspect", f"{depot}#{row['bundle']}").code == 0


def test_get_and_pull_find_a_tag_in_sealed_bundles(
    site: SealedSite, depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("get", "pull"):
        told = refusals.expect_refusal(
            isolated, command, "secret-shop:v1", depot, error=MissingError
        )
        assert "2 sealed bundles of it may" in told.json["error"]["message"]
        assert "--identity FILE, or AIRGAP_IDENTITY" in told.json["error"]["hint"]
    words = ("secret-shop", depot, "--identity", site.identity, "--json")
    shown = isolated.run("get", *words).json
    assert (shown["sequence"], shown["standing"], len(shown["other_bundles"])) == (2, "trusted", 1)

    pulled = isolated.run("pull", *words)
    assert pulled.code == 0, pulled.err
    assert pulled.json["sequence"] == 2
    path = "models/secret-ranker/v1/weights.bin"
    assert (isolated.bentoml / path).read_bytes() == (site.connected.bentoml / path).read_bytes()

    monkeypatch.setenv("AIRGAP_IDENTITY", str(site.escrow))
    with isolated.here():
        assert airgap.bentos.get("secret-shop", depot)["sequence"] == 2
        standings = {one["sequence"]: one["standing"] for one in airgap.bentos.list(depot=depot)}
    assert standings == {1: "not acceptable", 2: "trusted"}


def test_a_sealed_bundle_of_others_is_passed_over_and_said(
    site: SealedSite, depot: Path, isolated: Side, tmp_path: Path
) -> None:
    made = isolated.run(
        *("key", "generate", "other", "--seal", "--algorithm", "x25519", "--dir", tmp_path)
    )
    assert made.code == 0, made.err
    recipient = (tmp_path / "other.recipient").read_text().strip()
    mixed = tmp_path / "mixed"
    shutil.copytree(depot, mixed)
    words = ("--seal-to", recipient, "--insecure-recipients", "--channel", "shop")
    assert site.export("-o", mixed, *words, "--sequence", "3").code == 0

    pulled = isolated.run("pull", "secret-shop", mixed, "--identity", site.identity, "--json")

    assert pulled.code == 0, pulled.err
    assert pulled.json["sequence"] == 2
    assert "1 sealed bundle of the depot cannot be opened here" in pulled.err


def test_diff_looks_inside_with_an_identity_and_else_refuses(
    site: SealedSite, depot: Path, isolated: Side, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    exported = site.connected.run(
        *("export", "secret-shop:v1", "--no-models", "-o", plain, "--key", site.key, "--json")
    )
    refused = refusals.expect_refusal(isolated, "diff", plain, depot, error=ConfigurationError)
    assert "What it has cannot be compared" in refused.json["error"]["message"]

    ran = isolated.run("diff", plain, depot, "--identity", site.identity, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["old"] == exported.json["bundle"]
    assert (ran.json["added"], ran.json["same"]) == (
        ["model secret-ranker:v1"],
        ["bento secret-shop:v1"],
    )
    with isolated.here():
        assert airgap.diff(plain, depot, identities=[site.identity])["added"] == ran.json["added"]
    stranger = Side(tmp_path / "stranger")
    stranger.top.mkdir()
    signers.pin(stranger, signers.make_root(builder=signers.team("mallory")))
    words = ("diff", plain, depot, "--identity", site.identity)
    refusals.expect_refusal(stranger, *words, error=NotTrustedError)


def test_a_base_that_is_sealed_is_opened_and_never_taken_for_empty(
    site: SealedSite, depot: Path, isolated: Side, tmp_path: Path
) -> None:
    side = Side(tmp_path / "connected")
    shutil.copytree(site.connected.top, side.top)
    stores.add_bento(
        side, "secret-shop:v2", {"src/service.py": b"Main = 2\n"}, models=["secret-ranker:v1"]
    )
    target = tmp_path / "next"
    words = ("export", "secret-shop:v2", "-o", target, "--key", site.key, "--base")
    refusals.expect_refusal(side, *words, depot, error=ConfigurationError)
    index = next(depot.glob("bundles/*/manifest.msgpack"))
    refusals.expect_refusal(side, *words, index, error=UsageError)

    ran = side.run(*words, depot, "--identity", site.identity, "--json")

    assert ran.code == 0, ran.err
    assert ran.json["stored_size"] < 10_000  # the model is in the base
    refusals.expect_refusal(isolated, "import", target, error=MissingError)
    taken = ("import", target, "--depot", depot)
    refusals.expect_refusal(isolated, *taken, error=ConfigurationError)
    done = isolated.run(*taken, "--identity", site.identity)
    assert done.code == 0, done.err
    assert (isolated.bentoml / "models/secret-ranker/v1/weights.bin").exists()
