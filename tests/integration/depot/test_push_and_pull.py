"""Push, pull, list, get and delete: a team's depot, here and on servers."""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

import airgap
from airgap.carrier.depot import DepotBundle
from airgap.errors import (
    AirgapError,
    ConflictError,
    MissingError,
    NotTrustedError,
    PolicyError,
    UsageError,
)
from airgap.format import layout
from airgap.format.attachment import parse_attachment_file
from tests.servers import fake_web, kinds
from tests.servers.addresses import Address, address_of
from tests.servers.folder_on_server import FolderOnServer, Server
from tests.support import refusals, sides, stores
from tests.support.sides import Ran, Side, Site

_NUMBERS = count()
_SERVERS = [
    *(name for name in kinds.QUICK if name not in kinds.LOCAL),
    *(pytest.param(name, marks=pytest.mark.servers) for name in kinds.REAL),
]


@pytest.fixture(scope="module", params=_SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A running server of each kind."""
    start = {**kinds.QUICK, **kinds.REAL}[request.param]
    with start(tmp_path_factory.mktemp(str(request.param))) as one:
        yield one


@pytest.fixture
def address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A folder of that server which no other test uses."""
    found = address_of(server, f"team{next(_NUMBERS)}", tmp_path / "server.toml")
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def depot(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "depot"


def push(side: Side, site: Site, tag: str, location: object, *words: str | Path) -> Ran:
    ran = side.run("push", tag, str(location), "--key", site.key(), "--json", *words)
    assert ran.code == 0, ran.err
    return ran


def has(side: Side, tag: str, kind: str = "bentos") -> bool:
    return (side.bentoml / kind / tag.replace(":", "/")).is_dir()


def test_a_depot_that_is_not_there_is_no_empty_one(isolated: Side, depot: Path) -> None:
    ran = refusals.expect_refusal(isolated, "pull", "shop:v1", depot, error=MissingError)

    assert ran.json["error"]["message"] == f"{depot} is not there."


def test_a_bento_goes_by_a_server_with_its_models(
    small: Side, isolated: Side, site: Site, address: Address, server: Server
) -> None:
    bundle = push(small, site, "shop:v1", address).json["bundle"]

    listed = isolated.run("list", str(address), "--json")
    assert listed.code == 0, listed.err
    assert [(one["bundle"], one["standing"]) for one in listed.json["bundles"]] == [
        (bundle, "trusted")
    ]
    assert isolated.run("get", "shop", str(address), "--json").json["bundle"] == bundle
    pulled = isolated.run("pull", "shop", str(address), "--json")
    assert pulled.code == 0, pulled.err
    assert has(isolated, "shop:v1")
    assert has(isolated, "ranker:v1", "models")

    assert small.run("gc", str(address), "--older-than", "0", "--json").json["removed"] == {}
    gone = small.run("delete", "shop:v1", str(address), "--yes", "--json")
    assert [one["bundle"] for one in gone.json["deleted"]] == [bundle], gone.err
    refusals.expect_refusal(isolated, "pull", "shop:v1", str(address), error=MissingError)
    assert small.run("gc", str(address), "--json").json["removed"] == {}
    cleaned = small.run("gc", str(address), "--older-than", "0", "--json")
    assert len(cleaned.json["removed"]) == 2, cleaned.err
    left = FolderOnServer(server, address.url.rpartition("/")[2]).files()
    assert not [name for name in left if name.startswith(("packs/", "gc/", "bundles/"))]


def test_the_same_push_again_writes_nothing(small: Side, site: Site, depot: Path) -> None:
    bundle = push(small, site, "shop:v1", depot).json["bundle"]
    before = stores.snapshot(depot)

    again = push(small, site, "shop", depot)

    assert (again.json["was_there"], again.json["bundle"]) == (True, bundle)
    assert stores.snapshot(depot) == before


def test_a_push_again_puts_back_a_pack_that_is_lost(small: Side, site: Site, depot: Path) -> None:
    push(small, site, "shop:v1", depot)
    before = stores.snapshot(depot)
    next(depot.glob("packs/*/*.pack")).unlink()

    push(small, site, "shop:v1", depot)

    assert stores.snapshot(depot) == before


def test_force_puts_a_damaged_pack_anew(small: Side, site: Site, depot: Path) -> None:
    push(small, site, "shop:v1", depot)
    before = stores.snapshot(depot)
    pack = next(depot.glob("packs/*/*.pack"))
    pack.write_bytes(bytes(pack.stat().st_size))

    push(small, site, "shop:v1", depot, "--force")

    assert stores.snapshot(depot) == before


def test_other_content_under_the_same_tag_needs_force(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    old = push(small, site, "shop:v1", depot).json["bundle"]
    shutil.rmtree(small.bentoml / "bentos/shop")
    stores.add_bento(small, "shop:v1", {"src/service.py": b"other"}, models=["ranker:v1"])

    refused = small.run("push", "shop:v1", depot, "--key", site.key(), "--json")
    assert refused.json["error"]["kind"] == ConflictError.kind
    done = push(small, site, "shop:v1", depot, "--force")

    assert done.json["replaced"] == [old]
    assert [one.name for one in depot.glob("bundles/*/manifest.msgpack")] == [layout.MANIFEST]
    assert isolated.run("pull", "shop:v1", depot).code == 0
    assert (isolated.bentoml / "bentos/shop/v1/src/service.py").read_bytes() == b"other"


def test_force_keeps_a_bundle_that_others_need(small: Side, site: Site, depot: Path) -> None:
    shop = push(small, site, "shop:v1", depot).json["bundle"]
    shutil.rmtree(small.bentoml / "models/ranker")
    stores.add_model(small, "ranker:v1", {"weights.bin": b"new"})

    done = push(small, site, "ranker:v1", depot, "--model", "--force")

    assert done.json["replaced"] == []
    assert (depot / layout.manifest_name(shop)).is_file()


def test_a_model_and_a_bento_without_models(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    push(small, site, "shop:v1", depot, "--no-models")
    push(small, site, "ranker:v1", depot, "--model")

    assert isolated.run("pull", "shop:v1", depot).code == 0
    assert has(isolated, "shop:v1")
    assert not has(isolated, "ranker:v1", "models")
    assert isolated.run("pull", "ranker:v1", depot, "--model").code == 0
    assert has(isolated, "ranker:v1", "models")


def test_pull_takes_only_what_the_tag_needs(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    stores.add_model(small, "other:v1", {"w": b"2"})
    stores.add_bento(small, "second:v1", {"src/x": b"1"}, models=["other:v1"])
    ran = small.run("export", "shop:v1", "second:v1", "-o", depot, "--key", site.key())
    assert ran.code == 0, ran.err

    ran = isolated.run("pull", "second:v1", depot, "--json")

    assert [one["tag"] for one in ran.json["items"]] == ["other:v1", "second:v1"]
    assert not has(isolated, "shop:v1")
    ran = isolated.run("pull", "shop", depot, "--no-models", "--json")
    assert [one["tag"] for one in ran.json["items"]] == ["shop:v1"]


def test_what_is_installed_is_not_fetched(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    push(small, site, "shop:v1", depot)
    assert isolated.run("pull", "shop:v1", depot).code == 0
    for pack in depot.glob("packs/*/*.pack"):
        if pack.stat().st_size > 100_000:  # the model's
            pack.unlink()

    ran = isolated.run("pull", "shop:v1", depot, "--json")

    assert ran.code == 0, ran.err
    assert {one["outcome"] for one in ran.json["items"]} == {"already there"}


def test_without_a_version_the_newest_is_meant(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    stores.add_bento(small, "shop:a", {"src/x": b"1"}, created="2026-05-01T00:00:00+00:00")
    stores.add_bento(small, "shop:b", {"src/x": b"2"}, created="2026-04-01T00:00:00+00:00")
    for tag in ("shop:b", "shop:a", "shop:v1"):
        push(small, site, tag, depot)

    listed = isolated.run("list", depot, "--json").json["bundles"]
    tags = [one["items"][-1]["tag"] for one in listed]
    assert tags == ["shop:a", "shop:b", "shop:v1"]
    for words in (["shop"], ["shop:latest"]):
        ran = isolated.run("pull", *words, depot, "--json")
        assert [one["tag"] for one in ran.json["items"]] == ["shop:a"], ran.err
    assert isolated.run("get", "shop", depot, "--json").json["bundle"] == listed[0]["bundle"]


def test_a_newer_difference_comes_before_an_older_whole_bundle(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    export = ("export", "--key", site.key(), "-o", depot, "--channel", "weekly")
    weights = stores.noise(300_000)
    stores.add_model(connected, "tuned:v1", {"w.bin": weights, "old": b"old"})
    assert connected.run(*export, "--model", "tuned:v1").code == 0
    assert isolated.run("pull", "tuned", depot, "--model").code == 0
    stores.add_model(connected, "tuned:v2", {"w.bin": weights, "new": b"new"})
    assert connected.run(*export, "--model", "tuned:v2", "--base", depot).code == 0

    ran = isolated.run("pull", "tuned", depot, "--model", "--json")

    assert ran.code == 0, ran.err
    assert ran.json["sequence"] == 2
    assert (isolated.bentoml / "models/tuned/v2/w.bin").read_bytes() == weights


def test_other_content_here_needs_force(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    push(small, site, "shop:v1", depot)
    stores.add_bento(isolated, "shop:v1", {"mine": b"1"})

    refusals.expect_refusal(isolated, "pull", "shop:v1", depot, error=ConflictError, staging=True)
    assert isolated.run("pull", "shop:v1", depot, "--force").code == 0

    assert not (isolated.bentoml / "bentos/shop/v1/mine").exists()


def test_a_bare_bundle_installs_where_the_content_is(
    small: Side, isolated: Side, site: Site, depot: Path, tmp_path: Path
) -> None:
    done = push(small, site, "shop:v1", depot, "--bare")
    assert list(depot.glob("packs/*/*")) == []
    assert done.json["packs"] == 0

    refusals.expect_refusal(isolated, "pull", "shop:v1", depot, error=MissingError, staging=True)
    push(small, site, "shop:v1", tmp_path / "full")
    ran = isolated.run("pull", "shop:v1", depot, "--depot", tmp_path / "full")

    assert ran.code == 0, ran.err
    assert has(isolated, "shop:v1")
    full = push(small, site, "shop:v1", depot)
    assert not full.json["was_there"]


@pytest.fixture
def stranger(tmp_path: Path) -> Site:
    return sides.make_site(tmp_path / "stranger")


def test_a_stranger_cannot_make_an_older_bundle_look_like_the_newest(
    small: Side, isolated: Side, site: Site, stranger: Site, depot: Path
) -> None:
    good = push(small, site, "shop:v1", depot).json["bundle"]
    stores.add_bento(small, "shop:v2", {"src/x": b"2"}, created="2026-05-01T00:00:00+00:00")
    bad = push(small, stranger, "shop:v2", depot).json["bundle"]

    refusals.expect_refusal(isolated, "pull", "shop", depot, error=NotTrustedError)
    listed = isolated.run("list", depot, "--json").json["bundles"]
    assert [(one["bundle"], one["standing"]) for one in listed] == [
        (bad, "not trusted"),
        (good, "trusted"),
    ]
    assert isolated.run("pull", "shop", f"{depot}#{good[:12]}").code == 0
    assert isolated.run("pull", "shop:v1", depot).code == 0


def test_a_damaged_manifest_stops_a_pull_and_shows_in_the_list(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    bundle = push(small, site, "shop:v1", depot).json["bundle"]
    manifest = depot / layout.manifest_name(bundle)
    manifest.write_bytes(manifest.read_bytes() + b"x")

    (one,) = isolated.run("list", depot, "--json").json["bundles"]
    assert (one["standing"], one["trusted"]) == ("damaged", False)
    ran = isolated.run("pull", "shop:v1", depot, "--json")
    assert ran.json["error"]["kind"] == "corrupt"


def test_a_bundle_for_another_site_is_passed_over(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    push(small, site, "shop:v1", depot, "--audience", "elsewhere")

    refusals.expect_refusal(isolated, "pull", "shop:v1", depot, error=PolicyError)
    (one,) = isolated.run("list", depot, "--json").json["bundles"]
    assert one["standing"] == "not acceptable"

    push(small, site, "shop:v1", depot)
    ran = isolated.run("pull", "shop:v1", depot, "--json")
    assert ran.code == 0, ran.err
    assert len(ran.json["passed_over"]) == 1


def test_who_trusts_nobody_is_told_that_nothing_is_verified(
    small: Side, site: Site, depot: Path
) -> None:
    push(small, site, "shop:v1", depot)

    ran = small.run("list", depot, "--json")

    assert ran.json["not_verified_because"]
    assert [(one["trusted"], one["standing"]) for one in ran.json["bundles"]] == [
        (None, "not verified")
    ]
    assert "NOT VERIFIED" in small.run("get", "shop", depot).out


def test_lists_for_people_fit_eighty_columns(small: Side, site: Site, depot: Path) -> None:
    push(small, site, "shop:v1", depot, "--channel", "production")
    stores.add_bento(small, "shop:v2", {"src/x": b"2"})
    push(small, site, "shop:v2", depot)

    out = small.run("list", depot).out + small.run("list").out

    assert "bento shop:v1" in out
    assert "production 1" in out
    table = [line for line in out.splitlines() if "airgap inspect" not in line]
    assert max(len(line) for line in table if not line.startswith("NOT")) <= 80


def test_the_stores_are_listed_newest_first(small: Side) -> None:
    stores.add_bento(small, "old:v1", {"src/x": b"2"}, created="2020-01-01T00:00:00+00:00")
    (small.bentoml / "bentos/shop/v1/bento.yaml").write_bytes(b"::")

    rows = small.run("list", "--json").json["items"]

    assert [one["tag"] for one in rows] == ["ranker:v1", "old:v1", "shop:v1"]
    assert rows[-1]["problem"]
    assert small.run("get", "old", "--json").json["tag"] == "old:v1"
    assert small.run("get", "nothing", "--json").json["error"]["kind"] == MissingError.kind


def test_a_bundle_that_holds_more_is_deleted_by_its_id_alone(
    small: Side, site: Site, depot: Path
) -> None:
    stores.add_bento(small, "second:v1", {"src/x": b"1"})
    ran = small.run("export", "shop:v1", "second:v1", "-o", depot, "--key", site.key(), "--json")
    bundle = ran.json["bundle"]
    assert small.run("list", depot).code == 0  # it makes airgap's home
    before = stores.snapshot(depot)

    for words, error in [
        (["shop:v1", str(depot), "--yes"], ConflictError),
        (["shop", str(depot), "--yes"], UsageError),
        ([str(depot), "--yes"], UsageError),
        ([f"{depot}#{bundle[:12]}"], UsageError),  # nobody to ask
        (["ranker:v1", str(depot), "--model", "--yes"], MissingError),
    ]:
        refused: type[AirgapError] = error
        refusals.expect_refusal(small, "delete", *words, error=refused)
        assert stores.snapshot(depot) == before
    assert small.run("delete", f"{depot}#{bundle[:12]}", "--yes").code == 0

    assert not list(depot.glob("bundles/*/*"))
    assert list(depot.glob("packs/*/*.pack"))


def test_manifests_are_fetched_once_from_a_server(
    small: Side, isolated: Side, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise AssertionError

    with fake_web.serve(tmp_path) as server:
        depot = f"http://127.0.0.1:{server.port}/depot"
        ran = small.run("push", "shop:v1", depot, "--key", site.key())
        assert ran.code == 0, ran.err
        assert isolated.run("list", depot).code == 0

        monkeypatch.setattr(DepotBundle, "read_manifest", refuse)
        assert isolated.run("list", depot).code == 0
        (kept,) = (isolated.state / "cache/manifests").iterdir()
        kept.write_bytes(b"damaged")
        assert isolated.run("list", depot).code != 0


def test_what_is_attached_and_which_licences_may_travel_is_said_at_a_push(
    small: Side, site: Site, depot: Path, tmp_path: Path
) -> None:
    report, policy = tmp_path / "scan.json", tmp_path / "policy.toml"
    report.write_text("{}")
    policy.write_text('unknown = "warn"\n')
    words = ("--attach", report, "--bom", "--provenance", "--license-policy", policy)
    made = push(small, site, "shop:v1", depot, *words).json["bundle"]
    names = [path.name for path in (depot / "bundles" / made).iterdir()]
    attached = sorted(name.partition(".")[0] for name in names if parse_attachment_file(name))
    assert attached == ["bom", "provenance", "scan"]
    before = stores.snapshot(depot)
    again = push(small, site, "shop:v1", depot, *words)
    assert (again.json["was_there"], again.json["attached"]) == (True, [])
    assert stores.snapshot(depot) == before

    policy.write_text('unknown = "refuse"\n')
    refused = ("push", "shop:v1", depot, "--key", site.key(), "--license-policy", policy)
    refusals.expect_refusal(small, *refused, error=PolicyError)


def test_a_bundle_that_is_there_gets_the_attachments_that_it_lacks(
    small: Side, site: Site, depot: Path, tmp_path: Path
) -> None:
    report = tmp_path / "scan.json"
    report.write_text("{}")
    made = push(small, site, "shop:v1", depot).json["bundle"]
    before = stores.snapshot(depot)

    again = push(small, site, "shop:v1", depot, "--attach", report, "--provenance")

    assert (again.json["was_there"], again.json["bundle"]) == (True, made)
    attached = [name.partition(".")[0] for name in again.json["attached"]]
    assert attached == ["scan", "provenance"]
    after = stores.snapshot(depot)
    assert {name: after[name] for name in before} == before
    with small.here():
        names = airgap.bentos.get("shop:v1", depot)["attachments"]
        assert sorted(names) == sorted(again.json["attached"])
        pushed = airgap.bentos.push("shop:v1", depot, key=site.key(), bom=True)
    assert pushed == made
    assert len(list(depot.glob("bundles/*/bom.*.intoto.json"))) == 1
