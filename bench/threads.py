"""What more threads bring: export, verify and import with 1, 2, 4, 8, 16 of them, and tar and zstd.

python bench/threads.py FOLDER [SCALE] [ROUNDS]

Only as many threads as there are processors. Four files of bf16 weights, at scale 1 together
2 GB on up to four processors and 8 GB on more; with all threads also one file with as many bytes.
FOLDER needs room for four times that, and must not exist; in memory (/dev/shm) the disk is kept out
of it. Rounds are interleaved, ratios are of neighbours in a round, and every bundle must be the
same, byte for byte. CPU seconds per GB of plain bytes count on a machine that others use as well.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "compare"))

import results
from measure import Took, run
from plot import draw_threads
from scaling import YAML, site
from settle import Ballast

THREADS = (1, 2, 4, 8, 16)
FILES = 4
GB = 1_000_000_000
PIECE = 4_000_000
FEW_PROCESSORS = 4
STEPS = {
    "tar | zstd -1": "tar -C {model} -cf - v1 | zstd -q -1 -T{jobs} -o t.zst && sync t.zst",
    "export": (
        "$A export --model {name}:v1 -o bundle --key ../builder.key -q --reread --jobs {jobs}"
    ),
    "verify": "$A verify bundle -q --jobs {jobs}",
    "zstd -d | tar": "mkdir x && zstd -q -dc t.zst | tar -C x -xf - && sync -f x",
    "import": (
        "BENTOML_HOME=$PWD/imported AIRGAP_HOME=$PWD/home $A import bundle -q --jobs {jobs}"
    ),
}
Key = tuple[int, int, str]
"""Files, threads, step."""


def main() -> None:
    folder, scale, rounds, *_ = [*sys.argv[1:], *["1", "3"][len(sys.argv) - 2 :]]
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    try:
        found = measure(top, float(scale), int(rounds))
    finally:
        shutil.rmtree(top)
    path = results.write("threads", float(scale), found)
    draw_threads(found, path.with_suffix(".svg"))
    print(f"\n{path}, {path.with_suffix('.svg')}")


def measure(top: Path, scale: float, rounds: int) -> dict[str, Any]:
    """Run everything; print and return what was found."""
    gigabytes = (2 if results.processors() <= FEW_PROCESSORS else 8) * scale
    found = results.head(scale, rounds) | {"gigabytes": gigabytes}
    environment, ballast = site(top), Ballast(top / "ballast")
    for files in (FILES, 1):
        make_model(top / "store", files, int(gigabytes * GB))
    shutil.copytree(top / "home", top / "pinned")
    all_threads = [jobs for jobs in THREADS if jobs <= results.processors()]
    plan = [*((FILES, jobs) for jobs in all_threads), (1, all_threads[-1])]
    took: dict[Key, list[Took]] = {}
    digests: dict[int, set[str]] = {files: set() for files in (FILES, 1)}
    for _ in range(rounds):
        for files, jobs in plan:
            work = top / "work"
            work.mkdir()
            shutil.copytree(top / "pinned", work / "home")
            words = {"model": top / "store" / "models" / name_of(files), "jobs": jobs}
            for step, script in STEPS.items():
                ballast.settle()
                ran = run(script.format(**words, name=name_of(files)), environment, work)
                took.setdefault((files, jobs, step), []).append(ran)
            digests[files].add(digest_of(work / "bundle"))
            shutil.rmtree(work)
    if any(len(one) != 1 for one in digests.values()):
        sys.exit("The bundles are not the same for every number of threads.")
    return found | {"rows": rows_of(took, gigabytes)}


def name_of(files: int) -> str:
    """Name the model of so many files."""
    return f"large-{files}"


def make_model(store: Path, files: int, size: int) -> None:
    """Write weights as safetensors: the same noise in every layer, each a little larger."""
    model = store / "models" / name_of(files) / "v1"
    model.mkdir(parents=True)
    (model / "model.yaml").write_text(YAML.replace("name: large", f"name: {name_of(files)}"))
    drawn = np.random.default_rng(1).standard_normal(PIECE // 2, np.float32)
    layers = size // files // PIECE
    tensors = {
        f"layer-{at}": {
            "dtype": "BF16",
            "shape": [PIECE // 2],
            "data_offsets": [at * PIECE, (at + 1) * PIECE],
        }
        for at in range(layers)
    }
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    for number in range(files):
        with (model / f"model-{number}.safetensors").open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for at in range(layers):
                layer = drawn * np.float32(1 + 1e-3 * (number * layers + at))
                file.write((layer.view(np.uint32) >> 16).astype("<u2").tobytes())


def digest_of(bundle: Path) -> str:
    """Return one digest of the names of a depot's packs, which are their digests."""
    digest = hashlib.sha256()
    for path in sorted(bundle.rglob("*.pack")):
        digest.update(path.name.encode())
    return digest.hexdigest()


def rows_of(took: dict[Key, list[Took]], gigabytes: float) -> list[dict[str, Any]]:
    """Print a line per step; return the medians."""
    print(f"{'files':>5} {'threads':>7} {'step':<14} {'wall s':>7} {'CPU s/GB':>9} {'peak MB':>8}")
    rows = []
    for (files, jobs, step), all_of in took.items():
        wall, cpu = (median(getattr(one, part) for one in all_of) for part in ("wall", "cpu"))
        peak = max(one.peak_mb for one in all_of)
        row = {
            "files": files,
            "threads": jobs,
            "step": step,
            "wall_s": round(wall, 3),
            "cpu_s_per_gb": round(cpu / gigabytes, 3),
            "peak_mb": round(peak),
        }
        peer = {"export": "tar | zstd -1", "import": "zstd -d | tar"}.get(step)
        if peer:
            pairs = zip(all_of, took[files, jobs, peer], strict=True)
            row["ratio"] = round(median(one.wall / other.wall for one, other in pairs), 3)
        rows.append(row)
        print(
            f"{files:>5} {jobs:>7} {step:<14} {wall:>7.2f} {cpu / gigabytes:>9.2f} {peak:>8.0f}"
            f"  {row.get('ratio', '')}"
        )
    return rows


if __name__ == "__main__":
    main()
