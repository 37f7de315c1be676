"""The tables as pictures: bars and curves, drawn as SVG without a library."""

from collections.abc import Sequence
from math import log10
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, BAR, GAP, LEFT = 760, 16, 8, 130
HEIGHT = 130
OURS, THEIRS = "#1f6f50", "#9aa5a0"
COLORS = ("#1f6f50", "#b0632b", "#3c5fa8", "#8a4b8f", "#6b6f72")


def draw(results: dict[str, Any], path: Path) -> None:
    """Write bars of time for export and import, and of size."""
    rows = results["rows"]
    panels = [
        (
            "export, seconds",
            [(row["tool"], row["wall_s"]) for row in rows if row["step"] == "export"],
        ),
        (
            "import, seconds",
            [(row["tool"], row["wall_s"]) for row in rows if row["step"] == "import"],
        ),
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
    """Return the shapes of one panel with a line per curve, and where the next one begins."""
    parts = [f'<text class="t" x="10" y="{top + 14}">{escape(title)}</text>']
    top += 24
    places = sorted({x for points in curves.values() for x, _ in points})
    most = max(y for points in curves.values() for _, y in points)
    span = log10(places[-1] / places[0]) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        wide = (WIDTH - LEFT - 150) * log10(x / places[0]) / span
        return LEFT + wide, top + HEIGHT * (1 - y / most)

    for x in places:
        along, below = at(x, 0)
        parts.append(
            f'<text x="{along:.1f}" y="{below + 16:.1f}" text-anchor="middle">{x:,g}</text>'
        )
    left, bottom = at(places[0], 0)
    right, _ = at(places[-1], 0)
    parts.append(f'<path d="M{left} {top}V{bottom}H{right:.1f}" fill="none" stroke="#999"/>')
    parts.append(f'<text x="{LEFT - 8}" y="{top + 10}" text-anchor="end">{most:,.0f}</text>')
    last = float("inf")
    ordered = sorted(curves.items(), key=lambda curve: curve[1][-1][1])
    colors = dict(zip(curves, COLORS, strict=False))
    for name, points in ordered:
        line = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in points)
        color = colors[name]
        along, end = at(*points[-1])
        last = min(end + 4, last - 14)
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>',
            f'<text x="{along + 8:.1f}" y="{last:.1f}" style="fill:{color}">{escape(name)}</text>',
        ]
    return parts, top + HEIGHT + 36
