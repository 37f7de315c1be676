"""How long a large model takes, and how much memory: export, verify, import, both forms.

python bench/large_model.py FOLDER [GIB]

Half of the model file is noise, half is a hole: zeros that take no space. FOLDER needs room for
three times its size; it must not exist, and is removed at the end. Times are wall seconds of whole
processes, memory is the peak of the process, as the kernel counted it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

MIB: Final = 1024 * 1024
LIMIT_MB: Final = 300
CREATED: Final = "2026-01-02T03:04:05+00:00"


def main() -> None:
    """Print one line per step; end with 1 if a peak is above the limit or a byte differs."""
    folder, gib, *_ = [*sys.argv[1:], "3"]
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    try:
        sys.exit(0 if journey(top, int(float(gib) * 1024)) else 1)
    finally:
        shutil.rmtree(top)


def journey(top: Path, mib: int) -> bool:
    """Make the store, run every step, compare."""
    source = make_model(top / "connected", mib)
    connected, isolated = sides(top)
    run(connected, "key", "generate", "site", "--dir", top, "--no-passphrase")
    run(connected, "key", "generate", "builder", "--dir", top, "--no-passphrase")
    made = ["--site", "bench", "--root-key", top / "site.key", "--builder", top / "builder.pub"]
    run(connected, "root", "create", *made, "-o", top / "root.msgpack")
    pinned = f"SHA256:{hashlib.sha256((top / 'root.msgpack').read_bytes()).hexdigest()}"
    run(isolated, "trust", "init", top / "root.msgpack", "--fingerprint", pinned)
    wanted = digest(source)
    print(f"model of {mib} MiB, half noise and half hole; {os.cpu_count()} processors")
    print(f"{'step':<20} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}")
    good = True
    for form, place in (("depot", top / "depot"), ("archive", top / "large.airgap")):
        export = ["--model", "large:v1", "-o", place, "--key", top / "builder.key"]
        steps = {
            "export": (connected, export),
            "export again": (connected, export),
            "verify": (isolated, [place]),
            "import": (isolated, [place]),
            "import again": (isolated, [place]),
        }
        for step, (side, arguments) in steps.items():
            good &= measured(f"{form} {step}", side, step.split()[0], *arguments)
        came = top / "isolated" / "bentoml" / "models" / "large" / "v1"
        good &= digest(came / "weights.bin") == wanted
        shutil.rmtree(top / "isolated" / "bentoml")
        (shutil.rmtree if place.is_dir() else Path.unlink)(place)
    return good


def sides(top: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environments of the two sides."""
    both = [
        {
            **os.environ,
            "AIRGAP_HOME": str(top / name / "airgap"),
            "BENTOML_HOME": str(top / name / "bentoml"),
            "BENTOML_HF_CACHE_DIR": str(top / name / "hf"),
        }
        for name in ("connected", "isolated")
    ]
    return both[0], both[1]


def make_model(side: Path, mib: int) -> Path:
    """Put the model ``large:v1`` into a store."""
    folder = side / "bentoml" / "models" / "large" / "v1"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(
        f"name: large\nversion: v1\nmodule: ''\ncreation_time: '{CREATED}'\n"
        "labels: {}\noptions: {}\nmetadata: {}\napi_version: v1\n"
        "context: {framework_name: '', framework_versions: {}}\n"
    )
    random = np.random.default_rng(1)
    with (folder / "weights.bin").open("wb") as file:
        for _ in range(mib // 2):
            file.write(random.bytes(MIB))
        file.truncate(mib * MIB)
    return folder / "weights.bin"


def measured(name: str, environment: dict[str, str], *arguments: str | Path) -> bool:
    """Run a step and print what it took; False if its peak is above the limit."""
    began = time.perf_counter()
    usage = run(environment, *arguments)
    wall = time.perf_counter() - began
    peak = usage.ru_maxrss * 1024 / 1e6
    print(f"{name:<20} {wall:>8.1f} {usage.ru_utime + usage.ru_stime:>8.1f} {peak:>8.0f}")
    return peak < LIMIT_MB


def run(environment: dict[str, str], *arguments: str | Path) -> "os._RUsage":
    """Run airgap in a process of its own; return what the kernel counted for it."""
    command = [sys.executable, "-m", "airgap", *map(str, arguments), "--quiet"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"exit {process.returncode}: airgap {' '.join(map(str, arguments))}")
    return usage


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
