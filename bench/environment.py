"""What `airgap env create` takes beside pip alone, which installs the same wheels out of its wheel.

    python bench/environment.py FOLDER [ROUNDS]

FOLDER has wheels for the Python that runs this, one of each package, and pip's; `pip download
--only-binary=:all: -d FOLDER bentoml pip` fills one. The two are run in turns.
"""

import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from airgap.format.wheelhouse import (
    LockedPackage,
    Tool,
    Wheelhouse,
    encode,
    format_requirements,
    normalize_name,
    parse_target,
)
from tests.support import environments
from tests.support.forge import Item
from tests.support.sides import Side


def main() -> None:
    rounds = int(sys.argv[2]) if sys.argv[2:] else 5
    with tempfile.TemporaryDirectory() as name:
        side = Side(Path(name) / "side")
        house = prepare(side, Path(sys.argv[1]))
        works: dict[str, Callable[[], None]] = {
            "pip alone": lambda: run_pip(house, side.top / "alone"),
            "env create": lambda: run_airgap(side, side.top / "made"),
        }
        times: dict[str, list[tuple[float, float]]] = {title: [] for title in works}
        for _ in range(rounds):
            for title, work in works.items():
                times[title].append(measure(work))
                for folder in ("alone", "made"):
                    shutil.rmtree(side.top / folder, ignore_errors=True)
        report(times, len(list((house / "wheels").iterdir())))


def prepare(side: Side, folder: Path) -> Path:
    """Make a Bento and its wheelhouse; return the wheelhouse's folder."""
    target = parse_target(environments.host_target())
    if target is None:
        sys.exit("there are no targets for this Python")
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.whl"))}
    packages = [
        LockedPackage(
            normalize_name(name.split("-")[0]),
            name.split("-")[1],
            name,
            len(data),
            hashlib.sha256(data).digest(),
        )
        for name, data in files.items()
        if not name.startswith("pip-")
    ]
    tools = tuple(
        Tool(name, len(data), hashlib.sha256(data).digest())
        for name, data in files.items()
        if name.startswith("pip-")
    )
    lock = Wheelhouse(
        target,
        environments.digest_of(environments.REQUIREMENTS),
        tuple(sorted(packages, key=lambda package: package.name)),
        tools,
    )
    raw = encode(lock)
    version = hashlib.sha256(raw).hexdigest()[:32]
    entries = {
        "pylock.toml": raw,
        "requirements.txt": format_requirements(lock),
        **{
            f"{'tools' if name.startswith('pip-') else 'wheels'}/{name}": data
            for name, data in files.items()
        },
    }
    side.top.mkdir()
    environments.install(side, environments.bento())
    return environments.install(side, Item("wheelhouse", str(target), version, entries))


def run_pip(house: Path, folder: Path) -> None:
    (pip,) = (house / "tools").glob("pip-*.whl")
    run([sys.executable, "-I", "-m", "venv", "--without-pip", folder])
    options = (
        *("install", "--quiet", "--no-index", "--no-deps", "--require-hashes"),
        *("--disable-pip-version-check", "--find-links", house / "wheels"),
    )
    run([folder / "bin/python", "-I", pip / "pip", *options, "-r", house / "requirements.txt"])


def run_airgap(side: Side, folder: Path) -> None:
    words = ["env", "create", "shop", folder, "--python", sys.executable, "--quiet"]
    run([sys.executable, "-m", "airgap", *words], side.environment)


def run(command: list[str | Path], environment: dict[str, str] | None = None) -> None:
    subprocess.run(
        list(map(str, command)),
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def measure(work: Callable[[], None]) -> tuple[float, float]:
    """Return seconds on the clock, and of the processors."""
    began, used = time.monotonic(), cpu_seconds()
    work()
    return time.monotonic() - began, cpu_seconds() - used


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report(times: dict[str, list[tuple[float, float]]], wheels: int) -> None:
    print(f"{wheels} wheels, {len(times['pip alone'])} rounds, medians")
    medians = {
        title: [statistics.median(column) for column in zip(*rows, strict=True)]
        for title, rows in times.items()
    }
    for title, (wall, cpu) in medians.items():
        print(f"{title:<11} {wall:6.2f} s, {cpu:6.2f} s of the processors")
    ratios = [a / b for a, b in zip(medians["env create"], medians["pip alone"], strict=True)]
    print(f"ratio       {ratios[0]:6.2f}    {ratios[1]:6.2f}")


if __name__ == "__main__":
    main()
