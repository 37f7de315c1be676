"""The table as a picture: two rows of bars, drawn as SVG without a library."""

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, BAR, GAP, LEFT = 760, 16, 8, 130
OURS, THEIRS = "#1f6f50", "#9aa5a0"


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
    style = "<style>text{font:12px sans-serif;fill:#222}.t{font-weight:bold}</style>"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}">'
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
