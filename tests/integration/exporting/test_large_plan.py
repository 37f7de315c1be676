"""The plan of a model of 300 GB, made of holes, reads next to nothing and names every step."""

import json
import struct
import time
from pathlib import Path

import pytest

from tests.support import mounts, stores
from tests.support.sides import Side

GB = 10**9
FILES, TENSORS, TENSOR_BYTES = 6, 2, 25 * GB
DATA = 30_000
"""Bytes with which each tensor begins; the rest of it is a hole."""
MOST_READ = 40_000_000
"""Bytes that a plan may read: the chunks at the edges of twelve holes."""
MOST_SECONDS = 20
"""Of processor time."""


@pytest.fixture
def stocked(connected: Side) -> Side:
    folder = stores.add_model(connected, "llama:v3", {})
    header = json.dumps(
        {
            f"layer.{at}": {
                "dtype": "BF16",
                "shape": [TENSOR_BYTES // 2],
                "data_offsets": [at * TENSOR_BYTES, (at + 1) * TENSOR_BYTES],
            }
            for at in range(TENSORS)
        }
    ).encode()
    for number in range(FILES):
        with (folder / f"model-{number}.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for at in range(TENSORS):
                file.seek(8 + len(header) + at * TENSOR_BYTES)
                file.write(stores.noise(DATA, number * TENSORS + at))
            file.truncate(8 + len(header) + TENSORS * TENSOR_BYTES)
    return connected


def count_read() -> int:
    """Return the bytes that this process has read so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        pytest.param("depot", {"writing packs"}, marks=pytest.mark.slow),  # 6 seconds each
        ("llama.airgap", {"writing the file"}),
        pytest.param("media", {"packing", "writing volumes"}, marks=pytest.mark.slow),
    ],
)
def test_a_plan_of_300_gigabytes_reads_no_holes(
    name: str, steps: set[str], stocked: Side, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words: list[str | Path] = ["-o", out / name]
    with mounts.tmpfs(out, 64_000_000):
        if name == "media":
            words = ["--volumes", out]
        before, began = count_read(), time.process_time()
        ran = stocked.run("export", "--model", "llama:v3", *words, "--dry-run", "--json")
        seconds, read = time.process_time() - began, count_read() - before

    assert ran.code == 0, ran.err
    assert ran.json["size"] > 300 * GB
    assert {step["step"] for disk in ran.json["disk_use"] for step in disk["steps"]} == steps
    assert all(0 < disk["peak"] < 60_000_000 for disk in ran.json["disk_use"])
    assert read < MOST_READ, f"{read:,} bytes read"
    assert seconds < MOST_SECONDS
