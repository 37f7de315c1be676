"""Runs commands and says what they took: wall and CPU seconds, and peak memory."""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ALONE = Path(__file__).with_name("alone.py")
UNCOMPILED = "PYTHONDONTWRITEBYTECODE"
"""Nobody compiles all of a program each time: this setting of developers is taken away."""


@dataclass(frozen=True)
class Took:
    """What one command took. Memory is the largest process's."""

    wall: float
    cpu: float
    peak_mb: float


@dataclass(frozen=True)
class Row:
    """One step of one tool, over all rounds."""

    tool: str
    step: str
    took: tuple[Took, ...]
    stored: int | None

    @property
    def wall(self) -> float:
        return statistics.median(one.wall for one in self.took)

    @property
    def cpu(self) -> float:
        return statistics.median(one.cpu for one in self.took)

    def ratio(self, other: "Row") -> float:
        """Divide round by round: both ran next to each other, on the same noisy machine."""
        pairs = zip(self.took, other.took, strict=True)
        return statistics.median(one.wall / peer.wall for one, peer in pairs)

    def as_map(self, plain: int) -> dict[str, object]:
        return {
            "tool": self.tool,
            "step": self.step,
            "wall_s": round(self.wall, 3),
            "cpu_s": round(self.cpu, 3),
            "cpu_s_per_gb": round(self.cpu / plain * 1e9, 3),
            "peak_mb": round(max(one.peak_mb for one in self.took)),
            "stored_bytes": self.stored,
            "rounds": [asdict(one) for one in self.took],
        }


def run(script: str, environment: Mapping[str, str], folder: Path) -> Took:
    """Run a shell script, and stop everything if it fails."""
    alone = [sys.executable, "-S", "-E", str(ALONE), script, "output.txt"]
    compiled = {name: value for name, value in environment.items() if name != UNCOMPILED}
    done = subprocess.run(alone, env=compiled, cwd=folder, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        said = (folder / "output.txt").read_text(errors="replace")[-2000:]
        sys.exit(f"exit {done.returncode}: {script}\n{said}")
    return Took(**json.loads(done.stdout))


def size_of(paths: Sequence[Path]) -> int:
    """Return the bytes of all files at and below some paths."""
    files = [below for path in paths for below in ([path] if path.is_file() else path.rglob("*"))]
    return sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink())
