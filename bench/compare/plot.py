"""The tables as pictures: bars and curves, drawn as SVG without a library."""

from collections.abc import Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, BAR, GAP, LEFT = 760, 16, 8, 130
HEIGHT = 130
OURS, THEIRS = "#1f6f50", "#9aa5a0"
LINE = 14
UNLIKE = 20
COLOR_OF = {
    "export": "#1f6f50",
    "verify": "#b0632b",
    "import": "#3c5fa8",
    "tar | zstd -1": "#8a4b8f",
    "zstd -d | tar": "#6b6f72",
}
"""A step has one colour in all pictures."""


def draw(results: dict[str, Any], path: Path) -> None:
    """Write bars of time and CPU time for export and import, and of size."""
    rows, gigabytes = results["rows"], results["plain_bytes"] / 1e9
    times = [
        (
            f"{step}, {label}",
            [(row["tool"], row[figure] / unit) for row in rows if row["step"] == step],
        )
        for figure, unit, label in (
            ("wall_s", 1.0, "seconds"),
            ("cpu_s", gigabytes, "CPU seconds per GB"),
        )
        for step in ("export", "import")
    ]
    panels = [
        *times,
        (
            "stored, % of the corpus",
            [
                (row["tool"], 100 * row["stored_bytes"] / results["plain_bytes"])
                for row in rows
                if row["step"] == "export" and row["tool"] != "model_signing"
            ],
        ),
        (
            "third version (every weight nudged), new MB",
            [
                (row["tool"], row["stored_bytes"] / 1e6)
                for row in rows
                if row["step"] == "export v3"
            ],
        ),
    ]
    parts, top = [], 10
    for title, bars in panels:
        drawn, top = panel(title, bars, top)
        parts += drawn
    write(path, parts, top)


def draw_curves(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write time per byte and per file, and peak memory, as curves; the x axis is logarithmic."""
    sizes = [row for row in rows if "gib" in row]
    counts = [row for row in rows if "files" in row]
    steps = ("export", "verify", "import")
    panels = [
        (
            "seconds per GiB, by GiB",
            {
                step: [(row["gib"], row[step]["wall_s"] / row["gib"]) for row in sizes]
                for step in steps
            },
        ),
        (
            "peak memory in MB, by GiB",
            {step: [(row["gib"], row[step]["peak_mb"]) for row in sizes] for step in steps},
        ),
        (
            "microseconds per file, by number of files",
            {
                step: [(row["files"], row[step]["wall_s"] / row["files"] * 1e6) for row in counts]
                for step in (*steps, "tar | zstd -1", "zstd -d | tar")
            },
        ),
        (
            "peak memory in MB, by number of files",
            {step: [(row["files"], row[step]["peak_mb"]) for row in counts] for step in steps},
        ),
    ]
    parts, top = [], 10
    for title, curves in panels:
        if any(curves.values()):
            drawn, top = curve_panel(title, curves, top)
            parts += drawn
    write(path, parts, top)


def draw_threads(found: dict[str, Any], path: Path) -> None:
    """Write seconds, and CPU seconds per GB, by the number of threads, as curves."""
    rows = [row for row in found["rows"] if row["files"] > 1]
    panels = [
        (f"{label}, by threads ({found['gigabytes']:g} GB in {rows[0]['files']} files)", figure)
        for label, figure in (("seconds", "wall_s"), ("CPU seconds per GB", "cpu_s_per_gb"))
    ]
    parts, top = [], 10
    for title, figure in panels:
        curves: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            curves.setdefault(row["step"], []).append((row["threads"], row[figure]))
        drawn, top = curve_panel(title, curves, top)
        parts += drawn
    write(path, parts, top)


def write(path: Path, parts: Sequence[str], height: int) -> None:
    """Write a picture."""
    style = "<style>text{font:12px sans-serif;fill:#222}.t{font-weight:bold}</style>"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">'
        f'{style}<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def panel(title: str, bars: list[tuple[str, float]], top: int) -> tuple[list[str], int]:
    """Return the shapes of one panel, and where the next one begins."""
    parts = [f'<text class="t" x="10" y="{top + 14}">{escape(title)}</text>']
    top += 24
    most = max((value for _, value in bars), default=1.0)
    for name, value in bars:
        width = (WIDTH - LEFT - 80) * value / most
        color = OURS if name == "airgap" else THEIRS
        middle = top + BAR - 4
        parts += [
            f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{color}"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{middle}">{value:.1f}</text>',
        ]
        top += BAR + GAP
    return parts, top + 16


def curve_panel(
    title: str, curves: dict[str, list[tuple[float, float]]], top: int
) -> tuple[list[str], int]:
    """Return the shapes of one panel with a line per curve, and where the next one begins.

    The vertical axis is logarithmic where one figure would leave no room for the others.
    """
    parts = [f'<text class="t" x="10" y="{top + 14}">{escape(title)}</text>']
    top += 30
    columns = sorted({x for points in curves.values() for x, _ in points})
    heights = [y for points in curves.values() for _, y in points if y > 0]
    span = log10(columns[-1] / columns[0]) or 1.0
    ticks = ticks_of(min(heights), max(heights))
    first, last = scaled(ticks[0], ticks), scaled(ticks[-1], ticks)

    def at(x: float, y: float) -> tuple[float, float]:
        wide = (WIDTH - LEFT - 150) * log10(x / columns[0]) / span
        return LEFT + wide, top + HEIGHT * (last - scaled(y, ticks)) / (last - first)

    left, right = LEFT, WIDTH - 150
    for y in ticks:
        _, height = at(columns[0], y)
        parts += [
            f'<path d="M{left} {height:.1f}H{right}" stroke="#ddd"/>',
            f'<text x="{left - 8}" y="{height + 4:.1f}" text-anchor="end">{y:,g}</text>',
        ]
    for x in columns:
        along, _ = at(x, ticks[0])
        parts.append(
            f'<text x="{along:.1f}" y="{top + HEIGHT + 18}" text-anchor="middle">{x:,g}</text>'
        )
    ends = {name: at(*points[-1]) for name, points in curves.items()}
    labels = apart({name: end for name, (_, end) in ends.items()}, top, top + HEIGHT)
    for name, points in curves.items():
        line = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in points)
        dots = [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOR_OF[name]}"/>'
            for x, y in (at(*point) for point in points)
        ]
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{COLOR_OF[name]}" stroke-width="2"/>',
            *dots,
            (
                f'<text x="{ends[name][0] + 10:.1f}" y="{labels[name] + 4:.1f}"'
                f' style="fill:{COLOR_OF[name]}">{escape(name)}</text>'
            ),
        ]
    return parts, top + HEIGHT + 40


def ticks_of(least: float, most: float) -> list[float]:
    """Return round numbers from zero, or by factors where the figures are very unlike."""
    if most > UNLIKE * least:
        low, high = floor(log10(least)), ceil(log10(most))
        return [10.0**power for power in range(low, high + 1)]
    step = 10 ** floor(log10(most))
    step *= next(part for part in (0.25, 0.5, 1) if most <= 4 * part * step or part == 1)
    return [step * number for number in range(ceil(most / step) + 1)]


def scaled(figure: float, ticks: Sequence[float]) -> float:
    """Return how high a figure stands: its logarithm where the ticks do not begin with zero."""
    return log10(max(figure, ticks[0])) if ticks[0] else figure


def apart(heights: dict[str, float], top: float, bottom: float) -> dict[str, float]:
    """Move labels so far apart that each can be read, within the panel as far as they fit."""
    lowest, placed = bottom, {}
    for name in sorted(heights, key=heights.__getitem__, reverse=True):
        placed[name] = min(heights[name], lowest)
        lowest = placed[name] - LINE
    below = max(0.0, top - min(placed.values()))
    return {name: height + below for name, height in placed.items()}
