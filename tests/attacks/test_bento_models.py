"""Models in a Bento's own folder: no FIFO is waited for, and no link leads out of the Bento."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import StorageError
from airgap.format.kinds import BENTO
from airgap.store.bento_models import explain_incomplete, list_copies
from airgap.store.kinds import find_kind
from tests.support import stores


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model in a Bento, without a description."""
    model = tmp_path / "bento/models/ranker/v1"
    stores.write_files(model.parent, {"latest": b"v1", "v1/w": b"w"})
    return model


def _make_hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (_make_hole, "is longer than"),
    ],
    ids=["a FIFO", "a link to a device", "a terabyte"],
)
def test_a_description_that_is_no_small_file_is_refused(
    make: Callable[[Path], object], reason: str, model: Path
) -> None:
    make(model / "model.yaml")

    assert reason in explain_incomplete(model)


@pytest.mark.parametrize("outside", ["/", "/nowhere/at/all"])
def test_a_link_out_of_the_bento_is_refused(outside: str, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(outside)

    with pytest.raises(StorageError, match="is not part of a model"):
        list_copies(tmp_path)


def test_a_bento_whose_description_is_a_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bento.yaml")

    with pytest.raises(StorageError, match="not a regular file"):
        find_kind(BENTO.name).describe(tmp_path)
