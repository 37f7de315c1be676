"""An item that was renamed away to be replaced comes back only if nothing took its place."""

from pathlib import Path

import pytest

from airgap.format.kinds import MODEL
from airgap.store.install import lock_store
from airgap.store.kinds import find_kind
from airgap.store.remove_item import remove_item
from tests.support import stores
from tests.support.sides import Side


def rename_away(side: Side, bundle: str, content: bytes) -> Path:
    """Leave an old item as an import of a bundle does that is killed after a rename."""
    old = side.bentoml / ".airgap/staging" / bundle / "model/ranker/v1~old"
    stores.write_files(old, {"model.yaml": content})
    (side.bentoml / ".airgap").chmod(0o700)
    return old


def lock_once(store: Path) -> None:
    with lock_store(store, lambda: None):
        pass


@pytest.fixture
def final(isolated: Side) -> Path:
    return isolated.bentoml / "models/ranker/v1"


def test_an_item_that_was_replaced_does_not_come_back_when_the_new_one_is_removed(
    isolated: Side, final: Path
) -> None:
    old = rename_away(isolated, "ab" * 32, b"old")
    (old / "model.yaml").chmod(0o400)
    old.chmod(0o500)
    stores.write_files(final, {"model.yaml": b"new"})

    with isolated.here(), lock_store(isolated.bentoml, lambda: None):
        assert (final / "model.yaml").read_bytes() == b"new"
        remove_item(find_kind(MODEL.name), "ranker", "v1")
    with isolated.here():
        lock_once(isolated.bentoml)

    assert not final.exists()
    assert not old.exists()


def test_of_two_items_that_were_renamed_away_the_newest_comes_back(
    isolated: Side, final: Path
) -> None:
    newest = rename_away(isolated, "bb" * 32, b"newest")
    stale = rename_away(isolated, "aa" * 32, b"stale")
    for _ in range(1_000_000):  # a clock of the kernel goes on every few milliseconds
        if newest.stat().st_ctime_ns > stale.stat().st_ctime_ns:
            break
        newest.chmod(0o700)

    with isolated.here():
        lock_once(isolated.bentoml)

    assert (final / "model.yaml").read_bytes() == b"newest"
    assert not stale.exists()
