"""Where results lie: apart for each number of processors, and for each scale but the full one."""

import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results"


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folder(scale: float) -> Path:
    """Return the folder of this machine's results: `2-cores`, or `2-cores-scale-0.2`."""
    return RESULTS / f"{processors()}-cores{'' if scale == 1 else f'-scale-{scale:g}'}"


def head(scale: float, rounds: int) -> dict[str, Any]:
    """Return what every result says first: the machine, how busy it was, scale and rounds."""
    return {
        "machine": f"{platform.machine()}, {processors()} processors, Linux {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
        "scale": scale,
        "rounds": rounds,
    }


def write(name: str, scale: float, found: dict[str, Any]) -> Path:
    """Write a result as JSON; return its path."""
    path = folder(scale) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path
