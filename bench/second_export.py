"""What an export costs that has little to do.

python bench/second_export.py FOLDER [SCALE] [ROUNDS]

At scale 1, the model has 2,000 MB and the Bento 2,000 sources. FOLDER must not exist, and is
removed at the end.

In each round, a model of bfloat16 weights and a Bento of sources are exported into a new depot,
then again, then once more after one source has changed. What counts is the ratio to the first
export of the round, of the time and of the processor time, and its median. The bundles of the first
two must be the same, byte for byte. Files that are younger than a minute are not all kept, so it
waits that long once.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent / "compare"))

import results

from tests.support import signers, stores
from tests.support.sides import Side

MB = 1_000_000
MEGABYTES, SHARDS, SOURCES = 2_000, 4, 2_000
YOUNG_SECONDS = 65
TIME_LIMIT = 600
STEPS = ("first", "again", "one source changed", "again, --reread")


def make_corpus(side: Side, megabytes: int, count_of_sources: int) -> Path:
    """Write the model and the Bento; return a source to change."""
    random = np.random.default_rng(1)
    shards = {}
    for shard in range(SHARDS):
        count = megabytes * MB // SHARDS // 2
        bits = random.standard_normal(count, np.float32).view(np.uint32)
        weights = (bits >> 16).astype("<u2").tobytes()
        tensor = {"dtype": "BF16", "shape": [count], "data_offsets": [0, len(weights)]}
        header = json.dumps({"weights": tensor}).encode()
        shards[f"model-{shard}.safetensors"] = len(header).to_bytes(8, "little") + header + weights
    stores.add_model(side, "weights:v1", shards)
    sources = {f"src/module_{at}.py": b"value = %d\n" % at * 100 for at in range(count_of_sources)}
    bento = stores.add_bento(side, "service:v1", sources, models=["weights:v1"])
    return bento / f"src/module_{count_of_sources // 2}.py"


def measure(side: Side, *words: str | Path) -> tuple[float, float, str]:
    """Return the seconds, those of processors, and the bundle, of an export in its own process."""
    command = [sys.executable, "-m", "airgap", "export", *map(str, words), "--json"]
    environment = {**os.environ, **side.environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody compiles all of a program each time
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        command, env=environment, check=True, capture_output=True, timeout=TIME_LIMIT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used, json.loads(ran.stdout)["bundle"]


def measure_round(top: Path, side: Side, source: Path, number: int) -> list[tuple[float, float]]:
    """Return seconds and processor seconds of each step."""
    depot = top / "depot"
    shutil.rmtree(depot, ignore_errors=True)
    shutil.rmtree(side.state / "cache", ignore_errors=True)
    words = ("service:v1", "-o", depot, "--key", top / "keys" / "bob.key")
    os.sync()
    first = measure(side, *words)
    again = measure(side, *words)
    source.write_bytes(b"changed = %d\n" % number * 100)
    changed = measure(side, *words)
    reread = measure(side, *words, "--reread")
    if not (first[2] == again[2] != changed[2] == reread[2]):
        raise SystemExit("The bundles are not the same.")
    return [step[:2] for step in (first, again, changed, reread)]


def main() -> None:
    """Print the medians and write them down."""
    folder, scale, rounds, *_ = [*sys.argv[1:], *["1", "3"][len(sys.argv) - 2 :]]
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    try:
        found = measure_rounds(top, float(scale), int(rounds))
    finally:
        shutil.rmtree(top)
    print(results.write("second_export", float(scale), found))


def measure_rounds(top: Path, scale: float, rounds: int) -> dict[str, Any]:
    """Run everything; print and return the medians, and their shares of the first export."""
    found = results.head(scale, rounds)
    side = Side(top / "connected")
    source = make_corpus(side, int(MEGABYTES * scale), int(SOURCES * scale))
    signers.write_key(top / "keys", "bob")
    time.sleep(YOUNG_SECONDS)
    taken = [measure_round(top, side, source, number) for number in range(rounds)]
    rows = []
    for at, step in enumerate(STEPS):
        wall, used = (statistics.median(each[at][part] for each in taken) for part in (0, 1))
        shares = [
            statistics.median(each[at][part] / each[0][part] for each in taken) for part in (0, 1)
        ]
        rows.append(
            {
                "step": step,
                "wall_s": round(wall, 3),
                "cpu_s": round(used, 3),
                "wall / first": round(shares[0], 3),
                "cpu / first": round(shares[1], 3),
            }
        )
        print(
            f"{step:20} {wall:6.2f} s ({shares[0]:.3f}), processors {used:6.2f} s ({shares[1]:.3f})"
        )
    return found | {"rows": rows}


if __name__ == "__main__":
    main()
