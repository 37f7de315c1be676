"""``airgap list`` without a location: what is on this machine, of every kind."""

from pathlib import Path

import pytest

from airgap.errors import MissingError
from tests.support import refusals, stores, whole_shop
from tests.support.forge import Forge
from tests.support.sides import Side


def test_items_of_every_kind_are_listed_with_the_bundle_that_brought_them(
    isolated: Side, forged: Forge
) -> None:
    depot = whole_shop.install(isolated, forged)
    (bundle,) = (path.name for path in depot.glob("bundles/*"))
    stores.add_bento(isolated, "local:v1", {})

    rows = isolated.run("list", "--json").json["items"]

    assert {row["kind"]: row["tag"] for row in rows if row["bundles"]} == whole_shop.tags()
    assert all(row["bundles"] == [bundle] for row in rows if row["tag"] != "local:v1")
    assert [row["bundles"] for row in rows if row["tag"] == "local:v1"] == [[]]
    assert all(row["size"] and not row["problem"] for row in rows)
    assert {row["kind"] for row in rows if row["created_at"]} == {"bento", "model"}


def test_snapshots_that_were_not_imported_or_are_gone_are_not_listed(
    isolated: Side, forged: Forge
) -> None:
    whole_shop.install(isolated, forged)
    stores.add_snapshot(isolated, "other/model", "1" * 40, {"config.json": b"{}"})
    assert "other" not in isolated.run("list").out

    snapshot = isolated.hugging_face / "models--acme--tiny/snapshots" / whole_shop.COMMIT
    snapshot.rename(snapshot.with_name("away"))

    assert "hf " not in isolated.run("list").out


def test_the_table_fits_into_eighty_columns(isolated: Side, forged: Forge) -> None:
    whole_shop.install(isolated, forged)

    lines = isolated.run("list").out.splitlines()

    assert max(map(len, lines)) <= 80
    assert f"  {whole_shop.SNAPSHOT}" in lines


def test_a_manifest_of_a_bundle_that_is_in_no_ledger_is_not_believed(
    isolated: Side, forged: Forge
) -> None:
    whole_shop.install(isolated, forged)
    ledger = isolated.state / "sites/ward"
    ledger.rename(ledger.with_name("ward~reset-1"))

    rows = isolated.run("list", "--json").json["items"]

    assert {tuple(row["bundles"]) for row in rows} == {()}
    assert "hugging-face" not in {row["kind"] for row in rows}


def test_a_tag_in_place_of_a_depot_is_answered_with_the_command_for_it(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    hint = refusals.expect_refusal(isolated, "list", "shop:v1", error=MissingError).json["error"]

    assert hint["message"] == "There is no depot at shop:v1."
    assert "`airgap get shop:v1` here, `airgap get shop:v1 DEPOT` in a depot" in hint["hint"]
    assert "medium is mounted" in isolated.run("list", tmp_path / "none").err
    assert "medium is mounted" in isolated.run("get", "shop:v1", "none").err
