"""What a type checker sees of the Python API: ``make types`` checks it with ``mypy --strict``."""

from typing import assert_type

import airgap
from airgap import bentos, cloud, keys, models, results, roots, trust


def check_types(tag: "airgap.Tag", depot: str, event: airgap.ProgressEvent) -> None:
    """Nobody calls this: it is read."""
    assert_type(airgap.get("shop:v1"), airgap.Bento)
    assert_type(airgap.get(tag).path, str)
    assert_type(airgap.get("shop:v1", depot), results.FoundBundleDict)
    assert_type(airgap.list(), list[airgap.Bento])
    assert_type(airgap.list(tag), list[airgap.Bento])
    assert_type(airgap.list(depot=depot), list[results.DepotBundleDict])
    assert_type(airgap.list(tag, depot), list[results.DepotBundleDict])
    assert_type(models.get(tag), airgap.Model)
    assert_type(models.list("ranker", depot), list[results.DepotBundleDict])
    assert_type(bentos.import_bento(depot), airgap.Bento)
    assert_type(models.import_model(depot), airgap.Model)
    assert_type(airgap.push(tag), str)
    assert_type(airgap.pull(tag), airgap.Bento)
    assert_type(cloud.BentoCloudClient().model.pull(tag), airgap.Model)
    assert_type(airgap.verify(depot)["site"], str)
    assert_type(airgap.inspect(depot)["items"][0]["size"], int)
    assert_type(airgap.check()["items"][0]["differences"], list[results.ItemDifferenceDict])
    assert_type(airgap.log(events=["imported"])["fault"], results.LedgerFaultDict | None)
    assert_type(trust.show()["history"]["time_floor"], str)
    assert_type(roots.read(depot)["complete"], bool | None)
    assert_type(keys.load(depot, passphrase=lambda name: name).id, str)
    assert_type(event.done, int)


def test_the_types_are_those_of_the_functions() -> None:
    assert check_types.__doc__ == "Nobody calls this: it is read."
