"""A model of 300 GB, made of holes: planned, exported, rehearsed, and planned on the other side."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from tests.integration.proof.test_prove import bento, bentoml_wheel
from tests.support import closure_items, environments, forge, sides, stores
from tests.support.disk_watch import measure_blocks, watch
from tests.support.forge import Forge
from tests.support.sides import Side, Site

GB = 10**9
FILES = 6
TENSORS = 10
TENSOR_BYTES = 5 * GB
SIZE = FILES * TENSORS * TENSOR_BYTES
DATA = 100_000
EXPORT = ("export", "shop:v1", "--with-env", "--target", environments.host_target())
MOST_READ = 200_000_000
"""Bytes that a plan may read: programs, and the data between the holes."""


def add_holes(side: Side, tag: str) -> None:
    """Put a model of 300 GB into a store; its tensors begin with some data, and are holes."""
    folder = stores.add_model(side, tag, {})
    for number in range(FILES):
        tensors = {
            f"layer.{number}.{at}": {
                "dtype": "BF16",
                "shape": [TENSOR_BYTES // 2],
                "data_offsets": [at * TENSOR_BYTES, (at + 1) * TENSOR_BYTES],
            }
            for at in range(TENSORS)
        }
        header = json.dumps(tensors).encode()
        begin = 8 + len(header)
        with (folder / f"model-{number}.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for at in range(TENSORS):
                file.seek(begin + at * TENSOR_BYTES)
                file.write(stores.noise(DATA, number * TENSORS + at))
            file.truncate(begin + TENSORS * TENSOR_BYTES)


def count_read() -> int:
    """Return the bytes that this process has read so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


@pytest.fixture
def stocked(isolated: Side, tmp_path: Path, site: Site) -> Side:
    """A side with a Bento, its packages, and its model of 300 GB."""
    house = environments.wheelhouse(dict([closure_items.wheel(), bentoml_wheel()]))
    small = forge.model({"weights.bin": b"small"}, "ranker:v1")
    forged = Forge(tmp_path, forge.load_signer(site.key()))
    depot = forged.depot(forge.draft(small, house, bento(), reader=2))
    assert isolated.run("import", depot).code == 0
    shutil.rmtree(isolated.bentoml / "models/ranker/v1")
    add_holes(isolated, "ranker:v1")
    return isolated


@pytest.mark.slow
def test_a_plan_of_300_gigabytes_reads_no_holes(stocked: Side, tmp_path: Path) -> None:
    for name in ("depot", "shop.airgap"):
        before = count_read()
        ran = stocked.run(*EXPORT, "-o", tmp_path / name, "--dry-run")
        assert ran.code == 0, ran.err
        assert "model ranker:v1 (300.0 GB)" in ran.out
        assert count_read() - before < MOST_READ


def expect_import_plan(
    top: Path, site: Site, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plan an import where there is just room enough, and where there is too little."""
    other = Side(top / "other")
    other.top.mkdir()
    sides.trust(other, site)
    usage = shutil.disk_usage(top)
    before = count_read()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=SIZE + GB))
        ran = other.run("import", archive, "--dry-run", "--json")
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=SIZE - GB))
        refused = other.run("import", archive, "--dry-run", "--json")

    (disk,) = ran.json["disk_use"]
    assert SIZE < disk["peak"] < SIZE * 1.001
    assert refused.code == 15
    assert count_read() - before < MOST_READ
    assert not other.bentoml.exists()


@pytest.mark.slow
def test_a_model_of_300_gigabytes_is_exported_and_rehearsed(
    stocked: Side, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium, spool = tmp_path / "medium", tmp_path / "spool"
    medium.mkdir()
    spool.mkdir()
    words = (*EXPORT, "-o", medium / "shop.airgap", "--json")

    planned = stocked.run(*words, "--dry-run").json["disk_use"][0]
    with watch(medium) as seen:
        exported = stocked.run(*words, "--key", site.key())

    assert exported.code == 0, exported.err
    assert exported.json["size"] > SIZE
    assert exported.json["disk_use"][0]["peak"] == planned["peak"] < 20_000_000
    assert 0.9 * planned["peak"] <= seen.peak(medium) <= planned["peak"]

    expect_import_plan(tmp_path, site, medium / "shop.airgap", monkeypatch)

    with watch(spool) as seen:
        rehearsed = stocked.run("rehearse", medium / "shop.airgap", "--tmpdir", spool, "--json")

    assert rehearsed.code == 0, rehearsed.err
    assert rehearsed.json["proofs"][0]["verdict"] == "served"
    (disk,) = rehearsed.json["disk_use"]
    assert disk["peak"] < 20_000_000
    assert seen.peak(spool) <= disk["peak"]
    assert measure_blocks(medium) < 20_000_000
