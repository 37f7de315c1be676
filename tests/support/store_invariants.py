"""Whether a side's stores hold nothing but whole items, at whatever moment one looks."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.support import stores
from tests.support.sides import Side

Content = dict[str, str]
"""What ``stores.snapshot`` says of each path of an item, by its path within the item."""


def content(folder: Path) -> Content:
    return {
        str(Path(path).relative_to(folder)): said for path, said in stores.snapshot(folder).items()
    }


def store_contents(side: Side) -> Content:
    """Everything in both stores, staging included, but for the witness."""
    return {
        str(Path(path).relative_to(side.top)): said
        for path, said in stores.snapshot(side.bentoml, side.hugging_face).items()
        if Path(path) not in (side.bentoml / ".airgap", *witnesses(side))
    }


def left_over(side: Side) -> list[Path]:
    """Whatever imports left in BentoML's home for themselves, but for the witness."""
    return [path for path in side.bentoml.glob(".airgap/**/*") if path not in witnesses(side)]


def witnesses(side: Side) -> list[Path]:
    """Whatever remembers in BentoML's home how far the ledger was: no two ledgers are the same."""
    return [side.bentoml / ".airgap/witness", *side.bentoml.glob(".airgap/witness/*")]


def items(side: Side) -> dict[str, Content]:
    """The content of every item, by its path; nothing may lie where BentoML would stumble on it."""
    _expect_only(side.bentoml, {"bentos", "models", ".airgap"})
    for folder in [*side.bentoml.glob("bentos/*"), *side.bentoml.glob("models/*")]:
        latest = folder / "latest"
        if latest.exists():
            assert (folder / latest.read_text()).is_dir(), f"{latest} dangles"
            assert latest.read_text(), f"{latest} is empty"
    found = [
        path
        for pattern in ("bentos/*/*", "models/*/*")
        for path in side.bentoml.glob(pattern)
        if path.name != "latest"
    ]
    found += side.hugging_face.glob("models--*/snapshots/*")
    return {str(path.relative_to(side.top)): content(path) for path in found}


def expect_whole(side: Side, allowed: Mapping[str, list[Content]], moment: str) -> None:
    """Demand that every item is as one of its allowed contents, and that there are no others."""
    for path, found in items(side).items():
        assert found in allowed.get(path, []), f"{path} is not whole after {moment}"


def copy(side: Side, top: Path) -> Side:
    """Make another side that is the same."""
    shutil.copytree(side.top, top, symlinks=True)
    return Side(top)


def _expect_only(folder: Path, names: set[str]) -> None:
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    assert there <= names, f"{folder} holds {there - names}"
