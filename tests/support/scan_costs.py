"""Measures what the gate costs on files: seconds of processor time, and bytes of memory.

Each file is judged in a process of its own, which begins with what all of them have.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.sides import unmeasured_environment

__all__ = ["Cost", "measure_costs"]


@dataclass(frozen=True)
class Cost:
    """What the judgment of a file cost: seconds, and bytes above what the process began with."""

    seconds: float
    memory: int
    verdict: str


def measure_costs(paths: Sequence[Path]) -> dict[str, Cost]:
    """Return what each file costs, by its name."""
    words = [sys.executable, "-m", __name__, *map(str, paths)]
    ran = subprocess.run(
        words, env=unmeasured_environment(), check=True, capture_output=True, timeout=300
    )
    return {name: Cost(*cost) for name, cost in map(json.loads, ran.stdout.splitlines())}


def _read_peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


def _measure(path: Path) -> None:
    from airgap.scan.judge_file import judge_file

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _read_peak()
    with path.open("rb") as stream:
        judgment = judge_file(path.name, stream, path.stat().st_size)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = (used.ru_utime + used.ru_stime, _read_peak() - before, judgment.verdict)
    sys.stdout.write(f"{json.dumps([path.name, cost])}\n")
    sys.stdout.flush()


def _measure_all() -> None:
    import airgap.scan.judge_file  # noqa: F401 -- once, for all children

    for name in sys.argv[1:]:
        child = os.fork()
        if not child:
            _measure(Path(name))
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    _measure_all()
