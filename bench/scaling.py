"""How time and memory grow: with the size of a model, and with the number of small files.

python bench/scaling.py FOLDER [MOST_GIB] [MOST_FILES]

FOLDER needs room for three times the largest; it must not exist, and is removed at the end.
Small files (4 KB each) are compared with tar and zstd, in turn with airgap.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "compare"))

from measure import Took, run, size_of

SIZES_GIB = (0.25, 1, 4, 16)
COUNTS = (1_000, 10_000, 100_000)
PIECE = 64 * 1024 * 1024
YAML = "name: large\nversion: v1\nmodule: ''\ncreation_time: '2026-01-02T03:04:05+00:00'\n"


def main() -> None:
    folder, most_gib, most_files, *_ = [*sys.argv[1:], "16", "100000"]
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    found: list[dict[str, Any]] = []
    try:
        environment = site(top)
        for gib in (one for one in SIZES_GIB if one <= float(most_gib)):
            model = fresh(top)
            weights(model / "model.bin", int(gib * 1024**3))
            found.append(journey(top, environment, f"{gib} GiB", peer=False))
        for count in (one for one in COUNTS if one <= int(most_files)):
            model = fresh(top)
            for number in range(count):
                path = model / f"{number // 1000:03d}" / f"{number:06d}.txt"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(f"{number} is a small file. ".encode() * 200)
            found.append(journey(top, environment, f"{count:,} files", peer=True))
    finally:
        shutil.rmtree(top)
    Path(__file__).with_name("scaling.json").write_text(json.dumps(found, indent=1) + "\n")


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
    """Return the folder of a model without files."""
    for name in ("store", "imported", "bundle", "t.zst", "x"):
        path = top / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    model = top / "store" / "models" / "large" / "v1"
    model.mkdir(parents=True)
    (model / "model.yaml").write_text(YAML)
    return model


def weights(path: Path, size: int) -> None:
    """Write numbers as weights have them, different in every piece."""
    drawn = np.random.default_rng(1).standard_normal(PIECE // 4, np.float32) * np.float32(0.02)
    with path.open("wb") as file:
        for number in range(-(-size // PIECE)):
            file.write(
                (drawn + np.float32(number) * np.float32(1e-5)).tobytes()[: size - file.tell()]
            )


def journey(top: Path, environment: dict[str, str], what: str, *, peer: bool) -> dict[str, Any]:
    """Export, verify and import; with a peer, pack and unpack with tar and zstd in turn."""
    model = top / "store" / "models" / "large"
    scripts = {
        "tar | zstd -1": f"tar -C {model} -cf - v1 | zstd -q -1 -T0 -o t.zst && sync t.zst",
        "export": "$A export --model large:v1 -o bundle --key builder.key -q",
        "verify": "$A verify bundle -q",
        "zstd -d | tar": "mkdir x && zstd -q -dc t.zst | tar -C x -xf - && sync -f x",
        "import": "BENTOML_HOME=imported $A import bundle -q",
    }
    size = size_of([model])
    row: dict[str, Any] = {"what": what, "bytes": size}
    for step, script in scripts.items():
        if peer or "tar" not in step:
            row[step] = said(what, step, run(script, environment, top), size)
    return row


def said(what: str, step: str, took: Took, size: int) -> dict[str, float]:
    """Print one line."""
    rate = size / took.wall / 1e6
    print(
        f"{what:>14} {step:<14} {took.wall:>8.2f} s {rate:>7.0f} MB/s {took.peak_mb:>6.0f} MB peak"
    )
    return {"wall_s": round(took.wall, 3), "peak_mb": round(took.peak_mb)}


if __name__ == "__main__":
    main()
