"""How time and memory grow: with the size of a model, and with the number of small files.

python bench/scaling.py FOLDER [SCALE]

At scale 1 up to 16 GiB and 100,000 files. FOLDER needs room for three times the largest; it must
not exist, and is removed at the end.
Small files (4 KB each) are compared with tar and zstd, in turn with airgap, three times.
"""

import os
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "compare"))

import results
from measure import Took, run
from plot import draw_curves
from settle import Ballast

SIZES_GIB = (0.25, 1, 4, 16)
COUNTS = (1_000, 10_000, 100_000)
PIECE = 64 * 1024 * 1024
ROUNDS = 3
YAML = (
    "name: large\nversion: v1\nmodule: ''\ncreation_time: '2026-01-02T03:04:05+00:00'\n"
    "labels: {}\noptions: {}\nmetadata: {}\napi_version: v1\n"
    "context: {framework_name: '', framework_versions: {}}\n"
)


def main() -> None:
    folder, scale = sys.argv[1], float((*sys.argv[2:], "1")[0])
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    found = results.head(scale, ROUNDS)
    try:
        environment, ballast = site(top), Ballast(top / "ballast")
        for gib in (one * scale for one in SIZES_GIB):
            weights(fresh(top) / "model.bin", int(gib * 1024**3))
            took = journey(top, environment, ballast, peer=False)
            shutil.rmtree(top / "work")
            rows.append(said(f"{gib:g} GiB", {"gib": gib}, [took]))
        for count in (int(one * scale) for one in COUNTS):
            small_files(fresh(top), count)
            rounds = []
            for number in range(ROUNDS):
                rounds.append(journey(top, environment, ballast, peer=True))
                (top / "work").rename(top / f"{count}-{number}")
            rows.append(said(f"{count:,} files", {"files": count}, rounds))
        path = results.write("scaling", scale, found | {"rows": rows})
        draw_curves(rows, path.with_suffix(".svg"))
    finally:
        shutil.rmtree(top)


def site(top: Path) -> dict[str, str]:
    """Make keys and a site; return the environment."""
    environment = {
        **os.environ,
        "BENTOML_HOME": str(top / "store"),
        "AIRGAP_HOME": str(top / "home"),
        "A": f"{sys.executable} -m airgap",
    }
    run(
        "for one in root builder; do $A key generate $one --dir . --no-passphrase -q; done;"
        " $A root create --site bench --root-key root.key --builder builder.pub -o r.msgpack -q;"
        " $A trust init r.msgpack"
        " --fingerprint SHA256:$(openssl sha256 -r r.msgpack | cut -d' ' -f1)",
        environment,
        top,
    )
    return environment


def fresh(top: Path) -> Path:
    """Return the folder of a model without files.

    What was large is removed, what was many files is only moved: ext4 is slow to make files where
    many were removed.
    """
    old = top / "store" / "models" / "large" / "v1"
    if (old / "model.bin").exists():
        shutil.rmtree(top / "store")
    elif old.exists():
        (top / "store").rename(top / f"store-{len([*top.iterdir()])}")
    model = top / "store" / "models" / "large" / "v1"
    model.mkdir(parents=True)
    (model / "model.yaml").write_text(YAML)
    return model


def small_files(model: Path, count: int) -> None:
    """Write different files of 4 KB, as sources and descriptions are: half text, half noise."""
    noise = np.random.default_rng(2)
    for number in range(count):
        path = model / f"{number // 1000:03d}" / f"{number:06d}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{number} is a small file. ".encode() * 90 + noise.bytes(1800))


def weights(path: Path, size: int) -> None:
    """Write numbers as weights have them, different in every piece."""
    drawn = np.random.default_rng(1).standard_normal(PIECE // 4, np.float32) * np.float32(0.02)
    with path.open("wb") as file:
        for number in range(-(-size // PIECE)):
            file.write(
                (drawn + np.float32(number) * np.float32(1e-5)).tobytes()[: size - file.tell()]
            )


def journey(
    top: Path, environment: dict[str, str], ballast: Ballast, *, peer: bool
) -> dict[str, Took]:
    """Export, verify and import; with a peer, pack and unpack with tar and zstd in turn."""
    work = top / "work"
    work.mkdir()
    model = top / "store" / "models" / "large"
    scripts = {
        "tar | zstd -1": f"tar -C {model} -cf - v1 | zstd -q -1 -T0 -o t.zst && sync t.zst",
        "export": "$A export --model large:v1 -o bundle --key ../builder.key -q --reread",
        "verify": "$A verify bundle -q",
        "zstd -d | tar": "mkdir x && zstd -q -dc t.zst | tar -C x -xf - && sync -f x",
        "import": "BENTOML_HOME=$PWD/imported $A import bundle -q",
    }
    took = {}
    for step, script in scripts.items():
        if peer or "tar" not in step:
            ballast.settle()
            took[step] = run(script, environment, work)
    return took


def said(what: str, row: dict[str, Any], rounds: list[dict[str, Took]]) -> dict[str, Any]:
    """Print a line per step, and ratios to the peer; return the row with medians."""
    for step in rounds[0]:
        wall = median(one[step].wall for one in rounds)
        peak = max(one[step].peak_mb for one in rounds)
        cpu = median(one[step].cpu for one in rounds)
        print(f"{what:>14} {step:<14} {wall:>8.2f} s {cpu:>8.2f} CPU s {peak:>6.0f} MB peak")
        row[step] = {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "peak_mb": round(peak)}
    for step, peer in (("export", "tar | zstd -1"), ("import", "zstd -d | tar")):
        if peer in rounds[0]:
            ratio = median(one[step].wall / one[peer].wall for one in rounds)
            work = median(one[step].cpu / one[peer].cpu for one in rounds)
            print(f"{what:>14} {step} / {peer}: {ratio:.2f}, CPU {work:.2f}")
            row[f"{step} / {peer}"] = round(ratio, 3)
            row[f"{step} / {peer}, CPU"] = round(work, 3)
    return row


if __name__ == "__main__":
    main()
