"""The figures of the last committed runs, as tables for the documents; cog asks for them.

python bench/tables.py
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SHOWN = "2-cores"
"""The machine and scale that the documents show."""


def comparison() -> Iterator[str]:
    """Yield a row per tool: time of both ways, as a multiple of ``cp -r``, size and memory."""
    found = load("compare")
    rows = by_tool(found)
    floor = min(row["peak_mb"] for row in found["rows"] if row["step"] == "import")
    both = " | ".join(f"{step}, s | CPU s/GB | / `cp`" for step in ("export", "import"))
    yield f"| | {both} | stored | peak memory |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for tool, steps in rows.items():
        if tool == "model_signing":
            continue
        cells = [f"| {name_of(tool)}"]
        for step in ("export", "import"):
            ratio = steps[step]["wall_s"] / rows["cp -r"][step]["wall_s"]
            work = steps[step]["cpu_s"] / found["plain_bytes"] * 1e9
            cells += [f"{steps[step]['wall_s']:.2f}", f"{work:.2f}", f"{ratio:.1f}"]
        share = steps["export"]["stored_bytes"] / found["plain_bytes"]
        peak = max(steps["export"]["peak_mb"], steps["import"]["peak_mb"])
        most = "under " if peak <= floor else ""
        yield " | ".join([*cells, f"{share:.1%}", f"{most}{peak} MB |"])


def versions() -> Iterator[str]:
    """Yield a row per tool that shares content: time and new bytes of the later versions."""
    yield "| | v2, s | new MB | v3, s | new MB |"
    yield "| --- | --- | --- | --- | --- |"
    for tool, steps in by_tool(load("compare")).items():
        if "export v2" in steps:
            cells = [f"| {name_of(tool)}"]
            for step in ("export v2", "export v3"):
                cells += [
                    f"{steps[step]['wall_s']:.2f}",
                    f"{steps[step]['stored_bytes'] / 1e6:,.1f}",
                ]
            yield " | ".join(cells) + " |"


def weights() -> Iterator[str]:
    """Yield a row per type of the real weights."""
    yield "| MiniLM as | airgap | `bentoml export` (xz) |"
    yield "| --- | --- | --- |"
    for one in load("compare")["weights"]:
        ours, theirs = one["airgap"] / one["plain"], one["bentoml_xz"] / one["plain"]
        yield f"| {one['type'].lower()} | {ours:.1%} | {theirs:.1%} |"


def goals() -> Iterator[str]:
    """Yield a row per figure that was set as a goal."""
    yield "| | against | found | goal | |"
    yield "| --- | --- | --- | --- | --- |"
    for one in load("compare")["bars"]:
        figure, goal = one["figure"], one["bar"]
        verdict = "met" if figure <= goal else "**missed**"
        peer = one["peer"].replace("|", "\\|")
        yield f"| {one['step']} | {peer} | {figure:g} | {goal:g} | {verdict} |"


def scaling() -> Iterator[str]:
    """Yield a row per size and per number of small files."""
    titles = ("export", "verify", "import", "peak memory", "export / `tar \\| zstd`", "its reverse")
    yield "| | " + " | ".join(titles) + " |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in load("scaling")["rows"]:
        what = f"{row['gib']:g} GiB" if "gib" in row else f"{row['files']:,} files of 4 KB"
        times = [f"{row[step]['wall_s']:.2f} s" for step in ("export", "verify", "import")]
        peak = max(row[step]["peak_mb"] for step in ("export", "verify", "import"))
        ratios = [
            f"{row[one]:.2f}" if one in row else ""
            for one in ("export / tar | zstd -1", "import / zstd -d | tar")
        ]
        yield " | ".join([f"| {what}", *times, f"{peak} MB", *ratios]) + " |"


def threads(folder: str) -> Iterator[str]:
    """Yield a row per step: time and processor time per GB, by files and threads."""
    found = load("threads", folder)
    columns = list(dict.fromkeys((row["files"], row["threads"]) for row in found["rows"]))
    steps: dict[str, list[str]] = {}
    for row in found["rows"]:
        cell = f"{row['wall_s']:.1f} s, {row['cpu_s_per_gb']:.1f}"
        steps.setdefault(row["step"], []).append(cell)
    titles = (f"{files} file{'s' * (files > 1)}, {jobs} threads" for files, jobs in columns)
    yield "| s, CPU s/GB | " + " | ".join(titles).replace("1 threads", "1 thread") + " |"
    yield "| --- |" + " --- |" * len(columns)
    for step, cells in steps.items():
        title = step.replace("|", "\\|")
        yield f"| {title} | " + " | ".join(cells) + " |"


def roads(folder: str, *names: str) -> Iterator[str]:
    """Yield a row per peer of each step of some roads; the first client of a step is airgap's."""
    yield "| | | airgap, MB/s | against | MB/s | time | CPU | CPU s/GB |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name in names:
        ours: dict[str, Any] = {}
        for row in load(f"road-{name}", folder)["rows"]:
            if row["step"] != ours.get("step"):
                ours = row
                continue
            cells = [name, row["step"], f"{ours['mb_per_s']:.0f}", row["client"]]
            cells += [f"{row['mb_per_s']:.0f}", f"{row['airgap / it, wall']:.2f}"]
            cells += [f"{row['airgap / it, cpu']:.2f}", f"{ours['cpu_s_per_gb']:.2f}"]
            yield "| " + " | ".join(cells) + " |"


def short() -> Iterator[str]:
    """Yield the table of the front page."""
    found = load("compare")
    rows = by_tool(found)
    yield "| | export | import | size | a version with 10 % new tensors | every weight nudged |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for tool in ("airgap", "tar | zstd -1", "bentoml tar", "restic", "borg zstd,3"):
        steps = rows[tool]
        share = steps["export"]["stored_bytes"] / found["plain_bytes"]
        cells = [f"{steps[step]['wall_s']:.1f} s" for step in ("export", "import")]
        cells.append(f"{share:.0%}")
        for step in ("export v2", "export v3"):
            has = step in steps
            cells.append(f"{steps[step]['stored_bytes'] / 1e6:,.0f} MB" if has else "all of it")
        yield f"| {name_of(tool)} | " + " | ".join(cells) + " |"


def load(name: str, folder: str = SHOWN) -> Any:  # noqa: ANN401
    """Read the results of a run."""
    return json.loads((RESULTS / folder / f"{name}.json").read_text())


def by_tool(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each tool's steps."""
    tools: dict[str, dict[str, Any]] = {}
    for row in found["rows"]:
        tools.setdefault(row["tool"], {})[row["step"]] = row
    return tools


def name_of(tool: str) -> str:
    """Return a tool's name for a table."""
    return "**airgap**" if tool == "airgap" else f"`{tool}`".replace("|", "\\|")


if __name__ == "__main__":
    for table in (comparison, versions, weights, goals, scaling, short):
        print(*table(), "", sep="\n")
