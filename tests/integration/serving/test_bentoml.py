"""Stock bentoml 1.4 lists and pulls from a mirror, and keeps nothing of what is damaged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mirrors import (
    RunningMirror,
    find_pack,
    flip_byte,
    read_files,
    run_bentoml,
    running,
    serving,
)
from tests.support.sides import Side

pytestmark = pytest.mark.bentoml


@pytest.fixture
def mirror(isolated: Side, depot: Path) -> Iterator[RunningMirror]:
    with running(isolated, depot) as mirror:
        yield mirror


def test_a_bento_is_pulled_with_its_models(
    mirror: RunningMirror, small: Side, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    ran = run_bentoml(home, mirror, "pull", "shop:v1", "--with-models")
    assert ran.returncode == 0, ran.stdout + ran.stderr

    for item in ("bentos/shop/v1", "models/ranker/v1"):
        wanted, got = read_files(small.bentoml / item), read_files(home / item)
        assert got.keys() == wanted.keys()
        assert {path for path in wanted if got[path] != wanted[path]} <= {"bento.yaml"}
    assert (home / "bentos/shop/v1/src/link").readlink() == Path("../run.sh")


def test_the_latest_model_is_pulled(mirror: RunningMirror, small: Side, tmp_path: Path) -> None:
    ran = run_bentoml(tmp_path, mirror, "models", "pull", "ranker")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    weights = Path("models", "ranker", "v1", "weights.bin")
    assert (tmp_path / weights).read_bytes() == (small.bentoml / weights).read_bytes()


def test_what_is_damaged_while_it_is_served_is_not_installed(
    isolated: Side, depot: Path, tmp_path: Path
) -> None:
    with serving(isolated, depot):
        pass
    with running(isolated, depot) as mirror:
        flip_byte(find_pack(depot), 300_000)
        ran = run_bentoml(tmp_path / "home", mirror, "models", "pull", "ranker:v1")
    assert ran.returncode != 0
    assert not (tmp_path / "home" / "models" / "ranker" / "v1").exists()
    assert any("broken off" in line for line in mirror.lines)
