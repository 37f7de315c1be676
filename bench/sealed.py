"""How much longer a sealed export and import take: `python bench/sealed.py FOLDER MB ROUNDS`.

Sealed and unsealed take turns within each round, in processes of their own; what counts is the
ratio within a round, and its median: of the time, and of the processor time, which tells more on a
busy machine. The weights are normally distributed float32, as those of models, and random bytes,
which no codec shortens: the fastest, and so the hardest to keep up with.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from airgap.format.site_rules import Recipient, SiteRules
from airgap.sealing import identity_files
from tests.support import signers, stores
from tests.support.sides import Side

MB = 1_000_000
COMMANDS = ("export", "import")


def make_sides(top: Path) -> tuple[Side, Side, Path, Path]:
    """Make both sides, the builder's key, and the identity of the site."""
    keys = top / "keys"
    key = signers.write_key(keys, "bob")
    secret, _, recipient = identity_files.generate(keys, "ward", post_quantum=True)
    rules = SiteRules(recipients=(Recipient(recipient.text, "ward", "site"),))
    root = replace(signers.make_root(), created_at=0, rules=rules)
    connected, isolated = Side(top / "connected"), Side(top / "isolated")
    for side in (connected, isolated):
        side.top.mkdir(parents=True)
        signers.pin(side, root)
    return connected, isolated, key, secret


def measure(side: Side, *words: str | Path) -> tuple[float, float]:
    """Return the seconds, and those of processors, of a command in a process of its own."""
    command = [sys.executable, "-m", "airgap", *map(str, words), "--quiet"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **side.environment}, check=True, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used


def measure_round(top: Path, tag: str, sides: tuple[Side, Side, Path, Path]) -> list[float]:
    """Return the ratios of one round: of time and processor time, of the export and the import."""
    connected, isolated, key, secret = sides
    used: dict[tuple[str, bool], tuple[float, float]] = {}
    for sealed in (False, True):
        depot = top / "depot"
        options = ["--seal"] if sealed else []
        words = ("export", "--model", tag, "-o", depot, "--key", key, *options)
        used["export", sealed] = measure(connected, *words)
        given = ("--identity", secret) if sealed else ()
        used["import", sealed] = measure(isolated, "import", depot, *given)
        shutil.rmtree(depot)
        shutil.rmtree(isolated.bentoml)
        shutil.rmtree(connected.state / "sealed", ignore_errors=True)
    for (name, sealed), (seconds, cpu) in used.items():
        kind = "sealed" if sealed else "plain"
        print(f"  {name} {kind}: {seconds:.2f} s, processors {cpu:.2f} s", flush=True)
    pairs = [(used[name, True], used[name, False]) for name in COMMANDS]
    return [one[at] / two[at] for one, two in pairs for at in (0, 1)]


def main() -> None:
    folder, size, rounds = sys.argv[1:]
    top, length = Path(folder), int(size) * MB
    sides = make_sides(top)
    generator = np.random.default_rng(1)
    weights = {
        "float32": generator.standard_normal(length // 4, dtype=np.float32).tobytes(),
        "random bytes": generator.bytes(length),
    }
    for number, (name, data) in enumerate(weights.items(), 1):
        tag = f"model{number}:v1"
        stores.add_model(sides[0], tag, {"weights.bin": data})
        print(f"{size} MB of {name}:")
        ratios = [measure_round(top, tag, sides) for _ in range(int(rounds))]
        titles = [f"{command}, {what}" for command in COMMANDS for what in ("time", "processors")]
        for title, of in zip(titles, zip(*ratios, strict=True), strict=True):
            middle = statistics.median(of)
            print(f"  {title}: median {middle:.2f} (from {min(of):.2f} to {max(of):.2f})")


if __name__ == "__main__":
    main()
