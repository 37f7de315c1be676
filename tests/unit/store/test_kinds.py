"""The table of kinds: which there are, and where their items are installed."""

from pathlib import Path

import pytest

from airgap.errors import CorruptError, UsageError
from airgap.store import kinds
from airgap.store.item_kind import NO_DESCRIPTION, Reference
from tests.support import stores
from tests.support.sides import Side

COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"


def test_the_table_has_what_people_ask_for_first() -> None:
    assert [kind.rules.name for kind in kinds.list_kinds()] == [
        *("bento", "image", "wheelhouse", "files", "hugging-face", "model")
    ]


@pytest.mark.parametrize(
    ("kind", "version", "folder"),
    [
        ("bento", "v1", "bentoml/bentos/n/v1"),
        ("model", "v1", "bentoml/models/n/v1"),
        ("hugging-face", COMMIT, f"hf/models--n/snapshots/{COMMIT}"),
        ("files", COMMIT[:32], f"bentoml/files/n/{COMMIT[:32]}"),
        ("wheelhouse", COMMIT[:32], f"bentoml/wheelhouses/n/{COMMIT[:32]}"),
        ("image", COMMIT[:32], f"bentoml/images/n/{COMMIT[:32]}"),
    ],
)
def test_each_kind_is_installed_in_its_store(
    kind: str, version: str, folder: str, isolated: Side
) -> None:
    reference = Reference(kind, "n", version)

    with isolated.here():
        target = kinds.install_path(reference)
        assert target.final == isolated.top / folder
        assert target.final.is_relative_to(target.store)
        assert not kinds.is_installed(reference)
        stores.write_files(target.final, {"file": b""})
        assert kinds.is_installed(reference)


def test_a_kind_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(CorruptError, match="'picture'"):
        kinds.find_kind("picture")


def test_a_snapshot_is_found_through_its_bento_only() -> None:
    with pytest.raises(UsageError, match="cannot be named on its own"):
        kinds.find_kind("hugging-face").find(f"org--mini:{COMMIT}")


def test_a_kind_without_descriptions_has_nothing_to_say(tmp_path: Path) -> None:
    kind = kinds.find_kind("hugging-face")

    assert kind.describe(tmp_path) == kind.read_description(b"any", "it") == NO_DESCRIPTION
    assert NO_DESCRIPTION.created_at == 0
    assert not list(kind.list_tags())
    assert not list(kind.find_faults(kinds.is_installed))
